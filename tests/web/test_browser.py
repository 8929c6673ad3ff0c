"""A person at a browser: logs in, sees a machine appear, tells it what to do."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from bty_app.domain.events import Kind
from bty_app.domain.inventory import canonical_json
from bty_app.domain.mac import Mac
from bty_app.domain.machine import Assignment, BootMode, Serial
from bty_app.store import machines
from bty_app.store.machines import Progress
from tests.web.browsing import HOST, SHAPES, complaints_of, log_in, shoot
from tests.web.site import AT, DISKS, MAC, REF, Site, served, site

pytestmark = pytest.mark.browser


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path / "state") as made:
        yield made


def box_asks(port: int, mac: str) -> None:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/pxe/{mac}") as answer:
        assert answer.status == 200


def test_a_machine_appears_by_itself_and_is_told_what_to_do(
    running: Site, chromium: Browser
) -> None:
    running.add_image()
    with served(running.app) as port:
        base = f"http://{HOST}:{port}"
        page = chromium.new_page()
        complaints = complaints_of(page)
        log_in(page, base)
        page.get_by_role("link", name="Machines", exact=True).click()
        expect(page.get_by_text("No machine has been here yet")).to_be_visible()

        box_asks(port, MAC)

        expect(page.get_by_role("link", name=MAC)).to_be_visible(timeout=10_000)
        running.add_machine()
        page.get_by_role("link", name=MAC).click()
        page.get_by_role("radio", name="Flash once").check()
        page.get_by_label("Image", exact=True).select_option(REF)
        page.get_by_role("radio", name="Samsung SSD 980").check()
        page.get_by_label("Labels").fill("rack 4, edge")
        expect(page.get_by_text("Saving arms it: its next network boot erases")).to_be_visible()
        page.get_by_role("button", name="Save").click()
        expect(
            page.get_by_text("It waits for its next network boot, to be flashed")
        ).to_be_visible()
        assert complaints == []

    machine = running.services.machines.get(MAC)
    assert machine.machine.boot_mode is BootMode.FLASH_ONCE
    assert machine.machine.image_ref == REF
    assert machine.machine.target_disk_serial == "S64ENX0T123456"
    assert machine.labels == ("edge", "rack 4")


def test_a_filter_stays_while_the_table_follows_what_happens(
    running: Site, chromium: Browser
) -> None:
    with served(running.app) as port:
        page = chromium.new_page()
        complaints = complaints_of(page)
        log_in(page, f"http://{HOST}:{port}")
        page.get_by_role("link", name="Machines", exact=True).click()
        for number in range(3):
            box_asks(port, f"52:54:00:00:00:0{number}")
        page.get_by_label("Search").type("00:aa")
        expect(page.get_by_text("No machine matches")).to_be_visible()

        box_asks(port, "52:54:00:00:00:aa")

        expect(page.locator("tbody tr")).to_have_count(1, timeout=10_000)
        assert "q=00%3Aaa" in page.url
        expect(page.get_by_label("Search")).to_have_value("00:aa")
        assert complaints == []


def test_a_page_says_when_disks_have_been_reported_since(running: Site, chromium: Browser) -> None:
    running.add_machine(disks=[])
    with served(running.app) as port:
        page = chromium.new_page()
        complaints = complaints_of(page)
        log_in(page, f"http://{HOST}:{port}")
        page.goto(f"http://{HOST}:{port}/ui/machines/{MAC}")
        page.get_by_label("Another serial").fill("kept as typed")

        def report(tx: Any) -> None:
            text = canonical_json(DISKS)
            later = "2026-11-22T19:09:00.000000+00:00"
            machines.set_inventory(tx, MAC, disks=text, lshw=None, at=later)

        running.database.write(report)

        expect(page.get_by_text("It has reported its disks since")).to_be_visible(timeout=10_000)
        expect(page.get_by_label("Another serial")).to_have_value("kept as typed")
        page.get_by_role("link", name="Load it again").click()
        expect(page.get_by_role("radio", name="Samsung SSD 980")).to_be_visible()
        assert complaints == []


def test_an_open_page_says_that_the_session_has_ended(running: Site, chromium: Browser) -> None:
    with served(running.app) as port:
        page = chromium.new_page()
        log_in(page, f"http://{HOST}:{port}")
        running.database.write(lambda tx: tx.run("DELETE FROM sessions"))

        running.add_machine()

        expect(page.get_by_role("button", name="Log in")).to_be_visible(timeout=10_000)


def test_it_works_without_javascript(running: Site, chromium: Browser) -> None:
    running.add_image()
    running.add_machine()
    with served(running.app) as port:
        page = chromium.new_context(java_script_enabled=False).new_page()
        log_in(page, f"http://{HOST}:{port}")
        page.get_by_role("link", name="Machines", exact=True).click()
        page.get_by_label("Search").fill("S64ENX")
        page.get_by_role("button", name="Search").click()
        expect(page.get_by_text("No machine matches")).to_be_visible()
        page.get_by_role("link", name="Show all").click()
        page.get_by_role("link", name=MAC).click()
        page.get_by_role("radio", name="Flash once").check()
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("choose the image that is to be flashed").first).to_be_visible()
        expect(page.get_by_role("radio", name="Flash once")).to_be_checked()
        page.get_by_role("link", name="Delete …").click()
        page.get_by_role("button", name="Delete it").click()
        expect(page.get_by_text(f"{MAC} was deleted")).to_be_visible()
        page.get_by_role("button", name="Log out").click()
        expect(page.get_by_role("button", name="Log in")).to_be_visible()


@pytest.mark.parametrize("shape", SHAPES)
def test_the_pages_fit_their_window(running: Site, chromium: Browser, shape: str) -> None:
    _a_lively_rack(running)
    with served(running.app) as port:
        base = f"http://{HOST}:{port}"
        page = chromium.new_context(**SHAPES[shape]).new_page()
        complaints = complaints_of(page)
        page.goto(f"{base}/ui/login")
        shoot(page, f"login-{shape}")
        log_in(page, base)
        for name, path in (
            ("dashboard", "/ui/dashboard"),
            ("machines", "/ui/machines"),
            ("machine", f"/ui/machines/{MAC}"),
            ("waiting", "/ui/machines/52:54:00:12:34:57"),
            ("delete", f"/ui/machines/{MAC}/delete"),
            ("events", "/ui/events"),
            ("error", "/ui/machines/not-a-mac"),
        ):
            page.goto(f"{base}{path}")
            shoot(page, f"{name}-{shape}")
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= page.evaluate("document.documentElement.clientWidth"), name

    assert [text for text in complaints if "400" not in text] == []


def _a_lively_rack(running: Site) -> None:
    running.add_image()
    running.add_image("ubuntu-24.04-server-amd64.img.xz", "b" * 64)
    flash = Assignment(
        boot_mode=BootMode.FLASH_ONCE,
        image_ref=REF,
        target_disk_serial=Serial("S64ENX0T123456"),
        labels=("edge", "rack 4"),
    )
    modes = [
        flash,
        flash,
        Assignment(boot_mode=BootMode.IPXE_EXIT, labels=("storage",)),
        Assignment(boot_mode=BootMode.INVENTORY),
        Assignment(boot_mode=BootMode.FLASH_ALWAYS, image_ref="c" * 64),
        flash,
        Assignment(boot_mode=BootMode.TUI),
        flash,
    ]
    for number, wanted in enumerate(modes):
        running.add_machine(Mac(f"52:54:00:12:34:{0x56 + number:02x}"), wanted)

    def change(tx: Any) -> None:
        machines.arm(tx, MAC, attempts=1, at=AT)
        report = Progress(AT, "writing", 3 * 2**29, 3 * 2**30, 117_000_000, None)
        machines.set_progress(tx, MAC, report)
        tx.run("UPDATE machines SET phase='done', last_flashed_at=? WHERE mac LIKE '%:5b'", AT)
        tx.run("UPDATE machines SET phase='held', attempts=5 WHERE mac LIKE '%:5d'")

    running.database.write(change)
    running.add_event(Kind.MACHINE_FLASH_FAILED, f"{MAC} reports that its flash failed: timeout")
    running.add_event(
        Kind.SCHEMA_RESET,
        "state.db of version 0.77.2 was set aside as state.db.0.77.2.20261122T190718Z.bak.",
    )
