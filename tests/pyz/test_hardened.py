"""The single file under the unit that we tell of, as far as it can be proven without systemd."""

from __future__ import annotations

import ctypes
import re
import socket
import subprocess
from pathlib import Path

import pytest

from tests.fleet_state import Fleet, bind
from tests.pyz import tools
from tests.pyz.serving import MAC, Server, environment, free_port, serving

pytestmark = pytest.mark.system

PAGE = Path(__file__).parents[2] / "docs/how-to/run-as-a-service.md"
MOST_EXPOSED = 2.0  # of systemd-analyze security, where 10 is worst
# PR_SET_NO_NEW_PRIVS and PR_SET_MDWE (linux/prctl.h): what NoNewPrivileges= and
# MemoryDenyWriteExecute= ask of the kernel.
LOCKED = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
assert libc.prctl(38, 1, 0, 0, 0) == 0
assert libc.prctl(65, 1, 0, 0, 0) == 0, "no PR_SET_MDWE"
assert libc.prctl(66, 0, 0, 0, 0) == 1
os.execv(sys.argv[1], sys.argv[1:])
"""


def unit() -> str:
    """The text of the unit on the page."""
    found = re.search(r"```ini\n( *\[Unit\].*?)^ *```$", PAGE.read_text(), re.M | re.S)
    assert found is not None
    return "".join(line.strip() + "\n" for line in found[1].splitlines())


def older(place: Path) -> None:
    """A database of an older release, which the first start takes over."""
    fleet = Fleet(place).make()
    fleet.write(bind(1))
    fleet.sql("UPDATE bty_version SET version = '0.91.0'")


def works(server: Server) -> None:
    """A page, a login, a machine, its plan."""
    assert '"ready"' in server.get("/readyz")
    assert MAC not in server.log_in()
    assert server.get(f"/pxe/{MAC}").startswith("#!ipxe")
    assert MAC in server.log_in()


def test_it_serves_where_no_memory_may_become_executable(host_pyz: Path, quick_dir: Path) -> None:
    if ctypes.CDLL(None).prctl(66, 0, 0, 0, 0) < 0:
        pytest.skip("NO PR_SET_MDWE HERE (Linux 6.3 has it): nothing is proven of it")
    older(quick_dir / "state")
    told = environment(str(quick_dir / "state"), free_port())
    words = [*tools.BARE, "-c", LOCKED, *tools.BARE, str(host_pyz), "serve"]

    with serving(words, told, quick_dir) as server:
        works(server)

    assert list((quick_dir / "state").glob("*.bak"))


def test_it_stays_within_the_system_calls_and_sockets_of_its_unit(
    host_pyz: Path, quick_dir: Path
) -> None:
    older(quick_dir / "state")
    told = environment(str(quick_dir / "state"), free_port())
    strace = [tools.need("strace"), "-f", "-qqq", "-o", str(quick_dir / "trace"), "-s", "0"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(quick_dir / "notify"))
        told |= {"NOTIFY_SOCKET": str(quick_dir / "notify")}
        command = [*tools.BARE, str(host_pyz)]
        words = [*strace[:1], "-D", *strace[1:], *command, "serve"]
        with serving(words, told, quick_dir) as server:
            works(server)
            told.pop("NOTIFY_SOCKET")
            backup = [*strace, "-A", *command, "backup"]
            assert subprocess.run(backup, env=told, timeout=60, check=False).returncode == 0

    trace = (quick_dir / "trace").read_text()
    called = set(re.findall(r"^\d+ +(\w+)\(", trace, re.M))
    families = set(re.findall(r"socket\((AF_\w+)", trace))
    assert len(called) > 60
    assert called - allowed() == set()
    told_of = re.search(r"^RestrictAddressFamilies=(.*)$", unit(), re.M)
    assert told_of is not None
    assert {"AF_UNIX", "AF_INET"} <= families <= set(told_of[1].split())


def allowed() -> set[str]:
    """The system calls of @system-service, by systemd's own word."""
    program = tools.need("systemd-analyze")
    found: set[str] = set()
    wanted = ["@system-service"]
    while wanted:
        done = tools.run(program, "syscall-filter", wanted.pop(), PATH="/usr/bin:/bin")
        names = [line.strip() for line in done.stdout.splitlines() if line.startswith("    ")]
        found |= {name for name in names if re.fullmatch(r"\w+", name)}
        wanted += [name for name in names if name.startswith("@")]
    assert "read" in found
    return found


def test_the_unit_leaves_little_exposed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bty.service").write_text(unit())
    program = tools.need("systemd-analyze")

    done = tools.run(
        program, "security", "--offline=true", str(tmp_path / "bty.service"), PATH="/usr/bin:/bin"
    )

    score = re.search(r"Overall exposure level for bty\.service: ([\d.]+)", done.stdout)
    assert score is not None, done.stdout + done.stderr
    with capsys.disabled():
        print(f"\nsystemd-analyze security: {score[1]}")
    assert float(score[1]) <= MOST_EXPOSED


def test_the_unit_waits_for_the_servers_own_word() -> None:
    text = unit()

    assert "\nType=notify\n" in text
    assert "ExecStart=/usr/bin/python3 /usr/local/lib/bty/bty.pyz serve" in text
