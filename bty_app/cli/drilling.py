"""The drill of a backup: restore it into a place of its own, start the application on it, compare.

Where the backup is of another release, the first start on its database is rehearsed as well: that
is what an upgrade asks before it begins. Nothing listens, no other host is asked, and the place is
gone afterwards.
"""

from __future__ import annotations

import filecmp
import itertools
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bty_app import __version__, runtime, runtime_parts
from bty_app.cli.asking import OK, STRANGER, status_of
from bty_app.config import Config
from bty_app.domain.backups import Backup
from bty_app.domain.bundle import FILE_NAME, HardwareRecord
from bty_app.domain.bundle_reader import BundleReader
from bty_app.domain.jobs import Step, Teller
from bty_app.domain.machine import FLASH_MODES
from bty_app.domain.rotation import counted
from bty_app.errors import BtyError, StorageError
from bty_app.services.backup_before import back_up_before_rotation
from bty_app.services.bundles import export_bundle, import_bundle
from bty_app.services.clock import utc_now
from bty_app.services.revisions import Revisions
from bty_app.services.verify import verify
from bty_app.store import bundle_file, publish, restore_source
from bty_app.store.backup_shelf import STATE, Shelf
from bty_app.store.database import Database, Tx
from bty_app.store.publish import make_directories
from bty_app.store.rotation import Outcome, open_state
from bty_app.web.app import create_app

_SCRATCH = "drill"
_ROOM = 64 * 1024 * 1024
_RESTORED = 2  # times the size of the backup
_REHEARSED = 5  # with a database, its backup and the fresh one


@dataclass(frozen=True, slots=True)
class Drilled:
    """What came of it: problems as sentences, none when it stood; `facts` is what was restored."""

    problems: tuple[str, ...]
    facts: str


def drill(path: Path, config: Config, teller: Teller) -> Drilled:
    """Restore the backup at `path`, start the application on it, and export it again.

    Raises:
        NotFoundError: there is no backup.
        CancelledError: the teller ended it.
        StorageError: there is no room for it.
    """
    found = Shelf(path.parent).find(path.name)
    teller.tell(Step("reading the backup"))
    verdict = verify(path)
    if not verdict.sound:
        return Drilled(verdict.problems, "")
    place = config.paths.state_dir if config.paths.state_dir.is_dir() else path.parent
    with publish.scratch_directory(place, _SCRATCH) as scratch:
        teller.tell(Step("restoring it into a place of its own"))
        whole = found.is_full and found.manifest.database_version == __version__
        is_rehearsed = found.is_full and not whole
        _require_room(place, found.size * (_REHEARSED if is_rehearsed else _RESTORED))
        try:
            _restore(path, scratch, whole=whole)
            teller.tell(Step("starting the application on it"))
            problems = [
                *_differences(path, found, scratch, whole=whole),
                *_answers(config, scratch),
            ]
            if is_rehearsed:
                teller.tell(Step("rehearsing the first start on its database"))
                problems += _rehearsed(path, config, scratch / "rehearsal")
        except BtyError as error:  # there is room: what fails here fails in an emergency as well
            problems = [error.message]
    what = "its database" if whole else "its bundle"
    what += f", a first start of {__version__} on its database" if is_rehearsed else ""
    return Drilled(tuple(problems), f"{what}, {counted(verdict.machines)}")


def _require_room(place: Path, size: int) -> None:
    free = shutil.disk_usage(place).free
    if free < size + _ROOM:
        raise StorageError(f"{place}: has no room for a drill: {size + _ROOM:,} bytes are needed")


def _restore(path: Path, scratch: Path, *, whole: bool) -> None:
    if not whole:
        import_bundle(scratch, path, version=__version__, clock=utc_now)
        return
    _copy(path / STATE, scratch / STATE)
    restore_source.check_rows(scratch / STATE)  # as `bty restore` would ask


def _copy(source: Path, target: Path) -> None:
    try:
        shutil.copyfile(source, target)
    except OSError as error:
        raise StorageError(f"{target}: cannot be written: {error.strerror}") from error


def _rehearsed(path: Path, config: Config, place: Path) -> list[str]:
    """What the first start of this release does with the database, in `place`."""
    make_directories(place)
    _copy(path / STATE, place / STATE)
    now = utc_now()
    opening = open_state(
        place,
        version=__version__,
        now=now,
        backup=lambda old: back_up_before_rotation(
            old, place / "backups", version=__version__, now=now
        ),
    )
    if opening.outcome is not Outcome.ROTATED:
        return [f"a first start on its database would not take it over: {opening.sentence}"]
    again = place / "again"
    export_bundle(place, again, version=__version__, now=now)
    lost = "after a first start on its database the hardware of machines is not that of the backup"
    return [*_answers(config, place), *([] if _same_machines(path, again) else [lost])]


def _differences(path: Path, found: Backup, scratch: Path, *, whole: bool) -> list[str]:
    """An export of what was restored is the bundle of the backup; byte for byte, where all of it
    was restored.
    """
    known = found.manifest
    again = scratch / "again"
    export_bundle(
        scratch,
        again,
        version=known.bty_version or __version__,
        now=known.created_at or utc_now(),
    )
    if whole and known.created_at:
        same = filecmp.cmp(path / FILE_NAME, again / FILE_NAME, shallow=False)
    else:
        same = _same_machines(path, again)
    return [] if same else ["an export of what was restored is not the bundle of the backup"]


def _same_machines(one: Path, other: Path) -> bool:
    with bundle_file.opened(one) as first, bundle_file.opened(other) as second:
        kept = (_taken(BundleReader(chunks)) for chunks in (first, second))
        return all(a == b for a, b in itertools.zip_longest(*kept))


def _taken(reader: BundleReader) -> Iterator[HardwareRecord]:
    """The machines that an import takes."""
    return (found for found in reader.machines() if isinstance(found, HardwareRecord))


def _answers(config: Config, scratch: Path) -> list[str]:
    """The application lives on it, and tells a machine what to do."""
    paths = replace(
        config.paths,
        state_dir=scratch,
        boot_dir=scratch / "boot",
        backup_dir=scratch / "backups",
        catalog_file=scratch / "catalog.toml",
    )
    there = replace(config, paths=paths)
    with Database(scratch / STATE) as database:
        services = runtime.services(there, database, Revisions())
        app = create_app(services, runtime_parts.options(there))
        mac = database.read(_somebody) or STRANGER
        asked = {path: status_of(app, path) for path in ("/healthz", f"/pxe/{mac}/plan")}
    return [f"{path} answers {status}" for path, status in asked.items() if status != OK]


def _somebody(tx: Tx) -> str | None:
    """A machine whose plan names no image: nobody is asked for one."""
    marks = ", ".join("?" * len(FLASH_MODES))
    sql = f"SELECT mac FROM machines WHERE boot_mode NOT IN ({marks}) ORDER BY mac LIMIT 1"
    found = tx.value(sql, *(mode.value for mode in FLASH_MODES))
    return str(found) if found else None
