"""Backups are copied without anybody asking, and what fails is tried again."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bty_app import __version__, runtime_parts
from bty_app.config import Config
from bty_app.config_elsewhere import Offsite as Section
from bty_app.config_sections import Paths
from bty_app.domain.events import Query
from bty_app.domain.findings import Finding
from bty_app.domain.jobs import State
from bty_app.domain.offsite import DirectoryTarget
from bty_app.errors import ConfigError, ConflictError, InvalidInputError
from bty_app.services.doctor import Doctor
from bty_app.services.jobs import Jobs
from bty_app.services.metrics import Metrics
from bty_app.services.offsite import Offsite
from bty_app.services.offsite_jobs import OffsiteJobs
from bty_app.services.revisions import Revisions
from bty_app.store import events
from bty_app.store.copies import Directory
from bty_app.store.database import Database
from tests.fresh_state import make_state
from tests.services.offsite_bench import KEY, NOW, backup

_LIBC = ctypes.CDLL(None, use_errno=True)
_LAZILY = 2  # MNT_DETACH


class Bench:
    """A server's part of it; the clock of pauses is set by the test."""

    def __init__(self, root: Path, database: Database) -> None:
        self.backups = root / "backups"
        self.root = root
        self.there = root / "there"
        self.there.mkdir()
        self.database = database
        self.revisions = Revisions()
        self.jobs = Jobs(self.revisions, lambda: NOW)
        self.seconds = 0.0
        self.problem: ConfigError | None = None
        self.offsite = self.made()

    def made(self, shown: str = "file:///there") -> OffsiteJobs:
        return OffsiteJobs(
            self.jobs, shown, self.find, self.database, lambda: NOW, steady=lambda: self.seconds
        )

    def find(self) -> Offsite:
        if self.problem is not None:
            raise self.problem
        place = Directory(DirectoryTarget(str(self.there)))
        return Offsite(place, self.backups, keep=2, key=KEY, clock=lambda: NOW)

    def active(self) -> int:
        return sum(job.is_active for job in self.jobs.listed())

    def work(self) -> State:
        assert self.active() == 1
        work = self.jobs.next()
        assert work is not None
        work()
        return self.jobs.listed()[0].state

    def kinds(self) -> list[str]:
        found = self.database.read(lambda tx: events.listed(tx, Query()))
        return [event.kind for event in found][::-1]


@pytest.fixture
def bench(quick_dir: Path) -> Iterator[Bench]:
    path = make_state(quick_dir / "state")
    with Database(path) as database:
        yield Bench(quick_dir, database)


def test_every_backup_is_copied_once(bench: Bench) -> None:
    backup(bench.backups, 3, trigger="manual")
    newest = backup(bench.backups, 1)

    bench.offsite.turn()
    assert bench.work() is State.COMPLETED
    bench.offsite.turn()

    assert bench.active() == 0
    assert bench.kinds() == ["offsite.pushed", "offsite.pushed"]
    state = bench.offsite.state()
    assert state is not None
    assert (state.there, state.waiting, state.last_id, state.error) == (2, 0, newest, "")
    assert state.key_id == KEY.id
    backup(bench.backups, 0)
    bench.offsite.after_backup()
    assert bench.work() is State.COMPLETED
    assert len(list(bench.there.iterdir())) == 3


def test_old_copies_go_with_an_event(bench: Bench) -> None:
    for days in (5, 4):
        backup(bench.backups, days)
    bench.offsite.turn()
    bench.work()
    backup(bench.backups, 3)
    bench.offsite.after_backup()
    bench.work()

    assert bench.kinds() == ["offsite.pushed"] * 3 + ["offsite.pruned"]
    state = bench.offsite.state()
    assert state is not None
    assert state.there == 2 == len(list(bench.there.iterdir()))


def test_a_failure_is_told_once_and_tried_again_after_growing_pauses(bench: Bench) -> None:
    backup(bench.backups)
    bench.there.rmdir()
    tried = []

    for second in range(0, 1000, 10):
        bench.seconds = float(second)
        bench.offsite.turn()
        if bench.active():
            assert bench.work() is State.FAILED
            tried.append(second)

    assert tried == [0, 60, 180, 420, 900]
    assert bench.kinds() == ["offsite.failed"]
    state = bench.offsite.state()
    assert state is not None
    assert "mount it" in state.error
    assert state.next_try_seconds == 870
    bench.there.mkdir()
    bench.offsite.order()
    assert bench.work() is State.COMPLETED
    assert bench.kinds() == ["offsite.failed", "offsite.pushed"]
    state = bench.offsite.state()
    assert state is not None
    assert (state.error, state.next_try_seconds) == ("", None)


def test_the_next_streak_is_told_again(bench: Bench) -> None:
    backup(bench.backups, 2)
    bench.offsite.turn()
    bench.work()
    bench.there.rename(bench.root / "away")
    backup(bench.backups, 1)
    bench.offsite.turn()
    assert bench.work() is State.FAILED
    (bench.root / "away").rename(bench.there)
    bench.offsite.order()
    assert bench.work() is State.COMPLETED
    bench.there.rename(bench.root / "away")
    backup(bench.backups, 0)
    bench.offsite.turn()
    assert bench.work() is State.FAILED

    expected = ["offsite.pushed", "offsite.failed", "offsite.pushed", "offsite.failed"]
    assert bench.kinds() == expected


