"""The original's JSON routes, one by one: status, keys in their order, types (CONTRACT 3, 8, 9)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.file_host import FileHost, file_host
from tests.serving import ENTRY, MAC, REF, Site, site

TEXT, NUMBER, FLAG, NULL = "text", "number", "flag", "null"
MACHINE = {
    "mac": TEXT,
    "bty_image_ref": TEXT,
    "labels": [TEXT],
    "discovered_at": TEXT,
    "last_seen_at": TEXT,
    "last_seen_ip": TEXT,
    "boot_mode": TEXT,
    "sanboot_drive": TEXT,
    "last_flashed_at": NULL,
    "known_disks": [
        {
            "model": NULL,
            "path": TEXT,
            "readonly": FLAG,
            "removable": FLAG,
            "serial": TEXT,
            "size": TEXT,
            "tran": NULL,
            "vendor": NULL,
        }
    ],
    "known_disks_at": TEXT,
    "target_disk_serial": TEXT,
    "created_at": TEXT,
    "updated_at": TEXT,
}
ROW = {
    "bty_image_ref": TEXT,
    "src": TEXT,
    "resolved_src": NULL,
    "disk_image_sha": TEXT,
    "name": TEXT,
    "sha_url": NULL,
    "format": TEXT,
    "size_bytes": NULL,
    "description": NULL,
    "added_at": TEXT,
}
IMAGE = {
    "name": TEXT,
    "format": TEXT,
    "size_bytes": NUMBER,
    "url": TEXT,
    "ref": TEXT,
    "sha_short": TEXT,
    "cached": FLAG,
    "arch": NULL,
}
EVENT = {
    "id": NUMBER,
    "ts": TEXT,
    "kind": TEXT,
    "subject_kind": TEXT,
    "subject_id": TEXT,
    "actor": TEXT,
    "source_ip": TEXT,
    "summary": TEXT,
    "details": NULL,
    "acknowledged": FLAG,
}
UPSERT = {
    "bty_image_ref": REF,
    "labels": ["rack 2"],
    "boot_mode": "bty-flash-once",
    "sanboot_drive": "0x81",
    "target_disk_serial": "S1",
}
DETAIL = {"detail": TEXT}
NOTHING = ""
UNKNOWN = "/machines/02:00:00:00:00:99"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(tmp_path_factory.mktemp("contract") / "state") as made:
        made.contact()
        made.inventory(disks=[{"path": "/dev/sda", "serial": "S1", "size": "1G"}], lshw={"id": "x"})
        assert made.save(**UPSERT).status_code == 200
        yield made


@pytest.fixture
def host() -> Iterator[FileHost]:
    with file_host() as running:
        yield running


def shape_of(value: object) -> object:
    """Types in place of values; of a list, the type of its first."""
    if isinstance(value, dict):
        return {key: shape_of(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [shape_of(inner) for inner in value[:1]]
    names = {bool: FLAG, int: NUMBER, float: NUMBER, str: TEXT, type(None): NULL}
    return names[type(value)]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "shape"),
    [
        ("GET", "/healthz", None, 200, {"status": TEXT}),
        ("GET", "/version", None, 200, {"version": TEXT}),
        ("GET", "/images", None, 200, [IMAGE]),
        (
            *("GET", f"/pxe/{MAC}/plan", None, 200),
            {
                "mode": TEXT,
                "image": TEXT,
                "target_disk_serial": TEXT,
                "name": TEXT,
                "disk_image_sha": TEXT,
                "format": TEXT,
                "sources": [{"from": TEXT, "url": TEXT}],  # ours; clients pass over what is new
            },
        ),
        ("GET", "/pxe/zz/plan", None, 400, DETAIL),
        ("POST", f"/pxe/{MAC}/inventory", {}, 204, NOTHING),
        ("POST", f"/pxe/{MAC}/inventory", {"more": 1}, 422, DETAIL),
        ("POST", "/pxe/02:00:00:00:00:99/inventory", {}, 404, DETAIL),
        ("POST", f"/pxe/{MAC}/status", {"status": "failed", "reason": "x" * 500}, 204, NOTHING),
        ("POST", f"/pxe/{MAC}/status", {"status": "failed", "reason": "x" * 501}, 422, DETAIL),
        ("POST", f"/pxe/{MAC}/status", {"status": "perhaps"}, 422, DETAIL),
        ("POST", f"/pxe/{MAC}/status", {}, 422, DETAIL),
        ("POST", "/pxe/02:00:00:00:00:99/status", {"status": "done"}, 404, DETAIL),
        ("POST", f"/pxe/{MAC}/done", None, 204, NOTHING),
        ("GET", "/boot/nothing-like-it", None, 404, DETAIL),
        ("GET", "/nothing-like-it", None, 404, DETAIL),
    ],
)
def test_what_is_open(
    served: Site, method: str, path: str, body: Any, status: int, shape: Any
) -> None:
    served.operate("PUT", f"/machines/{MAC}", json=UPSERT)
    if "inventory" not in path:
        served.inventory(disks=[{"path": "/dev/sda", "serial": "S1", "size": "1G"}])

    check(served.ask(method, path, json=body), status, shape)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "shape"),
    [
        ("GET", "/machines", None, 200, [MACHINE]),
        ("GET", f"/machines/{MAC}", None, 200, MACHINE),
        ("GET", UNKNOWN, None, 404, DETAIL),
        ("PUT", f"/machines/{MAC}", UPSERT, 200, MACHINE),
        ("PUT", f"/machines/{MAC}", {"more": 1}, 422, DETAIL),
        ("PUT", "/machines/zz", {}, 400, DETAIL),
        ("DELETE", UNKNOWN, None, 404, DETAIL),
        ("GET", f"/machines/{MAC}/lshw.json", None, 200, {"id": TEXT}),
        ("GET", f"/machines/{MAC}/disks.json", None, 200, MACHINE["known_disks"]),
        ("GET", f"{UNKNOWN}/lshw.json", None, 404, DETAIL),
        ("GET", "/catalog/entries", None, 200, [ROW]),
        ("POST", "/catalog/entries", {"image_url": ENTRY.src}, 409, DETAIL),
        ("POST", "/catalog/entries", {"image_url": "ftp://x/y.img"}, 422, DETAIL),
        ("POST", "/catalog/entries", {"image_url": "http://h:notaport/x.img"}, 422, DETAIL),
        ("POST", "/catalog/entries", {}, 422, DETAIL),
        ("DELETE", "/catalog/entries?src=http://nothing.test/x.img", None, 404, DETAIL),
        ("DELETE", "/catalog/entries", None, 422, DETAIL),
        ("POST", "/catalog/import?source=/nothing/like/it", None, 400, DETAIL),
        ("POST", "/catalog/import", None, 422, DETAIL),
        (
            *("GET", "/boot/releases", None, 200),
            {"boot_root": TEXT, "max_parallel": NUMBER, "fetches": []},
        ),
        ("POST", "/boot/releases", {"tag": "-x"}, 422, DETAIL),
        ("DELETE", "/boot/releases/v0.0.1", None, 404, DETAIL),
        ("DELETE", "/boot/releases/-x", None, 422, DETAIL),
        ("GET", "/events?kind=auth.login.succeeded&limit=1", None, 200, {"events": [EVENT]}),
        ("GET", "/events?limit=0", None, 200, None),
        ("GET", "/events?limit=501", None, 200, None),
        ("GET", "/events?limit=x", None, 422, DETAIL),
        ("GET", "/events?before_id=x", None, 422, DETAIL),
        ("GET", "/events?unknown=1&failed=perhaps", None, 200, None),
        ("POST", "/events/1/ack", None, 200, {"id": NUMBER, "acknowledged": FLAG}),
        ("POST", "/events/999999/ack", None, 404, DETAIL),
    ],
)
def test_what_is_the_operators(
    served: Site, method: str, path: str, body: Any, status: int, shape: Any
) -> None:
    check(served.operate(method, path, json=body), status, shape)


def check(answer: Any, status: int, shape: Any) -> None:
    assert answer.status_code == status, answer.text
    if shape == NOTHING:
        assert answer.text == ""
        return
    assert answer.headers["content-type"] == "application/json"
    if shape is None:
        return
    found = shape_of(answer.json)
    assert found == shape
    one, its = (found, shape) if isinstance(found, dict) else (found[0], shape[0])  # type: ignore[index]
    if "path" not in one and "serial" not in one:
        assert list(one) == list(its), "the order of the keys"


def test_an_image_is_added_with_the_digest_of_its_list(served: Site, host: FileHost) -> None:
    host.files["/new.img.zst"] = b"image"
    host.files["/sums"] = f"{'c' * 64}  new.img.zst\n".encode()
    wanted = {"image_url": host.url("/new.img.zst"), "sha_url": host.url("/sums")}

    added = served.operate("POST", "/catalog/entries", json=wanted)
    missing = served.operate(
        *("POST", "/catalog/entries"),
        json={"image_url": host.url("/b.img"), "sha_url": host.url("/nothing")},
    )
    gone = served.operate("DELETE", f"/catalog/entries?src={wanted['image_url']}")

    check(
        added,
        201,
        {
            "src": TEXT,
            "bty_image_ref": TEXT,
            "disk_image_sha": TEXT,
            "name": TEXT,
            "sha_url": TEXT,
            "format": TEXT,
            "size_bytes": NUMBER,
            "added_at": TEXT,
        },
    )
    check(missing, 400, DETAIL)
    check(gone, 204, NOTHING)


def test_a_manifest_is_taken_in(served: Site, tmp_path: Path) -> None:
    manifest = tmp_path / "catalog.toml"
    manifest.write_text('version = 1\n[[images]]\nname = "n.img"\nsrc = "http://o.test/n.img"\n')

    done = served.operate("POST", f"/catalog/import?source={manifest}")

    assert {"source", "imported", "skipped", "errors"} <= set(done.json)
    assert (done.json["imported"], done.json["skipped"], done.json["errors"]) == (1, 0, [])


def test_a_fetch_is_begun_with_its_state(served: Site) -> None:
    begun = served.operate("POST", "/boot/releases", json={"tag": "v9.9"})
    listed = served.operate("GET", "/boot/releases").json["fetches"]

    check(
        begun,
        202,
        {
            "tag": TEXT,
            "status": TEXT,
            "bytes_done": NUMBER,
            "bytes_total": NULL,
            "artifact": NULL,
            "started_at": NULL,
            "finished_at": NULL,
            "error": NULL,
            "base_url": TEXT,
            "artifacts": [],
        },
    )
    assert listed == [begun.json]


def test_a_machine_is_forgotten_with_204(served: Site) -> None:
    served.operate("PUT", UNKNOWN, json={})

    check(served.operate("DELETE", UNKNOWN), 204, NOTHING)
