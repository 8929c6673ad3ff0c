"""Do the parts of a backup agree? Its database, with the counts and digests of its tables that the
manifest has from where it was copied, and its bundle, byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from bty_app.domain.backups import Manifest
from bty_app.domain.bundle import FILE_NAME
from bty_app.errors import BtyError
from bty_app.services import bundles
from bty_app.store import hardware, table_digests
from bty_app.store.backup_shelf import STATE
from bty_app.store.carry_over import row_counts

_MOST = 5


class _DiffersError(BtyError):
    """The two texts are not the same."""


def disagreements(path: Path, known: Manifest) -> Iterator[str]:
    """What of the backup at `path`, whose digests are right, does not fit together.

    Raises:
        StorageError: it cannot be read.
    """
    with hardware.opened_archive(path / STATE) as copy:
        if known.rows:
            yield from _other_counts(row_counts(copy), known)
        yield from other_tables(copy, known.digests)
        if not _is_bundle_of(hardware.Reader(copy), path / FILE_NAME, known):
            yield f"{FILE_NAME} is not what an export of {STATE} gives"


def other_tables(copy: hardware.Connection, digests: Mapping[str, str]) -> Iterator[str]:
    """Each table of the copy that is not what it was in the database.

    Raises:
        apsw.Error: the copy cannot be read.
    """
    for name, digest in digests.items():
        if table_digests.of_table(copy, name) != digest:
            yield f"{STATE}: the table {name} is not what it was in the database that was copied"


def compared(path: Path, known: Manifest) -> str:
    """How far the database of the backup at `path` can be compared with the one it was copied from.

    Raises:
        StorageError: it cannot be read.
    """
    if not known.digests:
        return "no digest of any table (a release before these made it)"
    with hardware.opened_archive(path / STATE) as copy:
        without = [name for name in table_digests.tables(copy) if name not in known.digests]
    lacking = f", no digest of {', '.join(without[:_MOST])}" if without else ""
    return f"{len(known.digests)} tables compared with those that were copied{lacking}"


def _other_counts(found: dict[str, int], known: Manifest) -> Iterator[str]:
    for name in sorted(found.keys() | known.rows.keys()):
        counted, said = found.get(name, 0), known.rows.get(name, 0)
        if counted != said:
            yield f"{STATE}: {name} has {counted} rows, and the manifest says {said}"


def _is_bundle_of(reader: hardware.Reader, path: Path, known: Manifest) -> bool:
    """Whether the file holds what an export writes; True where the manifest does not say when."""
    if known.created_at is None or not known.bty_version:
        return True
    with path.open("rb") as file:

        def compare(data: bytes) -> None:
            if file.read(len(data)) != data:
                raise _DiffersError("it differs")

        try:
            bundles.write_bundle(reader, compare, version=known.bty_version, now=known.created_at)
        except _DiffersError:
            return False
        return not file.read(1)
