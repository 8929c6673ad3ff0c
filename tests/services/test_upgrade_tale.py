"""An upgrade that is over is told once, in the log of whatever release serves then."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import apsw
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain.events import Actor, Query
from bty_app.domain.upgrade_events import LONGEST, Tale, tale_of
from bty_app.errors import StorageError
from bty_app.services.upgrade_tale import tell
from bty_app.store import events, going_back
from bty_app.store.database import Database
from bty_app.store.rotation import Outcome, open_state
from tests.fleet_state import AT, BEGIN, Fleet, bind, rows
from tests.original_state import make_original

BEGUN = "2026-11-22T19:00:00.000000+00:00"
GOOD = Tale(BEGUN, "0.91.0", "0.92.0", "2026-11-22T19-00-01Z", 438)
BAD = replace(GOOD, why="it is not ready within 60 seconds (503)")


@pytest.fixture
def fleet(quick_dir: Path) -> Fleet:
    return Fleet(quick_dir / "state").make()


def told(fleet: Fleet) -> list[tuple[object, ...]]:
    sql = "SELECT kind, ts FROM events WHERE subject_kind = 'upgrade' ORDER BY id"
    return rows(fleet.state_db, sql)


def test_it_says_from_where_to_where_which_backup_and_how_long(fleet: Fleet) -> None:
    assert tell(fleet.place, GOOD, lambda: BEGIN)

    with Database(fleet.state_db) as database:
        [row] = database.read(lambda tx: events.listed(tx, Query()))
    assert (row.kind, row.ts, row.subject_id) == ("system.upgraded", AT, BEGUN)
    assert json.loads(row.details or "") == {
        "from_version": "0.91.0",
        "to_version": "0.92.0",
        "backup_id": "2026-11-22T19-00-01Z",
        "seconds": 438,
    }
    assert "0.92.0" in row.summary


def test_one_that_was_taken_back_waits_and_says_why(fleet: Fleet) -> None:
    assert tell(fleet.place, BAD)

    with Database(fleet.state_db) as database:
        [row] = database.read(lambda tx: events.listed(tx, Query(open_failures=True)))
    assert (row.kind, row.subject_id) == ("system.upgrade.failed", BEGUN)
    details = json.loads(row.details or "")
    assert (details["tried_version"], details["error"]) == ("0.92.0", BAD.why)


def test_it_is_told_once_however_often_it_is_tried(fleet: Fleet) -> None:
    later = replace(GOOD, begun_at="2026-11-23T19:00:00.000000+00:00")

    assert [tell(fleet.place, tale) for tale in (GOOD, replace(GOOD, seconds=9), later, GOOD)] == [
        *(True, False, True, False),
    ]

    assert [kind for kind, _at in told(fleet)] == ["system.upgraded"] * 2


def test_beside_a_server_the_chain_goes_on(fleet: Fleet) -> None:
    with Database(fleet.state_db) as served:
        served.write(bind(1))  # type: ignore[arg-type]
        tell(fleet.place, GOOD)
        served.write(bind(2))  # type: ignore[arg-type]
        assert served.read(events.broken_at) is None


def test_the_originals_log_gets_a_row_of_its_own_form(quick_dir: Path) -> None:
    fleet = Fleet(quick_dir / "state")
    make_original(fleet.place, [], "0.65.18")

    assert tell(fleet.place, BAD)
    assert not tell(fleet.place, BAD)

    [row] = rows(fleet.state_db, "SELECT kind, actor, acknowledged, details FROM events")
    assert row[:3] == ("system.upgrade.failed", Actor.SYSTEM.value, 0)
    assert json.loads(str(row[3]))["from_version"] == "0.91.0"
    assert rows(fleet.state_db, "PRAGMA journal_mode") == [("delete",)]


@pytest.mark.parametrize(
    "spoil",
    [
        "PRAGMA user_version = 999",
        "PRAGMA application_id = 7",
        "ALTER TABLE events ADD COLUMN more TEXT",
        "DROP TABLE events",
    ],
)
def test_a_log_of_a_form_that_is_not_known_is_left_alone(fleet: Fleet, spoil: str) -> None:
    connection = apsw.Connection(str(fleet.state_db))
    connection.execute(spoil)
    connection.close()

    with pytest.raises(StorageError, match="a form that this release does not write"):
        tell(fleet.place, GOOD)


def test_where_there_is_no_database_none_is_made(tmp_path: Path) -> None:
    with pytest.raises(StorageError):
        tell(tmp_path, GOOD)

    assert not (tmp_path / "state.db").exists()


def test_it_is_no_work_that_a_way_back_would_lose(quick_dir: Path) -> None:
    fleet = Fleet(quick_dir / "state").make()
    fleet.write(bind(1))
    fleet.sql("UPDATE bty_version SET version = '0.92.0'")
    open_state(fleet.place, version="9.9.9", now=fleet.clock(), backup=None)
    tell(fleet.place, GOOD)

    assert going_back.look(fleet.place, running="9.9.9").acts == 0
    now = fleet.clock() + timedelta(minutes=1)
    opening = open_state(fleet.place, version="0.92.0", now=now, backup=None)
    assert opening.outcome is Outcome.RETURNED


@given(st.builds(Tale, *([st.text(max_size=40)] * 4), st.integers(0, 10**6), st.text()))
def test_a_tale_reaches_the_command_that_tells_it(tale: Tale) -> None:
    assert tale_of(tale.text) == replace(tale, why=tale.why[:500])


@given(st.text() | st.just("x" * (LONGEST + 1)) | st.from_regex(r"\{.*\}"))
def test_anything_else_is_no_tale(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        tale_of(text)


@pytest.mark.parametrize("wrong", [{"seconds": "9"}, {"why": None}, {"more": 1}, {"seconds": True}])
def test_a_tale_with_a_wrong_part_is_none(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="no tale"):
        tale_of(json.dumps(json.loads(GOOD.text) | wrong))
