from __future__ import annotations

import contextlib
import ctypes
import http.server
import os
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from bty_app.domain.backup_alarm import Alarm
from bty_app.domain.jobs import Quiet, Teller
from bty_app.domain.moments import stamp
from bty_app.errors import StorageError, UnavailableError
from bty_app.services.backup_before import back_up_before_rotation
from bty_app.services.backup_jobs import KIND, PROOF, BackupJobs
from bty_app.services.backup_schedule import BackupSchedule, Pinger
from bty_app.services.backups import Order
from bty_app.services.jobs import Jobs
from bty_app.services.revisions import Revisions
from bty_app.services.verify import verify, verify_live
from bty_app.store import hardware
from bty_app.upstream.http import Http
from tests.services.test_backups import (
    MANUAL,
    OPERATOR,
    START,
    Ending,
    KilledError,
    Site,
    site_at,
)


class Program:
    """Does in this process what the child would; fails with what it is told to."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self.failure: StorageError | None = None
        self.unheard = False
        self.deaf = False
        self.commands: list[tuple[str, ...]] = []

    def run(self, words: Sequence[str], teller: Teller) -> dict[str, Any]:
        self.commands.append(tuple(words))
        if self.deaf:
            raise UnavailableError("no process can be started")
        if words[0] == "verify" and "--drill" not in words:
            return {"problems": list(self._site.backups.check(Path(words[-1]).name).problems)}
        if words[0] == "verify":
            self._site.backups.drilled(Path(words[-1]).name, (), "1 machine")
            return {"problems": []}
        if self.failure and self.unheard:
            raise self.failure
        made = self._site.backups.create(Order(words[2], words[4]), Failing(teller, self.failure))
        return {"id": made.backup.id, "machines": 1, "is_new": made.is_new}


class Failing:
    def __init__(self, teller: Teller, failure: StorageError | None) -> None:
        self._teller = teller
        self._failure = failure

    def tell(self, step: Any) -> None:
        if self._failure:
            raise self._failure
        self._teller.tell(step)

    def is_wanted(self) -> bool:
        return True

    def wait(self, seconds: float) -> None: ...


class Watch:
    """A schedule over a real database and shelf, whose clock is turned by hand."""

    def __init__(self, site: Site) -> None:
        self.site = site
        clock = lambda: site.moment  # noqa: E731
        self.jobs = Jobs(Revisions(), clock)
        self.program = Program(site)
        self.making = BackupJobs(
            site.backups,
            self.jobs,
            self.program,  # type: ignore[arg-type]  # stands in for the process
            Revisions(),
            clock,
        )
        self.schedule = BackupSchedule(site.backups, self.making, clock)
        self.making.hear(self.schedule.ended)

    def turn(self, **later: float) -> None:
        """Let time pass, look once, and do what was begun."""
        self.site.moment += timedelta(**later)
        self.schedule.turn()
        while any(job.is_active for job in self.jobs.listed()):
            work = self.jobs.next()
            assert work is not None
            work()

    def made(self) -> int:
        return len([words for words in self.program.commands if words[0] == "backup"])


@pytest.fixture
def small_disk(quick_dir: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    place = quick_dir / "disk"
    place.mkdir()
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.mount(b"tmpfs", os.fsencode(place), b"tmpfs", 0, b"size=2m") != 0:
        pytest.fail(f"needs root, to mount a small disk: {os.strerror(ctypes.get_errno())}")
    try:
        yield place
    finally:
        libc.umount2(os.fsencode(place), 2)  # MNT_DETACH


@pytest.fixture
def watch(tmp_path: Path) -> Iterator[Watch]:
    with site_at(tmp_path) as site:
        yield Watch(site)


def test_the_first_backup_is_taken_at_once_and_drilled(watch: Watch) -> None:
    watch.turn()
    watch.turn(minutes=1)
    watch.turn(minutes=1)

    assert [words[0] for words in watch.program.commands] == ["backup", "verify"]
    assert watch.schedule.state().next_at == START + timedelta(days=1)
    assert watch.schedule.standing().alarm is Alarm.NONE


def test_one_a_day_and_a_drill_a_week(watch: Watch) -> None:
    for _ in range(15 * 24):
        watch.turn(hours=1)

    assert watch.made() == 15 + 1
    assert len(watch.program.commands) - watch.made() == 3


def test_after_an_upgrade_the_backup_from_before_it_is_drilled(watch: Watch) -> None:
    site = watch.site
    watch.turn()
    with hardware.opened(site.database.path) as connection:
        site.moment += timedelta(minutes=5)
        name = back_up_before_rotation(
            connection, site.shelf.directory, version="0.99.0", now=site.moment
        )
    site.backups.journal.keep(drilled_version="0.1.0")
    watch.turn(minutes=1)

    assert watch.program.commands[-1] == ("verify", "--drill", str(site.shelf.path(name)))


def test_after_a_long_time_off_one_run_catches_up(watch: Watch) -> None:
    watch.turn()
    watch.turn(days=30)
    watch.turn(minutes=1)

    assert watch.made() == 2


def test_a_failure_is_tried_again_after_growing_pauses_and_told_once(watch: Watch) -> None:
    watch.program.failure = StorageError("the disk is full")
    for _ in range(24 * 60):
        watch.turn(minutes=1)

    assert 6 <= watch.made() <= 12
    assert watch.site.kinds().count("backup.failed") == 1
    watch.program.failure = None
    watch.turn(hours=6)
    assert watch.schedule.state().failures == 0


def test_a_disk_that_takes_no_row_does_not_make_it_run_at_every_turn(watch: Watch) -> None:
    watch.program.failure, watch.program.unheard = StorageError("the disk is full"), True
    for _ in range(60):
        watch.turn(minutes=1)

    assert 2 <= watch.made() <= 5


def test_a_full_disk_of_backups_costs_nothing_that_there_is(watch: Watch, small_disk: Path) -> None:
    """STATE-SAFETY 3.11: the database is well, nothing is left over, an alarm, growing pauses."""
    site = Site(watch.site.database, small_disk / "b")
    again = Watch(site)
    again.turn()
    (good,) = site.shelf.ids()
    changes(again)
    ballast = small_disk / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while file.write(b"x" * 4096):
            pass
    for _ in range(40):
        again.turn(hours=1)
        changes(again)

    assert again.made() <= 1 + 12, "growing pauses"
    assert site.kinds().count("backup.failed") == 1
    assert again.schedule.standing().alarm is Alarm.OVERDUE
    assert verify_live(site.database.path.parent).sound
    left = {path.name for path in site.shelf.directory.iterdir()}
    assert left <= {good, ".lock", ".marks.lock"}
    assert verify(site.shelf.path(good)).sound
    ballast.unlink()
    again.turn(hours=7)
    again.turn(minutes=1)
    assert len(site.shelf.ids()) == 2
    assert again.schedule.standing().alarm is Alarm.NONE


def test_a_place_that_cannot_be_used_is_told_and_an_alarm_and_tried_again(
    watch: Watch, tmp_path: Path
) -> None:
    """A file in its way stands for a disk that is not mounted, or a directory of another user."""
    blocked = tmp_path / "not mounted"
    blocked.write_text("")
    site = Site(watch.site.database, blocked)
    again = Watch(site)
    for _ in range(40):
        again.turn(hours=1)

    assert site.kinds().count("backup.failed") == 1
    assert 1 < again.made() <= 15, "growing pauses"
    assert again.schedule.standing().alarm is Alarm.OVERDUE
    assert site.kinds().count("backup.overdue") == 1
    assert again.schedule.state().failures == again.made()
    blocked.unlink()
    again.turn(hours=7)
    again.turn(minutes=1)
    assert len(site.shelf.ids()) == 1
    assert again.schedule.standing().alarm is Alarm.NONE


def test_an_overdue_backup_is_told_of_once_and_its_end_too(watch: Watch) -> None:
    watch.turn()
    watch.program.failure = StorageError("the disk is full")
    for _ in range(30):
        watch.turn(hours=3)

    assert watch.schedule.standing().alarm is Alarm.OVERDUE
    assert "overdue" in watch.schedule.standing().sentence
    assert watch.site.kinds().count("backup.overdue") == 1
    watch.program.failure = None
    for _ in range(3):
        watch.turn(hours=3)
    assert watch.site.kinds().count("backup.recovered") == 1


def changes(watch: Watch) -> None:
    watch.site.database.write(
        lambda tx: tx.run("UPDATE machines SET last_seen_at = ?", stamp(watch.site.moment))
    )


def test_an_idle_server_makes_none_and_is_not_overdue(watch: Watch) -> None:
    for _ in range(20):
        watch.turn(days=1)
        standing = watch.schedule.standing()
        assert standing.alarm is Alarm.NONE
        assert standing.good_until == watch.site.moment
        assert standing.proven is not None
        assert standing.proven.marks.proven_at == stamp(watch.site.moment)

    assert len(watch.site.shelf.ids()) == 1
    assert watch.site.kinds().count("backup.unchanged") == 19
    assert "backup.overdue" not in watch.site.kinds()
    changes(watch)
    watch.turn(days=1)
    assert len(watch.site.shelf.ids()) == 2


def test_an_unchanged_state_says_nothing_for_a_backup_that_is_gone(watch: Watch) -> None:
    watch.site.backups.create(MANUAL, Quiet())
    watch.turn(days=3)
    watch.turn(days=1)
    assert watch.schedule.standing().good_until == watch.site.moment
    newest = watch.site.shelf.ids()[-1]
    watch.site.backups.remove(newest, OPERATOR)

    assert watch.schedule.standing().alarm is Alarm.OVERDUE


def test_what_nobody_looked_at_for_a_month_is_read_back_the_oldest_first(watch: Watch) -> None:
    watch.site.set(cadence="manual")
    for _ in range(3):
        watch.site.backups.create(MANUAL, Quiet())
        watch.site.moment += timedelta(days=2)
    first, second, third = watch.site.shelf.ids()
    watch.turn()  # the drill of the newest
    watch.turn(days=26)
    watch.turn(minutes=1)
    watch.turn(minutes=1)

    def looked_at() -> list[str]:
        return [Path(words[-1]).name for words in watch.program.commands if len(words) == 2]

    assert looked_at() == [first, second]
    assert watch.site.shelf.find(first).marks.checked_at is not None
    assert (watch.site.shelf.find(first).marks.checked_at or "") > "2026-12-1"
    watch.turn(days=29)
    watch.turn(minutes=1)
    assert looked_at()[:2] == [first, second]
    assert third not in looked_at()[:2], "the weekly drill has read it"


def test_what_has_rotted_meanwhile_is_told_and_is_an_alarm_until_it_is_gone(watch: Watch) -> None:
    watch.site.set(cadence="manual")
    for _ in range(2):
        watch.site.backups.create(MANUAL, Quiet())
        watch.site.moment += timedelta(days=1)
    rotten = watch.site.shelf.ids()[0]
    database = watch.site.shelf.path(rotten) / "state.db"
    content = bytearray(database.read_bytes())
    content[-100] ^= 1
    database.write_bytes(content)
    watch.turn()
    watch.turn(days=31)
    watch.site.backups.create(MANUAL, Quiet())
    watch.turn(minutes=1)

    assert watch.schedule.standing().alarm is Alarm.DAMAGED
    assert rotten in watch.schedule.standing().sentence
    assert watch.site.kinds().count("backup.proof.failed") == 1
    for _ in range(40):
        watch.turn(days=1)
    assert watch.site.kinds().count("backup.proof.failed") == 1
    watch.site.backups.create(MANUAL, Quiet())
    watch.site.backups.remove(rotten, OPERATOR)
    watch.turn(minutes=1)
    assert watch.schedule.standing().alarm is Alarm.NONE


def test_a_look_that_cannot_be_taken_is_tried_again_later(watch: Watch) -> None:
    watch.site.set(cadence="manual")
    watch.site.backups.create(MANUAL, Quiet())
    watch.turn()
    watch.site.moment += timedelta(days=6)
    watch.site.backups.create(MANUAL, Quiet())
    watch.program.deaf = True
    watch.turn(days=30)
    for _ in range(60):
        watch.turn(minutes=1)

    looks = [words for words in watch.program.commands if words[0] == "verify"][1:]
    assert len(looks) <= 3, "a drill, and a look at each of the two"


def test_a_host_whose_clock_is_not_set_yet_decides_nothing(watch: Watch) -> None:
    watch.turn()
    right = watch.site.moment
    for wrong in (datetime(1970, 1, 1, tzinfo=UTC), right - timedelta(days=3)):
        watch.site.moment, watch.site.up = wrong, timedelta(minutes=1)
        before = watch.site.kinds()
        for _ in range(30):
            watch.turn(minutes=1)
        assert watch.made() == 1
        assert watch.site.kinds() == before
        assert "clock" in watch.schedule.state().doubt.sentence
    watch.site.moment = right + timedelta(days=1)
    watch.turn()

    assert watch.made() == 2, "the time service has set it"
    assert not watch.schedule.state().doubt.sentence


def test_after_an_hour_a_wrong_clock_is_better_than_no_backup(watch: Watch) -> None:
    watch.turn()
    watch.site.moment, watch.site.up = datetime(1970, 1, 1, tzinfo=UTC), timedelta(hours=2)
    watch.turn()
    watch.turn(minutes=1)

    assert watch.made() == 2
    watch.site.moment = START + timedelta(hours=30)
    watch.turn()
    watch.turn(minutes=1)
    assert watch.made() == 3, "one run, and then as before"


def test_a_host_that_was_off_for_a_month_raises_the_alarm_and_catches_up(watch: Watch) -> None:
    watch.turn()
    watch.site.moment += timedelta(days=30)
    watch.schedule.turn()  # its first look, before the backup is there
    assert watch.schedule.standing().alarm is Alarm.OVERDUE
    watch.turn()
    watch.turn(minutes=1)

    kinds = watch.site.kinds()
    assert watch.schedule.standing().alarm is Alarm.NONE
    assert (kinds.count("backup.overdue"), kinds.count("backup.recovered")) == (1, 1)


def test_without_a_schedule_a_backup_of_a_month_ago_is_an_alarm(watch: Watch) -> None:
    watch.site.set(cadence="manual")
    watch.turn()
    watch.turn(days=29)
    assert watch.schedule.standing().alarm is Alarm.NONE
    watch.turn(days=2)

    assert watch.schedule.standing().alarm is Alarm.OVERDUE
    assert watch.site.kinds().count("backup.overdue") == 1


def test_a_damaged_newest_backup_is_an_alarm(watch: Watch) -> None:
    watch.turn()
    (name,) = watch.site.shelf.ids()
    (watch.site.shelf.path(name) / "inventory.json").write_text("{}")
    watch.site.backups.check(name)
    watch.turn(minutes=1)

    assert watch.schedule.standing().alarm is Alarm.UNPROVEN
    assert watch.site.kinds().count("backup.unproven") == 1


def test_manual_means_never(watch: Watch) -> None:
    watch.site.set(cadence="manual")
    for _ in range(10):
        watch.turn(days=1)

    assert watch.made() == 0
    assert watch.schedule.standing().alarm is Alarm.NONE


def test_the_original_s_switch_still_means_off(watch: Watch) -> None:
    watch.site.set(cadence="daily", enabled="0")
    watch.turn(days=1)

    assert watch.made() == 0


def test_a_second_request_joins_the_first(watch: Watch) -> None:
    first = watch.making.request(OPERATOR)
    second = watch.making.request(OPERATOR)

    assert first.id == second.id
    assert watch.site.kinds().count("backup.create.requested") == 1
    assert watch.making.is_busy(KIND)
    assert not watch.making.is_busy(PROOF)


def test_a_killed_server_s_backup_is_told_of_at_the_first_turn(watch: Watch) -> None:
    with pytest.raises(KilledError):
        watch.site.backups.create(MANUAL, Ending("copying", KilledError()))
    watch.turn()

    assert "backup.failed" in watch.site.kinds()


def test_a_monitor_is_told_of_success_and_failure(watch: Watch) -> None:
    asked: list[str] = []

    class Monitor(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_args: object) -> None: ...

    with http.server.HTTPServer(("127.0.0.1", 0), Monitor) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            url = f"http://127.0.0.1:{server.server_port}/ping?x=1"
            watch.site.set(ping_url=url)
            watch.making.hear(Pinger(watch.site.backups, Http()).tell)
            watch.turn()
            watch.program.failure = StorageError("the disk is full")
            watch.turn(days=1)
        finally:
            server.shutdown()
            thread.join()

    assert asked == ["/ping?x=1", "/ping/fail?x=1"]