def test_a_key_that_cannot_be_read_stops_no_server_and_is_looked_for_again(bench: Bench) -> None:
    backup(bench.backups)
    bench.problem = ConfigError("/etc/bty/key: cannot be read")

    bench.offsite.turn()
    assert bench.work() is State.FAILED
    assert list(bench.there.iterdir()) == []
    bench.problem = None
    bench.seconds = 61.0
    bench.offsite.turn()

    assert bench.work() is State.COMPLETED
    assert bench.kinds() == ["offsite.failed", "offsite.pushed"]


def test_one_that_is_cancelled_waits_for_the_next_backup(bench: Bench) -> None:
    backup(bench.backups, 1)
    bench.offsite.turn()
    work = bench.jobs.next()
    assert work is not None
    bench.jobs.cancel(bench.jobs.listed()[0].id)
    work()
    assert bench.jobs.listed()[0].state is State.CANCELLED
    bench.seconds = 10_000.0
    bench.offsite.turn()
    assert bench.active() == 0

    bench.offsite.after_backup()

    assert bench.work() is State.COMPLETED
    assert bench.kinds() == ["offsite.pushed"]


def test_a_backup_that_is_damaged_keeps_no_other(bench: Bench) -> None:
    damaged, sound = backup(bench.backups, 2), backup(bench.backups, 1)
    (bench.backups / damaged / "state.db").write_bytes(b"?")

    bench.offsite.turn()

    assert bench.work() is State.FAILED
    assert bench.kinds() == ["offsite.pushed", "offsite.failed"]
    assert [path.name for path in bench.there.iterdir()] == [sound]
    state = bench.offsite.state()
    assert state is not None
    assert (state.waiting, damaged in state.error) == (1, True)


def test_only_one_push_at_a_time(bench: Bench) -> None:
    bench.offsite.order()

    bench.offsite.turn()
    with pytest.raises(ConflictError):
        bench.offsite.order()
    assert bench.active() == 1


def test_without_a_place_nothing_is_done(bench: Bench) -> None:
    off = bench.made("")

    off.turn()
    off.after_backup()

    assert bench.active() == 0
    assert off.state() is None
    assert off.gauges() == []
    with pytest.raises(InvalidInputError, match=r"offsite\.url"):
        off.order()


def test_gauges_say_how_it_goes(bench: Bench) -> None:
    backup(bench.backups, 2)
    metrics = Metrics(bench.offsite.gauges)
    assert "bty_offsite_failing 0\n" in metrics.text([])
    bench.offsite.turn()
    bench.work()

    text = metrics.text([("bty_info", "x", {}, 1)])

    assert "# TYPE bty_offsite_copies gauge\nbty_offsite_copies 1\n" in text
    assert "bty_offsite_waiting 0\n" in text
    bench.there.rename(bench.root / "away")
    bench.offsite.order()
    bench.work()
    assert "bty_offsite_failing 1\n" in metrics.text([])


@pytest.mark.system
def test_a_place_that_is_full_is_told_and_nothing_there_is_a_copy(bench: Bench) -> None:
    backup(bench.backups, size=2_000_000)
    where = os.fsencode(bench.there)
    if _LIBC.mount(b"tmpfs", where, b"tmpfs", 0, b"size=1m") != 0:
        pytest.fail(f"needs root, to mount a small disk: {os.strerror(ctypes.get_errno())}")
    try:
        bench.offsite.turn()
        assert bench.work() is State.FAILED
        state = bench.offsite.state()
        assert state is not None
        assert "no room" in state.error
        assert bench.find().reading.there().copies == ()
        assert len(bench.find().reading.there().halves) == 1
    finally:
        _LIBC.umount2(where, _LAZILY)


# -- doctor --------------------------------------------------------------------------------------


def said(bench: Bench, **more: object) -> list[Finding]:
    paths = replace(Paths(), state_dir=bench.root / "state", backup_dir=bench.backups)
    section = Section(**more)  # type: ignore[arg-type]
    config = Config(paths=paths, offsite=section)
    doctor: Doctor = runtime_parts.doctor(config, bench.database)
    return [finding for finding in doctor.findings() if finding.check == "offsite"]


def test_the_doctor_looks_at_the_place(bench: Bench) -> None:
    url = f"file://{bench.there}"
    backup(bench.backups, 2)
    assert "not copied elsewhere" in said(bench)[0].sentence
    bench.offsite.turn()
    bench.work()
    [fine] = said(bench, url=url)
    assert (fine.level, "1 copy" in fine.sentence) == ("ok", True)

    (bench.there / "half").mkdir()
    (bench.there / "half/state.db").write_bytes(b"?")
    (bench.there / "half/.tmp-x").write_bytes(b"?")
    levels = [(finding.level.value, finding.sentence) for finding in said(bench, url=url)]

    assert [level for level, _ in levels] == ["ok", "warning", "note"]
    assert "half a copy: half" in levels[1][1]
    assert said(bench, url=f"file://{bench.root}/nothing")[0].level == "warning"
    assert said(bench, url=url, key_file="/nothing")[0].level == "fault"
    assert __version__
