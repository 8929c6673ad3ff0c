"""What only this program has of the catalog, for scripts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bty_app.domain.mac import Mac
from bty_app.domain.machine import Assignment
from bty_app.store import machines, settings
from tests.file_host import FileHost, file_host
from tests.other_host import answer, other_host
from tests.serving import ENTRY, MAC, REF, Result, Site
from tests.web.upstream import AT, add, do_jobs, entry, follow, image, manifest, offers

V1 = "/api/v1/catalog"
SHA = "5" * 64


@pytest.fixture
def host(server: Site) -> Iterator[FileHost]:
    with file_host() as running:
        follow(server.database, running.url("/catalog.toml"))
        yield running


def patch(server: Site, ref: str = REF, /, **fields: Any) -> Result:
    return server.operate("PATCH", f"{V1}/entries/{ref}", json=fields)


def post(server: Site, path: str, **fields: Any) -> Result:
    return server.operate("POST", f"{V1}/{path}", json=fields)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/diff"),
        ("POST", "/fetch"),
        ("PUT", ""),
        ("POST", "/check"),
        ("POST", "/warm"),
        ("GET", f"/entries/{REF}"),
        ("PATCH", f"/entries/{REF}"),
    ],
)
def test_all_of_it_is_for_operators(server: Site, method: str, path: str) -> None:
    assert server.ask(method, f"{V1}{path}").status_code == 401


# -- following ---------------------------------------------------------------------------------


def test_a_diff_is_shown_and_that_very_catalog_is_taken(server: Site, host: FileHost) -> None:
    offers(host, image("a.img", sha256=SHA), image("b.img"))

    shown = server.operate("GET", f"{V1}/diff").json

    assert (shown["added"], shown["shrinks"]) == (["a.img", "b.img"], False)
    assert len(server.services.catalog.entries()) == 1

    taken = post(server, "fetch", expected=shown["digest"])

    assert (taken.status_code, taken.json) == (200, shown)
    assert [e.name for e in server.services.catalog.entries()] == ["debian", "a.img", "b.img"]
    assert server.operate("POST", f"{V1}/fetch").json == post(server, "fetch", force=True).json


def test_a_catalog_that_its_host_calls_the_same_is_unchanged(server: Site) -> None:
    with other_host() as host:
        follow(server.database, host.url("/c"))
        host.routes["/c"] = answer(manifest(image("a.img")), ETag='"1"')
        assert post(server, "fetch").json["imported"] == 1
        host.routes["/c"] = answer(status="304 Not Modified")

        assert server.operate("POST", f"{V1}/fetch").json == {"unchanged": True}


def test_another_catalog_than_was_shown_is_refused(server: Site, host: FileHost) -> None:
    offers(host, image("a.img"))
    digest = server.operate("GET", f"{V1}/diff").json["digest"]
    offers(host, image("b.img"))

    got = post(server, "fetch", expected=digest)

    assert got.status_code == 409
    assert "has changed since it was shown" in got.json["detail"]
    assert len(server.services.catalog.entries()) == 1


def test_a_catalog_that_has_shrunk_is_taken_only_when_that_is_meant(
    server: Site, host: FileHost
) -> None:
    offers(host, *(image(f"{n}.img") for n in range(6)))
    post(server, "fetch")
    offers(host, image("0.img"))

    assert server.operate("GET", f"{V1}/diff").json["shrinks"]
    assert post(server, "fetch").status_code == 409
    assert len(post(server, "fetch", allow_shrink=True).json["removed"]) == 5


def test_another_source_may_be_named(server: Site, host: FileHost) -> None:
    host.files["/other.toml"] = manifest(image("x.img"))

    found = server.operate("GET", f"{V1}/diff?source={host.url('/other.toml')}")

    assert found.json["added"] == ["x.img"]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (None, "answers 404"),
        (b"version = 2", "version 2"),
        (manifest(image("a"), image("b", sha256="x")), "catalog entry 2 (name 'b'): sha256: must"),
    ],
)
def test_a_catalog_that_cannot_be_taken_changes_nothing(
    server: Site, host: FileHost, data: bytes | None, sentence: str
) -> None:
    if data is not None:
        host.files["/catalog.toml"] = data

    answers = [server.operate("GET", f"{V1}/diff"), post(server, "fetch")]

    for got in answers:
        assert got.status_code == 400
        assert sentence in got.json["detail"]
    assert server.services.catalog.entries() == [ENTRY]


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("fetch", {"sorce": "x"}),
        ("fetch", {"force": 1}),
        ("fetch", {"expected": True}),
        ("check", {}),
        ("check", {"image": "debian", "all": True}),
        ("check", {"all": "yes"}),
        ("warm", {}),
        ("warm", {"image": ["debian"]}),
    ],
)
def test_a_wrong_request_names_the_field(server: Site, path: str, fields: dict[str, Any]) -> None:
    got = post(server, path, **fields)

    assert got.status_code == 422
    assert next(iter(fields), "image") in got.json["detail"]


# -- upload ------------------------------------------------------------------------------------


def test_an_uploaded_catalog_is_taken_in(server: Site) -> None:
    got = server.operate("PUT", V1, body=manifest(image("a.img"), image("b.img")))

    assert got.status_code == 200
    assert got.json | {"imported": 2, "updated": 0, "errors": []} == got.json
    assert (server.state_dir / "catalog.toml").read_bytes() == manifest(
        image("a.img"), image("b.img")
    )


def test_an_upload_that_is_too_large_or_not_valid_changes_nothing(server: Site) -> None:
    large = server.operate("PUT", V1, body=b"#" * (2**20 + 1))
    wrong = server.operate("PUT", V1, body=manifest(image("a"), {"name": "b"}))

    assert large.status_code == 413
    assert wrong.status_code == 400
    assert wrong.json["detail"] == "catalog entry 2 (name 'b'): src: is missing"
    assert server.services.catalog.entries() == [ENTRY]
    assert not (server.state_dir / "catalog.toml").exists()


# -- check and warm ----------------------------------------------------------------------------


def test_one_image_is_checked_at_once(server: Site, host: FileHost) -> None:
    host.files["/a.img"] = b"12345"
    add(server.database, entry("a.img", src=host.url("/a.img"), size_bytes=4))

    report = post(server, "check", image="a.img").json

    assert report["origin"] == {
        "reachable": True,
        "size_bytes": 5,
        "format": None,
        "sha256": None,
    }
    assert report["differs"] == {"size_bytes": {"old": 4, "new": 5}}
    assert post(server, "check", image="nothing").status_code == 404


def test_all_images_are_checked_by_a_job(server: Site, host: FileHost) -> None:
    host.files |= {"/a.img": b"12345", "/b.img": b"123"}
    add(
        server.database,
        entry("a.img", src=host.url("/a.img"), size_bytes=5),
        entry("b.img", src=host.url("/b.img"), size_bytes=5),
        entry("c.img", src=host.url("/c.img")),
    )
    server.services.catalog.remove(REF, ip=None)

    got = post(server, "check", all=True)
    again = post(server, "check", all=True)
    do_jobs(server.services.jobs)

    assert (got.status_code, got.json["kind"]) == (202, "catalog-check")
    assert again.status_code == 409
    job = server.operate("GET", f"/api/v1/jobs/{got.json['id']}").json
    assert job["result"] == "1 as the catalog says, 1 different, 1 without a good answer"


def test_warming_is_a_job_and_needs_a_cache(server: Site) -> None:
    refused = post(server, "warm", image="debian")
    assert (refused.status_code, refused.json["detail"]) == (
        409,
        "no cache is configured: set withcache.url",
    )

    base = "http://127.0.0.1:9"
    server.database.write(lambda tx: settings.put(tx, "withcache.url", base, at=AT))
    got = post(server, "warm", image="debian", force=True)

    assert (got.status_code, got.json["kind"], got.json["key"]) == (202, "warm", REF)
    do_jobs(server.services.jobs)
    assert server.services.jobs.get(got.json["id"]).error
    assert server.kinds()[-1] == "catalog.warm.failed"


# -- edit --------------------------------------------------------------------------------------


def test_an_image_is_shown_with_all_that_is_known(server: Site) -> None:
    shown = server.operate("GET", f"{V1}/entries/{REF}").json

    assert shown == {
        "ref": REF,
        "src": ENTRY.src,
        "resolved_src": None,
        "name": "debian",
        "description": None,
        "sha256": "b" * 64,
        "format": "img.zst",
        "arch": None,
        "mirrors": [],
        "size_bytes": None,
        "sha_url": None,
        "added_at": ENTRY.added_at,
        "upstream": None,
        "gone_at": None,
    }


def test_fields_are_edited_by_who_knows_what_they_were(server: Site) -> None:
    expected: dict[str, Any] = {
        "name": "debian",
        "sha256": "b" * 64,
        "mirrors": [],
        "description": None,
    }
    wanted = {"name": "Debian 13", "sha256": "C" * 64, "mirrors": ["http://m.test/x"]}

    got = patch(server, **wanted, description="new", expected=expected)

    assert got.status_code == 200
    assert got.json | wanted | {"sha256": "c" * 64, "description": "new"} == got.json
    assert server.operate("GET", f"{V1}/entries/{REF}").json == got.json
    assert len(server.events("catalog.entry.edited")) == 1


@pytest.mark.parametrize(
    ("fields", "status", "sentence"),
    [
        ({"name": "x", "expected": {"name": "old"}}, 409, "name: it was changed meanwhile"),
        ({"name": "x"}, 422, "expected: must say what name is now"),
        ({"name": "x", "expected": 7}, 422, "expected: must be an object"),
        ({"name": "", "expected": {}}, 422, "name: is missing"),
        ({"name": "x" * 256, "expected": {}}, 422, "name: is longer than"),
        ({"sha256": "x", "expected": {}}, 422, "sha256: must be 64"),
        ({"sha256": 7, "expected": {}}, 422, "sha256: must be a string"),
        ({"format": "a b", "expected": {}}, 422, "format: 'a b' is not a short plain word"),
        ({"mirrors": ["ftp://x"], "expected": {}}, 422, "mirrors: 'ftp://x' is no http"),
        ({"mirrors": "x", "expected": {}}, 422, "mirrors: must be a list"),
        ({"description": "\x00", "expected": {}}, 422, "description: has control characters"),
        ({"src": "http://x/y", "expected": {}}, 422, "unknown field 'src'"),
        ({"ref": "f" * 64}, 422, "unknown field 'ref'"),
    ],
)
def test_an_edit_that_cannot_be_is_refused_and_changes_nothing(
    server: Site, fields: dict[str, Any], status: int, sentence: str
) -> None:
    got = patch(server, **fields)

    assert got.status_code == status
    assert sentence in got.json["detail"]
    assert server.services.catalog.entries() == [ENTRY]
    assert server.kinds() == []


@pytest.mark.parametrize("ref", ["f" * 64, "x", "%00", "debian"])
def test_an_unknown_image_is_not_found(server: Site, ref: str) -> None:
    assert patch(server, ref, name="x").status_code == 404
    assert server.operate("GET", f"{V1}/entries/{ref}").status_code == 404


def test_a_machine_stays_bound_to_an_image_that_is_edited(server: Site) -> None:
    wanted = Assignment(image_ref=REF)
    server.database.write(lambda tx: machines.assign(tx, Mac(MAC), wanted, at=AT))

    patch(server, name="other", expected={"name": "debian"})

    assert server.services.catalog.bound_to(REF) == (1, [MAC])
