"""Netboot artifacts over HTTP, for scripts: the original's routes (CONTRACT 9), and ours."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bty_app import __version__
from bty_app.domain.artifacts import live_file
from bty_app.domain.settings import NETBOOT_REPO
from bty_app.store import settings
from tests.file_host import FileHost, file_host
from tests.netboot_set import made_set, packed
from tests.serving import Site

TAG = f"v{__version__}"
AT = "2026-11-22T19:00:00.000000+00:00"
FETCH_KEYS = [
    *("tag", "status", "bytes_done", "bytes_total", "artifact", "started_at", "finished_at"),
    *("error", "base_url", "artifacts"),
]
FILE_KEYS = [
    *("name", "status", "bytes_done", "bytes_total", "error", "started_at", "finished_at"),
]


@pytest.fixture
def host(server: Site) -> Iterator[FileHost]:
    with file_host() as found:
        source = found.url("/")
        server.database.write(lambda tx: settings.put(tx, NETBOOT_REPO.key, source, at=AT))
        yield found


def serve(host: FileHost, version: str = __version__, salt: str = "") -> dict[str, bytes]:
    files = made_set(version, salt=salt)
    host.files.update({f"/v{version}/{name}": data for name, data in files.items()})
    return files


def work(server: Site) -> None:
    job = server.services.jobs.next()
    assert job is not None
    job()


def post(server: Site, **body: object) -> Any:
    return server.operate("POST", "/boot/releases", json=body)


def fetches(server: Site) -> dict[str, Any]:
    found: list[dict[str, Any]] = server.operate("GET", "/boot/releases").json["fetches"]
    return {fetch["tag"]: fetch for fetch in found}


def test_a_release_is_fetched_and_told_as_the_contract_says(server: Site, host: FileHost) -> None:
    serve(host)
    before = server.operate("GET", "/boot/releases").json

    asked = post(server, tag="latest")
    work(server)
    after = server.operate("GET", "/boot/releases").json

    assert before == {
        "boot_root": str(server.state_dir / "boot"),
        "max_parallel": 1,
        "fetches": [],
    }
    assert (asked.status_code, list(asked.json)) == (202, FETCH_KEYS)
    assert (asked.json["tag"], asked.json["status"]) == (TAG, "queued")
    assert asked.json["base_url"] == host.url(f"/{TAG}")
    assert (asked.json["started_at"], asked.json["artifacts"]) == (None, [])
    [fetch] = after["fetches"]
    assert (fetch["status"], fetch["bytes_done"], fetch["error"]) == ("completed", 600_000, None)
    assert fetch["started_at"].startswith("2026-11-22T20:00:00")
    assert [list(file) for file in fetch["artifacts"]] == [FILE_KEYS] * 3
    assert {file["status"] for file in fetch["artifacts"]} == {"completed"}


def test_a_release_that_is_here_is_asked_for_anew_and_a_damaged_one_mended(
    server: Site, host: FileHost
) -> None:
    files = serve(host)
    post(server)
    work(server)
    kernel = server.state_dir / "boot" / "current" / live_file(__version__, "vmlinuz")
    kernel.unlink()
    damaged = fetches(server)[TAG]

    again = post(server)
    work(server)

    assert damaged["status"] == "failed"
    assert "vmlinuz is missing" in damaged["error"]
    assert (again.status_code, again.json["status"]) == (202, "queued")
    assert fetches(server)[TAG]["status"] == "completed"
    assert kernel.read_bytes() == files[kernel.name]


def test_what_is_on_disk_is_told_after_a_restart_as_well(server: Site) -> None:
    archive = packed(made_set("7.0"))

    put = server.operate("PUT", "/api/v1/artifacts?name=a/b%5Cset.tgz", body=archive)

    assert (put.status_code, put.json["version"], put.json["again"]) == (200, "7.0", False)
    assert fetches(server)["v7.0"]["status"] == "completed"
    assert fetches(server)["v7.0"]["base_url"] == "set.tgz"


def test_a_fetch_that_fails_says_why(server: Site, host: FileHost) -> None:
    post(server, tag="v3.0")
    work(server)

    fetch = fetches(server)["v3.0"]

    assert fetch["status"] == "failed"
    assert "has no bty-netboot-pc-x86_64-v3.0.sha256" in fetch["error"]
    assert fetch["finished_at"]


def test_one_that_waits_is_cancelled_and_one_that_has_ended_stays(
    server: Site, host: FileHost
) -> None:
    serve(host)
    post(server, tag="v3.0")

    gone = server.operate("DELETE", "/boot/releases/v3.0")
    post(server)
    work(server)
    events = server.kinds()
    ended = server.operate("DELETE", "/boot/releases/latest")

    assert (gone.status_code, gone.json["status"]) == (200, "cancelled")
    assert (ended.status_code, ended.json["status"]) == (200, "completed")
    assert server.kinds() == events, "nothing happened, so nothing is recorded"
    assert server.operate("DELETE", "/boot/releases/v4.0").status_code == 404
    assert server.operate("DELETE", "/boot/releases/a%20b").status_code == 422


def test_a_second_request_for_one_that_is_under_way_returns_it(
    server: Site, host: FileHost
) -> None:
    serve(host)

    first = server.operate("POST", "/api/v1/artifacts/fetch", json={})
    second = server.operate("POST", "/api/v1/artifacts/fetch", json={})

    assert (first.status_code, second.status_code) == (202, 202)
    assert first.json["id"] == second.json["id"]
    assert (first.json["kind"], first.json["key"]) == ("artifacts", TAG)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/boot/releases", {"tag": "../x"}, 422),
        ("/boot/releases", {"tag": 7}, 422),
        ("/boot/releases", {"tags": "v1"}, 422),
        ("/boot/releases", ["v1"], 422),
        ("/api/v1/artifacts/fetch", {"tag": "a b"}, 422),
        ("/api/v1/artifacts/fetch", {"source": "ftp://x"}, 400),
        ("/api/v1/artifacts/rollback", {}, 404),
    ],
)
def test_what_cannot_be_is_refused(server: Site, path: str, body: object, status: int) -> None:
    answer = server.operate("POST", path, json=body)

    assert answer.status_code == status
    assert answer.json["detail"]
    assert server.services.jobs.listed() == []


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/boot/releases"),
        ("GET", "/boot/releases/"),
        ("POST", "/boot/releases"),
        ("DELETE", "/boot/releases/v1"),
        ("GET", "/api/v1/artifacts"),
        ("PUT", "/api/v1/artifacts"),
        ("POST", "/api/v1/artifacts/fetch"),
        ("POST", "/api/v1/artifacts/rollback"),
    ],
)
def test_only_operators_may(server: Site, method: str, path: str) -> None:
    (server.state_dir / "boot" / "releases").write_bytes(b"a file of this name")

    answer = server.ask(method, path, json={})

    assert (answer.status_code, answer.json["detail"]) == (401, "login required")


def test_the_state_has_what_is_installed_and_an_operator_goes_back(
    server: Site, host: FileHost
) -> None:
    for version in ("7.0", "8.0"):
        server.operate("PUT", "/api/v1/artifacts", body=packed(made_set(version)))

    state = server.operate("GET", "/api/v1/artifacts").json
    back = server.operate("POST", "/api/v1/artifacts/rollback", json={})
    after = server.operate("GET", "/api/v1/artifacts").json

    assert [found["facts"]["version"] for found in state["sets"]] == ["7.0", "8.0"]
    assert state["sets"][0]["damage"] == []
    assert len(state["sets"][0]["facts"]["digests"]) == 3
    assert state["current"].startswith("8.0-")
    assert back.json == {"version": "7.0"}
    assert after["current"] == state["previous"]
    assert after["live_environment"]["version"] == "9.9", "as the configuration of this server says"
    assert {"name": "undionly.kpxe", "use": "BIOS"}.items() <= after["boot_programs"][0].items()


def test_a_password_in_the_source_is_told_to_nobody(server: Site, host: FileHost) -> None:
    serve(host)
    secret = host.url("/").replace("//", "//me:hush@")

    server.operate("POST", "/api/v1/artifacts/fetch", json={"source": secret, "tag": TAG})
    work(server)
    server.database.write(lambda tx: settings.put(tx, NETBOOT_REPO.key, secret, at=AT))

    told = [
        server.operate("GET", path).text
        for path in ("/boot/releases", "/api/v1/artifacts", "/api/v1/jobs", "/events?limit=500")
    ]
    assert "completed" in told[0]
    assert not any("hush" in text for text in told)


def test_an_upload_that_is_too_large_or_no_archive_installs_nothing(
    server: Site, tmp_path: Path
) -> None:
    large = server.operate(
        "PUT", "/api/v1/artifacts", body=b"x", headers={"Content-Length": str(2**40)}
    )
    wrong = server.operate("PUT", "/api/v1/artifacts", body=b"no archive")
    nothing = server.operate("PUT", "/api/v1/artifacts")

    assert large.status_code == 413
    assert (wrong.status_code, nothing.status_code) == (400, 400)
    assert server.operate("GET", "/api/v1/artifacts").json["sets"] == []
