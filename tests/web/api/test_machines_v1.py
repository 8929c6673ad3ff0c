"""Many machines over the API: lists by cursor, and acts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import falcon.testing
import pytest

from tests.web.site import REF, Site, mac, site

HERE = "/api/v1/machines/bulk"
FLASH = {"act": "set", "boot_mode": "bty-flash-once", "bty_image_ref": REF, "target": "only"}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path / "state") as made:
        made.add_fleet(5)
        yield made


def ask(house: Site, method: str, path: str, body: Any = None) -> falcon.testing.Result:
    headers = {"Cookie": f"bty-token={house.token()}"}
    return house.client().simulate_request(method, path, json=body, headers=headers)


def test_a_list_goes_on_from_its_cursor(house: Site) -> None:
    found: list[str] = []
    here: str | None = "/api/v1/machines?limit=2&seen=1d"
    while here:
        answer = ask(house, "GET", here)
        found += [machine["mac"] for machine in answer.json["machines"]]
        here = answer.json["next"]
        assert answer.headers.get("link") == (f'<{here}>; rel="next"' if here else None)

    assert found == [mac(number) for number in range(5)]


def test_an_act_is_previewed_confirmed_repeated_and_undone(house: Site) -> None:
    chosen = {"matching": "q=00:00:0", **FLASH}
    shown = ask(house, "POST", f"{HERE}/preview", chosen).json
    wanted = {**chosen, "id": "mine-0001", "digest": shown["digest"]}

    begun = ask(house, "POST", HERE, wanted)
    again = ask(house, "POST", HERE, wanted)
    undone = ask(house, "POST", f"{HERE}/mine-0001/undo")

    assert shown["erases"] == 5
    assert shown["machines"][1]["erases_serial"] == "S1"
    assert begun.status_code == again.status_code == 202
    assert begun.json["counts"] == again.json["counts"] == {"done": 5}
    assert undone.json["counts"] == {"undone": 5}
    assert ask(house, "GET", f"{HERE}/mine-0001").json == undone.json


def test_a_digest_that_is_old_is_a_conflict(house: Site) -> None:
    wanted = {"macs": [mac(1)], "act": "forget", "id": "mine-0001", "digest": "0" * 64}

    assert ask(house, "POST", HERE, wanted).status_code == 409
    assert house.services.machines.get(mac(1)).machine.mac == mac(1)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"macs": [], "matching": "", "act": "forget"},
        {"macs": "52", "act": "forget"},
        {"macs": [mac(1)], "act": "no"},
        {"matching": "lable=rack-3", "act": "forget"},
        {"matching": "mode=nothing", "act": "forget"},
        {"matching": "label=a&label=b", "act": "forget"},
        {"matching": "q=" + "x" * 5000, "act": "forget"},
        {"matching": "&".join(["a=1"] * 60), "act": "forget"},
        {"macs": [mac(1)], "act": "set"},
        {"macs": [mac(1)], "act": "power"},
        {"macs": [mac(1)], "act": "set", "more": 1},
        {"macs": [mac(1)], "act": "flash-again", "expires_hours": True},
        {"macs": [mac(1)], "act": "add-labels", "labels": [3]},
    ],
)
def test_bad_input_is_a_sentence(house: Site, body: dict[str, object]) -> None:
    answer = ask(house, "POST", f"{HERE}/preview", body)

    assert answer.status_code == 422
    assert answer.json["detail"]


def test_it_is_closed_without_a_session(house: Site) -> None:
    client = house.client()

    assert client.simulate_get("/api/v1/machines").status_code == 401
    assert client.simulate_post(HERE, json={}).status_code == 401
