"""Images are added and removed, and machines see what results."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.catalog_toml import parse_catalog
from bty_app.domain.events import StoredEvent
from bty_app.domain.image_source import ImageRef, image_ref
from bty_app.domain.oci import MANIFEST_TYPES
from bty_app.errors import (
    ConflictError,
    InvalidInputError,
    NotFoundError,
    TooLargeError,
    UnavailableError,
    ValidationError,
)
from bty_app.services import catalog as services_catalog
from bty_app.services.catalog import Catalog
from bty_app.services.revisions import Revisions
from bty_app.store import catalog as rows
from bty_app.store import events
from bty_app.store.database import Database
from bty_app.upstream.http import Http
from bty_app.upstream.registry import Registry
from tests.fresh_state import make_state
from tests.other_host import OtherHost, answer, other_host, raw

SHA = "5" * 64
IP = "192.0.2.7"


@dataclass
class Bench:
    """The service on a real database, beside another host."""

    catalog: Catalog
    database: Database
    host: OtherHost
    now: datetime = datetime(2026, 11, 22, 19, 7, 18, 570473, tzinfo=UTC)

    def add(self, path: str, *, sha: str | None = None, ref: str | None = None) -> CatalogEntry:
        url = self.host.url(path)
        return self.catalog.add(url, sha_url=self.host.url(sha) if sha else None, ref=ref, ip=IP)

    def registry(self) -> Registry:
        return Registry(Http(), plain_http=frozenset({f"127.0.0.1:{self.host.port}"}))

    def events(self) -> list[StoredEvent]:
        """Oldest first."""
        return list(self.database.read(lambda tx: list(events.every(tx))))

    def bind(self, count: int, ref: str) -> None:
        sql = "INSERT INTO machines (mac, bty_image_ref, created_at, updated_at) VALUES (?,?,'','')"
        for number in range(count):
            mac = f"52:54:00:00:00:{number:02x}"
            self.database.write(lambda tx, mac=mac: tx.run(sql, mac, ref))  # type: ignore[misc]


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    revisions = Revisions()
    with (
        Database(make_state(tmp_path), on_commit=revisions.bump) as database,
        other_host() as host,
    ):
        made = Bench(None, database, host)  # type: ignore[arg-type]

        def clock() -> datetime:
            made.now += timedelta(seconds=1)
            return made.now

        made.catalog = Catalog(database, Http(), made.registry(), revisions, clock)
        yield made


def details(event: StoredEvent) -> dict[str, object]:
    found: dict[str, object] = json.loads(event.details or "null")
    return found


# -- adding ------------------------------------------------------------------------------------


def test_an_image_is_added_with_the_size_and_digest_that_the_network_tells(bench: Bench) -> None:
    bench.host.routes["/d/deb-arm64.img.gz"] = answer(b"x" * 77)
    bench.host.routes["/sums"] = answer(f"{SHA}  deb-arm64.img.gz\n{'6' * 64}  y\n".encode())

    entry = bench.add("/d/deb-arm64.img.gz", sha="/sums")

    src = bench.host.url("/d/deb-arm64.img.gz")
    assert entry == CatalogEntry(
        bty_image_ref=image_ref(src),
        src=src,
        name="deb-arm64.img.gz",
        added_at="2026-11-22T19:07:19.570473+00:00",
        resolved_src=src,
        disk_image_sha=SHA,
        sha_url=bench.host.url("/sums"),
        format="img.gz",
        size_bytes=77,
        arch="arm64",
    )
    assert bench.catalog.entries() == [entry]


def test_the_addition_is_in_the_audit(bench: Bench) -> None:
    entry = bench.add("/a.img")

    (event,) = bench.events()
    assert event.kind == "catalog.entry.added"
    assert (event.subject_kind, event.subject_id) == ("catalog", entry.src)
    assert (event.actor, event.source_ip, event.ts) == ("operator", IP, entry.added_at)
    assert details(event) == {
        "name": "a.img",
        "bty_image_ref": entry.bty_image_ref,
        "disk_image_sha": None,
        "format": "img",
        "size_bytes": None,
    }


def test_a_host_that_does_not_tell_the_size_is_no_obstacle(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(services_catalog, "HEAD_SECONDS", 0.3)
    bench.host.routes["/silent.img"] = bench.host.silence
    bench.host.routes["/huge.img"] = raw(
        b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\n"
    )

    assert bench.add("/silent.img").size_bytes is None
    assert bench.add("/huge.img").size_bytes is None
    assert bench.add("/missing.img").size_bytes is None


def test_a_list_with_plain_names_answers_for_an_encoded_url(bench: Bench) -> None:
    bench.host.routes["/sums"] = answer(f"{SHA}  a b.img\n".encode())

    assert bench.add("/a%20b.img", sha="/sums").disk_image_sha == SHA


SUMS: dict[str, tuple[Callable[[OtherHost], object], type[Exception]]] = {
    "not there": (lambda host: None, UnavailableError),
    "not listed": (
        lambda host: host.routes.update({"/sums": answer(f"{SHA}  other".encode())}),
        InvalidInputError,
    ),
    "not text": (lambda host: host.routes.update({"/sums": answer(b"\xff")}), InvalidInputError),
    "a page": (lambda host: host.routes.update({"/sums": answer(b"<html>")}), InvalidInputError),
    "too large": (
        lambda host: host.routes.update({"/sums": answer(b"x" * 1_048_577)}),
        TooLargeError,
    ),
}


@pytest.mark.parametrize("kind", SUMS)
def test_a_digest_that_cannot_be_had_adds_nothing_and_is_an_event(bench: Bench, kind: str) -> None:
    prepare, error = SUMS[kind]
    prepare(bench.host)

    with pytest.raises(error) as caught:
        bench.add("/a.img", sha="/sums")

    assert not isinstance(caught.value, ValidationError)
    assert bench.catalog.entries() == []
    (event,) = bench.events()
    assert event.kind == "catalog.entry.add.failed"
    assert event.subject_id == bench.host.url("/a.img")
    assert set(details(event)) == {"image_url", "sha_url", "error"}


def test_an_image_cannot_be_added_twice_however_it_is_spelled(bench: Bench) -> None:
    bench.add("/a.img")
    asked = len(bench.host.heads)
    again = f"http://me:secret@127.0.0.1:{bench.host.port}/a.img"

    with pytest.raises(ConflictError, match="already"):
        bench.catalog.add(again, sha_url=None, ref=None, ip=IP)

    assert len(bench.host.heads) == asked
    assert len(bench.catalog.entries()) == 1
    failed = bench.events()[-1]
    assert failed.kind == "catalog.entry.add.failed"
    assert "secret" not in f"{failed}"


def test_a_request_that_is_wrong_in_itself_leaves_no_trace(bench: Bench) -> None:
    with pytest.raises(ValidationError):
        bench.catalog.add("http://host:notaport/x.img", sha_url=None, ref=None, ip=IP)

    assert bench.events() == []


def test_a_ref_is_checked_before_anything_else(bench: Bench) -> None:
    with pytest.raises(ValidationError, match=r"^ref: "):
        bench.add("/a.img", ref="0" * 64)

    assert bench.host.heads == []


# -- adding from a registry --------------------------------------------------------------------


def serve_image(host: OtherHost, title: str | None, *, data: bytes = b"bytes") -> str:
    """A registry with one image under `o/debian:12`; its digest."""
    digest = hashlib.sha256(data).hexdigest()
    layer: dict[str, object] = {"mediaType": "x/y", "digest": f"sha256:{digest}", "size": len(data)}
    if title is not None:
        layer["annotations"] = {"org.opencontainers.image.title": title}
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST_TYPES[0], "layers": [layer]}
    host.routes["/v2/o/debian/manifests/12"] = answer(
        json.dumps(manifest).encode(), Content_Type=MANIFEST_TYPES[0]
    )
    return digest


@pytest.mark.parametrize(
    ("title", "name", "image_format"),
    [
        ("deb-arm64.img.zst", "deb-arm64.img.zst", "img.zst"),
        (None, "debian", "img.gz"),
        ("  ", "debian", "img.gz"),
        ("a\nb", "debian", "img.gz"),
    ],
)
def test_an_image_in_a_registry_is_added_as_it_is_now(
    bench: Bench, title: str | None, name: str, image_format: str
) -> None:
    digest = serve_image(bench.host, title)
    src = f"oras://127.0.0.1:{bench.host.port}/o/debian:12"

    entry = bench.catalog.add(src, sha_url=None, ref=image_ref(src), ip=IP)

    assert bench.catalog.entries() == [entry]
    assert entry.src == src
    assert (entry.name, entry.format) == (name, image_format)
    assert (entry.disk_image_sha, entry.size_bytes) == (digest, 5)
    assert entry.resolved_src == bench.host.url(f"/v2/o/debian/blobs/sha256:{digest}")
    assert bench.events()[-1].kind == "catalog.entry.added"
    assert [image.src for image in parse_catalog(bench.catalog.published().toml)] == [src]


def test_an_image_that_a_digest_names_is_added(bench: Bench) -> None:
    src = f"oras://127.0.0.1:{bench.host.port}/o/debian@sha256:{SHA}"
    bench.host.routes[f"/v2/o/debian/blobs/sha256:{SHA}"] = answer(b"bytes")

    entry = bench.catalog.add(src, sha_url=None, ref=None, ip=IP)

    assert (entry.name, entry.format, entry.disk_image_sha) == ("debian", "img.gz", SHA)
    assert entry.size_bytes == 5


def test_a_registry_that_has_it_not_adds_nothing_and_is_an_event(bench: Bench) -> None:
    src = f"oras://127.0.0.1:{bench.host.port}/o/none:12"

    with pytest.raises(NotFoundError):
        bench.catalog.add(src, sha_url=None, ref=None, ip=IP)

    assert bench.catalog.entries() == []
    assert [event.kind for event in bench.events()] == ["catalog.entry.add.failed"]


def test_a_checksum_file_for_an_image_in_a_registry_is_refused(bench: Bench) -> None:
    with pytest.raises(ValidationError, match=r"^sha_url: "):
        bench.catalog.add("oras://g.io/o/r:1", sha_url="http://h/sums", ref=None, ip=IP)


# -- removing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["as it is", "in another spelling", "by its ref"])
def test_an_image_is_removed(bench: Bench, how: str) -> None:
    entry = bench.add("/a.img")
    given = {
        "as it is": entry.src,
        "in another spelling": entry.src.replace("http://", "HTTP://x@"),
        "by its ref": entry.bty_image_ref,
    }[how]

    assert bench.catalog.remove(given, ip=IP) == entry

    assert bench.catalog.entries() == []
    event = bench.events()[-1]
    assert (event.kind, event.subject_id) == ("catalog.entry.deleted", entry.src)
    assert (event.source_ip, event.details) == (IP, None)


def test_an_image_that_machines_are_bound_to_stays_and_they_are_named(bench: Bench) -> None:
    entry = bench.add("/a.img")
    bench.bind(23, entry.bty_image_ref)
    before = len(bench.events())

    with pytest.raises(ConflictError) as caught:
        bench.catalog.remove(entry.src, ip=IP)

    assert "23 machine(s)" in caught.value.message
    assert "52:54:00:00:00:00, 52:54:00:00:00:01" in caught.value.message
    assert "and 3 more" in caught.value.message
    assert bench.catalog.entries() == [entry]
    assert len(bench.events()) == before


def test_what_is_not_there_cannot_be_removed(bench: Bench) -> None:
    with pytest.raises(NotFoundError):
        bench.catalog.remove("http://h/none.img", ip=IP)
    with pytest.raises(NotFoundError):
        bench.catalog.remove("0" * 64, ip=IP)
    with pytest.raises(ValidationError):
        bench.catalog.remove("http://host:notaport/x.img", ip=IP)


# -- what machines see -------------------------------------------------------------------------


def test_machines_see_a_change_at_once_and_rendering_is_done_once(bench: Bench) -> None:
    bench.host.routes["/sums"] = answer(SHA.encode())
    empty = bench.catalog.published()

    bench.add("/a.img", sha="/sums")
    bench.add("/b.img")

    full = bench.catalog.published()
    assert empty.toml == b"version = 1\n"
    assert [image.name for image in parse_catalog(full.toml)] == ["a.img"]
    assert [entry.name for entry in full.entries] == ["a.img", "b.img"]
    assert bench.catalog.published() is full


def test_a_row_that_cannot_be_written_is_left_out_and_logged(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bad = CatalogEntry(ImageRef("0" * 64), "http://h/x", "a\nb", "t", disk_image_sha=SHA)
    bench.database.write(lambda tx: rows.insert(tx, bad))

    assert bench.catalog.published().toml == b"version = 1\n"
    assert "leaves out" in caplog.text


# -- editing -----------------------------------------------------------------------------------


def test_an_edit_is_stored_with_what_it_changed_and_by_whom(bench: Bench) -> None:
    entry = bench.add("/a.img")
    expected: dict[str, object] = {"name": "a.img", "arch": None}

    edited = bench.catalog.edit(
        entry.bty_image_ref, {"name": "b.img", "arch": "arm64"}, expected=expected, ip=IP
    )

    assert edited == replace(entry, name="b.img", arch="arm64")
    assert bench.catalog.entries() == [edited]
    event = bench.events()[-1]
    assert (event.kind, event.subject_id, event.source_ip) == (
        "catalog.entry.edited",
        entry.src,
        IP,
    )
    assert details(event) == {
        "name": "b.img",
        "changed": {
            "name": {"old": "a.img", "new": "b.img"},
            "arch": {"old": None, "new": "arm64"},
        },
    }


def test_of_two_editors_of_one_field_the_second_is_refused(bench: Bench) -> None:
    ref = bench.add("/a.img").bty_image_ref
    seen: dict[str, object] = {"name": "a.img", "description": None}

    bench.catalog.edit(ref, {"name": "first"}, expected=seen, ip=None)
    bench.catalog.edit(ref, {"description": "of another field"}, expected=seen, ip=None)

    with pytest.raises(ConflictError, match=r"name: it was changed meanwhile, and is 'first' now"):
        bench.catalog.edit(ref, {"name": "second", "arch": "arm64"}, expected=seen, ip=None)
    (entry,) = bench.catalog.entries()
    assert (entry.name, entry.description, entry.arch) == ("first", "of another field", None)


def test_an_edit_that_changes_nothing_is_no_event_and_needs_no_expectation(bench: Bench) -> None:
    entry = bench.add("/a.img")
    before = len(bench.events())

    same = bench.catalog.edit(
        entry.bty_image_ref, {"name": "a.img", "format": "", "mirrors": []}, expected={}, ip=None
    )

    assert same == entry
    assert len(bench.events()) == before


def test_a_name_is_that_of_one_image(bench: Bench) -> None:
    ref = bench.add("/a.img").bty_image_ref
    bench.add("/b.img")

    with pytest.raises(ConflictError, match=r"name: another image is called 'b.img'"):
        bench.catalog.edit(ref, {"name": "b.img"}, expected={"name": "a.img"}, ip=None)


def test_a_format_that_is_taken_away_becomes_that_of_the_name(bench: Bench) -> None:
    ref = bench.add("/a.img").bty_image_ref
    wanted = {"name": "a-arm64.img.xz", "format": None, "arch": None}
    expected: dict[str, object] = {"name": "a.img", "format": "img", "arch": None}

    edited = bench.catalog.edit(ref, wanted, expected=expected, ip=None)

    assert (edited.format, edited.arch) == ("img.xz", "arm64")


def test_fields_can_be_taken_away_but_the_name(bench: Bench) -> None:
    ref = bench.add("/a.img").bty_image_ref
    bench.catalog.edit(
        ref,
        {"sha256": SHA, "description": "x", "mirrors": ["http://m.test/a"]},
        expected={"sha256": None, "description": None, "mirrors": []},
        ip=None,
    )

    edited = bench.catalog.edit(
        ref,
        {"sha256": None, "description": "", "mirrors": None},
        expected={"sha256": SHA, "description": "x", "mirrors": ["http://m.test/a"]},
        ip=None,
    )

    assert (edited.disk_image_sha, edited.description, edited.mirrors) == (None, None, ())
    with pytest.raises(ValidationError, match="name: is missing"):
        bench.catalog.edit(ref, {"name": None}, expected={"name": "a.img"}, ip=None)
