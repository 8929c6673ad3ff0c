"""Carry over what an old database still holds: picked by the operator, shown first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bty_app.domain import recovering
from bty_app.domain.bundle import FILE_NAME
from bty_app.domain.bundle_reader import BundleReader
from bty_app.domain.catalog_events import By
from bty_app.domain.jobs import Quiet, Teller
from bty_app.domain.moments import stamp
from bty_app.domain.recovering import Choice, Part, PartCounts
from bty_app.domain.restoring import RowChange
from bty_app.domain.rotation import is_archive_name, is_quarantine_name, moment_in
from bty_app.errors import (
    BtyError,
    ConflictError,
    InvalidInputError,
    MovedError,
    NotFoundError,
    StorageError,
)
from bty_app.services.bundles import check_version
from bty_app.services.clock import Clock, utc_now
from bty_app.store import (
    bundle_file,
    creation,
    events,
    hardware,
    locks,
    move_mark,
    old_state,
    publish,
    recovery,
    recovery_plan,
    restoration,
    restore_source,
)
from bty_app.store.backup_shelf import STATE
from bty_app.store.database import Tx
from bty_app.store.old_state import Findings
from bty_app.store.place import size_of
from bty_app.store.quarantine import FOLDER

SHOWN = 100
_LOCK = "restore.lock"
_SCRATCH = "recover"


@dataclass(frozen=True, slots=True)
class Offer:
    """What recovering would do; `rows` are the first of `found` that come over or differ.

    `disarmed` machines were waiting for a flash there and are not here; `without_image` bindings
    are to images that no catalog here knows.
    """

    name: str
    findings: Findings
    counts: Mapping[Part, PartCounts]
    disarmed: int
    without_image: int
    rows: tuple[RowChange, ...]
    found: int
    digest: str

    @property
    def carried(self) -> int:
        """How many rows would come over."""
        return sum(row.carried for row in self.counts.values())

    def as_data(self) -> dict[str, object]:
        """It for scripts."""
        return {
            "name": self.name,
            "version": self.findings.version,
            "parts": {part.value: row.as_data() for part, row in self.counts.items()},
            "disarmed": self.disarmed,
            "without_image": self.without_image,
            "rejected": self.findings.rejected,
            "rows": [row.as_data() for row in self.rows],
            "digest": self.digest,
        }


@dataclass(frozen=True, slots=True)
class Reading:
    """How the file is read, which of the rows are shown, and who hears how far it is."""

    salvage: bool = False
    limit: int = SHOWN
    offset: int = 0
    teller: Teller = field(default_factory=Quiet)


_PLAIN = Reading()


class Recover:
    """Recovers into one state directory. Any thread may call."""

    def __init__(
        self,
        state_dir: Path,
        *,
        version: str,
        clock: Clock = utc_now,
        on_change: Callable[[], None] = lambda: None,
        refusal: Callable[[], str] | None = None,
    ) -> None:
        """`refusal` says why nothing may be changed now; without it, the mark of a move does."""
        self._state_dir = state_dir
        self._state_db = state_dir / "state.db"
        self._version = version
        self._clock = clock
        self._on_change = on_change
        self._refusal = refusal or partial(move_mark.refused, state_dir)

    def archives(self) -> list[str]:
        """The archives that rotations left beside the database, the newest first.

        Raises:
            StorageError: the directory cannot be read.
        """
        try:
            names = [path.name for path in self._state_dir.iterdir()]
        except OSError as error:
            raise StorageError(f"{self._state_dir}: cannot be read: {error.strerror}") from error
        dated = ((moment_in(name), name) for name in names if is_archive_name(name))
        return [name for _at, name in sorted(dated, reverse=True)]

    def damaged(self) -> list[str]:
        """When damaged databases were set aside, the newest first: the names of their directories.

        Raises:
            StorageError: the directory cannot be read.
        """
        place = self._state_dir / FOLDER
        try:
            names = [path.name for path in place.iterdir()] if place.is_dir() else []
        except OSError as error:
            raise StorageError(f"{place}: cannot be read: {error.strerror}") from error
        found = (name for name in names if is_quarantine_name(name))
        return sorted((name for name in found if (place / name / STATE).is_file()), reverse=True)

    def path_of(self, name: str) -> Path:
        """Where the archive of this name is, or the damaged database that was set aside then.

        Raises:
            NotFoundError: there is none.
        """
        is_aside = is_quarantine_name(name)
        path = self._state_dir / FOLDER / name / STATE if is_aside else self._state_dir / name
        is_named = is_aside or is_archive_name(name)
        if not is_named or path.is_symlink() or not path.is_file():
            raise NotFoundError(f"there is no archive {name[:80]!r}")
        return path

    def waiting(self, name: str) -> int:
        """How many bindings wait in the archive of this name: those of machines with an image.

        Raises:
            NotFoundError: there is no such archive.
            StorageError: it cannot be read.
        """
        path = self.path_of(name)
        with hardware.opened_archive(path) as archive:
            if not {"mac", "bty_image_ref"} <= hardware.columns(archive, "machines"):
                return 0
            sql = "SELECT count(*) FROM machines WHERE bty_image_ref IS NOT NULL"
            (found,) = archive.execute(sql).fetchall()[0]
        return int(str(found))

    def check(self) -> None:
        """See that something may be changed.

        Raises:
            MovedError: this appliance is being moved, or has moved.
        """
        if why := self._refusal():
            raise MovedError(why)

    def preview(self, path: Path, choice: Choice, reading: Reading = _PLAIN) -> Offer:
        """What would come over from the database at `path`. Nothing does.

        Raises:
            NotFoundError: there is no such file.
            InvalidInputError: it is no database of bty, or a damaged one.
            ConflictError: the present database is of another release.
            StorageError: one of the two cannot be read.
        """
        with self._read(path, reading) as (scratch, findings):
            live = self._state_db if size_of(self._state_db) else None
            check_version(self._state_db, self._version)
            with restoration.looking(live, scratch) as tx:
                recovery_plan.make(tx, choice)
                return _offer(tx, path.name, choice, findings, reading)

    def apply(
        self,
        path: Path,
        choice: Choice,
        reading: Reading = _PLAIN,
        *,
        by: By,
        digest: str | None = None,
    ) -> Offer:
        """Carry it over in one transaction; with a `digest` only if that is what was shown.

        Raises:
            ConflictError: something has changed since; or a restore or recovery is under way.
            MovedError: this appliance is being moved, or has moved.
            BtyError: as `preview`. In all cases nothing has changed.
        """
        if not choice.parts:
            raise InvalidInputError("name what to carry over: hardware, labels, bindings, …")
        self.check()
        try:
            return self._applied(path, choice, reading, by, digest)
        except StorageError as error:
            event = recovering.recover_failed(path.name, error.message, by)
            with suppress(BtyError), restoration.writing(self._state_db) as tx:
                events.record(tx, event, at=stamp(self._clock()))
            raise

    def _applied(
        self, path: Path, choice: Choice, reading: Reading, by: By, digest: str | None
    ) -> Offer:
        with (
            locks.alone(self._state_dir / _LOCK),
            self._read(path, reading) as (scratch, findings),
        ):
            self._make_database()
            with locks.shared(self._state_dir):
                check_version(self._state_db, self._version)
                with restoration.restoring(self._state_db, scratch) as tx:
                    recovery_plan.make(tx, choice)
                    offer = _offer(tx, path.name, choice, findings, reading)
                    if digest not in (None, offer.digest):
                        raise ConflictError(
                            f"{path.name}: something has changed since this was shown:"
                            " look at it again; nothing was changed"
                        )
                    at = stamp(self._clock())
                    recovery.apply(tx, choice, at=at)
                    event = recovering.recovered(path.name, choice, offer.counts, _facts(offer), by)
                    events.record(tx, event, at=at)
        self._on_change()
        return offer

    @contextmanager
    def _read(self, path: Path, reading: Reading) -> Iterator[tuple[Path, Findings]]:
        if path.is_dir():
            if not size_of(path / STATE) and size_of(path / FILE_NAME):
                with self._read_bundle(path) as found:
                    yield found
                return
            path = path / STATE
        with restore_source.staged(
            self._state_dir, path, damaged=reading.salvage
        ) as copy, publish.scratch_directory(self._state_dir, _SCRATCH) as place:  # fmt: skip
            scratch = place / "found.db"
            try:
                findings = old_state.read(
                    copy.path, scratch, salvage=reading.salvage, teller=reading.teller
                )
            except InvalidInputError as error:
                why = error.message.replace(copy.path.name, path.name)
                raise InvalidInputError(f"{path}: {why}") from error
            yield scratch, findings

    @contextmanager
    def _read_bundle(self, path: Path) -> Iterator[tuple[Path, Findings]]:
        with (
            publish.scratch_directory(self._state_dir, _SCRATCH) as place,
            bundle_file.opened(path) as chunks,
        ):
            scratch = place / "found.db"
            try:
                yield scratch, old_state.read_bundle(BundleReader(chunks), scratch)
            except InvalidInputError as error:
                raise InvalidInputError(f"{path}: {error.message}") from error

    def _make_database(self) -> None:
        if size_of(self._state_db):
            return
        with locks.exclusive(self._state_dir, wait_seconds=5.0):
            if not size_of(self._state_db):
                at = stamp(self._clock())
                creation.create(self._state_db, version=self._version, at=at)


def _offer(tx: Tx, name: str, choice: Choice, findings: Findings, reading: Reading) -> Offer:
    return Offer(
        name=name,
        findings=findings,
        counts=recovery_plan.counts(tx, choice),
        disarmed=recovery_plan.disarmed(tx, choice),
        without_image=recovery_plan.without_image(tx),
        rows=tuple(recovery_plan.rows(tx, choice, limit=reading.limit, offset=reading.offset)),
        found=recovery_plan.shown_total(tx),
        digest=recovery_plan.digest(tx, choice),
    )


def _facts(offer: Offer) -> dict[str, object]:
    return {
        "database_version": offer.findings.version,
        "disarmed": offer.disarmed,
        "rejected": offer.findings.rejected,
        "losses": [loss.as_data() | {"lost": loss.named[:100]} for loss in offer.findings.losses]
        or None,
        "by_shape": offer.findings.by_shape or None,
    }
