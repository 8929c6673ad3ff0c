"""The single file on a host where only the state directory can be written to.

Nothing but Python is in there: no site-packages, no home, no /tmp, no rights.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.pyz import tools
from tests.pyz.serving import MAC, environment, free_port, serving

pytestmark = pytest.mark.system
PROBE = """
import os
def writable(folder):
    try:
        os.close(os.open(folder + "/probe", os.O_CREAT | os.O_WRONLY, 0o600))
    except OSError:
        return False
    return True
places = ("/", "/etc", "/usr", "/tmp", "/root", "/dev", "/dev/shm", "/var", "/var/lib/bty")
print([place for place in places if writable(place)], os.geteuid(), os.path.exists("/etc/passwd"))
"""


def _bare_host(pyz: Path, state: Path) -> list[str]:
    """bwrap's arguments for such a host; the file is /bty.pyz, the state in /var/lib/bty."""
    words = [tools.need("bwrap"), "--ro-bind", "/usr", "/usr"]
    for folder in ("/bin", "/lib", "/lib64", "/sbin"):
        words += ["--ro-bind-try", folder, folder]
    words += ["--ro-bind-try", "/etc/ld.so.cache", "/etc/ld.so.cache"]
    words += ["--ro-bind", sys.base_prefix, sys.base_prefix, "--ro-bind", str(pyz), "/bty.pyz"]
    words += ["--bind", str(state), "/var/lib/bty", "--proc", "/proc", "--dev", "/dev"]
    words += ["--remount-ro", "/dev", "--remount-ro", "/"]
    words += ["--unshare-user", "--uid", "65534", "--gid", "65534", "--cap-drop", "ALL"]
    return [*words, "--info-fd", "{info}", *tools.BARE]


@pytest.fixture
def state(tmp_path: Path) -> Path:
    folder = tmp_path / "state"
    folder.mkdir(mode=0o700)
    return folder


def _run(pyz: Path, state: Path, *command: str) -> tuple[int, str, str]:
    words = [word.replace("{info}", "2") for word in _bare_host(pyz, state)]
    del words[words.index("--info-fd") : words.index("--info-fd") + 2]
    done = tools.run(*words, *command, **environment("/var/lib/bty", free_port()))
    return done.returncode, done.stdout, done.stderr


def test_the_host_of_these_tests_is_read_only(host_pyz: Path, state: Path) -> None:
    status, said, errors = _run(host_pyz, state, "-c", PROBE)

    assert status == 0, errors
    assert said.strip() == "['/var/lib/bty'] 65534 False"


def test_apsw_loads_there(host_pyz: Path, state: Path) -> None:
    program = "import sys; sys.path.insert(0, '/bty.pyz'); from bty_app import native;"
    program += "native.install(); import apsw; print(apsw.sqlite_lib_version())"

    status, said, errors = _run(host_pyz, state, "-c", program)

    assert status == 0, errors
    assert said.startswith("3.")
    assert list(state.iterdir()) == []


def test_it_serves_and_exports_there(host_pyz: Path, state: Path, tmp_path: Path) -> None:
    told = environment("/var/lib/bty", free_port())
    command = [*_bare_host(host_pyz, state), "/bty.pyz", "serve"]

    with serving(command, told, tmp_path) as server:
        alive = server.get("/healthz")
        script = server.get(f"/pxe/{MAC}")
        page = server.log_in()
        status, _, errors = _run(host_pyz, state, "/bty.pyz", "export", "/var/lib/bty/out")

    assert alive
    assert script.startswith("#!ipxe")
    assert MAC in page
    assert status == 0, errors
    bundle = json.loads((state / "out" / "inventory.json").read_text("utf-8"))
    assert MAC in json.dumps(bundle)
