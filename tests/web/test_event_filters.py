"""The audit log is filtered, followed, acknowledged and exported by what people look for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote
from urllib.request import Request, urlopen

import pytest

from bty_app.domain.event_filters import Filters
from bty_app.domain.events import Actor, Event, Kind, Subject
from bty_app.services import audit
from bty_app.store import events
from bty_app.web.ui import shared
from tests.web.site import Site, served, site

MAC = "52:54:00:12:34:56"


@pytest.fixture
def house(quick_dir: Path) -> Iterator[Site]:
    with site(quick_dir / "state") as made:
        yield made


def tell(
    house: Site,
    summary: str,
    kind: Kind = Kind.MACHINE_FLASHED,
    mac: str = MAC,
    ip: str = "192.0.2.7",
    at: str = "2026-11-22T19:00:00.000000+00:00",
) -> int:
    event = Event(kind, Actor.PXE_CLIENT, summary, Subject("machine", mac), ip)
    return house.database.write(lambda tx: events.record(tx, event, at=at))


@pytest.fixture
def told(house: Site) -> Site:
    tell(house, "alpha", at="2026-11-20T10:00:00.000000+00:00")
    tell(house, "beta", Kind.MACHINE_FLASH_FAILED, ip="192.0.2.8")
    tell(house, "gamma", Kind.PXE_OFFERED, mac="52:54:00:00:00:01")
    tell(house, "delta", Kind.MACHINE_HEARTBEAT_FAILED, at="2026-11-22T19:59:00.000000+00:00")
    return house


WORDS = ("alpha", "beta", "gamma", "delta")


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("kind=machine.flashed", "alpha"),
        ("kind=machine.*", "alpha beta delta"),
        ("kind=*failed", "beta delta"),
        ("kind=machine.%5Bf%5D*", ""),
        (f"subject_id={quote(MAC)}", "alpha beta delta"),
        ("subject_kind=machine&subject_id=52:54:00:00:00:01", "gamma"),
        ("source_ip=192.0.2.8", "beta"),
        ("failed=1", "beta delta"),
        ("open=1", "beta delta"),
        ("since=2026-11-21", "beta gamma delta"),
        ("until=2026-11-21", "alpha"),
        ("since=2m", "delta"),
        ("since=2026-11-22T19:00&until=2026-11-22T19:30", "beta gamma"),
        ("since=2026-11-22T20:59%2B01:00", "delta"),
        ("actor=pxe-client&q=GAMMA", "gamma"),
        ("actor=system", ""),
    ],
)
def test_the_page_and_the_export_agree_on_what_passes(
    told: Site, query: str, expected: str
) -> None:
    visit = told.visit()
    page = visit.get(f"/ui/events?{query}").text
    table = page[page.index('id="list"') :]
    lines = visit.get(f"/api/v1/events.jsonl?{query}").text.splitlines()
    exported = [json.loads(line)["summary"] for line in lines]

    assert [word for word in WORDS if word in table] == expected.split()
    assert [word for word in exported if word in WORDS] == expected.split()


def test_an_unreadable_moment_is_said(told: Site) -> None:
    visit = told.visit()

    page = visit.get("/ui/events?since=soon").text
    answer = visit.get("/api/v1/events.jsonl?until=soon")

    assert "since: must be a moment" in page
    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"


def test_every_cell_leads_to_what_is_like_it(told: Site) -> None:
    page = told.visit().get("/ui/events?q=beta").text

    for link in (
        "q=beta&amp;kind=machine.flash_failed",
        "q=beta&amp;actor=pxe-client",
        "q=beta&amp;source_ip=192.0.2.8",
        "q=beta&amp;subject_kind=machine&amp;subject_id=52%3A54",
        "since=2026-11-22T18%3A55&amp;until=2026-11-22T19%3A05",
    ):
        assert link in page, link


def test_following_live_keeps_the_filters(told: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "FRESH_SECONDS", 0.0)
    visit = told.visit()
    page = visit.get("/ui/events?kind=machine.*&source_ip=192.0.2.8").text
    poll = page.split('hx-get="/ui/events/rows')[1].split('"')[0].replace("&amp;", "&")

    assert visit.get(f"/ui/events/rows{poll}").status_code == 204
    tell(told, "epsilon", ip="192.0.2.8")
    tell(told, "zeta", ip="192.0.2.9")
    part = visit.get(f"/ui/events/rows{poll}").text

    assert "epsilon" in part
    assert "zeta" not in part
    assert "source_ip=192.0.2.8" in part


def test_all_that_match_are_acknowledged_and_no_newer_ones(told: Site) -> None:
    visit = told.visit()
    tell(told, "eta", Kind.MACHINE_FLASH_FAILED, ip="192.0.2.9")
    page = visit.get("/ui/events?q=machine&subject_id=" + quote(MAC)).text
    assert "Acknowledge all 3 that match" in page
    seen = page.split('name="up_to" value="')[1].split('"')[0]
    tell(told, "theta", Kind.MACHINE_FLASH_FAILED)

    answer = visit.post("/ui/events/acknowledge-matching", subject_id=MAC, up_to=seen)

    assert answer.status_code == 303
    assert answer.headers["location"] == f"/ui/events?subject_id={quote(MAC)}"
    assert told.services.audit.open_failures() == 1


def test_scripts_acknowledge_what_matches(told: Site) -> None:
    headers = {"Cookie": f"bty-token={told.token()}"}
    client = told.client()
    path = "/api/v1/events/acknowledge"

    bad = client.simulate_post(path, headers=headers, json={"up_to": 99, "pivot": "x"})
    done = client.simulate_post(path, headers=headers, json={"up_to": 99, "source_ip": "192.0.2.8"})

    assert bad.status_code == 422
    assert done.json == {"acknowledged": 1}
    assert told.services.audit.open_failures() == 1


def test_a_search_that_would_take_long_stops_and_says_so(
    told: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "SEARCHED", 2)
    visit = told.visit()  # two more rows: the login, and that of the csrf token
    for _ in range(3):
        tell(told, "noise")

    page = visit.get("/ui/events?q=alpha").text
    seen = ""
    for _ in range(10):
        assert "Search further back" in page
        further = page.split('<a rel="next" href="')[1].split('"')[0].replace("&amp;", "&")
        page = visit.get(further).text
        seen = page[page.index('id="list"') :]
        if "alpha" in seen.replace("q=alpha", ""):
            break

    assert "alpha" in seen.replace("q=alpha", "")


def test_the_export_is_streamed_whole_over_a_real_server(
    house: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "EXPORTED_AT_ONCE", 7)

    def fill(tx: object) -> None:
        for number in range(1500):
            event = Event(Kind.PXE_OFFERED, Actor.PXE_CLIENT, f"no {number} " + "x" * 200)
            events.record(tx, event, at="2026-11-22T19:00:00.000000+00:00")  # type: ignore[arg-type]

    house.database.write(fill)
    headers = {"Cookie": f"bty-token={house.token()}"}
    with served(house.app) as port:
        url = f"http://127.0.0.1:{port}/api/v1/events.jsonl?kind=netboot.*"
        lines: list[bytes] = []
        for _ in range(4):  # more than places: each is given back
            with urlopen(Request(url, headers=headers), timeout=30) as answer:
                lines = answer.read().splitlines()

    assert [json.loads(line)["id"] for line in lines] == list(range(1, 1501))


def test_an_empty_log_is_no_error(house: Site) -> None:
    house.database.write(lambda tx: tx.run("DELETE FROM events"))
    found = house.services.audit

    assert list(found.export(Filters())) == []
    assert found.search(Filters(q="x", since="1h"), before=None, limit=5).rows == []
