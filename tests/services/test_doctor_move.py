"""What the doctor says of a state that came from elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bty_app import runtime_parts
from bty_app.config import Config, Litestream, Paths, Server
from bty_app.domain.findings import Level
from bty_app.domain.mac import Mac
from bty_app.domain.migration import Mark
from bty_app.domain.migration_events import cancelled
from bty_app.services import doctor_move, host
from bty_app.services.doctor import CHECKS
from bty_app.services.premises import Premises
from bty_app.store import events, machines, move_mark
from bty_app.store.database import Database
from tests.fresh_state import make_state
from tests.serving import Clock

HERE, THERE = "here (aaaaaaaaaaaa)", "there (bbbbbbbbbbbb)"


@pytest.fixture
def database(quick_dir: Path) -> Iterator[Database]:
    with Database(make_state(quick_dir)) as made:
        yield made


def premises(database: Database, url: str = "", replica: str = "") -> Premises:
    place = database.path.parent
    config = Config(
        paths=Paths(state_dir=place, boot_dir=place / "boot"),
        server=Server(public_url=url),
        litestream=Litestream(url=replica),
    )
    return runtime_parts.doctor(config, database)._premises


def test_a_host_is_noted_once_and_another_one_is_told_of_until_a_machine_asks(
    database: Database,
) -> None:
    clock = Clock()
    for name in (HERE, HERE, "renamed (aaaaaaaaaaaa)"):
        host.note(database, name, clock)
    assert list(doctor_move.new_host(premises(database))) == []
    clock.forward(60)
    host.note(database, THERE, clock)

    (found,) = doctor_move.new_host(premises(database))

    assert found.level is Level.WARNING
    assert "was served by renamed (aaaaaaaaaaaa) until 2026-11-22T20:01" in found.sentence
    kinds = database.read(lambda tx: [row.kind for row in events.every(tx)])
    assert kinds == ["system.host.changed"]
    at = "2026-11-22T20:02:00.000000+00:00"
    database.write(lambda tx: machines.seen(tx, Mac("52:54:00:12:34:56"), at=at, ip=None))
    assert list(doctor_move.new_host(premises(database))) == []


@pytest.mark.parametrize("content", ["", "uninitialized\n", None])
def test_a_host_without_an_identity_is_no_other_host(
    tmp_path: Path, database: Database, content: str | None
) -> None:
    path = tmp_path / "machine-id"
    if content is not None:
        path.write_text(content)
    assert host.this_host(path) == ""
    path.write_text("0123456789abcdef0123456789abcdef\n")
    assert "0123456789abcdef" not in host.this_host(path), "machine-id(5): not to be told"

    host.note(database, HERE)
    host.note(database, "")

    assert list(doctor_move.new_host(premises(database))) == []


def test_an_address_of_another_host_matters_where_the_state_was_moved(database: Database) -> None:
    assert list(doctor_move.public_url(premises(database, "http://127.0.0.1:8080"))) == []
    assert list(doctor_move.public_url(premises(database))) == []
    elsewhere = premises(database, "http://192.0.2.10:8080")

    (behind_a_proxy,) = doctor_move.public_url(elsewhere)
    host.note(database, HERE)
    host.note(database, THERE)
    (moved,) = doctor_move.public_url(elsewhere)

    assert (behind_a_proxy.level, moved.level) == (Level.NOTE, Level.WARNING)
    assert "192.0.2.10" in moved.sentence


def test_a_clock_that_is_behind_the_newest_event_is_a_fault(database: Database) -> None:
    at = (datetime.now(UTC) + timedelta(minutes=2)).isoformat()
    database.write(lambda tx: events.record(tx, cancelled("x"), at=at))
    assert list(doctor_move.clock(premises(database))) == []
    late = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    database.write(lambda tx: events.record(tx, cancelled("x"), at=late))

    (found,) = doctor_move.clock(premises(database))

    assert found.level is Level.FAULT


def test_an_appliance_that_moved_and_one_that_has_not_wholly_come_are_told(
    database: Database,
) -> None:
    assert list(doctor_move.moved(premises(database))) == []
    (database.path.parent / ".arriving").mkdir()
    (coming,) = doctor_move.moved(premises(database))
    move_mark.put(database.path.parent, Mark("http://192.0.2.20:8080"))
    (gone,) = doctor_move.moved(premises(database))

    assert coming.level is Level.FAULT
    assert "http://192.0.2.20:8080" in gone.sentence


def test_a_replica_is_looked_at_only_where_one_is_configured(database: Database) -> None:
    assert list(doctor_move.replication(premises(database))) == []

    (found,) = doctor_move.replication(premises(database, replica="s3://bucket/x"))

    assert found.level is Level.FAULT
    assert "replicate-with-litestream.md" in found.remedy


def test_every_check_here_is_in_the_table() -> None:
    names = {check.name for check in CHECKS}

    assert {"moved", "new-host", "clock", "public-url", "replication"} <= names
