"""The events page, and what every page says of failures."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bty_app.domain.events import Kind
from tests.web.site import Site, form, site


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path / "state") as made:
        yield made


def badge(text: str) -> str:
    found = re.search(r'id="failures"[^>]*>([^<]+)<', text)
    assert found is not None
    return found[1]


def test_the_newest_event_comes_first(house: Site) -> None:
    house.add_event(Kind.BACKUP_CREATED, "the first")
    house.add_event(Kind.BACKUP_CREATED, "the second")

    text = house.visit().get("/ui/events").text

    assert text.index("the second") < text.index("the first")


def test_older_events_are_a_page_away(house: Site) -> None:
    for number in range(60):
        house.add_event(Kind.BACKUP_CREATED, f"event number {number}.")
    visit = house.visit()
    first = visit.get("/ui/events?q=number").text
    older = re.search(r'rel="next" href="([^"]+)"', first)
    assert older is not None

    second = visit.get(older[1].replace("&amp;", "&")).text

    assert "event number 10." in first
    assert "event number 9." not in first
    assert "event number 9." in second
    assert "event number 0." in second
    assert 'rel="next"' not in second


def test_events_are_searched(house: Site) -> None:
    house.add_event(Kind.BACKUP_CREATED, "one thing")
    house.add_event(Kind.BACKUP_CREATED, "nothing like it")

    text = house.visit().get("/ui/events?q=ONE+thing").text

    assert "one thing" in text
    assert "nothing like it" not in text


def test_failures_are_counted_until_they_are_acknowledged(house: Site) -> None:
    first = house.add_event(Kind.BACKUP_FAILED, "no room")
    second = house.add_event(Kind.MACHINE_FLASH_FAILED, "no disk")
    visit = house.visit()
    assert badge(visit.get("/ui/machines").text) == "2 open failures"

    answer = visit.post("/ui/events/acknowledge", ids=f"{first},{second}")

    assert answer.json == {"updated": 2, "acknowledged": True}
    assert house.services.audit.open_failures() == 0


def test_a_mark_can_be_taken_back(house: Site) -> None:
    number = str(house.add_event(Kind.BACKUP_FAILED, "no room"))
    visit = house.visit()
    visit.post("/ui/events/acknowledge", ids=number)

    answer = visit.post("/ui/events/acknowledge", ids=number, acknowledged="0")

    assert answer.json == {"updated": 1, "acknowledged": False}
    assert house.services.audit.open_failures() == 1


def test_an_event_that_is_not_there_is_not_counted(house: Site) -> None:
    assert house.visit().post("/ui/events/acknowledge", ids="999").json["updated"] == 0


@pytest.mark.parametrize("ids", ["x", "1;2", "-1", "1" * 30, ",".join(["1"] * 501)])
def test_bad_ids_are_refused(house: Site, ids: str) -> None:
    assert house.visit().post("/ui/events/acknowledge", ids=ids).status_code == 422


@pytest.mark.parametrize(
    ("wanted", "led"),
    [
        ("/ui/events?open=1", "/ui/events?open=1"),
        ("/ui/machines", "/ui/machines"),
        ("//evil.example/", "/ui/events"),
        ("https://evil.example/", "/ui/events"),
        ("/ui/\r\nSet-Cookie: x", "/ui/events"),
        ("/ui/é", "/ui/events"),
        ("", "/ui/events"),
    ],
)
def test_a_browser_goes_back_to_a_page_of_ours(house: Site, wanted: str, led: str) -> None:
    visit = house.visit()
    headers = {"Cookie": f"bty-token={visit.token}", "Accept": "text/html"}
    fields = {"ids": "1", "return_to": wanted, "csrf_token": visit.csrf_token()}

    answer = house.client().simulate_post("/ui/events/acknowledge", **form(headers, **fields))

    assert (answer.status_code, answer.headers["location"]) == (303, led)


def test_a_database_reset_is_said_on_every_page_until_it_is_acknowledged(house: Site) -> None:
    number = house.add_event(Kind.SCHEMA_RESET, "state.db of 0.77.2 was set aside.")
    visit = house.visit()
    for path in ("/ui/machines", "/ui/events"):
        text = visit.get(path).text
        assert "The database was reset by an upgrade." in text
        assert "state.db of 0.77.2 was set aside." in text
        assert badge(text) == "1 open failure"

    visit.post("/ui/events/acknowledge", ids=str(number))

    text = visit.get("/ui/machines").text
    assert "reset by an upgrade" not in text
    assert badge(text) == "No open failures"


def test_a_poll_gets_nothing_until_something_happens(house: Site) -> None:
    visit = house.visit()
    poll = re.search(r'hx-get="(/ui/events/rows[^"]+)"', visit.get("/ui/events").text)
    assert poll is not None
    address = poll[1].replace("&amp;", "&")
    assert visit.get(address).status_code == 204

    house.add_event(Kind.BACKUP_FAILED, "no room")

    assert visit.get(address).status_code == 200
