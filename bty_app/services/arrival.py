"""This host takes the place of another appliance: fetch, prove, have the other one end, begin.

All that is brought stands below `.arriving` until the other appliance has said that it has moved;
`state.db` gets its name last. Whatever ends this in between, run it again: it goes on.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bty_app.domain.jobs import Step, Teller
from bty_app.domain.migration import (
    ARRIVING,
    BUSY_SECONDS,
    Appliance,
    Mark,
    Part,
    State,
    mark_text,
    occupied,
)
from bty_app.domain.moments import stamp
from bty_app.errors import ConfigError, ConflictError, InvalidInputError
from bty_app.services.arrival_files import Carrier
from bty_app.services.clock import Clock, utc_now
from bty_app.services.publication import WHOLE, Places, Publication, targets, whole
from bty_app.services.verify import verify_archive
from bty_app.store import links, locks, publish
from bty_app.store.backup_shelf import STATE
from bty_app.store.directories import disk_failures
from bty_app.store.place import sync_directory
from bty_app.upstream.appliance import OtherAppliance

_PAUSE_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for: under which address machines reach this host, and of which release it is.

    `anyway`: also while machines are being flashed.
    """

    address: str
    version: str
    anyway: bool = False


@dataclass(frozen=True, slots=True)
class Arrived:
    """What came here; `fetched` bytes of it in this run."""

    source: str
    machines: int
    files: int
    fetched: int


class Arrival:
    """One move."""

    def __init__(
        self,
        old: OtherAppliance,
        places: Places,
        teller: Teller,
        clock: Clock = utc_now,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._old = old
        self._places = places
        self._clock = clock
        self._steady = steady
        self._teller = teller
        self._carrier = Carrier(old, teller)
        self._stage = places.state_dir / ARRIVING

    def check(self, wanted: Wanted) -> Appliance:
        """What would come here; changes nothing.

        Raises:
            ConflictError: there is an appliance here, or the other one is of another release, or
                has moved elsewhere, or is busy flashing.
            BtyError: the other one does not answer.
        """
        _check_empty(self._places.state_dir)
        found = self._old.described()
        if found.version != wanted.version:
            raise ConflictError(
                f"{self._old.url} runs {found.version} and this is {wanted.version}: a database of"
                " another release would lose its bindings; bring both to one release first"
            )
        if found.state is State.MOVED and not self._is_ours(found):
            raise ConflictError(
                f"{self._old.url} has moved to {found.to or 'another host'} already: take the state"
                " from there, or run `bty migrate --cancel` on it first"
            )
        if found.flashing and not wanted.anyway and found.state is State.SERVING:
            raise ConflictError(
                f"{self._old.url} is flashing {found.flashing} machines: wait for them, or move"
                " --anyway"
            )
        return found

    def run(self, wanted: Wanted) -> Arrived:
        """Take its place.

        Raises:
            As `check`; what is here so far is used by the next run.
            InvalidInputError: something is not what its digest promised.
            StorageError: the disk refused.
        """
        with locks.serving(self._places.state_dir, about="bty migrate"):
            found = self.check(wanted)
            publish.make_directories(self._stage)
            if found.state is not State.MOVED:
                self._bring(found, wanted)
            machines = Publication(self._places, self._clock).run()
        return Arrived(self._old.url, machines, self._carrier.files, self._carrier.fetched)

    # -- the way here --------------------------------------------------------------------------

    def _bring(self, found: Appliance, wanted: Wanted) -> None:
        self._forget_whole()
        self._carrier.room(self._places.boot_dir, found.boot)
        for part in found.boot:  # most of the bytes, while the other one still serves
            self._carrier.bring("boot", part, self._places.boot_dir / part.name)
        for name, target in found.links.items():
            links.point_link(self._places.boot_dir / name, target)
        parts = self._left(wanted)
        try:
            copy = self._copied(parts)
            mark = Mark(self._old.url, stamp(self._clock()), copy)
            publish.publish_file(self._stage / WHOLE, mark_text(mark))
        except BaseException:
            with contextlib.suppress(Exception):  # it takes changes again by itself, a bit later
                self._old.stay()
            raise
        try:
            self._old.move(copy)
        except ConflictError:  # it goes on, so this copy may never begin
            self._forget_whole()
            raise

    def _left(self, wanted: Wanted) -> tuple[Part, ...]:
        """The files of its copy, once what it is doing at present has ended."""
        until, was_refused = self._steady() + BUSY_SECONDS, False
        while True:
            busy = self._old.described().busy
            if busy and self._steady() < until:
                self._teller.tell(Step(f"waiting for {self._old.url}: {busy} there"))
                self._teller.wait(_PAUSE_SECONDS)
                continue
            try:
                return self._old.leave(wanted.address, anyway=wanted.anyway)
            except ConflictError:  # it may have become busy since it was asked
                if was_refused:
                    raise
                was_refused = True

    def _forget_whole(self) -> None:
        """What is here is no whole copy from now on, after a power cut neither."""
        with disk_failures(self._stage):
            (self._stage / WHOLE).unlink(missing_ok=True)
            sync_directory(self._stage)

    def _copied(self, parts: tuple[Part, ...]) -> str:
        """Bring the copy; the digest of its database."""
        allowed = {STATE, *targets(self._places)}
        digests = {part.name: part.sha256 for part in parts}
        if STATE not in digests or not set(digests) <= allowed:
            raise InvalidInputError(f"{self._old.url} offers another copy than is expected")
        with disk_failures(self._stage):
            for left in self._stage.iterdir():
                name = left.name.removeprefix(".").removesuffix(".part")
                if left.is_file() and name not in digests:
                    left.unlink()
        for part in parts:
            self._carrier.bring("copy", part, self._stage / part.name)
        found = verify_archive(self._stage / STATE)
        if not found.sound:
            raise InvalidInputError(f"the database that came is not sound: {found.problems[0]}")
        return digests[STATE]

    def _is_ours(self, found: Appliance) -> bool:
        """Whether the other one has moved here: its database is the whole one that we have."""
        mark = whole(self._stage)
        return mark is not None and bool(mark.copy) and mark.copy == found.copy


def finish(places: Places, clock: Clock = utc_now) -> int:
    """Begin here without a word of the other appliance, which must be off for good; return how
    many machines came.

    Raises:
        NotFoundError: its copy is not whole.
        StorageError: the disk refused; do it again.
    """
    with locks.serving(places.state_dir, about="bty migrate"):
        return Publication(places, clock).run()


def check_finished(state_dir: Path) -> None:
    """Refuse to serve what has not wholly come here.

    Raises:
        ConfigError: a move to this directory is not finished.
    """
    stage = state_dir / ARRIVING
    if os.path.lexists(stage):
        raise ConfigError(
            f"{stage}: a move to this host is not finished: run `bty migrate --from URL` again; or,"
            f" where the other appliance still serves, remove {stage} to begin anew"
        )


def _check_empty(state_dir: Path) -> None:
    with disk_failures(state_dir):
        names = occupied(path.name for path in state_dir.iterdir()) if state_dir.exists() else []
    if names and not (state_dir / ARRIVING).exists():
        raise ConflictError(
            f"{state_dir}: there is an appliance here already ({', '.join(names[:4])}): move it"
            " away, or name an empty directory with --state-dir"
        )
