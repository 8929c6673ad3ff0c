"""A person at a browser looks at one machine."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from bty_app.domain.boot_stages import Stage
from bty_app.domain.inventory import parse_inventory
from bty_app.domain.machine import Assignment, BootMode, Serial
from tests.domain.test_hardware import tree
from tests.web.browsing import HOST, SHAPES, complaints_of, log_in, shoot
from tests.web.site import DISKS, MAC, REF, Site, served, site

pytestmark = pytest.mark.browser

IP = "192.0.2.7"
SERIAL = "S64ENX0T123456"
PAGE = f"/ui/machines/{MAC}"


@pytest.fixture
def running(quick_dir: Path) -> Iterator[Site]:
    with site(quick_dir / "state") as made:
        made.add_image()
        lshw = tree()
        lshw["children"][0]["children"][-1]["serial"] = SERIAL
        made.add_machine()
        found = parse_inventory({"disks": DISKS, "lshw": lshw})
        made.services.reports.inventory(MAC, found, ip=IP)
        wanted = Assignment(BootMode.FLASH_ONCE, REF, Serial(SERIAL))
        made.services.machines.save(MAC, wanted, ip=None)
        made.hands.forward(hours=1)
        made.services.contacts.answer(MAC, ip=IP)
        made.services.stages.note(Stage.INITRD_DONE, MAC, IP, bytes=34 * 2**20, of=34 * 2**20)
        yield made


def opened(chromium: Browser, port: int, path: str, **more: object) -> Page:
    page = chromium.new_context(**more).new_page()  # type: ignore[arg-type]
    log_in(page, f"http://{HOST}:{port}")
    page.goto(f"http://{HOST}:{port}{path}")
    return page


def test_a_boot_is_followed_live_and_what_was_folded_stays_so(
    running: Site, chromium: Browser
) -> None:
    with served(running.app) as port:
        page = opened(chromium, port, PAGE)
        complaints = complaints_of(page)
        page.get_by_text("What it will be told next").press("Enter")
        expect(page.get_by_text("#!ipxe")).to_be_visible()

        running.services.stages.note(Stage.CLIENT, MAC, IP)

        expect(page.get_by_text("Live environment has started", exact=True)).to_be_visible(
            timeout=10_000
        )
        expect(page.get_by_text("#!ipxe")).to_be_visible()
        assert complaints == []


@pytest.mark.parametrize("shape", sorted(SHAPES))
def test_a_boot_that_hangs_says_so_in_any_shape(
    running: Site, chromium: Browser, shape: str
) -> None:
    running.hands.forward(hours=1)
    with served(running.app) as port:
        page = opened(chromium, port, PAGE, **SHAPES[shape])
        complaints = complaints_of(page)

        expect(page.get_by_text("the live environment never asked").first).to_be_visible()
        expect(page.get_by_text("/dev/sda1")).to_be_visible()
        shoot(page, f"machine-hangs-{shape}")

        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert complaints == []


def test_the_tree_is_walked_without_javascript(running: Site, chromium: Browser) -> None:
    with served(running.app) as port:
        page = opened(chromium, port, f"{PAGE}/hardware", java_script_enabled=False)
        serial = page.get_by_text(SERIAL)
        expect(serial).not_to_be_visible()

        page.locator("summary", has_text="disk").click()

        expect(serial).to_be_visible()
