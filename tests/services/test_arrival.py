"""A host that takes the place of an appliance waits for what that one must end first."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bty_app import __version__
from bty_app.domain.jobs import Quiet, Step
from bty_app.domain.migration import BUSY_SECONDS
from bty_app.domain.tokens import Scope
from bty_app.errors import ConflictError
from bty_app.services.arrival import Arrival, Arrived, Wanted
from bty_app.services.publication import Places
from bty_app.upstream.appliance import OtherAppliance
from bty_app.upstream.http import Http
from tests.serving import Clock, Site, listening, site

NEW = "http://192.0.2.20:8080"
BACKUP = "a backup is being made"


class Watch(Quiet):
    """Notes what is told; what the other one does has ended after so many waits."""

    def __init__(self, clock: Clock, waits: int) -> None:
        self.told: list[str] = []
        self._clock = clock
        self._waits = waits

    def tell(self, step: Step) -> None:
        self.told.append(step.words)

    def wait(self, seconds: float) -> None:
        self._clock.forward(seconds)
        self._waits -= 1

    def busy(self) -> str:
        return BACKUP if self._waits > 0 else ""


@pytest.fixture
def old(quick_dir: Path) -> Iterator[Site]:
    (quick_dir / "old").mkdir()
    with site(quick_dir / "old") as made:
        yield made


def move(old: Site, to: Path, watch: Watch) -> Arrived:
    """Take the place of `old`, over HTTP."""
    to.mkdir()
    _, secret = old.services.tokens.create("move", Scope.ADMIN.value, "", ip=None)
    with listening(old.app, to.parent) as port:
        other = OtherAppliance(Http(), f"http://127.0.0.1:{port}", secret)
        places = Places(to, to / "boot", to / "catalog.toml")
        arrival = Arrival(other, places, watch, old.clock, old.clock.steady)
        return arrival.run(Wanted(NEW, __version__))


def test_a_backup_there_is_waited_for(old: Site, quick_dir: Path) -> None:
    watch = Watch(old.clock, waits=3)
    old.services.departure.wait_for(watch.busy)

    move(old, quick_dir / "new", watch)

    waiting = [words for words in watch.told if words.startswith("waiting")]
    assert len(waiting) == 3
    assert BACKUP in waiting[0]
    assert (quick_dir / "new" / "state.db").exists()


def test_one_that_begins_just_when_it_is_asked_to_leave_is_waited_for_too(
    old: Site, quick_dir: Path
) -> None:
    answers = ["", "", BACKUP, BACKUP]  # looked at twice, asked to leave, looked at again
    old.services.departure.wait_for(lambda: answers.pop(0) if answers else "")
    watch = Watch(old.clock, waits=0)

    move(old, quick_dir / "new", watch)

    assert len([words for words in watch.told if words.startswith("waiting")]) == 1


def test_one_that_never_ends_is_not_waited_for_without_end(old: Site, quick_dir: Path) -> None:
    watch = Watch(old.clock, waits=10**9)
    old.services.departure.wait_for(watch.busy)

    with pytest.raises(ConflictError, match=f"{BACKUP}: move when that is done"):
        move(old, quick_dir / "new", watch)

    assert len(watch.told) >= BUSY_SECONDS - 5
    assert old.services.departure.refusal() == "", "it serves as before"
