"""A person at a keyboard: all that matters can be done without a pointer, and seen while done."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from bty_app.domain.events import Kind
from bty_app.domain.machine import Assignment, BootMode, Serial
from tests.web.browsing import HOST, complaints_of
from tests.web.site import MAC, PASSWORD, REF, Site, mac, served, site

pytestmark = pytest.mark.browser

# What has the focus, if it is marked as having it and stands in the window.
SEEN = """() => {
  const part = document.activeElement, box = part.getBoundingClientRect();
  const style = getComputedStyle(part);
  const inside = box.width > 0 && box.bottom > 0 && box.top < innerHeight;
  const marked = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
  return part === document.body ? "nothing has it" : !inside ? "it is out of sight: " +
    part.outerHTML.slice(0, 80) : !marked ? "it is not marked: " + part.outerHTML.slice(0, 80) : "";
}"""
WORDS = """() => {
  const part = document.activeElement;
  const named = part.getAttribute("aria-label") || part.closest("label")?.innerText ||
    (part.labels && part.labels[0]?.innerText) || part.innerText;
  return (named || "").trim() || part.outerHTML.slice(0, 60);
}"""


@pytest.fixture
def running(quick_dir: Path) -> Iterator[Site]:
    with site(quick_dir / "state") as made:
        made.add_fleet(3)
        made.add_machine()
        made.add_event(Kind.MACHINE_FLASH_FAILED, "it failed")
        yield made


def go_to(page: Page, words: str, key: str = "Tab", most: int = 60) -> None:
    """Press the key until what is called so has the focus, which is seen at every step."""
    for _ in range(most):
        page.keyboard.press(key)
        assert page.evaluate(SEEN) == ""
        if page.evaluate(WORDS).startswith(words):
            return
    raise AssertionError(f"no {key} leads to {words!r}")


def enter(page: Page, port: int) -> None:
    """Log in, with the keys alone."""
    page.goto(f"http://{HOST}:{port}/ui/login")
    expect(page.get_by_label("Password")).to_be_focused()
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Dashboard")).to_be_visible()


def test_a_flash_is_armed_and_a_failure_acknowledged_without_a_pointer(
    running: Site, chromium: Browser
) -> None:
    with served(running.app) as port:
        page = chromium.new_context(viewport={"width": 1280, "height": 900}).new_page()
        complaints = complaints_of(page)
        enter(page, port)
        go_to(page, "Skip to the content")
        go_to(page, "Machines")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Machines")).to_be_visible()

        page.keyboard.press("/")
        assert page.evaluate(SEEN) == ""
        page.keyboard.type("12:34:56")
        expect(page.locator("tbody tr")).to_have_count(1)
        expect(page.get_by_label("Search")).to_be_focused()
        go_to(page, MAC)
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name=MAC)).to_be_visible()

        go_to(page, "Inventory")
        page.keyboard.press("ArrowDown")  # to the radio button after it
        go_to(page, "Image")
        page.keyboard.type("debian")
        go_to(page, "none")
        page.keyboard.press("ArrowDown")
        expect(page.get_by_text("Saving arms it")).to_be_visible()
        assert page.evaluate(SEEN) == "", "after a part of the page was renewed"
        go_to(page, "Save")
        page.keyboard.press("Enter")
        expect(page.get_by_text("Saved.")).to_be_visible()

        go_to(page, "1 open failure")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Events")).to_be_visible()
        go_to(page, "Acknowledge")
        running.add_machine(mac(9))  # the table is renewed around it
        page.keyboard.press("Enter")
        expect(page.get_by_text("No failure waits for an acknowledgement.")).to_be_visible()
        assert running.services.audit.open_failures() == 0
        assert complaints == []

    machine = running.services.machines.get(MAC).machine
    assert (machine.boot_mode, machine.image_ref) == (BootMode.FLASH_ONCE, REF)
    assert machine.target_disk_serial


def test_the_focus_stays_when_what_it_is_in_is_renewed(running: Site, chromium: Browser) -> None:
    with served(running.app) as port:
        page = chromium.new_context(viewport={"width": 1280, "height": 900}).new_page()
        enter(page, port)
        go_to(page, "Acknowledge it failed")

        running.add_machine(mac(9))

        expect(page.get_by_role("link", name="5 machines")).to_be_visible(timeout=10_000)
        assert page.evaluate(WORDS).startswith("Acknowledge it failed")
        assert page.evaluate(SEEN) == ""


def test_a_question_mark_shows_the_keys_and_escape_closes_them(
    running: Site, chromium: Browser
) -> None:
    with served(running.app) as port:
        page = chromium.new_page()
        complaints = complaints_of(page)
        enter(page, port)
        go_to(page, "Machines")

        page.keyboard.press("?")
        expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
        page.keyboard.press("Escape")

        expect(page.get_by_role("dialog", name="Keys")).not_to_be_visible()
        assert page.evaluate(WORDS) == "Machines"
        page.keyboard.press("/")  # no search here
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", name="Machines")).to_be_visible()
        page.keyboard.press("/")
        page.keyboard.type("?")
        expect(page.get_by_label("Search")).to_have_value("?")
        expect(page.get_by_role("dialog", name="Keys")).not_to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_label("Search")).to_have_value("")
        assert complaints == []


def test_a_machine_is_armed_anew_although_somebody_else_has_saved_meanwhile(
    running: Site, chromium: Browser
) -> None:
    first = Assignment(BootMode.FLASH_ONCE, REF, Serial("S64ENX0T123456"))
    running.services.machines.save(MAC, first, ip=None)
    with served(running.app) as port:
        page = chromium.new_context(viewport={"width": 1280, "height": 900}).new_page()
        enter(page, port)
        page.goto(f"http://{HOST}:{port}/ui/machines/{MAC}/again")
        go_to(page, "Arm it anew")
        other = replace(first, boot_mode=BootMode.FLASH_ALWAYS)
        running.services.machines.save(MAC, other, ip="192.0.2.9")

        page.keyboard.press("Enter")
        expect(page.get_by_text("was saved by somebody else meanwhile")).to_be_visible()
        assert running.services.machines.get(MAC).machine.boot_mode == BootMode.FLASH_ALWAYS
        page.goto(f"http://{HOST}:{port}/ui/machines/{MAC}/again")
        go_to(page, "Arm it anew")
        page.keyboard.press("Enter")

        expect(page.get_by_role("heading", name=MAC)).to_be_visible()
        expect(page).to_have_url(re.compile(rf"/ui/machines/{MAC}(\?.*)?$"))
