"""The real server where the place of its state is not as it should be: it serves, or ends with one
line that names the path and the remedy (STATE-SAFETY 3.11).
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.appliances import REPOSITORY, Appliance, appliance
from tests.fresh_state import make_state

pytestmark = pytest.mark.system
NOBODY = ("setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups")
MAC = "52:54:00:00:00:01"


@pytest.fixture(autouse=True)
def _can_make_places() -> None:
    tools = ("unshare", "mount", "setpriv")
    if os.geteuid() != 0 or not all(map(shutil.which, tools)):
        pytest.fail(f"needs root and {', '.join(tools)}: nothing about odd places is proven here")


@pytest.fixture
def site(quick_dir: Path) -> Iterator[Appliance]:
    """In a place that others may pass through, with a database."""
    with appliance(quick_dir / "site") as made:
        for path in (made.home, *made.home.parents):
            if path.owner() == "root" and path != Path("/"):
                path.chmod(path.stat().st_mode | 0o055)
        make_state(made.state)
        yield made


def begin(site: Appliance, *words: str, mounts: str = "true") -> subprocess.Popen[str]:
    """The server, after `mounts` in a mount namespace of its own, run by `words`."""
    script = f'set -e; {mounts}; exec "$@"'
    serve = (sys.executable, "-B", "-m", "bty_app", "serve")
    return subprocess.Popen(
        ["unshare", "-m", "sh", "-c", script, "sh", *words, *serve],
        cwd=REPOSITORY,
        env=site.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def refusal(site: Appliance, status: int, *words: str, mounts: str = "true") -> str:
    """The one line with which it ends."""
    with begin(site, *words, mounts=mounts) as process:
        _out, err = process.communicate(timeout=60)
    said = [line for line in err.splitlines() if line.startswith("bty: ")]
    assert process.returncode == status, err
    assert "Traceback" not in err
    assert len(said) == 1, err
    return said[0]


def serves(site: Appliance, *words: str, mounts: str = "true") -> None:
    """It answers a machine, and ends when it is told to."""
    with begin(site, *words, mounts=mounts) as process:
        try:
            until = time.monotonic() + 60
            while not site.answers():
                if process.poll() is not None:
                    pytest.fail(process.communicate()[1])
                assert time.monotonic() < until, "it does not answer"
                time.sleep(0.05)
            assert "#!ipxe" in site.script(MAC)
        finally:
            process.terminate()
            process.communicate(timeout=30)


def test_a_read_only_state_directory_is_one_line(site: Appliance) -> None:
    state = site.state
    said = refusal(
        site, 74, mounts=f"mount --bind {state} {state}; mount -o remount,ro,bind {state}"
    )

    assert str(state) in said
    assert "read-only" in said.lower() or "Read-only" in said


def test_a_state_directory_from_which_nothing_may_be_run_serves(site: Appliance) -> None:
    options = "size=64m,noexec,nosuid,nodev,mode=0700"
    serves(site, mounts=f"mount -t tmpfs -o {options} none {site.state}")


def test_a_host_without_proc_serves(site: Appliance) -> None:
    """Nobody can be named there; the locks hold all the same."""
    serves(site, mounts="umount -l /proc")


def test_a_root_that_cannot_be_written_serves(site: Appliance) -> None:
    """Its state alone can be written; there is no /tmp."""
    state = site.state
    serves(
        site,
        mounts=f"mount --bind {state} {state}; mount -o remount,ro,bind / 2>/dev/null ||"
        " mount -o remount,ro /; mount -t tmpfs -o ro none /tmp",
    )


def test_another_s_private_directory_is_one_line(site: Appliance) -> None:
    site.state.chmod(0o700)

    said = refusal(site, 78, *NOBODY)  # a configuration may be in there

    assert str(site.state) in said
    assert "Permission denied" in said


def test_another_s_database_in_ones_own_directory_is_one_line(site: Appliance) -> None:
    os.chown(site.state, 65534, 65534)
    (site.state / "state.db").chmod(0o600)

    said = refusal(site, 74, *NOBODY)

    assert "state.db" in said


def test_another_s_directory_that_all_may_write_is_one_line(site: Appliance) -> None:
    site.state.chmod(0o777)

    said = refusal(site, 78, *NOBODY)

    assert f"chmod 700 {site.state}" in said


def test_ones_own_directory_that_all_may_write_is_made_private(site: Appliance) -> None:
    for path in (site.state, *site.state.iterdir()):
        os.chown(path, 65534, 65534)
    site.state.chmod(0o777)

    serves(site, *NOBODY)

    assert stat.S_IMODE(site.state.stat().st_mode) == 0o700


def test_a_lock_of_another_is_one_line(site: Appliance) -> None:
    for path in (site.state, *site.state.iterdir()):
        os.chown(path, 65534, 65534)
    (site.state / "serve.lock").touch(mode=0o600)

    said = refusal(site, 74, *NOBODY)

    assert "serve.lock" in said
    assert "Permission denied" in said
