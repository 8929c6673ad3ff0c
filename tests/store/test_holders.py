from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from pathlib import Path

from bty_app.store.holders import holders, lock_owners, openers

LOCKS = """\
1: FLOCK  ADVISORY  WRITE 4711 fe:00:1234 0 EOF
2: POSIX  ADVISORY  READ 4712 fe:00:1234 1073741826 1073742335
2: -> POSIX  ADVISORY  WRITE 4713 fe:00:1234 0 EOF
3: FLOCK  ADVISORY  WRITE 4714 fe:00:12345 0 EOF
4: OFDLCK ADVISORY  READ -1 fe:00:1234 0 0
nonsense
"""


def test_owners_are_those_who_hold_not_those_who_wait() -> None:
    device = os.makedev(0xFE, 0)

    assert list(lock_owners(LOCKS, [(device, 1234)])) == [4711, 4712]
    assert list(lock_owners("", [(device, 1234)])) == []


def test_another_process_is_named_while_it_has_the_file_open(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.touch()
    program = "import sys; f = open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()

        found = openers(path)
        named = holders(tmp_path / "absent", path)
        process.kill()

    assert len(found) == 1
    assert found == named
    assert found[0].endswith(f"(pid {process.pid})")
    assert openers(path) == []


def test_this_process_is_not_named(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)

        assert holders(tmp_path / "file") == []


def test_a_missing_file_has_no_holders(tmp_path: Path) -> None:
    assert holders(tmp_path / "absent") == []
