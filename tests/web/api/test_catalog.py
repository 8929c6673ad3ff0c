"""The catalog's routes over HTTP, in the exact shapes of the contract."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import falcon
import falcon.testing
import pytest
import tomli_w
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bty_app.domain.image_source import image_ref
from bty_app.services.catalog import Catalog
from bty_app.services.catalog_imports import CatalogImports
from bty_app.services.revisions import Revisions
from bty_app.store import events
from bty_app.store.database import Database
from bty_app.upstream.http import Http
from bty_app.upstream.registry import Registry
from bty_app.web import errors
from bty_app.web.api.catalog import CatalogToml, Entries, Images, Import
from tests.fresh_state import make_state
from tests.other_host import OtherHost, answer, other_host

SHA = "5" * 64


class Caller:
    """Stands where the first middleware does: knows who asks."""

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        req.context.client_ip = "192.0.2.7"
        req.context.request_id = "test"


@dataclass
class Bench:
    """A client of the routes, beside another host."""

    client: falcon.testing.TestClient
    database: Database
    host: OtherHost

    def post(self, body: object) -> falcon.testing.Result:
        return self.client.simulate_post(
            "/catalog/entries", body=json.dumps(body), headers={"Content-Type": "application/json"}
        )

    def add(self, path: str, **fields: str) -> dict[str, Any]:
        result = self.post({"image_url": self.host.url(path), **fields})
        assert result.status_code == 201, result.text
        row: dict[str, Any] = result.json
        return row

    def import_from(self, source: str) -> falcon.testing.Result:
        return self.client.simulate_post("/catalog/import", params={"source": source})

    def delete(self, src: str) -> falcon.testing.Result:
        return self.client.simulate_delete("/catalog/entries", params={"src": src})


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    revisions = Revisions()
    with (
        Database(make_state(tmp_path), on_commit=revisions.bump) as database,
        other_host() as host,
    ):
        http = Http()
        catalog = Catalog(database, http, Registry(http), revisions)
        imports = CatalogImports(
            database, http, Registry(http), catalog_file=tmp_path / "catalog.toml"
        )
        app = falcon.App(middleware=[Caller()])
        errors.install(app)
        app.add_route("/catalog.toml", CatalogToml(catalog))
        app.add_route("/images", Images(catalog))
        app.add_route("/catalog/entries", Entries(catalog))
        app.add_route("/catalog/import", Import(imports))
        yield Bench(falcon.testing.TestClient(app), database, host)


def test_adding_answers_with_the_row(bench: Bench) -> None:
    bench.host.routes["/a.img.gz"] = answer(b"x" * 5)
    bench.host.routes["/sums"] = answer(f"{SHA}  a.img.gz".encode())

    result = bench.post(
        {"image_url": bench.host.url("/a.img.gz"), "sha_url": bench.host.url("/sums"), "ref": None}
    )

    assert result.status_code == 201
    row = result.json
    assert row.pop("added_at").endswith("+00:00")
    assert list(row.items()) == [
        ("src", bench.host.url("/a.img.gz")),
        ("bty_image_ref", image_ref(bench.host.url("/a.img.gz"))),
        ("disk_image_sha", SHA),
        ("name", "a.img.gz"),
        ("sha_url", bench.host.url("/sums")),
        ("format", "img.gz"),
        ("size_bytes", 5),
    ]
    (event,) = bench.database.read(lambda tx: list(events.every(tx)))
    assert event.source_ip == "192.0.2.7"


def test_entries_are_listed_with_their_columns(bench: Bench) -> None:
    bench.add("/a.img")

    (row,) = bench.client.simulate_get("/catalog/entries").json

    assert list(row) == [
        *("bty_image_ref", "src", "resolved_src", "disk_image_sha", "name", "sha_url"),
        *("format", "size_bytes", "description", "added_at"),
    ]
    assert row["src"] == row["resolved_src"] == bench.host.url("/a.img")


def test_images_are_listed_for_machines(bench: Bench) -> None:
    bench.host.routes["/sums"] = answer(SHA.encode())
    bench.add("/x", sha_url=bench.host.url("/sums"))
    bench.add("/deb-arm64.img.xz")

    result = bench.client.simulate_get("/images")

    assert result.headers["content-type"] == "application/json"
    src = bench.host.url("/x")
    assert result.json[0] == {
        "name": "x",
        "format": "",
        "size_bytes": 0,
        "url": src,
        "ref": image_ref(src),
        "sha_short": SHA[:12],
        "cached": False,
        "arch": None,
    }
    assert [(image["format"], image["sha_short"], image["arch"]) for image in result.json[1:]] == [
        ("img.xz", None, "arm64")
    ]


def test_a_change_is_seen_at_once_in_the_list(bench: Bench) -> None:
    seen = []
    for path in ("/a.img", "/b.img"):
        bench.add(path)
        seen.append([image["name"] for image in bench.client.simulate_get("/images").json])
    bench.delete(bench.host.url("/a.img"))
    seen.append([image["name"] for image in bench.client.simulate_get("/images").json])

    assert seen == [["a.img"], ["a.img", "b.img"], ["b.img"]]


def test_the_catalog_is_served_as_toml(bench: Bench) -> None:
    bench.host.routes["/sums"] = answer(SHA.encode())
    bench.add("/a.img", sha_url=bench.host.url("/sums"))

    got = bench.client.simulate_get("/catalog.toml")
    head = bench.client.simulate_head("/catalog.toml")

    assert got.headers["content-type"] == "application/toml"
    assert got.text.startswith('version = 1\n\n[[images]]\nname = "a.img"\n')
    assert head.headers["content-length"] == str(len(got.content))


def test_machines_need_no_session_and_operators_do() -> None:
    resources = (CatalogToml, Images, Entries, Import)

    assert [getattr(kind, "open_to_all", False) for kind in resources] == [
        *(True, True),
        *(False, False),
    ]


@pytest.mark.parametrize(
    "url",
    [
        "http://host:notaport/x.img",
        "http://[::1/x.img",
        "http://[fe80::zz]/x.img",
        "http://h:-1/x.img",
        "http://h:99999/x.img",
        "http:///x.img",
        "https://h/",
        "https://h",
        "ftp://h/x.img",
        "oras://ghcr.io/o:1",
        "file:///etc/passwd",
        "",
        "x",
        "http://h/\ud800",
        "http://h/a\x00",
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_a_bad_address_is_422_with_a_sentence(bench: Bench, url: str) -> None:
    result = bench.post({"image_url": url})

    assert result.status_code == 422
    assert isinstance(result.json["detail"], str)
    assert bench.host.heads == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"image_url": None},
        {"image_url": 5},
        {"image_url": ["http://h/a"]},
        {"image_url": "http://h/a", "sha_url": 5},
        {"image_url": "http://h/a", "ref": {}},
        {"image_url": "http://h/a", "ref": "0" * 64},
        {"image_url": "http://h/a", "sha_url": "file:///etc/passwd"},
        {"image_url": "http://h/a", "more": 1},
        [],
        None,
        "x",
    ],
    ids=str,
)
def test_a_bad_body_is_422_with_a_sentence(bench: Bench, body: object) -> None:
    result = bench.post(body)

    assert result.status_code == 422
    assert isinstance(result.json["detail"], str)


def test_a_body_of_more_than_64_kib_is_413(bench: Bench) -> None:
    assert bench.post({"image_url": "http://h/" + "a" * 65536}).status_code == 413


def test_a_duplicate_is_409(bench: Bench) -> None:
    bench.add("/a.img")

    assert bench.post({"image_url": bench.host.url("/a.img")}).status_code == 409


@pytest.mark.parametrize("body", [None, b"<html>", b"x" * 1_048_577])
def test_a_digest_that_cannot_be_had_is_400(bench: Bench, body: bytes | None) -> None:
    if body is not None:
        bench.host.routes["/sums"] = answer(body)

    result = bench.post({"image_url": bench.host.url("/a.img"), "sha_url": bench.host.url("/sums")})

    assert result.status_code == 400
    assert bench.client.simulate_get("/catalog/entries").json == []


def test_removing_is_204_then_404(bench: Bench) -> None:
    src = bench.add("/a.img")["src"]

    first, second = bench.delete(src), bench.delete(src)

    assert (first.status_code, first.content) == (204, b"")
    assert second.status_code == 404


def test_a_source_with_a_query_is_removed_by_it(bench: Bench) -> None:
    src = bench.add("/a.img?x=1&y=a%2Bb+c,d")["src"]

    assert bench.delete(src).status_code == 204


def test_removing_nothing_or_nonsense_is_422(bench: Bench) -> None:
    assert bench.client.simulate_delete("/catalog/entries").status_code == 422
    assert bench.delete("http://host:notaport/x").status_code == 422


def test_removing_an_image_in_use_is_409_and_names_the_machines(bench: Bench) -> None:
    row = bench.add("/a.img")
    sql = "INSERT INTO machines (mac, bty_image_ref, created_at, updated_at) VALUES (?,?,'','')"
    bench.database.write(lambda tx: tx.run(sql, "52:54:00:12:34:56", row["bty_image_ref"]))

    result = bench.delete(row["src"])

    assert result.status_code == 409
    assert "52:54:00:12:34:56" in result.json["detail"]


def test_an_import_reports_what_it_did(bench: Bench, tmp_path: Path) -> None:
    bench.add("/known.img")
    images = [
        {"name": "known", "src": bench.host.url("/known.img"), "sha256": SHA},
        {"name": "new", "src": "http://h/new"},
        {"name": "again", "src": "http://H/new"},
    ]
    path = tmp_path / "some.toml"
    path.write_text(tomli_w.dumps({"version": 1, "images": images}), encoding="utf-8")

    result = bench.import_from(str(path))

    assert result.status_code == 200
    assert result.json == {
        "source": str(path),
        "imported": 1,
        "skipped": 1,
        "errors": [{"name": "again", "error": "the same image as 'new' in this catalog"}],
        "updated": 1,
        "changes": [
            {
                "name": "known.img",
                "src": bench.host.url("/known.img"),
                "changed": {"disk_image_sha": {"old": None, "new": SHA}},
            }
        ],
    }


@pytest.mark.parametrize(
    "source",
    [
        *("/nonexistent", "/", "/dev/zero", "oras://g.io/o/r:1", "ftp://h/c", "http://h:x/c"),
        *("http://127.0.0.1:1/c", "http://[::1/c", "a\0b", "x" * 5000),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_an_import_that_cannot_be_loaded_is_400(bench: Bench, source: str) -> None:
    result = bench.import_from(source)

    assert result.status_code == 400
    assert isinstance(result.json["detail"], str)


def test_an_import_from_a_bad_host_is_400(bench: Bench) -> None:
    bench.host.routes["/huge"] = answer(b"x" * (4 * 1024 * 1024 + 1))
    bench.host.routes["/bad"] = answer(b"version = true")

    assert bench.import_from(bench.host.url("/huge")).status_code == 400
    assert bench.import_from(bench.host.url("/none")).status_code == 400
    assert bench.import_from(bench.host.url("/bad")).status_code == 400


def test_an_import_without_a_source_is_422(bench: Bench) -> None:
    assert bench.client.simulate_post("/catalog/import").status_code == 422


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.text(max_size=40), st.text(st.sampled_from("ab.:@[]%é/?# \t\n0"), max_size=20))
@example("", "@%/0")  # a host that no program can be asked for
def test_no_text_makes_an_internal_error(bench: Bench, text: str, authority: str) -> None:
    for url in (text, f"http://127.0.0.1:1{authority}", f"http://[{authority}"):
        assert bench.delete(url).status_code in (404, 422, 204)
        status = bench.post({"image_url": url}).status_code
        assert status in (201, 409, 422), json.dumps(url)
