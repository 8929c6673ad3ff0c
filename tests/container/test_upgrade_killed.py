"""`bty upgrade` of a deployment in containers, killed on its way, and run again.

A few of its points here; `pytest --every-kill tests/container/test_upgrade_killed.py` tries all.
"""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

import pytest

from bty_app import __version__
from tests.container.conftest import OLD
from tests.container.lab import Host, podman_compose, programs_path
from tests.container.upgrading import bad_image, bind, check_intact, upgrade
from tests.pyz import tools

pytestmark = pytest.mark.system

# Kills the upgrade that calls it, once: before it does what was named, or when it has done it.
_KILLS = """#!/bin/sh
killed() {{
  [ -e {kill} ] && read -r when words <{kill} && [ "$when" = "$1" ] || return 1
  case " $asked " in *" $words "*) ;; *) return 1 ;; esac
  tr '\\0' ' ' <"/proc/$PPID/cmdline" | grep -q ' upgrade ' || return 1
  rm {kill}
  kill -9 "$PPID"
}}
asked="$*"
killed before && exit 0
{program} "$@"
status=$?
killed after
exit $status
"""
# When, and which words of the program that is called then.
STOPPED, PINNED, STARTED = "after stop bty", "before up -d", "after up -d"
EVERY = (
    *("before exec", "after backup --json", "after verify --drill", "before stop bty"),
    *(STOPPED, PINNED, STARTED),
)
PUT_BACK = "after rollback --to"
EVERY_BACK = ("before rollback --to", PUT_BACK)


@dataclass(frozen=True, slots=True)
class Old:
    """A deployment by the older release with a machine in it, as often as it is needed."""

    host: Host
    pyz: Path
    directory: Path
    kept: Path
    shims: Path

    def again(self) -> None:
        """Have it as it was, and running."""
        self.host.clear()
        shutil.rmtree(self.directory)
        self.host.run("cp", "-a", self.kept, self.directory)
        names = "-f compose.yml -f compose.override.yml --env-file envvars"
        line = f"cd {self.directory} && podman-compose {names} up -d"
        self.host.run(*programs_path(), "sh", "-c", line)

    def killed(self, when: str) -> None:
        """Begin an upgrade that is killed there."""
        (self.shims / "kill").write_text(f"{when}\n")
        before = ("env", f"PATH={self.shims}:/usr/bin:/bin:/usr/sbin:/sbin")
        status, said = upgrade(self.host, self.pyz, self.directory, before=before)
        assert not (self.shims / "kill").exists(), f"never came to {when}: {said}"
        assert status in {-9, 137}, said

    def goes_on(self) -> tuple[int, str]:
        """The same command again."""
        return upgrade(self.host, self.pyz, self.directory)


@pytest.fixture
def old(host: Host, pyz: Path, deployed: Path, tmp_path: Path) -> Old:
    bind(host, deployed)
    shims = tmp_path / "bin"
    shims.mkdir()
    for name, program in (("podman", "/usr/bin/podman"), ("podman-compose", podman_compose())):
        (shims / name).write_text(_KILLS.format(kill=shims / "kill", program=program))
        (shims / name).chmod(0o755)
    stopped = ("stop", "--time", "20", *host.podman("ps", "--quiet").split())
    host.podman(*stopped)
    host.run("cp", "-a", deployed, tmp_path / "kept")
    return Old(host, pyz, deployed, tmp_path / "kept", shims)


def test_killed_it_goes_on_and_nothing_is_lost(old: Old, pytestconfig: pytest.Config) -> None:
    for when in EVERY if pytestconfig.getoption("--every-kill") else (STOPPED, PINNED, STARTED):
        old.again()
        old.killed(when)

        status, said = old.goes_on()

        assert status == 0, f"{when}: {said}"
        check_intact(old.host, old.directory, __version__)


def test_killed_on_its_way_back_it_goes_back(
    old: Old, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    points = EVERY_BACK if pytestconfig.getoption("--every-kill") else (PUT_BACK,)
    with bad_image(old.host, old.pyz, tmp_path / "bad", serves=False):
        for when in points:
            old.again()
            old.killed(when)

            status, said = old.goes_on()

            assert status == 1, f"{when}: {said}"
            assert f"bty {OLD} is back with its data" in said
            check_intact(old.host, old.directory, OLD)


@pytest.fixture
def asked_for(pytestconfig: pytest.Config) -> None:
    """Before anything is set up."""
    if not pytestconfig.getoption("--every-kill"):
        pytest.skip("--every-kill tries them all: a quarter of an hour")


@pytest.mark.usefixtures("asked_for")
def test_killed_at_any_file_that_it_writes(old: Old) -> None:
    """Each of its renames: of the journal, the generated files, the passwords, the pin."""
    at = 0
    while True:
        at += 1
        old.again()
        inject = f"inject=rename,renameat,renameat2:signal=KILL:when={at}"
        strace = (tools.need("strace"), "-qq", "-o", "/dev/null", "-e", inject)
        status, said = upgrade(old.host, old.pyz, old.directory, before=(*programs_path(), *strace))
        if status == 0:
            break
        assert status in {-9, 137}, said

        status, said = old.goes_on()

        version = __version__ if status == 0 else OLD
        assert status == 0 or f"bty {OLD} is back with its data" in said, f"{at}: {said}"
        check_intact(old.host, old.directory, version)
    assert at > 10
