"""Every page before axe-core: contrast, names, order, in light, in dark and on a phone."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from bty_app import __version__
from bty_app.domain.migration import MARK_FILE
from bty_app.services.boot_servers import Name
from tests.web import walk
from tests.web.browsing import HOST, SHAPES, complaints_of, log_in, shoot
from tests.web.past import add_past
from tests.web.site import Site, served, site
from tests.web.test_browser import _a_lively_rack

pytestmark = pytest.mark.browser

AXE = resources.files("axe_playwright_python") / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
PAGES = (*map(walk.filled, walk.pages()), "/ui/nowhere")


@pytest.fixture
def running(quick_dir: Path) -> Iterator[Site]:
    copies = quick_dir / "copies"
    copies.mkdir()
    with site(quick_dir / "state", copies=copies) as made:
        _a_lively_rack(made)
        made.add_bulk()
        made.add_artifacts("7.0", __version__)
        made.services.boot_servers.starts(Name.TFTP, "UDP port 69 of every interface")
        detail = {"file": "ipxe.efi", "bytes": 996864}
        made.services.boot_servers.seen("tftp.done", made.hands.now, "52:54:00:12:34:56", detail)
        add_past(made)
        yield made


def violations(page: Page) -> list[str]:
    """What axe finds on the page as it is now, each with the places of it."""
    page.evaluate(AXE.read_text("utf-8"))
    options = {"runOnly": {"type": "tag", "values": RULES}, "resultTypes": ["violations"]}
    found: dict[str, Any] = page.evaluate("options => axe.run(document, options)", options)
    return [
        f"{row['id']}: {node['target']} {node['failureSummary']}"
        for row in found["violations"]
        for node in row["nodes"]
    ]


@pytest.mark.parametrize("shape", SHAPES)
def test_axe_finds_nothing(running: Site, chromium: Browser, shape: str) -> None:
    with served(running.app) as port:
        base = f"http://{HOST}:{port}"
        page = chromium.new_context(**SHAPES[shape]).new_page()
        complaints = complaints_of(page)
        page.goto(f"{base}/ui/login")
        found = {"/ui/login": violations(page)}
        log_in(page, base)
        for path in PAGES:
            answer = page.goto(f"{base}{path}")
            assert answer is not None
            assert answer.url.endswith(path), "a page that a test never reaches"
            shoot(page, f"{walk.named(path)}-{shape}")
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
            for summary in page.locator("summary").all():
                summary.click()
            found[path] = violations(page)

    assert {path: rows for path, rows in found.items() if rows} == {}
    assert [line for line in complaints if "404" not in line] == []


def test_axe_finds_nothing_where_the_appliance_has_moved(
    running: Site, chromium: Browser, quick_dir: Path
) -> None:
    (quick_dir / "state" / MARK_FILE).write_text('{"to": "http://192.0.2.20:8080"}')
    with served(running.app) as port:
        base = f"http://{HOST}:{port}"
        page = chromium.new_context(**SHAPES["phone"]).new_page()
        log_in(page, base)
        page.goto(f"{base}/ui/machines")
        shown = page.locator('[role="alert"]').first.inner_text()
        found = violations(page)

    assert shown.startswith("This appliance has moved to http://192.0.2.20:8080")
    assert found == []


def test_axe_would_find_something(running: Site, chromium: Browser) -> None:
    with served(running.app) as port:
        page = chromium.new_context().new_page()
        log_in(page, f"http://{HOST}:{port}")
        page.evaluate(
            "document.querySelector('h1').style.color = '#ddd';"
            "document.querySelector('nav').insertAdjacentHTML('beforeend', '<input type=text>')"
        )
        found = violations(page)

    assert {line.partition(":")[0] for line in found} >= {"color-contrast", "label"}
