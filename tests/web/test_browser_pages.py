"""A person at a browser: brings netboot artifacts, looks at the dashboard, changes settings."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from bty_app import __version__
from bty_app.domain.events import Kind
from bty_app.domain.settings import NETBOOT_REPO
from bty_app.store import settings
from bty_app.workers.jobs import JobWorker
from tests.file_host import FileHost, file_host
from tests.netboot_set import made_set, packed
from tests.web.browsing import HOST, SHAPES, complaints_of, log_in, shoot
from tests.web.site import AT, Site, served, site
from tests.web.test_browser import _a_lively_rack

pytestmark = pytest.mark.browser

NETBOOT = "/ui/netboot"


@pytest.fixture
def running(quick_dir: Path) -> Iterator[Site]:
    with site(quick_dir / "state") as made:
        yield made


@pytest.fixture
def mirror(running: Site) -> Iterator[FileHost]:
    with file_host() as found:
        source = found.url("/")
        running.database.write(lambda tx: settings.put(tx, NETBOOT_REPO.key, source, at=AT))
        yield found


@contextmanager
def working(site: Site) -> Iterator[None]:
    """What does the jobs of a server, for as long as the block lasts."""
    worker = JobWorker(site.services.jobs, 1)
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        worker.stop()
        thread.join(10)
        assert not thread.is_alive()


def serve(mirror: FileHost, version: str, size: int = 200_000) -> None:
    for name, data in made_set(version, size=size).items():
        mirror.files[f"/v{version}/{name}"] = data


def opened(chromium: Browser, port: int, path: str, **more: bool) -> Page:
    page = chromium.new_context(**more).new_page()  # type: ignore[arg-type]
    log_in(page, f"http://{HOST}:{port}")
    page.goto(f"http://{HOST}:{port}{path}")
    return page


def test_artifacts_are_fetched_with_one_button_and_the_page_follows(
    running: Site,
    chromium: Browser,
    mirror: FileHost,
) -> None:
    serve(mirror, __version__)
    with working(running), served(running.app) as port:
        page = opened(chromium, port, NETBOOT)
        complaints = complaints_of(page)
        expect(page.get_by_text("No live environment to boot")).to_be_visible()

        page.get_by_role("button", name=f"Fetch v{__version__}").click()

        ready = page.get_by_text(f"Live environment {__version__} is ready")
        expect(ready).to_be_visible(timeout=10_000)
        expect(page.get_by_text("Done", exact=True)).to_be_visible()
        assert complaints == []


def test_a_fetch_is_ended_from_its_card_and_what_was_opened_stays_open(
    running: Site,
    chromium: Browser,
    mirror: FileHost,
) -> None:
    serve(mirror, "7.0")
    with working(running), served(running.app) as port:
        page = opened(chromium, port, NETBOOT)
        complaints = complaints_of(page)
        page.get_by_label("Release").fill("v7.0")
        page.get_by_role("button", name="Fetch", exact=True).click()
        expect(page.get_by_text("3 files")).to_be_visible(timeout=10_000)
        page.get_by_text("3 files").press("Enter")
        digest = page.locator("details[open] small.long").first
        expect(digest).to_be_visible()
        serve(mirror, __version__, size=3_000_000)
        mirror.stall_after = 1_000_000

        running.visit().post(f"{NETBOOT}/fetch-release", tag="latest")  # somebody else

        cancel = page.get_by_role("button", name="Cancel")
        expect(cancel).to_be_visible(timeout=10_000)
        expect(digest).to_be_visible()
        cancel.click()

        expect(page.get_by_text("Cancelled")).to_be_visible(timeout=10_000)
        assert complaints == []


def test_all_of_it_works_without_javascript(
    running: Site,
    chromium: Browser,
    mirror: FileHost,
    tmp_path: Path,
) -> None:
    serve(mirror, "7.0")
    archive = tmp_path / "set.tar.gz"
    archive.write_bytes(packed(made_set(__version__)))
    with served(running.app) as port:
        page = opened(chromium, port, "/ui/dashboard", java_script_enabled=False)
        page.get_by_role("link", name="Fetch it").click()
        page.get_by_label("Release").fill("v7.0")
        page.get_by_role("button", name="Fetch", exact=True).click()
        expect(page.get_by_text("The fetch is under way.")).to_be_visible()
        work = running.services.jobs.next()
        assert work is not None
        work()
        page.get_by_label("A tar archive").set_input_files(archive)
        page.get_by_role("button", name="Upload", exact=True).click()
        expect(page.get_by_text("The set is installed.")).to_be_visible()
        expect(page.get_by_text(f"Live environment {__version__} is ready")).to_be_visible()
        page.get_by_role("link", name="Go back to 7.0").click()
        page.get_by_role("button", name="Go back").click()
        expect(page.get_by_text("The set before is the current one again.")).to_be_visible()
        page.get_by_role("link", name="Settings", exact=True).first.click()
        page.get_by_label("boot.max_attempts").fill("0")
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_text("must be a whole number from 1 to 100")).to_be_visible()
        page.get_by_label("boot.max_attempts").fill("7")
        page.get_by_role("button", name="Save", exact=True).click()
        expect(page.get_by_text("Saved.")).to_be_visible()
    assert running.services.settings.limits().max_attempts == 7
    assert running.services.artifacts.state().live.version == "7.0"


def test_the_dashboard_follows_what_happens(
    running: Site,
    chromium: Browser,
) -> None:
    with served(running.app) as port:
        page = opened(chromium, port, "/ui/dashboard")
        complaints = complaints_of(page)
        expect(page.get_by_role("heading", name="First steps")).to_be_visible()

        running.add_machine()

        link = page.get_by_role("link", name="1 Inventory")
        expect(link).to_be_visible(timeout=10_000)
        expect(page.get_by_role("link", name="Choose the machine")).to_be_visible()
        link.click()
        expect(page.get_by_text("1 machine match")).to_be_visible()
        assert complaints == []


def test_times_are_in_the_zone_of_the_reader_with_utc_on_hover(
    running: Site, chromium: Browser
) -> None:
    with served(running.app) as port:
        page = chromium.new_context(timezone_id="Asia/Kathmandu").new_page()
        complaints = complaints_of(page)
        log_in(page, f"http://{HOST}:{port}")
        page.goto(f"http://{HOST}:{port}/ui/events")
        first = page.locator("time").first

        expect(first).to_have_text("2026-11-23 01:45")
        expect(first).to_have_attribute("title", "2026-11-22 20:00:00.000000 UTC")
        expect(page.get_by_text("times are of Asia/Kat")).to_be_visible()
        running.add_event(Kind.MACHINE_FLASHED, "it went well")
        expect(page.get_by_text("it went well")).to_be_visible(timeout=10_000)
        expect(page.locator("time", has_text="2026-11-22 19:07")).to_have_count(0)
        assert complaints == []


@pytest.mark.parametrize("shape", SHAPES)
def test_the_pages_fit_their_window(
    running: Site,
    chromium: Browser,
    shape: str,
) -> None:
    visit = running.visit()
    token = ("csrf_token", None, visit.csrf_token().encode())
    for version in ("7.0", __version__):
        name = f"bty-netboot-{version}-{'of-a-long-name-' * 9}.tar.gz"
        visit.upload(f"{NETBOOT}/upload", token, ("file", name, packed(made_set(version))))
    visit.post(f"{NETBOOT}/fetch-release", tag="v9.9")
    with served(running.app) as port:
        base = f"http://{HOST}:{port}"
        page = chromium.new_context(**SHAPES[shape]).new_page()
        complaints = complaints_of(page)
        log_in(page, base)
        shoot(page, f"first-steps-{shape}")
        _a_lively_rack(running)
        for name, path in (
            ("dashboard-lively", "/ui/dashboard"),
            ("netboot", NETBOOT),
            ("rollback", f"{NETBOOT}/rollback"),
            ("settings", "/ui/settings"),
        ):
            page.goto(f"{base}{path}")
            for summary in page.locator("summary").all():
                summary.click()
            shoot(page, f"{name}-{shape}")
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= page.evaluate("document.documentElement.clientWidth"), name
    assert complaints == []
