"""Long lists in parts: nothing twice, nothing passed over, whatever happens meanwhile."""

from __future__ import annotations

import base64
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import falcon
import pytest
from falcon.testing import create_environ, create_req
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain.events import Kind
from bty_app.domain.mac import Mac
from bty_app.web.api.paging import next_address, place_in
from tests.web.site import Site, site

MANY = 100_000
SOME = 2_000


@pytest.fixture
def house(quick_dir: Path) -> Iterator[Site]:
    with site(quick_dir / "state") as made:
        yield made


def mac_of(number: int) -> str:
    text = f"{number:010x}"
    return ":".join(["52", *(text[at : at + 2] for at in range(0, 10, 2))])


def add_machines(house: Site, *numbers: int) -> None:
    def change(tx: Any) -> None:
        for number in numbers:
            tx.run(
                "INSERT INTO machines (mac, created_at, updated_at) VALUES (?, 'x', 'x')",
                mac_of(number),
            )

    house.database.write(change)


def parts(
    house: Site, here: str | None, what: str, between: Callable[[], None] = lambda: None
) -> Iterator[list[Any]]:
    """The list, part by part; `between` is called after each."""
    asking = house.visit()
    while here:
        answer = asking.get(here)
        assert answer.status_code == 200, answer.text
        yield answer.json[what]
        here = answer.json["next"]
        assert answer.headers.get("link") == (f'<{here}>; rel="next"' if here else None)
        between()


def test_machines_that_come_and_go_meanwhile_move_nobody(house: Site) -> None:
    add_machines(house, *range(100, 130, 2))
    given_macs: list[str] = []

    def between() -> None:
        """One comes before what was given already, one after; now and then the last one goes."""
        last = int(given_macs[-1].replace(":", "")[2:], 16)
        add_machines(house, last - 1, 201 + len(given_macs))
        if len(given_macs) % 8:
            house.services.machines.forget(Mac(given_macs[-1]), ip=None)

    for part in parts(house, "/api/v1/machines?limit=4", "machines", between):
        given_macs += [machine["mac"] for machine in part]

    there_all_the_time = [mac_of(number) for number in range(100, 130, 2)]
    assert [mac for mac in given_macs if mac in there_all_the_time] == there_all_the_time
    assert given_macs == sorted(set(given_macs))


def test_a_filter_is_in_the_address_of_the_next_part(house: Site) -> None:
    house.add_fleet(7)
    add_machines(house, 1, 2, 3)

    found = [
        machine["mac"]
        for part in parts(house, "/api/v1/machines?limit=3&seen=1d&q=52:54", "machines")
        for machine in part
    ]

    assert len(found) == 7


def test_events_that_come_meanwhile_are_not_in_a_list_that_is_being_read(house: Site) -> None:
    ids = [house.add_event(Kind.LOGOUT, f"number {number}") for number in range(9)]

    def between() -> None:
        house.add_event(Kind.LOGOUT, "later")

    found = [
        event["id"]
        for part in parts(house, "/api/v1/events?kind=auth.logout&limit=2", "events", between)
        for event in part
    ]

    assert found == ids[::-1]


def test_a_search_that_stops_goes_on_in_the_next_part(
    house: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bty_app.services.audit.SEARCHED", 5)
    wanted = [house.add_event(Kind.LOGOUT, f"wanted {number}") for number in range(3)]
    for number in range(12):
        house.add_event(Kind.LOGOUT, f"other {number}")

    found = list(parts(house, "/api/v1/events?q=wanted&limit=2", "events"))

    assert [event["id"] for part in found for event in part] == wanted[::-1]
    assert [] in found


def test_images_are_listed_in_the_order_of_their_refs(house: Site) -> None:
    refs = [digit * 64 for digit in "fa3c09"]
    for ref in refs:
        house.add_image(f"{ref[:4]}.img", ref)

    def between() -> None:
        if len(house.services.catalog.entries()) == len(refs):
            house.add_image("late.img", "01" * 32)

    found = [
        image["ref"]
        for part in parts(house, "/api/v1/catalog?limit=2", "images", between)
        for image in part
    ]

    assert found == sorted(refs)


@pytest.mark.parametrize(
    "cursor", ["x", "bWFjaGluZXM", "bWFjaGluZXMg", "ZXZlbnRzIDE", "____", "w6k", "a" * 200]
)
@pytest.mark.parametrize("path", ["/api/v1/machines", "/api/v1/catalog"])
def test_a_cursor_that_the_list_did_not_give_is_refused(
    house: Site, path: str, cursor: str
) -> None:
    answer = house.visit().get(f"{path}?cursor={cursor}")

    assert answer.status_code == 422
    assert answer.json["detail"].startswith("cursor: ")


@given(place=st.text(alphabet=st.characters(min_codepoint=33, max_codepoint=126), min_size=1))
def test_a_cursor_holds_its_place(place: str) -> None:
    req = create_req(path="/api/v1/machines", query_string="q=a%26b")

    address = next_address(req, falcon.Response(), "machines", place)

    assert address is not None
    kept, _, cursor = address.rpartition("&cursor=")
    assert kept == "/api/v1/machines?q=a%26b"
    assert place_in(cursor, "machines") == place


def started(_status: str, _headers: Any, _error: Any = None, /) -> Callable[[bytes], object]:
    return len


def test_a_hundred_thousand_machines_are_streamed_and_never_loaded(house: Site) -> None:
    add_machines(house, *range(MANY))
    environ: Any = create_environ("/machines", headers={"Cookie": f"bty-token={house.token()}"})

    tracemalloc.start()
    body = iter(house.app(environ, started))
    size = sum(len(next(body)) for _ in range(SOME))
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert size > SOME * 300
    assert peak < 4 * 2**20, f"{peak} bytes at the peak"


def test_a_cursor_leads_into_the_end_of_a_long_list(house: Site) -> None:
    add_machines(house, *range(MANY))
    place = f"machines {mac_of(MANY - 501)}".encode()
    cursor = base64.urlsafe_b64encode(place).decode().rstrip("=")

    last = house.visit().get(f"/api/v1/machines?limit=500&cursor={cursor}").json["machines"]

    assert [len(last), last[-1]["mac"]] == [500, mac_of(MANY - 1)]
