"""Is it alive, can it serve, which version is it, what does it count?"""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from bty_app import __version__
from tests import serving
from tests.serving import MAC, Site


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/healthz", {"status": "ok"}),
        ("/version", {"version": __version__}),
        ("/readyz", {"status": "ready", "problems": [], "warnings": []}),
    ],
)
def test_a_sound_server_says_so(server: Site, path: str, body: dict[str, object]) -> None:
    answer = server.get(path)

    assert (answer.status_code, answer.json) == (200, body)
    assert server.ask("HEAD", path).status_code == 200


def test_the_front_door_leads_to_the_login_and_tells_a_live_environment_the_time(
    server: Site, quick_dir: Path
) -> None:
    answer = server.get("/")
    with serving.listening(server.app, quick_dir) as port:
        head = serving.exchange(port, serving.request("HEAD", "/"))

    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/login")
    assert head.startswith(b"HTTP/1.1 200")
    assert re.search(rb"\r\nDate: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT\r\n", head)


def test_a_database_that_takes_no_writes_makes_it_unready(server: Site) -> None:
    server.database.close()

    ready, alive = server.get("/readyz"), server.get("/healthz")

    assert ready.status_code == 503
    assert ready.json == {
        "status": "not ready",
        "problems": ["the database is closed: the server is stopping"],
        "warnings": [],
    }
    assert ready.headers["cache-control"] == "no-store"
    assert alive.status_code == 200


def test_the_store_is_probed_once_in_a_few_seconds_however_often_it_is_asked(server: Site) -> None:
    def probed() -> object:
        sql = "SELECT value FROM bty_instance WHERE key = 'probed_at'"
        return server.database.read(lambda tx: tx.value(sql))

    seen = []
    for _ in range(5):
        server.get("/readyz")
        seen.append(probed())
        server.clock.forward(2)

    assert len(set(seen)) == 2


def test_metrics_count_requests_and_machines(server: Site) -> None:
    server.bind("bty-flash-once")
    server.boots()
    server.contact("02:00:00:00:00:01")
    server.status("failed")

    answer = server.get("/metrics")

    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    lines = answer.text.splitlines()
    for line in (
        f'bty_info{{version="{__version__}"}} 1',
        "bty_open_failures 1",
        'bty_machines{boot_mode="bty-flash-once",phase="failed"} 1',
        'bty_machines{boot_mode="bty-inventory",phase="idle"} 1',
        'bty_http_requests_total{route="/pxe/{mac}",method="GET",status="200"} 2',
        'bty_http_requests_total{route="/boot/{name:path}",method="GET",status="200"} 2',
        'bty_http_request_seconds_count{route="/pxe/{mac}"} 2',
        'bty_http_request_seconds_bucket{route="/pxe/{mac}",le="+Inf"} 2',
        "# TYPE bty_http_request_seconds histogram",
    ):
        assert line in lines, line
    assert MAC not in answer.text


def test_metrics_are_what_prometheus_reads(server: Site) -> None:
    server.get("/nothing")

    sample = re.compile(r'[a-z_]+(\{([a-z_]+="[^"\n]*",?)+\})? [0-9.e+-]+')
    for line in server.get("/metrics").text.splitlines():
        assert line.startswith(("# HELP ", "# TYPE ")) or sample.fullmatch(line), line


@pytest.mark.parametrize("path", ["/healthz/", "/readyz/", "/version/", "/metrics/"])
def test_a_trailing_slash_is_served(server: Site, path: str) -> None:
    assert server.get(path).status_code == 200


def test_little_room_on_the_disk_makes_it_unready(
    server: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    space = os.statvfs(server.state_dir)
    available = space.f_bavail * space.f_frsize
    monkeypatch.setattr("bty_app.services.health.MIN_FREE_BYTES", available * 2)

    answer = server.get("/readyz")

    assert answer.status_code == 503
    (problem,) = answer.json["problems"]
    assert problem.endswith(f"MiB free under {server.state_dir}: make room")


def test_a_disk_that_cannot_be_looked_at_makes_it_unready(
    server: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_path: object) -> None:
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("bty_app.services.health.os.statvfs", refuse)

    answer = server.get("/readyz")

    assert answer.status_code == 503
    assert "cannot be looked at: Input/output error" in answer.json["problems"][0]
