"""`bty deploy --systemd`: units, a real Quadlet generator, and podman as the services start it.

There is no systemd in this host: its `systemctl` makes services of the units with the real
generator and runs their ExecStart. NOT PROVEN HERE: systemd itself, its restarts and its boot.
"""

from __future__ import annotations

import json
import re
import stat
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bty_app import __version__
from tests.container.conftest import OLD
from tests.container.lab import Host
from tests.container.operator import at
from tests.container.test_deploy_releases import STEPS
from tests.container.test_units import QUADLET

pytestmark = pytest.mark.system

UNITS = "/etc/containers/systemd"
_SYSTEMCTL = r"""#!/bin/sh
# What a systemctl does with services of Quadlet: start, stop, restart, show, daemon-reload.
set -eu
run=/run/services
mkdir -p $run
say() { echo "$*" >>$run/log; }
service() { sed -n "/^---$1---\$/,/^---/p" $run/all; }
start() {
  [ -e $run/$1.up ] && return 0
  say "start $1"
  # podman 4.3 of this host has no systemd to split groups and to notify.
  command="$(service $1 | sed -n 's/^ExecStart=//p' | sed "s|%t|/run|g; s|%N|${1%.service}|g" |
    sed 's/--cgroups=split//; s/--sdnotify=conmon//')"
  sh -c "$command" >>$run/log 2>&1
  date +%s >$run/$1.up
}
stop() {
  [ -e $run/$1.up ] || return 0
  say "stop $1"
  podman rm -f -i --cidfile=/run/${1%.service}.cid >>$run/log 2>&1
  rm -f $run/$1.up /run/${1%.service}.cid
}
act="$1"
shift
case "$act" in
  daemon-reload) QUADLET_UNIT_DIRS=/etc/containers/systemd \
    /usr/libexec/podman/quadlet -dryrun -no-kmsg-log >$run/all 2>>$run/log; say reload ;;
  start) for name; do start $name; done ;;
  stop) for name; do stop $name; done ;;
  restart) for name; do stop $name; start $name; done ;;
  show)
    if [ -e $run/$1.up ]; then
      echo "ActiveState=active"; echo "NRestarts=0"
      echo "ActiveEnterTimestamp=@$(cat $run/$1.up)"
    else
      echo "ActiveState=inactive"; echo "NRestarts=0"; echo "ActiveEnterTimestamp="
    fi ;;
  *) echo "this systemctl does not know: $act" >&2; exit 1 ;;
esac
"""


