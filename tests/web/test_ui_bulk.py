"""The pages of acts on many machines."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from urllib.parse import urlencode

import falcon.testing
import pytest

from bty_app.domain.machine import Assignment, BootMode
from bty_app.store import machines
from tests.web.site import DISKS, REF, Site, Visit, form, mac, site

FLASH = {"act": "set", "boot_mode": "bty-flash-once", "bty_image_ref": REF, "target": "only"}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path / "state") as made:
        made.add_fleet(3)
        yield made


def hidden(text: str) -> list[tuple[str, str]]:
    """The fields of the form that confirms."""
    part = text[text.index('method="post" action="/ui/machines/bulk"') :]
    part = part[: part.index("</form>")]
    found = re.findall(r'type="hidden" name="([^"]+)" value="([^"]*)"', part)
    return [(name, unescape(value)) for name, value in found]


def submit(house: Site, visit: Visit, fields: list[tuple[str, str]]) -> falcon.testing.Result:
    made = form({"Cookie": f"bty-token={visit.token}"})
    return house.client().simulate_post(
        "/ui/machines/bulk", body=urlencode(fields), headers=made["headers"]
    )


def test_the_list_has_a_mark_for_each_row_that_outlives_its_polling(house: Site) -> None:
    text = house.visit().get("/ui/machines").text

    marks = re.findall(r'<input id="mark-[0-9a-f-]+" [^>]*hx-preserve="true"', text)
    assert len(marks) == 3
    assert 'form id="bulk"' in text[: text.index('id="list"')]
    assert "all 3, on every page" in text


def test_what_an_act_does_is_shown_then_confirmed_then_undone(house: Site) -> None:
    visit = house.visit()
    query = urlencode([("mac", mac(0)), ("mac", mac(2)), *FLASH.items()])

    shown = visit.get(f"/ui/machines/bulk?{query}")
    begun = submit(house, visit, hidden(shown.text))

    assert "<strong>2</strong> disks will be erased" in shown.text
    assert "serial S0" in shown.text
    assert begun.status_code == 303
    page = visit.get(begun.headers["location"]).text
    assert "<strong>2</strong> done" in page
    assert house.services.machines.get(mac(2)).machine.target_disk_serial == "S2"
    assert house.services.machines.get(mac(1)).machine.boot_mode is BootMode.INVENTORY
    assert visit.post(f"{begun.headers['location']}/undo").status_code == 303
    assert "<strong>2</strong> as they were before" in visit.get(begun.headers["location"]).text
    assert house.services.machines.get(mac(2)).machine.boot_mode is BootMode.INVENTORY


def test_all_that_match_are_the_query_itself(house: Site) -> None:
    visit = house.visit()
    house.database.write(lambda tx: machines.set_labels(tx, mac(1), ["gpu"], at="2026"))
    listed = visit.get("/ui/machines?label=gpu&sort=last_seen_at&per_page=10").text
    matching = re.search(r'name="matching" value="([^"]*)"', listed)
    assert matching is not None
    assert unescape(matching[1]) == "label=gpu"

    query = urlencode({"matching": unescape(matching[1]), "act": "forget"})
    submit(house, visit, hidden(visit.get(f"/ui/machines/bulk?{query}").text))

    assert [str(s.machine.mac) for s in house.services.machines.every()] == [mac(0), mac(2)]


def test_a_fleet_that_has_changed_is_shown_anew_and_nothing_is_done(house: Site) -> None:
    visit = house.visit()
    query = urlencode({"matching": "", **FLASH})
    fields = hidden(visit.get(f"/ui/machines/bulk?{query}").text)
    house.services.machines.save(mac(1), Assignment(labels=("x",), labels_given=True), ip=None)

    refused = submit(house, visit, fields)

    assert refused.status_code == 409
    assert "look again" in refused.text
    assert house.services.machines.get(mac(0)).machine.boot_mode is BootMode.INVENTORY
    assert submit(house, visit, hidden(refused.text)).status_code == 303


def test_what_cannot_be_done_is_listed_with_its_reason(house: Site) -> None:
    two = [dict(DISKS[0]) | {"serial": "A"}, dict(DISKS[0]) | {"serial": "B"}]
    house.add_machine(mac(9), disks=two)

    text = house.visit().get(f"/ui/machines/bulk?{urlencode({'matching': '', **FLASH})}").text

    assert "1 cannot" in text
    assert f'href="/ui/machines/{mac(9)}"' in text[text.index('id="cannot"') :]


@pytest.mark.parametrize(
    "fields",
    [
        {"act": "nonsense"},
        {"act": "set"},
        {"act": "add-labels", "labels": "<script>"},
        {"act": "set", "bty_image_ref": "zz"},
        {"act": "set", "target": "<img src=x>"},
        {"act": "flash-again", "expires_hours": "-1"},
    ],
)
def test_bad_input_is_a_sentence(house: Site, fields: dict[str, str]) -> None:
    query = urlencode({"matching": "", **fields})

    answer = house.visit().get(f"/ui/machines/bulk?{query}")

    assert answer.status_code == 422
    assert 'role="alert"' in answer.text
    assert "<script>" not in answer.text.replace("<script src", "")


def test_it_is_closed_without_a_session_and_to_forms_of_others(house: Site) -> None:
    visit = house.visit()
    fields = hidden(visit.get(f"/ui/machines/bulk?{urlencode({'matching': '', **FLASH})}").text)

    others = submit(house, visit, [pair for pair in fields if pair[0] != "csrf_token"])

    assert house.client().simulate_get("/ui/machines/bulk").status_code in {303, 401}
    assert others.status_code == 403


def test_an_act_that_nobody_knows_is_not_found(house: Site) -> None:
    assert house.visit().get("/ui/machines/bulk/nothing-here").status_code == 404


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("phase=idle", 3),
        ("phase=booted", 0),
        ("seen=1d", 3),
        ("seen=not-1d", 0),
        ("seen=never", 0),
        ("seen=nonsense&phase=nonsense", 3),
        (f"image={REF}", 0),
    ],
)
def test_the_list_is_filtered(house: Site, query: str, count: int) -> None:
    text = house.visit().get(f"/ui/machines?{query}").text

    assert len(re.findall(r'id="m-', text)) == count
