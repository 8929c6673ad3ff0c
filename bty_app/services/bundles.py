"""Export to a bundle, import from one: hardware identity on its way between installations."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from bty_app.domain.bundle import FILE_NAME, HardwareRecord, Rejected, bundle_text
from bty_app.domain.bundle_reader import BundleReader
from bty_app.domain.events import Actor, Event, Kind
from bty_app.domain.moments import stamp
from bty_app.errors import BtyError, ConflictError, InvalidInputError, NotFoundError, StorageError
from bty_app.services.clock import Clock
from bty_app.store import (
    bundle_file,
    creation,
    events,
    hardware,
    locks,
    publish,
    restoration,
    staging,
    stale_log,
)
from bty_app.store.version import stored_version

KEPT_REASONS = 1000  # more are counted, not kept


@dataclass(frozen=True, slots=True)
class Exported:
    """A bundle that was written; `skipped` says which rows no bundle can hold."""

    destination: Path
    machines: int
    size: int
    database_version: str
    skipped: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did, or with `dry_run` would do."""

    dry_run: bool
    new: int
    updated: int
    unchanged: int
    reset: int
    reset_bound: int
    rejected: int
    reasons: tuple[str, ...]
    exported_at: str | None
    exported_by: str | None


# -- export --------------------------------------------------------------------------------------


def export_bundle(
    state_dir: Path, destination: Path, *, version: str, now: datetime, force: bool = False
) -> Exported:
    """Write the bundle of the database in `state_dir` to the directory `destination`.

    The database may be of any version and in use; it is neither rotated nor changed.

    Raises:
        NotFoundError: there is no database.
        InvalidInputError: it is a database, but not one of bty.
        ConflictError: `destination` exists and `force` is false, or it holds other files.
        StorageError: the one cannot be read or the other not written; it is as it was.
    """
    state_db = state_dir / "state.db"
    with (
        reading(state_dir),
        hardware.opened(state_db) as connection,
        hardware.snapshot(connection),
    ):
        reader = hardware.Reader(connection)
        if not reader.has_machines:
            raise InvalidInputError(f"{state_db}: holds no machines table: it is not bty's")
        with _destination(destination, force=force) as file:
            size = write_bundle(reader, file.write, version=version, now=now)
    return Exported(destination, len(reader), size, reader.version, tuple(reader.skipped))


def write_bundle(
    reader: hardware.Reader, write: Callable[[bytes], object], *, version: str, now: datetime
) -> int:
    """Write the text of a bundle; return its size in bytes."""
    size = 0
    for text in bundle_text(reader.exported(), exported_at=stamp(now), version=version):
        write(text.encode("ascii"))
        size += len(text)
    return size


@contextmanager
def reading(state_dir: Path) -> Iterator[None]:
    """Nobody replaces the database meanwhile; in a directory that is read-only nobody can."""
    if not state_dir.is_dir():
        raise NotFoundError(f"{state_dir}: there is no such directory")
    with ExitStack() as stack:
        with suppress(StorageError):  # the lock file cannot be made
            stack.enter_context(locks.shared(state_dir))
        stale_log.check_unserved(state_dir / "state.db")
        yield


@contextmanager
def _destination(destination: Path, *, force: bool) -> Iterator[BinaryIO]:
    """The file to write to; it becomes `destination/inventory.json` when it is whole."""
    if destination.is_dir():
        _check_replaceable(destination, force=force)
        with publish.publishing_file(destination / FILE_NAME, replace=force) as file:
            yield file
        return
    if destination.is_symlink() or destination.exists():
        raise ConflictError(f"{destination}: is not a directory, and is left as it is")
    publish.make_directories(destination.parent)
    with (
        publish.publish_directory(destination.parent, destination.name) as folder,
        publish.create_file(folder / FILE_NAME) as file,
    ):
        yield file


def _check_replaceable(destination: Path, *, force: bool) -> None:
    try:
        names = {entry.name for entry in destination.iterdir()}
    except OSError as error:
        raise StorageError(f"{destination}: cannot be read: {error.strerror}") from error
    others = sorted(name for name in names - {FILE_NAME} if not name.startswith(".tmp-"))
    if others:
        raise ConflictError(
            f"{destination}: holds more than a bundle ({others[0]}): name another directory"
        )
    if names and not force:
        raise ConflictError(f"{destination}: exists already; --force replaces the bundle in it")


# -- import --------------------------------------------------------------------------------------


