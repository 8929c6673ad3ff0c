"""Following an upstream catalog: shown, taken, and never at the cost of a machine."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Iterator
from contextlib import contextmanager
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
from bty_app.store import catalog, events, machines, settings
from bty_app.store.database import Database
from bty_app.upstream.http import Http
from bty_app.upstream.registry import Registry
from tests.file_host import FileHost, file_host
from tests.fresh_state import make_state
from tests.other_host import OtherHost, answer, other_host
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

    def bind(self, name: str, mac: Mac = MAC) -> None:
        wanted = Assignment(image_ref=ref(name))
        self.database.write(lambda tx: machines.assign(tx, mac, wanted, at=AT))

    @contextmanager
    def fresh(self, state_dir: Path) -> Iterator[Bench]:
        """The same catalog file and upstream, and a database that knows nothing."""
        with Database(make_state(state_dir)) as database:
            yield made(database, self.host, self.file)

    def kinds(self) -> list[str]:
        found = self.database.read(lambda tx: events.listed(tx, Query()))
        return [event.kind for event in found][::-1]

    def take(self, *, allow_shrink: bool = False) -> None:
        self.upstream.take(ip=None, allow_shrink=allow_shrink)


def made(database: Database, host: FileHost, file: Path) -> Bench:
    configured = {"upstream.catalog_url": host.url("/catalog.toml")}
    settings = Settings(database, Revisions(), configured=configured)
    http, clock = Http(), Clock()
    registry = Registry(http)
    source = CatalogSource(http, registry)
    upstream = CatalogUpstream(database, source, settings, catalog_file=file, clock=clock)
    imports = CatalogImports(database, http, registry, catalog_file=file, clock=clock)
    return Bench(database, host, upstream, imports, file)


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    make_state(tmp_path)
    with file_host() as host, Database(tmp_path / "state.db") as database:
        yield made(database, host, tmp_path / "catalog.toml")


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
    assert [(gone.entry.name, gone.bound, gone.machines) for gone in found.kept] == [
        ("b", 1, (MAC,))
    ]
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


def conditional(host: OtherHost, data: bytes) -> None:
    """Serve `data` as RFC 9110 13.1.2 has it: 304 to whoever has it already."""

    def serve(client: socket.socket) -> None:
        has_it = 'if-none-match: "v1"' in host.heads[-1].lower()
        answer(b"" if has_it else data, status="304 -" if has_it else "200 OK", ETag='"v1"')(client)

    host.routes["/catalog.toml"] = serve


def manifest(*images: dict[str, object]) -> bytes:
    return tomli_w.dumps({"version": 1, "images": list(images)}).encode()


def test_a_catalog_that_stayed_is_not_sent_again(bench: Bench) -> None:
    with other_host() as host:
        conditional(host, manifest(image("a")))
        source = host.url("/catalog.toml")

        first, second = (bench.upstream.take(source, ip=None) for _ in range(2))
        forced = bench.upstream.take(source, ip=None, force=True)

        assert first is not None
        assert second is None
        assert forced is not None
        assert forced.is_empty
        conditions = ["If-None-Match" in head for head in host.heads]
        assert conditions == [False, True, False]
    assert bench.kinds() == ["catalog.entries.imported"] * 2


MODIFIED = "Sat, 21 Nov 2026 10:00:00 GMT"
LATER = "Sun, 22 Nov 2026 10:00:00 GMT"


def dated(host: OtherHost, data: bytes, **headers: str) -> None:
    """Serve `data` with a date: 304 to whoever has what is of that date (RFC 9110 13.1.3)."""

    def serve(client: socket.socket) -> None:
        has_it = f"If-Modified-Since: {headers['Last_Modified']}\r\n" in host.heads[-1]
        answer(b"" if has_it else data, status="304 -" if has_it else "200 OK", **headers)(client)

    host.routes["/catalog.toml"] = serve


def asked(host: OtherHost) -> list[str]:
    """The condition of each request."""
    names = ("If-None-Match", "If-Modified-Since")
    lines = [[line for line in head.split("\r\n") if line.startswith(names)] for head in host.heads]
    return [", ".join(found) for found in lines]


def test_a_catalog_without_an_entity_tag_is_known_by_its_date(bench: Bench) -> None:
    with other_host() as host:
        source = host.url("/catalog.toml")
        dated(host, manifest(image("a")), Last_Modified=MODIFIED)

        assert bench.upstream.take(source, ip=None)
        assert bench.upstream.take(source, ip=None) is None
        dated(host, manifest(image("a"), image("b")), Last_Modified=LATER)
        assert bench.upstream.take(source, ip=None)
        assert bench.upstream.take(source, ip=None) is None

        first, second = (f"If-Modified-Since: {date}" for date in (MODIFIED, LATER))
        assert asked(host) == ["", first, first, second]
    assert bench.names() == ["a", "b"]


def test_a_host_that_tells_both_is_asked_with_both(bench: Bench) -> None:
    with other_host() as host:
        source = host.url("/catalog.toml")
        dated(host, manifest(image("a")), Last_Modified=MODIFIED, ETag='"v1"')
        bench.upstream.take(source, ip=None)
        bench.upstream.take(source, ip=None)

        assert asked(host)[1] == f'If-None-Match: "v1", If-Modified-Since: {MODIFIED}'


@pytest.mark.parametrize(
    "headers",
    [
        {"Last_Modified": "x" * 257},
        {"Last_Modified": "S\xe4t, 21 Nov 2026 10:00:00 GMT"},
        {"Last_Modified": "a\tb"},
        {"Last_Modified": ""},
        {"Last_Modified": MODIFIED, "Date": MODIFIED},  # it may change once more in this second
    ],
)
def test_a_date_that_cannot_be_relied_on_is_not_kept(bench: Bench, headers: dict[str, str]) -> None:
    with other_host() as host:
        host.routes["/catalog.toml"] = answer(manifest(image("a")), **headers)
        for _ in range(2):
            assert bench.upstream.take(host.url("/catalog.toml"), ip=None) is not None

        assert asked(host) == ["", ""]


@pytest.mark.parametrize("row", ['{"etag": "a\\r\\nX: y", "modified": 7}', "[]", "7", "{", ""])
def test_a_row_that_makes_no_sense_asks_without_condition(bench: Bench, row: str) -> None:
    with other_host() as host:
        source = host.url("/catalog.toml")
        kept = row.replace("{", '{"source": "' + source + '", ', 1) if row.endswith("}") else row
        bench.database.write(lambda tx: settings.put(tx, "catalog.taken", kept, at=AT))
        host.routes["/catalog.toml"] = answer(manifest(image("a")))

        assert bench.upstream.take(source, ip=None) is not None
        assert asked(host) == [""]


def test_an_answer_that_nothing_has_changed_is_for_who_asked_for_it(bench: Bench) -> None:
    with other_host() as host:
        host.routes["/catalog.toml"] = answer(status="304 Not Modified")

        with pytest.raises(UnavailableError, match="answers 304"):
            bench.upstream.take(host.url("/catalog.toml"), ip=None)


def test_an_entity_tag_is_for_the_source_that_gave_it(bench: Bench) -> None:
    with other_host() as host, other_host() as mirror:
        conditional(host, manifest(image("a")))
        conditional(mirror, manifest(image("a")))
        bench.upstream.take(host.url("/catalog.toml"), ip=None)

        assert bench.upstream.take(mirror.url("/catalog.toml"), ip=None) is not None


def test_an_image_that_is_gone_goes_once_no_machine_needs_it(bench: Bench) -> None:
    with other_host() as host:
        source = host.url("/catalog.toml")
        host.routes["/catalog.toml"] = answer(manifest(image("a"), image("b")))
        bench.upstream.take(source, ip=None)
        bench.bind("b")
        conditional(host, manifest(image("a")))
        bench.upstream.take(source, ip=None)
        assert bench.names() == ["a", "b"]
        assert bench.upstream.take(source, ip=None) is None

        bench.bind("a")  # the machine needs it no more
        assert bench.upstream.take(source, ip=None) is not None

    assert bench.names() == ["a"]


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


def test_what_is_kept_for_machines_does_not_refuse_every_later_catalog(bench: Bench) -> None:
    bench.offers(*(image(name) for name in "abcd"))
    bench.take()
    for number, name in enumerate("bcd"):
        bench.bind(name, mac=Mac(f"52:54:00:00:00:0{number}"))
    bench.offers(image("a"))
    bench.take(allow_shrink=True)
    assert bench.names() == list("abcd")

    bench.offers(image("a"), image("e"))
    bench.take()

    assert bench.names() == list("abcde")


def test_a_fresh_database_goes_on_following(bench: Bench, tmp_path: Path) -> None:
    bench.offers(image("a"), image("b"))
    bench.take()
    label = bench.entry("a").upstream

    with bench.fresh(tmp_path / "next") as later:
        later.imports.import_catalog_file()
        assert [e.upstream for e in later.database.read(catalog.listed)] == [label, label]
        bench.offers(image("a"))
        later.take()
        assert later.names() == ["a"]


def test_a_file_that_somebody_put_there_is_followed_by_nobody(bench: Bench, tmp_path: Path) -> None:
    bench.offers(image("a"))
    bench.take()
    bench.file.write_bytes(manifest(image("a"), image("b")))

    with bench.fresh(tmp_path / "next") as later:
        later.imports.import_catalog_file()
        assert [e.upstream for e in later.database.read(catalog.listed)] == [None, None]


@pytest.mark.parametrize(
    "note",
    [b"", b"[]", b"\xff", b'{"source": 1}', b"[" * 9999, b"x" * 99999],
    ids=lambda n: str(n)[:9],
)
def test_a_spoilt_note_beside_the_file_says_nothing(
    bench: Bench, tmp_path: Path, note: bytes
) -> None:
    bench.offers(image("a"))
    bench.take()
    bench.file.with_name("catalog.toml.source").write_bytes(note)

    with bench.fresh(tmp_path / "next") as later:
        assert later.imports.import_catalog_file()
        assert later.entry("a").upstream is None


def test_a_crash_between_file_and_database_is_made_good_at_the_next_start(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.offers(image("a"))
    bench.take()
    bench.offers(image("a", sha256="1" * 64), image("b"))
    with monkeypatch.context() as patched:
        patched.setattr(bench.database, "write", interrupted)
        with pytest.raises(KeyboardInterrupt):
            bench.take()
    assert bench.names() == ["a"]

    assert bench.imports.import_catalog_file()

    assert bench.names() == ["a", "b"]
    assert bench.entry("a").disk_image_sha == "1" * 64
    assert bench.entry("b").upstream == bench.entry("a").upstream is not None


def interrupted(_change: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("act", ["diff", "take"])
def test_nothing_to_follow_is_said_and_is_no_event(bench: Bench, act: str) -> None:
    settings = Settings(bench.database, Revisions())
    http = Http()
    source = CatalogSource(http, Registry(http))
    upstream = CatalogUpstream(bench.database, source, settings, catalog_file=bench.file)

    with pytest.raises(InvalidInputError, match=r"set upstream\.catalog_url"):
        upstream.diff() if act == "diff" else upstream.take(ip=None)
    assert bench.kinds() == []


def test_the_credentials_of_a_source_are_stored_and_told_nowhere(bench: Bench) -> None:
    bench.offers(image("a"))
    bench.upstream.take(bench.host.url("/catalog.toml").replace("//", "//me:s3cret@"), ip=None)
    bench.offers(image("a", mirrors=["https://me:s3cret@m.test/a.img"]))
    with pytest.raises(InvalidInputError, match="credentials") as caught:
        bench.take()

    assert "s3cret" not in caught.value.message
    for file in bench.file.parent.iterdir():
        assert b"s3cret" not in file.read_bytes(), file
