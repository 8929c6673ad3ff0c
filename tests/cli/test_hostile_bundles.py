"""Bundles that nobody should have made, given to the real program: exit status 65 in one line,
little memory, and the database is as it was (STATE-SAFETY 3.10, 3.11).
"""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from bty_app.cli.main import main
from tests.appliances import REPOSITORY
from tests.domain.test_bundle import GOLDEN
from tests.fleet_state import rows

MEMORY = 448 * 1024 * 1024  # of addresses, Python and SQLite among them
START = b'{"bty_export_version": 3, "machines": ['
ONE = b'{"mac": "02:00:00:00:00:05"}'


def file_of(data: bytes, times: int = 1, end: bytes = b"") -> Callable[[Path], None]:
    """A bundle of these bytes, of the second argument so often."""

    def make(path: Path) -> None:
        with path.open("wb") as file:
            file.write(data)
            for _ in range(times if end else 0):
                file.write(end)

    return make


def many(head: bytes, part: bytes, mib: int) -> Callable[[Path], None]:
    """A bundle of so many mebibytes."""
    return file_of(head, mib * 1024 * 1024 // len(part * 1000), part * 1000)


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(10 * 1024**3)


def sparse_behind_a_beginning(path: Path) -> None:
    with path.open("wb") as file:
        file.write(START)
        file.truncate(10 * 1024**3)


def unix_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made:
        here = Path.cwd()
        os.chdir(path.parent)  # the name of a socket is short
        try:
            made.bind(path.name)
        finally:
            os.chdir(here)


HOSTILE: dict[str, Callable[[Path], None]] = {
    "nothing": file_of(b""),
    "cut short": file_of(START + ONE),
    "version true": file_of(b'{"bty_export_version": true, "machines": []}'),
    "version of another": file_of(b'{"bty_export_version": 2, "machines": []}'),
    "version huge": file_of(b'{"bty_export_version": ' + b"9" * 5000 + b', "machines": []}'),
    "version infinite": file_of(b'{"bty_export_version": Infinity, "machines": []}'),
    "keys twice": file_of(b'{"bty_export_version": 3, "machines": [], "machines": [' + ONE + b"]}"),
    "a machine twice": file_of(START + ONE + b"," + ONE + b"]}"),
    "deep": many(START + b'{"hw_lshw": ', b"[", 1),
    "deep objects": many(START + b'{"hw_lshw": ', b'{"a":', 8),
    "60 MiB of lists": many(START + b'{"mac": "02:00:00:00:00:05", "hw_lshw": [', b"[],", 60),
    "60 MiB of numbers": many(START + b'{"mac": "02:00:00:00:00:05", "hw_lshw": [', b"1,", 60),
    "60 MiB of text": many(START + b'{"mac": "', b"a", 60),
    "60 MiB of blanks": many(START, b" ", 60),
    "60 MiB of unknown keys": many(b'{"x": [', b'{"a":[]},', 60),
    "NUL bytes": file_of(START + b'{"mac": "02:00:00:00:00:05\x00"}]}'),
    "no UTF-8": file_of(START + b'{"mac": "\xff\xfe"}]}'),
    "UTF-16": file_of((START + ONE + b"]}").decode().encode("utf-16")),
    "sparse, 10 GB": sparse,
    "sparse behind a beginning": sparse_behind_a_beginning,
    "a link": lambda path: path.symlink_to(GOLDEN / "two-machines" / "inventory.json"),
    "a pipe": os.mkfifo,
    "a device": lambda path: os.mknod(path, 0o20600, os.makedev(1, 5)),  # /dev/zero
    "a directory": Path.mkdir,
    "a socket": unix_socket,
}


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "no-config").mkdir()
    monkeypatch.setenv("BTY_CONFIG_DIR", str(tmp_path / "no-config"))
    assert main(["import", "--state-dir", str(tmp_path / "s"), str(GOLDEN / "two-machines")]) == 0
    return tmp_path / "s"


def everything(state: Path) -> list[tuple[object, ...]]:
    """What is in the tables that an import changes."""
    return [
        *rows(state / "state.db", "SELECT * FROM machines ORDER BY mac"),
        *rows(state / "state.db", "SELECT * FROM events ORDER BY id"),
    ]


def taken(state: Path, bundle: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bty_app", "import", "--state-dir", str(state), str(bundle)],
        cwd=REPOSITORY,
        env={**os.environ, "BTY_CONFIG_DIR": str(state.parent / "no-config")},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
    )


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_bundle_is_refused_in_one_line_and_changes_nothing(
    state: Path, tmp_path: Path, name: str
) -> None:
    if name == "a device" and os.geteuid() != 0:
        pytest.fail("needs root: that a device is refused is not proven here")
    (tmp_path / "b").mkdir()
    HOSTILE[name](tmp_path / "b" / "inventory.json")
    before = everything(state)

    done = taken(state, tmp_path / "b")

    assert done.returncode == 65, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert len(done.stderr) < 500
    assert everything(state) == before


def test_names_that_lead_elsewhere_are_no_machines(state: Path, tmp_path: Path) -> None:
    """Rejected one by one; what is a machine comes in."""
    names = [
        *("../../../etc/passwd", "/etc/passwd", "02:00:00:00:00:05/..", "..", ""),
        *("02:00:00:00:00:0g", "02:00:00:00:00:05\\u0000", "\\ud800", "<b>", "' OR 1=1 --"),
    ]
    made = ", ".join(f'{{"mac": "{name}"}}' for name in names)
    (tmp_path / "b").mkdir()
    text = START.decode() + made + ", " + ONE.decode() + "]}"
    (tmp_path / "b" / "inventory.json").write_text(text)

    done = taken(state, tmp_path / "b")

    assert done.returncode == 0, done.stderr
    macs = {mac for (mac,) in rows(state / "state.db", "SELECT mac FROM machines")}
    assert macs == {"02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:05"}


def test_twenty_thousand_machines_come_in_within_the_same_memory(
    state: Path, tmp_path: Path
) -> None:
    (tmp_path / "b").mkdir()
    with (tmp_path / "b" / "inventory.json").open("wb") as file:
        file.write(START)
        for number in range(20_000):
            mac = f"02:00:01:00:{number >> 8:02x}:{number & 255:02x}"
            file.write(b"," if number else b"")
            file.write(f'{{"mac": "{mac}", "hw_lshw": {{"id": "{"x" * 2000}"}}}}'.encode())
        file.write(b"]}")

    done = taken(state, tmp_path / "b")

    assert done.returncode == 0, done.stderr
    assert rows(state / "state.db", "SELECT count(*) FROM machines") == [(20_002,)]
