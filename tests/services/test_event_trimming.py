"""Events are removed by age where the operator says so; the log can be proven as before."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from bty_app.domain.events import Actor, Event, Kind, StoredEvent
from bty_app.domain.moments import stamp
from bty_app.errors import ValidationError
from bty_app.services import event_trimming
from bty_app.services.event_trimming import HOLD_SECONDS, EventTrimming
from bty_app.services.verify import verify_archive
from bty_app.store import events, snapshot
from bty_app.store.database import Tx
from tests import serving
from tests.serving import Clock, Site

DAY = 86_400


class Log:
    """A server's audit log, time in the test's hands."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.steady = Clock()
        self.has_run = False
        self.trimming = EventTrimming(
            site.database, site.services.settings, site.clock, self.steady.steady
        )

    def add(self, kind: Kind = Kind.MACHINE_BOOTED, *, days_ago: float = 0) -> None:
        at = stamp(self.site.clock() - timedelta(days=days_ago))
        event = Event(kind, Actor.SYSTEM, f"{days_ago} days ago")
        self.site.database.write(lambda tx: events.record(tx, event, at=at))

    def keep(self, days: int) -> None:
        self.site.services.settings.change({"events.keep_days": str(days)}, ip=None)

    def pass_time(self, seconds: float) -> None:
        self.site.clock.forward(seconds)
        self.steady.forward(seconds)

    def turn(self) -> int:
        """A turn of a server that has run for longer than it waits."""
        if not self.has_run:
            self.has_run = True
            self.trimming.turn()
            self.pass_time(HOLD_SECONDS)
        return self.trimming.turn()

    def rows(self) -> list[StoredEvent]:
        return self.site.database.read(lambda tx: list(events.every(tx)))

    def told(self) -> list[str]:
        return [row.summary for row in self.rows() if row.summary.endswith("days ago")]

    def is_sound(self) -> bool:
        return self.site.database.read(events.broken_at) is None


@pytest.fixture
def log(quick_dir: Path) -> Iterator[Log]:
    with serving.site(quick_dir) as site:
        yield Log(site)


def test_all_is_kept_unless_the_operator_says_otherwise(log: Log) -> None:
    log.add(days_ago=4000)

    assert log.turn() == 0
    assert log.told() == ["4000 days ago"]


def test_what_is_older_goes_and_the_rest_is_proven_as_before(log: Log) -> None:
    for days in (400, 91, 89, 1):
        log.add(days_ago=days)
    log.keep(90)
    last_gone = log.rows()[1]

    assert log.turn() == 2

    assert log.told() == ["89 days ago", "1 days ago"]
    assert log.is_sound()
    row = log.rows()[-1]
    assert row.kind == "system.events.trimmed"
    assert last_gone.chain
    assert last_gone.chain in (row.details or "")
    assert log.turn() == 0, "nothing more is removed, nor told"
    log.add()
    assert log.is_sound()


def test_a_row_that_was_changed_is_still_found(log: Log) -> None:
    for days in (100, 50, 40):
        log.add(days_ago=days)
    log.keep(90)
    log.turn()
    oldest = log.rows()[0].id

    def tamper(tx: Tx) -> None:
        tx.run("UPDATE events SET summary = 'nothing happened' WHERE id = ?", oldest)

    log.site.database.write(tamper)

    assert log.site.database.read(events.broken_at) == oldest


def test_a_first_row_that_was_removed_by_hand_is_still_found(log: Log) -> None:
    for days in (100, 50, 40):
        log.add(days_ago=days)
    log.keep(90)
    log.turn()
    oldest, second = log.rows()[:2]
    log.site.database.write(lambda tx: tx.run("DELETE FROM events WHERE id = ?", oldest.id))

    assert log.site.database.read(events.broken_at) == second.id


def test_a_failure_that_nobody_has_seen_stays_and_all_behind_it(log: Log) -> None:
    log.add(days_ago=100)
    log.add(Kind.MACHINE_FLASH_FAILED, days_ago=99)
    log.add(days_ago=98)
    log.keep(90)

    assert log.turn() == 1
    assert log.told() == ["99 days ago", "98 days ago"]

    log.site.database.write(lambda tx: events.acknowledge(tx, log.rows()[0].id))
    assert log.turn() == 2
    assert log.told() == []


def test_many_go_in_steps(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(event_trimming, "AT_ONCE", 3)
    for _ in range(7):
        log.add(days_ago=100)
    log.keep(90)

    assert [log.turn() for _ in range(4)] == [3, 3, 1, 0]
    assert log.is_sound()


def test_a_clock_that_jumps_ahead_removes_nothing_until_it_has_run_on_for_a_while(log: Log) -> None:
    log.keep(90)
    log.turn()
    log.add()
    log.site.clock.forward(400 * DAY)  # no such time has passed

    assert log.trimming.turn() == 0
    log.pass_time(HOLD_SECONDS / 2)
    assert log.trimming.turn() == 0
    log.site.clock.forward(-400 * DAY)  # set right
    assert log.trimming.turn() == 0
    log.pass_time(HOLD_SECONDS)
    assert log.trimming.turn() == 0
    assert log.told() == ["0 days ago"]


def test_at_the_start_the_clock_is_not_believed_at_once(log: Log) -> None:
    log.add(days_ago=100)
    log.keep(90)

    assert log.trimming.turn() == 0
    log.pass_time(HOLD_SECONDS - 1)
    assert log.trimming.turn() == 0
    log.pass_time(1)
    assert log.trimming.turn() == 1


def test_a_copy_of_the_database_verifies_after_it(log: Log, quick_dir: Path) -> None:
    for days in (100, 50):
        log.add(days_ago=days)
    log.keep(90)
    log.turn()

    snapshot.copy(quick_dir / "state.db", quick_dir / "copy.db")

    assert verify_archive(quick_dir / "copy.db").sound


@pytest.mark.parametrize("days", ["1", "29", "36501", "-1", "x"])
def test_fewer_than_thirty_days_are_refused(log: Log, days: str) -> None:
    with pytest.raises(ValidationError, match=r"events\.keep_days"):
        log.site.services.settings.change({"events.keep_days": days}, ip=None)
