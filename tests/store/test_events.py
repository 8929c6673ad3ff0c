"""The audit log in its table: chained, append-only, searchable."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from bty_app.domain.events import CHAIN_START, Actor, Event, Kind, Query, Subject
from bty_app.store import events
from bty_app.store.database import Database
from tests.fresh_state import make_state

AT = "2026-11-22T20:00:00.000000+00:00"


@pytest.fixture
def database(quick_dir: Path) -> Iterator[Database]:
    with Database(make_state(quick_dir)) as opened:
        yield opened


def told(database: Database, number: int = 0, kind: Kind = Kind.MACHINE_FLASHED) -> int:
    event = Event(
        kind,
        Actor.PXE_CLIENT,
        f"the {number}th thing",
        Subject("machine", f"m{number}"),
        "192.0.2.7",
        {"number": number, "ü": None},
    )
    return database.write(lambda tx: events.record(tx, event, at=AT))


def run(database: Database, sql: str, *values: object) -> None:
    database.write(lambda tx: tx.run(sql, *values))


def broken(database: Database) -> int | None:
    return database.read(events.broken_at)


@pytest.fixture
def log(database: Database) -> list[int]:
    """The ids of five rows."""
    return [told(database, number) for number in range(5)]


def test_the_chain_of_a_log_holds(database: Database, log: list[int]) -> None:
    rows = database.read(lambda tx: list(events.every(tx)))

    assert [row.id for row in rows] == log
    assert len({row.chain for row in rows}) == 5
    assert broken(database) is None


@pytest.mark.parametrize(
    "column",
    ["ts", "kind", "subject_kind", "subject_id", "actor", "source_ip", "summary", "details",
     "chain"],
)  # fmt: skip
@pytest.mark.parametrize("at", [0, 2, 4])
def test_a_change_of_any_column_of_any_row_is_found(
    database: Database, log: list[int], column: str, at: int
) -> None:
    run(database, f"UPDATE events SET {column} = 'forged' WHERE id = ?", log[at])

    assert broken(database) == log[at]


def test_an_erased_detail_is_found(database: Database, log: list[int]) -> None:
    run(database, "UPDATE events SET details = NULL WHERE id = ?", log[2])

    assert broken(database) == log[2]


def test_a_row_deleted_in_the_middle_or_at_the_start_is_found(
    database: Database, log: list[int]
) -> None:
    run(database, "DELETE FROM events WHERE id = ?", log[2])
    assert broken(database) == log[3]

    run(database, "DELETE FROM events WHERE id IN (?, ?)", log[0], log[1])
    assert broken(database) == log[3]


def test_a_row_put_in_is_found(database: Database, log: list[int]) -> None:
    run(
        database,
        "INSERT INTO events (ts, kind, actor, summary, chain)"
        " SELECT ts, kind, actor, 'forged', chain FROM events WHERE id = ?",
        log[4],
    )

    assert broken(database) == log[4] + 1


def test_an_acknowledgement_breaks_nothing_and_can_be_taken_back(
    database: Database, log: list[int]
) -> None:
    def acknowledge(event_id: int, *, mark: bool) -> bool:
        return database.write(lambda tx: events.acknowledge(tx, event_id, acknowledged=mark))

    assert acknowledge(log[1], mark=True)
    assert acknowledge(log[2], mark=True)
    assert acknowledge(log[2], mark=False)
    assert not acknowledge(999, mark=True)
    marks = database.read(lambda tx: [row.acknowledged for row in events.every(tx)])
    assert marks == [False, True, False, False, False]
    assert broken(database) is None


def test_the_chain_goes_on_from_another_database(database: Database, log: list[int]) -> None:
    first = database.read(lambda tx: next(events.every(tx)))
    run(database, "DELETE FROM events")
    run(database, "INSERT INTO bty_instance VALUES ('chain_start', ?)"
        " ON CONFLICT (key) DO UPDATE SET value = excluded.value", "f" * 64)  # fmt: skip

    told(database, 0)

    again = database.read(lambda tx: next(events.every(tx)))
    assert again.chain != first.chain
    assert broken(database) is None
    assert database.read(events.chain_start) == "f" * 64


def test_without_a_predecessor_the_chain_starts_from_zeros(database: Database) -> None:
    assert database.read(events.chain_start) == CHAIN_START


def test_several_rows_of_one_change_are_chained_in_order(database: Database) -> None:
    def change(tx: Any) -> None:
        for number in range(3):
            event = Event(Kind.LOGOUT, Actor.OPERATOR, str(number))
            events.record(tx, event, at=AT)

    database.write(change)

    assert broken(database) is None
    assert [row.summary for row in database.read(lambda tx: list(events.every(tx)))] == [
        "0", "1", "2",
    ]  # fmt: skip


def test_a_change_that_fails_leaves_no_row_and_no_gap_in_the_chain(database: Database) -> None:
    told(database, 1)

    def change(tx: Any) -> None:
        events.record(tx, Event(Kind.LOGOUT, Actor.OPERATOR, "undone"), at=AT)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        database.write(change)
    told(database, 2)

    assert database.read(lambda tx: len(list(events.every(tx)))) == 2
    assert broken(database) is None


def test_a_change_that_fails_among_others_of_one_commit_leaves_no_gap(database: Database) -> None:
    """What is remembered of the last chain value within a commit is forgotten with the change."""
    held, go = threading.Event(), threading.Event()

    def hold(_tx: Any) -> None:
        held.set()
        assert go.wait(10)

    def fails(tx: Any) -> None:
        events.record(tx, Event(Kind.LOGOUT, Actor.OPERATOR, "undone"), at=AT)
        raise ValueError("no")

    with ThreadPoolExecutor(12) as pool:
        first = pool.submit(database.write, hold)
        assert held.wait(10)
        group = [
            pool.submit(database.write, fails)
            if number % 2
            else pool.submit(told, database, number)
            for number in range(10)
        ]
        go.set()
        first.result()
    failed = [future.exception() for future in group]

    assert [type(error) for error in failed] == [type(None), ValueError] * 5
    assert database.read(lambda tx: len(list(events.every(tx)))) == 5
    assert broken(database) is None


def test_open_failures_are_what_failed_and_a_reset(database: Database) -> None:
    kinds = [Kind.MACHINE_FLASH_FAILED, Kind.SCHEMA_RESET, Kind.MACHINE_FLASHED, Kind.LOGIN_FAILED]
    ids = [told(database, kind=kind) for kind in kinds]
    assert database.read(events.open_failures) == 3

    database.write(lambda tx: events.acknowledge(tx, ids[1]))

    assert database.read(events.open_failures) == 2


@pytest.mark.parametrize(
    ("search", "count"), [("3TH THING", 1), ("thing", 5), ("192.0.2", 5), ("M4", 1), ("%", 0)]
)
def test_a_search_looks_at_what_a_person_reads(
    database: Database, log: list[int], search: str, count: int
) -> None:
    found = database.read(lambda tx: events.listed(tx, Query(search=search)))

    assert len(found) == count


def test_a_row_is_never_given_the_id_of_one_that_was_deleted(
    database: Database, log: list[int]
) -> None:
    run(database, "DELETE FROM events WHERE id = ?", log[-1])

    assert told(database) == log[-1] + 1
