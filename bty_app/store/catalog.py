"""Catalog entries: what is known of each image, and which manifest was last taken in."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.machine import FLASH_MODES
from bty_app.store import settings
from bty_app.store.database import Tx

IMPORTED_DIGEST = "catalog.imported_digest"

_COLUMNS = tuple(field.name for field in fields(CatalogEntry))
_MUTABLE = tuple(c for c in _COLUMNS if c not in {"bty_image_ref", "src", "added_at"})
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM catalog_entries"


def listed(tx: Tx) -> list[CatalogEntry]:
    """All entries in the order in which they were added."""
    return [_entry(row) for row in tx.rows(f"{_SELECT} ORDER BY added_at, rowid")]


def count(tx: Tx) -> int:
    """How many there are."""
    return int(tx.value("SELECT count(*) FROM catalog_entries"))


def by_ref(tx: Tx, ref: str) -> CatalogEntry | None:
    """The entry with this identity."""
    row = tx.row(f"{_SELECT} WHERE bty_image_ref = ?", ref)
    return _entry(row) if row else None


def insert(tx: Tx, entry: CatalogEntry) -> None:
    """Add an entry whose ref and src are new here."""
    marks = ", ".join("?" for _ in _COLUMNS)
    values = [_stored(entry, column) for column in _COLUMNS]
    tx.run(f"INSERT INTO catalog_entries ({', '.join(_COLUMNS)}) VALUES ({marks})", *values)
    tx.touch("catalog")


def update(tx: Tx, entry: CatalogEntry) -> None:
    """Store all that may change of a known entry; ref, src and added_at stay."""
    values = [_stored(entry, column) for column in _MUTABLE]
    assignments = ", ".join(f"{column} = ?" for column in _MUTABLE)
    tx.run(
        f"UPDATE catalog_entries SET {assignments} WHERE bty_image_ref = ?",
        *(*values, entry.bty_image_ref),
    )
    tx.touch("catalog")


def delete(tx: Tx, ref: str) -> bool:
    """Remove an entry; False when there is none."""
    removed = tx.run("DELETE FROM catalog_entries WHERE bty_image_ref = ?", ref) > 0
    tx.touch("catalog")
    return removed


def bound_count(tx: Tx, ref: str) -> int:
    """How many machines are bound to the image."""
    return int(tx.value("SELECT count(*) FROM machines WHERE bty_image_ref = ?", ref))


def imported_digest(tx: Tx) -> str | None:
    """SHA-256 of the catalog file that was last taken in, or None."""
    found = tx.value("SELECT value FROM settings WHERE key = ?", IMPORTED_DIGEST)
    return str(found) if found else None


def set_imported_digest(tx: Tx, digest: str, *, at: str) -> None:
    """Remember which catalog file was taken in, so that what is deleted later stays deleted."""
    settings.put(tx, IMPORTED_DIGEST, digest, at=at)


def bound_counts(tx: Tx) -> dict[str, int]:
    """How many machines are bound to each ref that any is bound to, known here or not."""
    sql = (
        "SELECT bty_image_ref, count(*) FROM machines WHERE bty_image_ref IS NOT NULL"
        " GROUP BY bty_image_ref"
    )
    return {str(ref): int(count) for ref, count in tx.rows(sql)}


def bound_to_flash(tx: Tx) -> frozenset[str]:
    """The refs that machines are bound to in a mode that flashes."""
    modes = sorted(mode.value for mode in FLASH_MODES)
    sql = (
        "SELECT DISTINCT bty_image_ref FROM machines WHERE bty_image_ref IS NOT NULL"
        f" AND boot_mode IN ({', '.join('?' for _ in modes)})"
    )
    return frozenset(str(ref) for (ref,) in tx.rows(sql, *modes))


def _entry(row: tuple[Any, ...]) -> CatalogEntry:
    values = dict(zip(_COLUMNS, row, strict=True))
    values["mirrors"] = tuple(json.loads(values["mirrors"] or "[]"))
    return CatalogEntry(**values)


def _stored(entry: CatalogEntry, column: str) -> Any:
    value = getattr(entry, column)
    if column == "mirrors":
        return json.dumps(value) if value else None
    return value
