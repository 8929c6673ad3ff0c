"""Old databases in a browser: read in the background, removed, with and without JavaScript."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.original_state import make_original
from tests.services.test_recover import make_damaged
from tests.web.browsing import HOST, SHAPES, complaints_of, log_in, shoot
from tests.web.site import Site, served, site
from tests.web.test_accessibility import violations

pytestmark = pytest.mark.browser

ASIDE = "20261122T190718Z"
NAMES = [f"state.db.0.65.18.2026112{number}T190718Z.bak" for number in (1, 2)]


@pytest.fixture
def house(quick_dir: Path) -> Iterator[Site]:
    with site(quick_dir / "state") as made:
        state = made.database.path.parent
        (state / "quarantine" / ASIDE).mkdir(parents=True)
        make_damaged(state / "quarantine" / ASIDE / "state.db")
        for number, name in enumerate(NAMES):
            make_original(quick_dir / str(number), [], "0.65.18").rename(state / name)
        yield made


@contextmanager
def worked(house: Site) -> Iterator[None]:
    """A thread does the jobs, as in a server."""

    def work() -> None:
        while (job := house.services.jobs.next()) is not None:
            job()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield
    finally:
        house.services.jobs.close()
        thread.join(30)


def enter(page: Page, base: str) -> None:
    log_in(page, base)
    page.goto(f"{base}/ui/recover")
    page.get_by_role("link", name=ASIDE, exact=True).click()


@pytest.mark.parametrize("shape", SHAPES)
def test_what_is_left_is_read_shown_and_carried_over_from_the_keyboard(
    house: Site, chromium: Browser, shape: str
) -> None:
    with served(house.app) as port:
        page = chromium.new_context(**SHAPES[shape]).new_page()
        complaints = complaints_of(page)
        enter(page, f"http://{HOST}:{port}")
        button = page.get_by_role("button", name="Read what is left")
        page.get_by_label("Hardware").focus()
        page.keyboard.press("Space")
        button.focus()
        page.keyboard.press("Enter")
        expect(page.get_by_role("button", name="Cancel")).to_be_visible()
        assert violations(page) == []
        with worked(house):
            expect(page.get_by_role("heading", name="What could be read")).to_be_visible(
                timeout=60_000
            )
            shoot(page, f"salvage-found-{shape}")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
            for summary in page.locator("summary").all():
                summary.click()
            assert violations(page) == []
            page.get_by_label("I have read what comes over, and what is lost").focus()
            page.keyboard.press("Space")
            page.keyboard.press("Tab")
            page.keyboard.press("Enter")
            expect(page.get_by_text("rows came over").first).to_be_visible(timeout=60_000)
            assert violations(page) == []

    assert [line for line in complaints if "404" not in line] == []
    assert house.database.read(lambda tx: tx.value("SELECT count(*) FROM machines")) > 400


def test_it_works_without_javascript(house: Site, chromium: Browser) -> None:
    with served(house.app) as port, worked(house):
        page = chromium.new_context(java_script_enabled=False, **SHAPES["phone"]).new_page()
        base = f"http://{HOST}:{port}"
        enter(page, base)
        page.get_by_label("Hardware").check()
        page.get_by_role("button", name="Read what is left").click()
        found = page.get_by_role("heading", name="What could be read")
        expect(found).to_be_visible(timeout=60_000)  # the page comes again by itself

        page.goto(f"{base}/ui/recover")
        page.get_by_label(f"Remove {NAMES[0]}").check()
        page.get_by_role("button", name="Show what would be lost").click()
        expect(page.get_by_role("heading", name="Remove this old database?")).to_be_visible()
        shoot(page, "recover-remove-phone")
        page.get_by_label("I have read what is lost").check()
        page.get_by_role("button", name="Remove").click()
        expect(page.get_by_role("status")).to_have_text("Removed.")

    assert not house.database.path.with_name(NAMES[0]).exists()
    assert house.database.path.with_name(NAMES[1]).exists()