@dataclass(frozen=True, slots=True)
class Operator:
    """Root at that host."""

    host: Host
    pyz: Path
    directory: Path
    shims: Path

    def bty(self, *words: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the single file there."""
        path = f"{self.shims}:/usr/bin:/bin:/usr/sbin:/sbin"
        start = ("env", f"PATH={path}", sys.executable, self.pyz)
        return self.host.run(*start, *words, check=check)

    def deploy(self, *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """`bty deploy` into the directory."""
        return self.bty("deploy", *words, self.directory, check=check)

    def log(self) -> list[str]:
        """What systemctl was told to do, so far; then it is forgotten."""
        said = self.host.run("sh", "-c", "cat /run/services/log; : >/run/services/log").stdout
        return re.findall(r"^(?:start|stop) .*$", said, re.MULTILINE)

    def unit(self, name: str) -> str:
        """A unit that systemd reads; empty when there is none."""
        return self.host.run("cat", f"{UNITS}/{name}", check=False).stdout


@pytest.fixture
def operator(host: Host, pyz: Path, tmp_path: Path) -> Iterator[Operator]:
    shims = tmp_path / "bin"
    shims.mkdir()
    (shims / "systemctl").write_text(_SYSTEMCTL)
    (shims / "journalctl").write_text('#!/bin/sh\necho "$*"; tail -20 /run/services/log\n')
    for shim in shims.iterdir():
        shim.chmod(0o755)
    place = "/usr/libexec/podman"
    host.run("mount", "-t", "tmpfs", "none", "/usr/libexec")
    host.run("mkdir", place)
    assert QUADLET.exists(), f"{QUADLET} is missing: tests/run unpacks it"
    host.run("cp", QUADLET, place)
    try:
        yield Operator(host, pyz, tmp_path / "srv", shims)
    finally:
        host.clear()
        host.run("umount", "/usr/libexec")
        cids = ("/run/bty.cid", "/run/withcache.cid")
        host.run("rm", "-rf", "/run/services", UNITS, *cids)


def test_units_bring_it_up_with_a_pinned_image_and_private_secrets(operator: Operator) -> None:
    done = operator.deploy("--systemd", "--host-addr", operator.host.address)

    client = at(operator.host, 8080)
    password = (operator.directory / "data/bty/admin-password").read_text().strip()
    image = operator.host.podman("image", "inspect", "--format", "{{.Id}}", "localhost/bty")
    unit = operator.unit("bty.container")
    found = operator.host.inspect("bty")
    variables = operator.directory / "quadlet/bty.env"
    assert client.log_in(password)
    assert f"Image=sha256:{image}\n" in unit
    assert f"# release: {__version__}\n" in unit
    assert found["Image"] == image
    assert found["EffectiveCaps"] in (None, [])
    assert stat.S_IMODE(variables.stat().st_mode) == 0o600
    assert operator.log() == ["start withcache.service", "start bty.service"]
    for text in (unit, operator.unit("withcache.container"), done.stdout, done.stderr):
        assert "PASSWORD=" not in text.replace("PASSWORD=*** (new)", "")


def test_a_second_deploy_starts_nothing_anew_and_needs_no_flag(operator: Operator) -> None:
    operator.deploy("--systemd", "--host-addr", operator.host.address)
    unit = operator.unit("bty.container")
    operator.log()

    done = operator.deploy()

    assert operator.log() == []
    assert operator.unit("bty.container") == unit
    assert "---" not in done.stderr


def test_only_what_has_other_choices_is_started_anew(operator: Operator) -> None:
    operator.deploy("--systemd", "--host-addr", operator.host.address)
    operator.log()
    envvars = operator.directory / "envvars"
    text = envvars.read_text().replace("BTY_ADMIN_PASSWORD=\n", "BTY_ADMIN_PASSWORD='one #1'\n")
    operator.host.run("sleep", "1.1")  # the time of a start is in whole seconds
    envvars.write_text(text)

    operator.deploy()

    assert operator.log() == ["stop bty.service", "start bty.service"]
    assert at(operator.host, 8080).log_in("one #1")


def test_a_unit_of_somebody_else_is_never_written_over(operator: Operator) -> None:
    operator.host.run("mkdir", "-p", UNITS)
    operator.host.run("sh", "-c", f"echo '# mine' >{UNITS}/bty.container")

    words = ("--systemd", "--force", "--host-addr", operator.host.address)
    done = operator.deploy(*words, check=False)

    assert done.returncode == 75
    assert "bty.container is not of bty" in done.stderr
    assert operator.unit("bty.container") == "# mine\n"


def test_a_service_that_does_not_start_is_told_with_its_journal(operator: Operator) -> None:
    holds = "import socket, sys; s = socket.create_server(('', 8081)); print(1, flush=True)"
    taken = (sys.executable, "-c", f"{holds}; sys.stdin.read()")  # until we close the other end
    enter = ("nsenter", "--target", str(operator.host.process), "--mount", "--net")
    pipe = subprocess.PIPE
    with subprocess.Popen([*enter, *taken], stdin=pipe, stdout=pipe) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        words = ("--systemd", "--host-addr", operator.host.address)
        done = operator.deploy(*words, check=False)

    last = done.stderr.splitlines()[-1]
    assert done.returncode == 69
    assert "`systemctl start withcache.service` failed" in last
    assert "the journal of withcache.service: --unit=withcache.service" in last
    assert "address already in use" in last


def test_purge_takes_the_units_away_and_leaves_the_state(operator: Operator) -> None:
    operator.deploy("--systemd", "--host-addr", operator.host.address)

    operator.bty("purge", "--yes", operator.directory)

    assert operator.unit("bty.container") == operator.unit("withcache.container") == ""
    assert operator.host.podman("ps", "--all", "--quiet") == ""
    assert (operator.directory / "data/bty/state.db").exists()


def test_compose_does_not_run_beside_systemd(operator: Operator) -> None:
    operator.deploy("--systemd", "--host-addr", operator.host.address)
    compose = operator.shims / "podman-compose"
    compose.write_text("#!/bin/sh\nexit 1\n")
    compose.chmod(0o755)

    done = operator.deploy("--no-systemd", check=False)

    assert done.returncode == 75
    assert f"systemd runs {operator.directory} now: `bty purge" in done.stderr


def test_a_podman_without_quadlet_is_named(operator: Operator) -> None:
    operator.host.run("rm", "/usr/libexec/podman/quadlet")

    done = operator.deploy("--systemd", "--host-addr", operator.host.address, check=False)

    assert done.returncode == 66
    assert "podman 4.4 or newer" in done.stderr
    assert not operator.directory.exists()


def test_another_release_takes_its_place_in_the_unit_and_gives_it_back(
    operator: Operator, old_pyz: Path
) -> None:
    words = ("--systemd", "--host-addr", operator.host.address)
    replace(operator, pyz=old_pyz).deploy(*words)
    former = operator.unit("bty.container")

    def stack(steps: str) -> dict[str, object]:
        path = f"PATH={operator.shims}:/usr/bin:/bin:/usr/sbin:/sbin"
        start = ("env", path, sys.executable, "-c", STEPS, operator.pyz, operator.directory)
        told: dict[str, object] = json.loads(operator.host.run(*start, steps).stdout)
        return told

    forth = stack(
        f"old = found.current()\n"
        f"new = found.fetch({__version__!r})\n"
        f"inside = found.run(told['old'], ['--version']).stdout\n"
        f"beside = found.run(told['new'], ['--version']).stdout\n"
        "_ = found.stop()\n"
        "stopped = not found.condition().running\n"
        "_ = found.install(told['new'])\n"
        "_ = found.start()\n"
        "_ = readiness.wait_until_ready(found, readiness.RealPace(), 180)\n"
        "now = found.current().version"
    )
    unit = operator.unit("bty.container")
    back = stack(
        f"old = found.at.images.release('localhost/bty:{OLD}')\n"
        "_ = found.stop()\n"
        "_ = found.install(told['old'])\n"
        "_ = found.start()\n"
        "_ = readiness.wait_until_ready(found, readiness.RealPace(), 180)\n"
        "now = found.current().version"
    )

    assert (forth["inside"], forth["beside"]) == (f"bty {OLD}\n", f"bty {__version__}\n")
    assert forth["stopped"]
    assert (forth["now"], back["now"]) == (__version__, OLD)
    assert f"# release: {__version__}\n" in unit
    assert operator.unit("bty.container").splitlines()[1:] == former.splitlines()[1:]
    assert at(operator.host, 8080).ask("GET", "/version")["version"] == OLD
