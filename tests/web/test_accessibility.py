"""Every page before axe-core: contrast, names, order, in light, in dark and on a phone."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from bty_app import __version__
from bty_app.domain.machine import BootMode
from bty_app.domain.restoring import Wanted
from bty_app.services.backup_files import BackupPlan, write_backup
from bty_app.services.boot_servers import Name
from tests.fleet_state import BEGIN, BY, bind, forget
from tests.netboot_set import made_set, put
from tests.web.browsing import HOST, SHAPES, complaints_of, log_in
from tests.web.site import MAC, REF, Site, served, site
from tests.web.test_browser import _a_lively_rack

pytestmark = pytest.mark.browser

AXE = resources.files("axe_playwright_python") / "axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
ARCHIVE = "state.db.0.1.0.20261122T190718Z.bak"
PAGES = (
    "/ui/dashboard",
    "/ui/doctor",
    "/ui/machines",
    f"/ui/machines/{MAC}",
    f"/ui/machines/{MAC}/delete",
    f"/ui/machines/{MAC}/again",
    f"/ui/machines/{MAC}/hardware",
    f"/ui/machines/bulk?macs={MAC}",
    "/ui/catalog",
    f"/ui/catalog/entries/{REF}",
    f"/ui/catalog/entries/{REF}/delete",
    "/ui/catalog/fetch",
    "/ui/netboot",
    "/ui/netboot/rollback",
    "/ui/backups/then/compare",
    f"/ui/backups/then/machines/{MAC}",
    "/ui/backups/then/restore",
    "/ui/restore/undo",
    "/ui/recover",
    f"/ui/recover/{ARCHIVE}",
    "/ui/events",
    "/ui/settings",
    "/ui/account",
    "/ui/nowhere",
)


@pytest.fixture
def running(quick_dir: Path) -> Iterator[Site]:
    with site(quick_dir / "state") as made:
        _a_lively_rack(made)
        made.services.boot_servers.starts(Name.TFTP, "UDP port 69 of every interface")
        detail = {"file": "ipxe.efi", "bytes": 996864}
        made.services.boot_servers.seen("tftp.done", made.hands.now, "52:54:00:12:34:56", detail)
        for version in ("7.0", __version__):
            put(quick_dir / "state" / "boot", made_set(version))
        _a_past(made, quick_dir / "state")
        yield made


def _a_past(made: Site, state: Path) -> None:
    """A backup from before changes, a restore to undo, and an archive."""
    made.database.write(bind(1, BootMode.FLASH_ALWAYS, labels=["a"]))  # type: ignore[arg-type]
    plan = BackupPlan("then", "manual", __version__, BEGIN)
    path = write_backup(state / "state.db", state / "backups", plan).path
    shutil.copy(path / "state.db", state / ARCHIVE)
    made.database.write(lambda tx: tx.run("UPDATE machines SET bty_image_ref = NULL"))
    made.services.restore.apply(path, Wanted(), by=BY)
    made.database.write(lambda tx: tx.run("UPDATE machines SET bty_image_ref = NULL"))
    made.database.write(forget(1))  # type: ignore[arg-type]


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
            page.goto(f"{base}{path}")
            for summary in page.locator("summary").all():
                summary.click()
            found[path] = violations(page)

    assert {path: rows for path, rows in found.items() if rows} == {}
    assert [line for line in complaints if "404" not in line] == []


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
