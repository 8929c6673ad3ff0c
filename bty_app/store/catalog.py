"""Catalog entries: what is known of each image, and which manifest was last taken in."""

from __future__ import annotations

from dataclasses import astuple, fields

from bty_app.domain.catalog import CatalogEntry
from bty_app.store import settings
from bty_app.store.database import Tx

IMPORTED_DIGEST = "catalog.imported_digest"

_COLUMNS = tuple(field.name for field in fields(CatalogEntry))
_SELECT = f"SELECT {', '.join(_COLUMNS)} FROM catalog_entries"


def listed(tx: Tx) -> list[CatalogEntry]:
    """All entries in the order in which they were added."""
    return [CatalogEntry(*row) for row in tx.rows(f"{_SELECT} ORDER BY added_at, rowid")]


def by_ref(tx: Tx, ref: str) -> CatalogEntry | None:
    """The entry with this identity."""
    row = tx.row(f"{_SELECT} WHERE bty_image_ref = ?", ref)
    return CatalogEntry(*row) if row else None


def insert(tx: Tx, entry: CatalogEntry) -> None:
    """Add an entry whose ref and src are new here."""
    marks = ", ".join("?" for _ in _COLUMNS)
    tx.run(f"INSERT INTO catalog_entries ({', '.join(_COLUMNS)}) VALUES ({marks})", *astuple(entry))
    tx.touch("catalog")


def update(tx: Tx, entry: CatalogEntry) -> None:
    """Store all that may change of a known entry; ref, src and added_at stay."""
    tx.run(
        "UPDATE catalog_entries SET name = ?, resolved_src = ?, disk_image_sha = ?, sha_url = ?,"
        " format = ?, size_bytes = ?, description = ?, arch = ? WHERE bty_image_ref = ?",
        *(entry.name, entry.resolved_src, entry.disk_image_sha, entry.sha_url),
        *(entry.format, entry.size_bytes, entry.description, entry.arch, entry.bty_image_ref),
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