def import_bundle(
    state_dir: Path,
    source: Path,
    *,
    version: str,
    clock: Clock,
    dry_run: bool = False,
    reset_existing: bool = False,
) -> Imported:
    """Take over the machines of the bundle at `source`: all that are valid, or none.

    Machines that are here keep what the operator set and get the newer hardware record; with
    `reset_existing` they become as new. Without a database a fresh one is made.

    Raises:
        NotFoundError: there is no bundle.
        InvalidInputError: the bundle as a whole cannot be trusted.
        ConflictError: the database is of another version, or in use.
        StorageError: the disk is full or broken. In all these cases nothing has changed.
    """
    state_db = state_dir / "state.db"
    check_version(state_db, version)
    rejected = _Rejections()
    with bundle_file.opened(source) as chunks:
        reader = BundleReader(chunks)
        records = rejected.sifted(reader.machines(), source)
        if dry_run:
            effect = staging.preview(state_db, records)
        else:
            with staging.staged(state_dir, records) as scratch:
                effect = _take_over(
                    state_dir,
                    scratch,
                    version=version,
                    at=stamp(clock()),
                    reset_existing=reset_existing,
                    about=_About(reader, rejected, source),
                )
    return _imported(effect, rejected, reader, dry_run=dry_run, reset=reset_existing)


class _Rejections:
    """Counts the machines that were refused, and keeps the first reasons."""

    def __init__(self) -> None:
        self.count = 0
        self.reasons: list[str] = []

    def sifted(
        self, machines: Iterator[HardwareRecord | Rejected], source: Path
    ) -> Iterator[HardwareRecord]:
        try:
            for machine in machines:
                if isinstance(machine, HardwareRecord):
                    yield machine
                    continue
                self.count += 1
                if self.count <= KEPT_REASONS:
                    self.reasons.append(str(machine))
        except InvalidInputError as error:
            raise InvalidInputError(f"{source}: {error.message}; nothing was imported") from error


@dataclass(frozen=True, slots=True)
class _About:
    reader: BundleReader
    rejected: _Rejections
    source: Path

    def event(self, effect: staging.Effect, *, reset: bool) -> Event:
        found = _imported(effect, self.rejected, self.reader, dry_run=False, reset=reset)
        return Event(
            kind=Kind.MACHINES_IMPORTED,
            actor=Actor.OPERATOR,
            summary=f"imported a bundle: {found.new} new, {found.updated} updated,"
            f" {found.unchanged} unchanged, {found.reset} reset, {found.rejected} rejected",
            details={
                "source": str(self.source),
                "exported_at": found.exported_at,
                "exported_by_bty_version": found.exported_by,
                "new": found.new,
                "updated": found.updated,
                "unchanged": found.unchanged,
                "reset": found.reset,
                "rejected": found.rejected,
            },
        )

    def failed(self, why: str) -> Event:
        return Event(
            kind=Kind.MACHINES_IMPORT_FAILED,
            actor=Actor.OPERATOR,
            summary=f"a bundle could not be imported: {why}",
            details={"source": str(self.source), "problem": why},
        )


def _take_over(
    state_dir: Path,
    scratch: Path,
    *,
    version: str,
    at: str,
    reset_existing: bool,
    about: _About,
) -> staging.Effect:
    state_db = state_dir / "state.db"
    if not state_db.exists():
        with locks.exclusive(state_dir, wait_seconds=5.0):
            if not state_db.exists():
                creation.create(state_db, version=version, at=at)
    with locks.shared(state_dir):
        check_version(state_db, version)
        try:
            with staging.importing(state_db, scratch) as tx:
                effect = staging.take_over(tx, at=at, reset_existing=reset_existing)
                events.record(tx, about.event(effect, reset=reset_existing), at=at)
        except StorageError as error:
            with suppress(BtyError), restoration.writing(state_db) as tx:
                events.record(tx, about.failed(error.message), at=at)
            raise
    return effect


def check_version(state_db: Path, version: str) -> None:
    """Accept a database of `version` with a log of its own, or none at all.

    Raises:
        ConfigError: the log beside it was left by another.
        ConflictError: another version wrote it; says what to do.
        StorageError: it cannot be read.
    """
    if not state_db.exists():
        return
    stale_log.check_unserved(state_db)
    with hardware.opened(state_db) as connection:
        found = stored_version(connection)
    if found != version:
        raise ConflictError(
            f"{state_db}: was written by {found or 'nobody'}, and this is {version}:"
            " start the server once, it archives the old database; then import"
        )


def _imported(
    effect: staging.Effect,
    rejected: _Rejections,
    reader: BundleReader,
    *,
    dry_run: bool,
    reset: bool,
) -> Imported:
    return Imported(
        dry_run=dry_run,
        new=effect.new,
        updated=0 if reset else effect.updated,
        unchanged=0 if reset else effect.known - effect.updated,
        reset=effect.known if reset else 0,
        reset_bound=effect.bound if reset else 0,
        rejected=rejected.count,
        reasons=tuple(rejected.reasons),
        exported_at=reader.exported_at,
        exported_by=reader.exported_by,
    )
