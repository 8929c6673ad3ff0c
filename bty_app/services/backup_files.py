"""A full backup: the bundle and the whole database, from one snapshot, proven before it counts."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from bty_app.domain.bundle import FILE_NAME
from bty_app.domain.jobs import Quiet, Step, Teller
from bty_app.domain.moments import stamp
from bty_app.errors import ConflictError, StorageError
from bty_app.services import backup_proof, bundles
from bty_app.store import carry_over, hardware, publish, snapshot, sqlite, table_digests
from bty_app.store.backup_shelf import MANIFEST, STATE, SUMS
from bty_app.store.hardware import Connection

MANIFEST_VERSION = 1
_CHUNK = 1024 * 1024
# Behind the copy: 1 GiB takes 3 s. What has no digest by then is not in the manifest.
_DIGEST_SECONDS = 30.0
_HURRY_SECONDS = 1.0  # where commits wait for it


@dataclass(frozen=True, slots=True)
class BackupPlan:
    """What is wanted: the name, why ("manual", "scheduled", "pre-upgrade" …), by which release."""

    backup_id: str
    trigger: str
    version: str
    now: datetime
    include_state: bool = True


@dataclass(frozen=True, slots=True)
class BackupResult:
    """A backup that was read back and found to be what was written."""

    path: Path
    machines: int
    size: int
    database_version: str
    skipped: tuple[str, ...]


def write_backup(
    state_db: Path | Connection,
    backups_dir: Path,
    plan: BackupPlan,
    *,
    teller: Teller | None = None,
    on_begun: Callable[[str], None] = lambda _name: None,
) -> BackupResult:
    """Write the directory `backups_dir/backup_id` (or with `-1`, `-2` … where that is taken).

    The live database is held to one view only until it is copied and each table has its digest;
    with the whole database in the backup, the bundle is made from that copy.

    Args:
        state_db: the database of any version, or a connection to it that is not writing.
        backups_dir: made when it is missing.
        plan: what to write and what to call it.
        teller: told how far it is; may end it until it has its name.
        on_begun: told its name once it is settled what the backup will hold; where the database has
            no write-ahead log, right before that.

    Raises:
        StorageError: it could not be written, or does not read back as written; the database is
            untouched.
        CancelledError: the teller ended it.
    """
    teller = teller or Quiet()
    publish.make_directories(backups_dir)
    name = free_name(backups_dir, plan.backup_id)
    digests: dict[str, str] = {}
    sums: dict[str, str] = {}
    with _connected(state_db) as connection, ExitStack() as view:
        may_write = sqlite.has_log(connection)  # while the view is held
        if not may_write:
            on_begun(name)
        view.enter_context(hardware.snapshot(connection))
        if may_write:
            on_begun(name)
        rows = carry_over.row_counts(connection)

        def copied() -> None:
            digests.update(_digests(connection, teller, hurry=not may_write))
            view.close()

        with publish.publish_directory(backups_dir, name) as folder:
            if plan.include_state:
                sums[STATE] = _copied(connection, folder / STATE, teller, copied)
                with hardware.opened_archive(folder / STATE) as copy:
                    reader = hardware.Reader(copy)
                    sums = {FILE_NAME: _bundled(reader, folder, plan, teller), **sums}
            else:
                reader = hardware.Reader(connection)
                sums[FILE_NAME] = _bundled(reader, folder, plan, teller)
                view.close()
            manifest = _manifest_text(reader, name, plan, rows, digests)
            publish.write_file(folder / MANIFEST, manifest)
            sums[MANIFEST] = hashlib.sha256(manifest).hexdigest()
            publish.write_file(folder / SUMS, _sums_text(sums))
            teller.tell(Step("giving the backup its name"))
    _prove(backups_dir, name, sums, digests)
    path = backups_dir / name
    size = sum((path / part).stat().st_size for part in (*sums, SUMS))
    return BackupResult(path, len(reader), size, reader.version, tuple(reader.skipped))


def _copied(
    connection: Connection, path: Path, teller: Teller, on_copied: Callable[[], None]
) -> str:
    """Copy the database; return the digest of the copy."""
    page_size = int(str(connection.pragma("page_size")))

    def tell(done: int, total: int) -> None:
        teller.tell(Step("copying the database", done * page_size, total * page_size))

    snapshot.copy_from(connection, path, on_progress=tell, on_copied=on_copied)
    return sha256_of(path)


def _digests(connection: Connection, teller: Teller, *, hurry: bool) -> dict[str, str]:
    """What each table is in the view that was copied; of none for which there was no time."""
    page_count, page_size = (int(str(connection.pragma(n))) for n in ("page_count", "page_size"))
    size = page_count * page_size
    deadline = time.monotonic() + (_HURRY_SECONDS if hurry else _DIGEST_SECONDS)

    def go_on(read: int) -> bool:
        teller.tell(Step("taking the digests of the tables", min(read, size), size))
        return time.monotonic() < deadline and not snapshot.is_log_long(connection, size)

    return table_digests.of_tables(connection, go_on)


def _bundled(reader: hardware.Reader, folder: Path, plan: BackupPlan, teller: Teller) -> str:
    """Write the bundle; return its digest."""
    digest = hashlib.sha256()
    written = told = 0
    with publish.create_file(folder / FILE_NAME) as file:

        def write(data: bytes) -> None:
            nonlocal written, told
            digest.update(data)
            file.write(data)
            written += len(data)
            if written - told >= _CHUNK:
                told = written
                teller.tell(Step("writing the bundle", written))

        bundles.write_bundle(reader, write, version=plan.version, now=plan.now)
    return digest.hexdigest()


def _manifest_text(
    reader: hardware.Reader,
    name: str,
    plan: BackupPlan,
    rows: dict[str, int],
    digests: dict[str, str],
) -> bytes:
    manifest = {
        "bty_backup_version": MANIFEST_VERSION,
        "backup_id": name,
        "created_at": stamp(plan.now),
        "trigger": plan.trigger,
        "bty_version": plan.version,
        "database_version": reader.version,
        "instance_id": reader.instance_id,
        "machines": len(reader),
        "rows": rows,
        "digests": digests,
        "skipped": reader.skipped,
        "includes_state": plan.include_state,
    }
    return (json.dumps(manifest, indent=2) + "\n").encode()


def sha256_of(path: Path) -> str:
    """The digest of a file that no SQLite connection of this process has open.

    Raises:
        StorageError: it cannot be read.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from error
    return digest.hexdigest()


