"""The settings page: every setting, its value, where that comes from, what is wrong with it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest

from bty_app.domain.settings import CATALOG_URL, MAX_ATTEMPTS, NETBOOT_TAG, SETTINGS
from bty_app.store import settings
from tests.web.site import AT, Site, site

PATH = "/ui/settings"


@pytest.fixture
def house(quick_dir: Path) -> Iterator[Site]:
    with site(quick_dir / "state") as made:
        yield made


def fields(text: str) -> dict[str, str]:
    """What a browser would send back."""
    found = re.findall(r'<input id="([^"]+)" name="\1" value="([^"]*)"', text)
    return {name: unescape(value) for name, value in found}


def stored(house: Site) -> dict[str, str]:
    """All but what is no setting of operators."""
    found = house.database.read(settings.every)
    return {key: text for key, text in found.items() if not key.startswith("auth.")}


def test_every_setting_is_there_with_its_value_and_its_help(house: Site) -> None:
    text = house.visit().get(PATH).text

    chosen = {
        *("backup.cadence", "backup.weekday"),
        *("backup.include_state", "backup.skip_unchanged"),
    }
    assert list(fields(text)) == [row.key for row in SETTINGS if row.key not in chosen]
    assert all(f'<select id="{key}"' in text for key in chosen)
    assert fields(text)["boot.max_attempts"] == "5"
    assert fields(text)["upstream.netboot_repo"] == "safl/bty"
    for row in SETTINGS:
        assert row.help in unescape(text)


def test_what_is_sent_back_as_it_was_changes_nothing(house: Site) -> None:
    visit = house.visit()

    answer = visit.post(PATH, **fields(visit.get(PATH).text))

    assert (answer.status_code, answer.headers["location"]) == (303, f"{PATH}?saved=1")
    assert stored(house) == {}


def test_a_change_is_saved_said_and_put_back(house: Site) -> None:
    visit = house.visit()

    visit.post(PATH, **(fields(visit.get(PATH).text) | {"boot.max_attempts": " 7 "}))
    changed = visit.get(f"{PATH}?saved=1").text
    limits = house.services.settings.limits()
    visit.post(PATH, **{"boot.max_attempts": ""})

    assert "Saved." in changed
    assert "changed here" in changed
    assert "Emptied, it is <bdi>5</bdi> again." in changed
    assert limits.max_attempts == 7
    assert stored(house) == {}
    assert "changed here" not in visit.get(PATH).text


def test_what_breaks_a_rule_is_marked_kept_and_changes_nothing(house: Site) -> None:
    wanted = {"boot.max_attempts": "many", "boot.grace_seconds": "60"}

    answer = house.visit().post(PATH, **wanted)

    assert answer.status_code == 422
    assert fields(answer.text).items() >= wanted.items()
    assert re.search(
        r'name="boot.max_attempts"[^>]*problem-boot.max_attempts" aria-invalid="true"', answer.text
    )
    assert "must be a whole number from 1 to 100" in answer.text
    assert answer.text.count("aria-invalid") == 1
    assert stored(house) == {}


def test_a_stored_text_that_breaks_its_rule_is_marked_and_hinders_no_other(house: Site) -> None:
    house.database.write(lambda tx: settings.put(tx, NETBOOT_TAG.key, "a b", at=AT))
    visit = house.visit()

    text = visit.get(PATH).text
    answer = visit.post(PATH, **(fields(text) | {"boot.max_attempts": "7"}))

    assert "until then the default counts" in text
    assert answer.status_code == 303
    assert stored(house) == {NETBOOT_TAG.key: "a b", MAX_ATTEMPTS.key: "7"}


def test_the_password_of_a_url_is_not_shown_and_not_lost(house: Site) -> None:
    secret = "https://me:hush@example.com/catalog.toml"
    visit = house.visit()
    visit.post(PATH, **{CATALOG_URL.key: secret})

    text = visit.get(PATH).text
    visit.post(PATH, **fields(text))

    assert fields(text)[CATALOG_URL.key] == "https://example.com/catalog.toml"
    assert "hush" not in text + visit.get("/ui/events").text
    assert stored(house)[CATALOG_URL.key] == secret


def test_the_form_of_the_original_changes_three_of_them(house: Site) -> None:
    visit = house.visit()
    url = f"{PATH}/upstream"

    saved = visit.post(url, netboot_repo="example/bty", netboot_tag="v1", catalog_url="/srv/c.toml")
    kept = visit.post(url, netboot_tag="")
    bad = visit.post(url, netboot_repo="nothing")

    assert (saved.status_code, kept.status_code, bad.status_code) == (303, 303, 422)
    assert saved.headers["location"] == f"{PATH}?saved=1"
    assert stored(house) == {
        "upstream.netboot_repo": "example/bty",
        "upstream.catalog_url": "/srv/c.toml",
    }


def test_only_settings_of_the_table_are_taken(house: Site) -> None:
    answer = house.visit().post(PATH, **{"catalog.taken": "{}", "admin.password": "x"})

    assert answer.status_code == 303
    assert stored(house) == {}


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", '"><img src=x onerror=y>'])
def test_what_is_entered_or_stored_is_shown_as_text(house: Site, hostile: str) -> None:
    house.database.write(lambda tx: settings.put(tx, NETBOOT_TAG.key, hostile, at=AT))
    visit = house.visit()

    texts = [visit.get(PATH).text, visit.post(PATH, **{"boot.max_attempts": hostile}).text]

    for text in texts:
        assert "<script>alert" not in text
        assert "<img src=x" not in text
