"""The page of old databases: what there is, and its removal."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.original_state import make_original
from tests.web.site import Site, site

NAME = "state.db.0.65.18.20261122T190718Z.bak"
OTHER = "state.db.0.65.18.20261123T190718Z.bak"


@pytest.fixture
def house(quick_dir: Path) -> Iterator[Site]:
    with site(quick_dir / "state") as made:
        for number, name in enumerate((NAME, OTHER)):
            old = make_original(quick_dir / str(number), [], "0.65.18")
            old.rename(made.database.path.with_name(name))
        yield made


def test_what_would_go_is_shown_before_it_goes(house: Site) -> None:
    visit, path = house.visit(), house.database.path.with_name(NAME)
    listed = visit.get("/ui/recover").text
    assert "2 of them" in listed
    assert f'value="{NAME}"' in listed

    shown = visit.get(f"/ui/recover/remove?name={NAME}").text
    assert NAME in shown
    assert OTHER not in shown
    assert "cannot be gone back to" not in shown
    assert "cannot be gone back to" in visit.get(f"/ui/recover/remove?name={OTHER}").text
    refused = visit.post("/ui/recover/remove", name=NAME)
    assert (refused.status_code, "say that you have read" in refused.text) == (422, True)
    assert path.exists()

    done = visit.post("/ui/recover/remove", name=NAME, sure="1")

    assert done.headers["location"] == "/ui/recover?done=1"
    assert not path.exists()
    assert "old databases removed" in visit.get("/ui/events").text
    assert visit.post("/ui/recover/remove", name=NAME, sure="1").status_code == 404


def test_where_nothing_is_chosen_the_list_is_shown_again(house: Site) -> None:
    assert house.visit().get("/ui/recover/remove").headers["location"] == "/ui/recover"
    assert house.visit().get("/ui/recover/remove?name=state.db").status_code == 404


def test_scripts_of_administrators_list_and_remove_them(house: Site) -> None:
    visit = house.visit()
    _made, token = house.services.tokens.create("t", "admin", "", ip=None)

    listed = visit.get("/api/v1/archives").json["archives"]
    assert [row["name"] for row in listed] == [OTHER, NAME]
    headers = {"Authorization": f"Bearer {token}"}
    gone = house.client().simulate_delete(f"/api/v1/archives/{NAME}", headers=headers).json

    assert gone == listed[1]
    assert [row["name"] for row in visit.get("/api/v1/archives").json["archives"]] == [OTHER]
