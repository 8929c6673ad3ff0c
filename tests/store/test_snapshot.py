from __future__ import annotations

import threading
from contextlib import ExitStack
from pathlib import Path

import apsw
import pytest

from bty_app.errors import NotFoundError, StorageError
from bty_app.store import hardware, snapshot, sqlite
from bty_app.store.sqlite import Journal
from tests import original_state
from tests.fresh_state import make_state, needs_log


def fill(path: Path, rows: int) -> None:
    connection = sqlite.writable(path)
    with connection:
        connection.executemany(
            "INSERT INTO settings VALUES (?, ?, 'a')",
            ((f"key{number}", "v" * 1000) for number in range(rows)),
        )
    connection.close()


def count(path: Path) -> int:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    ((found,),) = connection.execute("SELECT count(*) FROM settings")
    connection.close()
    return int(str(found))


@needs_log
def test_a_copy_is_one_whole_file_outside_the_log_mode(tmp_path: Path) -> None:
    path = make_state(tmp_path / "s")
    fill(path, 2000)
    steps: list[tuple[int, int]] = []

    snapshot.copy(path, tmp_path / "copy", on_progress=lambda *step: steps.append(step))

    assert [name.name for name in tmp_path.iterdir() if name.name != "s"] == ["copy"]
    header = (tmp_path / "copy").read_bytes()[18:20]
    assert header == b"\x01\x01"
    assert count(tmp_path / "copy") == 2000
    assert (tmp_path / "copy").stat().st_mode & 0o777 == 0o600
    assert len(steps) > 1
    assert steps[-1][0] == steps[-1][1]


def test_a_steady_writer_does_not_keep_the_copy_from_its_end(tmp_path: Path) -> None:
    path = make_state(tmp_path / "s")
    fill(path, 5000)
    copied = threading.Event()
    written = 0

    def write() -> None:
        nonlocal written
        writer = sqlite.writable(path)
        writer.pragma("synchronous", 0)
        while not copied.is_set():
            writer.execute("UPDATE settings SET value = value || 'x' WHERE key = 'key1'")
            written += 1
        writer.close()

    thread = threading.Thread(target=write)
    thread.start()
    done: list[int] = []
    try:
        snapshot.copy(path, tmp_path / "copy", on_progress=lambda pages, _: done.append(pages))
    finally:
        copied.set()
        thread.join()

    assert written > 0
    assert done == sorted(set(done)), "the copy began anew"
    assert count(tmp_path / "copy") == 5000


@needs_log
def test_a_cancelled_copy_leaves_nothing(tmp_path: Path) -> None:
    path = make_state(tmp_path / "s")
    fill(path, 2000)
    asked = iter([False, True])

    with pytest.raises(snapshot.CopyCancelledError):
        snapshot.copy(path, tmp_path / "copy", cancelled=lambda: next(asked))

    assert [name.name for name in tmp_path.iterdir()] == ["s"]


def test_without_a_log_writers_wait_no_longer_than_the_pages_take(tmp_path: Path) -> None:
    path = make_state(tmp_path / "s", journal=Journal.DELETE)
    fill(path, 2000)
    other = apsw.Connection(str(path))
    refused = []

    def write() -> None:
        other.execute("INSERT INTO settings VALUES ('meanwhile', 'x', 'y')")

    def waits(_done: int, _total: int) -> None:
        with pytest.raises(apsw.BusyError):
            write()
        refused.append(True)

    with hardware.opened(path) as source, ExitStack() as view:
        view.enter_context(hardware.snapshot(source))

        def copied() -> None:
            view.close()
            write()

        snapshot.copy_from(source, tmp_path / "copy", on_progress=waits, on_copied=copied)
    other.close()

    assert refused
    copy = apsw.Connection(str(tmp_path / "copy"))
    assert not copy.execute("SELECT 1 FROM settings WHERE key = 'meanwhile'").fetchall()
    assert copy.pragma("integrity_check") == "ok"
    copy.close()


def test_a_copy_never_replaces_a_file(tmp_path: Path) -> None:
    path = make_state(tmp_path / "s")
    (tmp_path / "copy").write_bytes(b"mine")

    with pytest.raises(StorageError, match="exists"):
        snapshot.copy(path, tmp_path / "copy")

    assert (tmp_path / "copy").read_bytes() == b"mine"


def test_a_missing_database_is_not_found_and_not_made(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        snapshot.copy(tmp_path / "none", tmp_path / "copy")

    assert list(tmp_path.iterdir()) == []


def test_a_database_of_the_original_is_copied(tmp_path: Path) -> None:
    path = original_state.make_original(tmp_path / "s", [], "0.65.18")

    snapshot.copy(path, tmp_path / "copy")

    assert count(tmp_path / "copy") == 0
