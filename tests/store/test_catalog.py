"""Catalog rows in a real database."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path

import pytest

from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.image_source import ImageRef
from bty_app.errors import ConflictError
from bty_app.store import catalog
from bty_app.store.database import Database
from tests.fresh_state import make_state

ENTRY = CatalogEntry(
    bty_image_ref=ImageRef("a" * 64),
    src="https://ex.com/a.img",
    name="a.img",
    added_at="2026-01-02",
    resolved_src="https://ex.com/a.img",
    disk_image_sha="b" * 64,
    sha_url="https://ex.com/sums",
    format="img",
    size_bytes=2**63 - 1,
    description="ü",
    arch="arm64",
)


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(make_state(tmp_path)) as opened:
        yield opened


def test_an_entry_comes_back_as_it_went_in(database: Database) -> None:
    database.write(lambda tx: catalog.insert(tx, ENTRY))

    assert database.read(catalog.listed) == [ENTRY]
    assert database.read(lambda tx: catalog.by_ref(tx, "a" * 64)) == ENTRY
    assert database.read(lambda tx: catalog.by_ref(tx, "b" * 64)) is None


def test_the_entry_has_the_columns_of_the_table(database: Database) -> None:
    columns = database.read(lambda tx: list(tx.rows("PRAGMA table_info(catalog_entries)")))

    assert {row[1] for row in columns} == {field.name for field in fields(CatalogEntry)}


def test_entries_are_listed_in_the_order_they_were_added(database: Database) -> None:
    def entry(number: int, added_at: str) -> CatalogEntry:
        ref = ImageRef(f"{9 - number:064x}")
        return replace(ENTRY, bty_image_ref=ref, src=f"http://h/{number}", added_at=added_at)

    for added in (entry(1, "2026-03"), entry(2, "2026-01"), entry(3, "2026-01")):
        database.write(lambda tx, added=added: catalog.insert(tx, added))  # type: ignore[misc]

    assert [row.src[-1] for row in database.read(catalog.listed)] == ["2", "3", "1"]


def test_the_same_image_cannot_be_there_twice(database: Database) -> None:
    database.write(lambda tx: catalog.insert(tx, ENTRY))
    other_ref = replace(ENTRY, bty_image_ref=ImageRef("c" * 64))

    for twin in (ENTRY, other_ref):
        with pytest.raises(ConflictError):
            database.write(lambda tx, twin=twin: catalog.insert(tx, twin))  # type: ignore[misc]

    assert len(database.read(catalog.listed)) == 1


def test_an_update_changes_all_but_identity_and_age(database: Database) -> None:
    database.write(lambda tx: catalog.insert(tx, ENTRY))
    wanted = CatalogEntry(
        ENTRY.bty_image_ref, ENTRY.src, "renamed", ENTRY.added_at, "r", size_bytes=1
    )

    database.write(lambda tx: catalog.update(tx, wanted))

    assert database.read(catalog.listed) == [wanted]


def test_an_entry_is_deleted_once(database: Database) -> None:
    database.write(lambda tx: catalog.insert(tx, ENTRY))

    assert database.write(lambda tx: catalog.delete(tx, ENTRY.bty_image_ref))
    assert not database.write(lambda tx: catalog.delete(tx, ENTRY.bty_image_ref))
    assert database.read(catalog.listed) == []


def test_machines_bound_to_an_image_are_counted(database: Database) -> None:
    sql = "INSERT INTO machines (mac, bty_image_ref, created_at, updated_at) VALUES (?, ?, '', '')"
    for mac, ref in (("m1", "a" * 64), ("m2", "a" * 64), ("m3", "b" * 64), ("m4", None)):
        database.write(lambda tx, mac=mac, ref=ref: tx.run(sql, mac, ref))  # type: ignore[misc]

    assert database.read(lambda tx: catalog.bound_count(tx, "a" * 64)) == 2


def test_the_last_digest_taken_in_is_remembered(database: Database) -> None:
    assert database.read(catalog.imported_digest) is None

    for digest in ("one", "two"):
        database.write(
            lambda tx, digest=digest: catalog.set_imported_digest(tx, digest, at="t")  # type: ignore[misc]
        )

    assert database.read(catalog.imported_digest) == "two"


def test_every_change_is_told_to_the_pages(tmp_path: Path) -> None:
    told: list[frozenset[str]] = []
    with Database(make_state(tmp_path), on_commit=told.append) as database:
        database.write(lambda tx: catalog.insert(tx, ENTRY))
        database.write(lambda tx: catalog.update(tx, ENTRY))
        database.write(lambda tx: catalog.delete(tx, ENTRY.bty_image_ref))

    assert told == [frozenset({"catalog"})] * 3
