"""Following an upstream catalog: shown, taken, and never at the cost of a machine."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import tomli_w

from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.events import Query
from bty_app.domain.image_source import ImageRef, image_ref
from bty_app.domain.mac import Mac
from bty_app.domain.machine import Assignment
from bty_app.errors import BtyError, ConflictError, InvalidInputError, UnavailableError
from bty_app.services.catalog_imports import CatalogImports
from bty_app.services.catalog_source import CatalogSource
from bty_app.services.catalog_upstream import CatalogUpstream
from bty_app.services.revisions import Revisions
from bty_app.services.settings import Settings
from bty_app.store import catalog, events, machines
from bty_app.store.database import Database
from bty_app.upstream.http import Http
from bty_app.upstream.registry import Registry
from tests.file_host import FileHost, file_host
from tests.fresh_state import make_state
from tests.serving import Clock

AT = "2026-11-22T19:00:00.000000+00:00"
MAC = Mac("52:54:00:12:34:56")


def image(name: str, **more: object) -> dict[str, object]:
    return {"name": name, "src": f"https://o.test/{name}.img", **more}


def ref(name: str) -> ImageRef:
    return image_ref(f"https://o.test/{name}.img")


@dataclass
class Bench:
    database: Database
    host: FileHost
    upstream: CatalogUpstream
    imports: CatalogImports
    file: Path

    def offers(self, *images: dict[str, object]) -> None:
        text = tomli_w.dumps({"version": 1, "images": list(images)})
        self.host.files["/catalog.toml"] = text.encode()

    def names(self) -> list[str]:
        return [entry.name for entry in self.database.read(catalog.listed)]

    def entry(self, name: str) -> CatalogEntry:
        found = self.database.read(lambda tx: catalog.by_ref(tx, ref(name)))
        assert found is not None
        return found

    def bind(self, name: str) -> None:
        wanted = Assignment(image_ref=ref(name))
        self.database.write(lambda tx: machines.assign(tx, MAC, wanted, at=AT))

    def kinds(self) -> list[str]:
        found = self.database.read(lambda tx: events.listed(tx, Query()))
        return [event.kind for event in found][::-1]

    def take(self, *, allow_shrink: bool = False) -> None:
        self.upstream.take(ip=None, allow_shrink=allow_shrink)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    make_state(tmp_path)
    file = tmp_path / "catalog.toml"
    with file_host() as host, Database(tmp_path / "state.db") as database:
        configured = {"upstream.catalog_url": host.url("/catalog.toml")}
        settings = Settings(database, Revisions(), configured=configured)
        http, clock = Http(), Clock()
        registry = Registry(http)
        source = CatalogSource(http, registry)
        upstream = CatalogUpstream(database, source, settings, catalog_file=file, clock=clock)
        imports = CatalogImports(database, http, registry, catalog_file=file, clock=clock)
        yield Bench(database, host, upstream, imports, file)


def test_a_diff_shows_everything_and_writes_nothing(bench: Bench) -> None:
    bench.offers(image("a", sha256="1" * 64), image("b"), image("c"))
    bench.take()
    bench.bind("b")
    before = (bench.kinds(), bench.file.read_bytes(), bench.names())
    bench.offers(image("a", sha256="2" * 64), image("new"))

    found = bench.upstream.diff()

    assert [entry.name for entry in found.merge.added] == ["new"]
    (update,) = found.merge.updated
    assert [(c.field, c.old, c.new) for c in update.changes] == [
        ("disk_image_sha", "1" * 64, "2" * 64)
    ]
    assert [entry.name for entry in found.removed] == ["c"]
    assert [(gone.entry.name, gone.bound) for gone in found.kept] == [("b", 1)]
    assert (bench.kinds(), bench.file.read_bytes(), bench.names()) == before


def test_what_is_gone_goes_unless_a_machine_needs_it(bench: Bench) -> None:
    bench.offers(image("a"), image("b"), image("c"))
    bench.take()
    bench.bind("b")
    bench.offers(image("a"))
    bench.take()

    assert bench.names() == ["a", "b"]
    assert bench.entry("b").gone_at
    assert bench.entry("a").gone_at is None
    assert bench.upstream.diff().is_empty

    bench.offers(image("a"), image("b"))
    assert not bench.upstream.diff().is_empty
    bench.take()
    assert bench.entry("b").gone_at is None


def test_what_did_not_come_from_there_is_never_removed(bench: Bench) -> None:
    by_hand = CatalogEntry(ref("mine"), "https://o.test/mine.img", "mine", AT)
    bench.database.write(lambda tx: catalog.insert(tx, by_hand))
    bench.offers(image("mine"), image("a"))
    bench.take()
    bench.offers()

    bench.take()

    assert bench.names() == ["mine"]
    assert bench.entry("mine").upstream is None


def test_a_catalog_that_stayed_is_not_sent_again(bench: Bench) -> None:
    bench.offers(image("a"))
    bench.take()
    stored = bench.database.read(lambda tx: tx.value("SELECT value FROM settings WHERE key = ?",
                                                     "catalog.taken"))  # fmt: skip
    assert json.loads(stored)["etag"]
    bench.host.statuses["/catalog.toml"] = [304]

    assert bench.upstream.take(ip=None) is None
    assert bench.kinds() == ["catalog.entries.imported"]


def test_another_catalog_than_the_one_shown_is_refused(bench: Bench) -> None:
    bench.offers(image("a"))
    shown = bench.upstream.diff().digest
    bench.offers(image("a"), image("b"))

    with pytest.raises(ConflictError, match="has changed since it was shown"):
        bench.upstream.take(ip=None, expected=shown)
    assert bench.names() == []
    expected = hashlib.sha256(bench.host.files["/catalog.toml"]).hexdigest()
    assert bench.upstream.take(ip=None, expected=expected)


def test_a_catalog_that_loses_most_of_its_images_must_be_meant(bench: Bench) -> None:
    bench.offers(*(image(name) for name in "abcd"))
    bench.take()
    kept = bench.file.read_bytes()
    bench.offers(image("a"))

    with pytest.raises(ConflictError, match="lists 3 of 4 images no more"):
        bench.take()
    assert bench.names() == list("abcd")
    assert bench.file.read_bytes() == kept

    bench.take(allow_shrink=True)
    assert bench.names() == ["a"]


def test_what_an_operator_removed_stays_removed_at_a_start(bench: Bench) -> None:
    bench.offers(image("a"), image("b"))
    bench.take()
    bench.database.write(lambda tx: catalog.delete(tx, ref("b")))

    assert bench.imports.import_catalog_file() is None
    assert bench.names() == ["a"]


@pytest.mark.parametrize(
    ("data", "kind", "words"),
    [
        (b"version = 2\n", InvalidInputError, "only 1 can be read"),
        (b'version = 1\n[[images]]\nname = "x"\n', InvalidInputError, r"entry 1 .*src: is missing"),
        (None, UnavailableError, "answers 404"),
    ],
)
def test_a_bad_catalog_changes_nothing_and_is_an_event(
    bench: Bench, data: bytes | None, kind: type[BtyError], words: str
) -> None:
    bench.offers(image("a"))
    bench.take()
    kept = bench.file.read_bytes()
    if data is None:
        del bench.host.files["/catalog.toml"]
    else:
        bench.host.files["/catalog.toml"] = data

    with pytest.raises(kind, match=words):
        bench.take()
    assert bench.names() == ["a"]
    assert bench.file.read_bytes() == kept
    assert bench.kinds()[-1] == "catalog.import.failed"


def test_mirrors_are_kept_and_refreshed(bench: Bench) -> None:
    bench.offers(image("a", mirrors=["https://m.test/a.img"]))
    bench.take()
    assert bench.entry("a").mirrors == ("https://m.test/a.img",)
    bench.offers(image("a", mirrors=["https://m.test/a.img", "http://n.test/a.img"]))
    bench.take()

    assert bench.entry("a").mirrors == ("https://m.test/a.img", "http://n.test/a.img")
    bench.offers(image("a", mirrors=["file:///etc/passwd"]))
    with pytest.raises(InvalidInputError, match=r"mirrors: .* is no http or https URL"):
        bench.take()
