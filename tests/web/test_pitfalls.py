"""What hurt users of the original on its pages and in its answers, where no other test has it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from bty_app import config_sources
from bty_app.domain.machine import Assignment, BootMode, Serial
from tests.web.site import MAC, REF, Site, site

LOUD = "x" * 3000


@pytest.fixture
def house(quick_dir: Path) -> Iterator[Site]:
    with site(quick_dir / "state") as made:
        made.add_image()
        made.add_machine()
        yield made


def test_the_password_of_a_file_that_config_names_is_the_one_that_counts(quick_dir: Path) -> None:
    file = quick_dir / "my.toml"
    file.write_text('[admin]\npassword = "from the file"\n')
    found = config_sources.load(
        environment={},
        files=[file],
        system_dir=quick_dir / "etc",
        default_state_dir=quick_dir / "state",
    )

    with site(quick_dir / "state", password=found.admin.password) as made:
        for word, status in (("from the file", 303), ("bty-lab", 403), ("bty", 403)):
            answer = made.client().simulate_post(
                "/ui/login",
                body=f"password={word.replace(' ', '+')}",
                headers={"Content-Type": "application/x-www-form-urlencoded"},
            )
            assert answer.status_code == status, word


def test_the_login_page_hints_at_no_password(house: Site) -> None:
    text = house.client().simulate_get("/ui/login").text

    assert re.search(r"default|bty-lab", text, re.IGNORECASE) is None


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("PUT", f"/machines/{MAC}", {"boot_mode": LOUD}),
        ("PUT", f"/machines/{MAC}", {"labels": [LOUD]}),
        ("PUT", f"/machines/{MAC}", {LOUD: 1}),
        ("POST", "/catalog/entries", {"image_url": LOUD}),
        ("POST", "/workers/backups", {"trigger": LOUD}),
        ("POST", f"/pxe/{MAC}/status", {"status": LOUD}),
    ],
)
def test_a_refusal_is_a_sentence_and_not_what_was_sent(
    house: Site, method: str, path: str, body: object
) -> None:
    cookie = {"Cookie": f"bty-token={house.visit().token}"}

    answer = house.client().simulate_request(method, path, json=body, headers=cookie)

    assert answer.status_code == 422
    assert list(answer.json) == ["detail"]
    assert len(answer.text) < 400


def test_a_new_binding_leaves_the_last_inventory_where_it_was(house: Site) -> None:
    before = house.services.machines.get(MAC).machine.known_disks_at
    wanted = Assignment(BootMode.FLASH_ONCE, REF, Serial("S64ENX0T123456"))
    house.services.machines.save(MAC, wanted, ip=None)

    text = house.visit().get(f"/ui/machines/{MAC}").text

    assert before
    assert "S64ENX0T123456" in text
    assert re.search(r"(reported|inventory)\s*\.", text) is None, "no sentence lacks its time"


@pytest.mark.parametrize("query", ["q=52:54", "sort=last_seen_at&dir=desc", "mode=bty-inventory"])
def test_a_page_follows_what_happens_also_filtered_and_sorted(house: Site, query: str) -> None:
    text = house.visit().get(f"/ui/machines?{query}").text
    polls = re.findall(r'hx-get="([^"]*/rows[^"]*)"', text)

    assert polls
    for part in query.split("&"):
        assert any(re.search(part.replace(":", "(:|%3A)"), poll) for poll in polls), part