@contextmanager
def _connected(state_db: Path | Connection) -> Iterator[Connection]:
    if isinstance(state_db, Path):
        with hardware.opened(state_db) as connection:
            yield connection
    else:
        yield state_db


def free_name(backups_dir: Path, backup_id: str) -> str:
    """This name, or with `-1`, `-2` … where it is taken.

    Raises:
        ConflictError: so are a thousand.
    """
    for number in range(1000):
        name = f"{backup_id}-{number}" if number else backup_id
        if not os.path.lexists(backups_dir / name):  # nor where that cannot be seen
            return name
    raise ConflictError(f"{backups_dir}: holds a thousand backups of the name {backup_id}")


def _sums_text(sums: dict[str, str]) -> bytes:
    """As `sha256sum` writes it and `sha256sum -c` reads it."""
    return "".join(f"{digest}  {name}\n" for name, digest in sums.items()).encode()


def _prove(backups_dir: Path, name: str, sums: dict[str, str], digests: dict[str, str]) -> None:
    """Read everything back; a backup that differs loses its name."""
    path = backups_dir / name
    damaged = next((part for part, digest in sums.items() if sha256_of(path / part) != digest), "")
    if not damaged and digests:
        with hardware.opened_archive(path / STATE) as copy:
            damaged = next(backup_proof.other_tables(copy, digests), "")
    if not damaged:
        return
    aside = path.with_name(f".bad-{name}")
    path.rename(aside)
    raise StorageError(
        f"the backup {name} does not read back as it was written ({damaged}): check the disk;"
        f" what was written is kept as {aside}"
    )
