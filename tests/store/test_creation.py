from __future__ import annotations

import stat
from pathlib import Path

import apsw
import pytest

from bty_app.domain.events import CHAIN_START, Actor, Event, Kind
from bty_app.errors import ConflictError, StorageError
from bty_app.store import events, sqlite
from bty_app.store.creation import build_fresh, create, unfinished
from bty_app.store.database import Database, Tx
from bty_app.store.sqlite import Journal

AT = "2026-11-22T19:07:18.570473+00:00"


def _opened(path: Path) -> apsw.Connection:
    return apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)


def test_a_fresh_database_is_one_private_file_without_sidecars(tmp_path: Path) -> None:
    path = tmp_path / "state.db"

    create(path, version="1.2.3", at=AT)

    assert [entry.name for entry in tmp_path.iterdir()] == ["state.db"]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_a_fresh_database_says_what_it_is(tmp_path: Path) -> None:
    create(tmp_path / "state.db", version="1.2.3", at=AT)

    connection = _opened(tmp_path / "state.db")

    assert connection.pragma("application_id") == sqlite.APPLICATION_ID
    assert connection.pragma("user_version") == sqlite.SCHEMA_NUMBER
    assert connection.pragma("auto_vacuum") == 2
    assert connection.pragma("journal_mode") == "delete"
    assert connection.execute("SELECT * FROM bty_version").fetchall() == [("1.2.3",)]
    instance = {str(k): v for k, v in connection.execute("SELECT * FROM bty_instance")}
    assert instance["chain_start"] == CHAIN_START
    assert instance["created_at"] == AT
    assert instance["rotations"] == "0"
    assert len(str(instance["instance_id"])) == 36


def test_two_fresh_databases_have_different_instance_ids(tmp_path: Path) -> None:
    found = set()

    for name in ("a", "b"):
        build_fresh(tmp_path / name, version="1", at=AT)
        sql = "SELECT value FROM bty_instance WHERE key = 'instance_id'"
        found.add(_opened(tmp_path / name).execute(sql).fetchall()[0])

    assert len(found) == 2


def test_what_is_filled_in_is_there_and_continues_the_chain(tmp_path: Path) -> None:
    def fill(connection: apsw.Connection) -> None:
        events.record(Tx(connection), Event(Kind.LOGOUT, Actor.OPERATOR, "bye"), at=AT)

    create(tmp_path / "state.db", version="1", at=AT, chain_start="f" * 64, fill=fill)

    with Database(tmp_path / "state.db") as db:
        assert db.read(lambda tx: tx.value("SELECT summary FROM events")) == "bye"
        assert db.read(events.broken_at) is None
        assert db.read(events.chain_start) == "f" * 64


def test_a_fill_that_fails_leaves_no_file(tmp_path: Path) -> None:
    def fill(connection: apsw.Connection) -> None:
        connection.execute("INSERT INTO bty_version VALUES ('second')")
        raise StorageError("no")

    with pytest.raises(StorageError, match="no"):
        create(tmp_path / "state.db", version="1", at=AT, fill=fill)

    assert list(tmp_path.iterdir()) == []


def test_a_fill_that_breaks_the_schema_is_said_in_a_sentence(tmp_path: Path) -> None:
    def fill(connection: apsw.Connection) -> None:
        connection.execute("INSERT INTO nothing VALUES (1)")

    with pytest.raises(StorageError, match="nothing"):
        build_fresh(tmp_path / "new", version="1", at=AT, fill=fill)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["state.db", "state.db-wal", "state.db-journal"])
def test_nothing_is_created_over_or_beside_what_is_there(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"precious")

    with pytest.raises(ConflictError, match=name):
        create(tmp_path / "state.db", version="1", at=AT)

    assert (tmp_path / name).read_bytes() == b"precious"
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


def test_a_build_that_was_cut_off_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    unfinished(path).write_bytes(b"half")

    create(path, version="1", at=AT)

    assert [entry.name for entry in tmp_path.iterdir()] == ["state.db"]


def test_a_directory_that_is_missing_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be made"):
        create(tmp_path / "absent" / "state.db", version="1", at=AT)


def test_a_fresh_database_opens_with_a_write_ahead_log_and_closes_to_one_file(
    tmp_path: Path,
) -> None:
    create(tmp_path / "state.db", version="1", at=AT)

    with Database(tmp_path / "state.db", journal=Journal.WAL) as db:
        db.write(lambda tx: tx.run("INSERT INTO settings VALUES ('a', 'b', 'c')"))
        beside = {entry.name for entry in tmp_path.iterdir()}

    assert "state.db-wal" in beside
    assert [entry.name for entry in tmp_path.iterdir()] == ["state.db"]
