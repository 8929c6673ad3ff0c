"""A person at a browser: marks machines, sees what would be erased, does it, takes it back."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from bty_app.domain.machine import BootMode
from bty_app.store import machines
from tests.web.browsing import HOST, SHAPES, complaints_of, log_in, shoot
from tests.web.site import AT, REF, Site, mac, served, site

pytestmark = pytest.mark.browser


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path / "state") as made:
        made.add_fleet(4)
        yield made


def test_marks_outlive_the_polling_and_lead_to_an_act_that_can_be_undone(
    running: Site, chromium: Browser
) -> None:
    with served(running.app) as port:
        page = chromium.new_page()
        complaints = complaints_of(page)
        log_in(page, f"http://{HOST}:{port}")
        page.get_by_role("link", name="Machines", exact=True).click()
        page.get_by_label(f"mark {mac(0)}").check()
        page.get_by_label(f"mark {mac(2)}").check()

        running.database.write(lambda tx: machines.seen(tx, mac(9), at=AT, ip=None))

        expect(page.get_by_role("link", name=mac(9))).to_be_visible(timeout=10_000)
        expect(page.get_by_label(f"mark {mac(0)}")).to_be_checked()
        expect(page.get_by_label(f"mark {mac(1)}")).not_to_be_checked()
        page.get_by_role("button", name="Act on those marked").click()
        expect(page.get_by_role("heading", name="2 machines")).to_be_visible()
        page.locator("select[name=boot_mode]").select_option("bty-flash-once")
        page.locator("select[name=bty_image_ref]").select_option(REF)
        page.locator("select[name=target]").select_option("only")
        page.get_by_role("button", name="Show what it does").click()
        expect(page.get_by_text("2 disks will be erased")).to_be_visible()
        page.get_by_role("button", name="do it to 2").click()
        expect(page.get_by_text("2 done")).to_be_visible()
        assert running.services.machines.get(mac(2)).machine.boot_mode is BootMode.FLASH_ONCE
        page.get_by_role("button", name="Undo").click()
        expect(page.get_by_text("2 as they were before")).to_be_visible()
        assert complaints == []

    assert running.services.machines.get(mac(2)).machine.boot_mode is BootMode.INVENTORY


@pytest.mark.parametrize("shape", SHAPES)
def test_the_preview_fits_and_needs_no_script(running: Site, chromium: Browser, shape: str) -> None:
    options: dict[str, Any] = {**SHAPES[shape], "java_script_enabled": False}
    query = f"matching=&act=set&boot_mode=bty-flash-once&bty_image_ref={REF}&target=only"
    with served(running.app) as port:
        page = chromium.new_context(**options).new_page()
        log_in(page, f"http://{HOST}:{port}")
        page.goto(f"http://{HOST}:{port}/ui/machines/bulk?{query}")

        expect(page.get_by_text("4 disks will be erased")).to_be_visible()
        shoot(page, f"bulk-{shape}")
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= options["viewport"]["width"]
        page.goto(f"http://{HOST}:{port}/ui/machines")
        shoot(page, f"bulk-list-{shape}")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
