"""Every page in a browser: of a rack whose every word means ill, and without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page

from bty_app import __version__
from bty_app.domain.boot_stages import Stage
from bty_app.domain.events import Kind
from bty_app.domain.inventory import parse_inventory
from bty_app.domain.machine import Assignment, BootMode, Serial
from tests.domain.test_hardware import tree
from tests.web import walk
from tests.web.browsing import HOST, PHONE_DARK, SHAPES, complaints_of, log_in, shoot
from tests.web.hostile import CANARY
from tests.web.past import add_past
from tests.web.site import DISKS, MAC, REF, Site, served, site
from tests.web.test_browser import _a_lively_rack

pytestmark = pytest.mark.browser

ILL = (
    f"{CANARY}</title></textarea></style><script>window.__hit=1</script>"
    "\"'><img src=x onerror=window.__hit=1><svg/onload=window.__hit=1>{{7*7}}${7*7}"
    f"javascript:window.__hit=1\u202e\u2066\u200b\ufdfd{'W' * 120}"
)
# Whatever a state file can hold as text: another program, or an older version, may have written it.
SPOILT = (
    *("machines.last_seen_ip", "machines.target_disk_serial", "machines.sanboot_drive"),
    *("machine_labels.label", "machine_progress.phase", "machine_progress.error"),
    *("catalog_entries.name", "catalog_entries.resolved_src", "catalog_entries.sha_url"),
    *("catalog_entries.format", "catalog_entries.description", "catalog_entries.arch"),
    *("catalog_entries.upstream", "events.summary", "events.subject_id", "events.source_ip"),
    *("sessions.source_ip", "sessions.user_agent", "api_tokens.name", "api_tokens.last_used_ip"),
    *("boot_stages.ip", "bulk_items.note", "bulk_acts.source_ip", "machine_orders.held_by"),
    *("webhook_targets.last_error",),
)
# Moments, numbers, digests, keys and JSON: they are read by a rule, and are no words.
BY_RULE = re.compile(
    r"bty_\w+\..*|settings\..*|flash_slots\..*|.*_hash|.*\.(id|mac|at|chain|digest|state|scope"
    r"|details|detail|facts|changes|act|before|after|expected|mirrors|src|kind|subject_kind|actor"
    r"|stage|phase|boot_mode|ts|target|bty_image_ref|disk_image_sha|known_disks|hw_lshw|act_id"
    r"|flash_wipe|flash_verify|flash_done|undo_until|held_until|attempt)|.*_at"
)


@pytest.fixture
def spoilt(quick_dir: Path) -> Iterator[Site]:
    with site(quick_dir / "state") as made:
        made.add_image()
        made.add_machine()
        wanted = Assignment(BootMode.FLASH_ONCE, REF, Serial("S64ENX0T123456"), labels=("rack",))
        made.services.machines.save(MAC, wanted, ip=None)
        words = ILL[:60]
        disks = [DISKS[0] | dict.fromkeys(("vendor", "model", "path"), words), *DISKS]
        lshw = tree() | dict.fromkeys(("vendor", "product", "version", "description"), ILL)
        made.services.reports.inventory(MAC, parse_inventory({"disks": disks, "lshw": lshw}), ip="")
        made.services.contacts.answer(MAC, ip="192.0.2.7")
        made.services.stages.note(Stage.TFTP_FAILED, MAC, "192.0.2.7", file=ILL, text=ILL)
        made.services.stages.flush()
        made.services.reports.failed(MAC, ILL, ip=None)
        made.visit().post("/ui/account/tokens", name="a script", scope="read")
        made.visit().post("/ui/settings", **{"webhook.targets": "* http://127.0.0.1:9/x"})
        made.add_event(Kind.SCHEMA_RESET, ILL)
        made.add_artifacts("7.0", __version__)
        made.add_bulk()
        add_past(made)
        made.database.write(_spoil)
        yield made


def _spoil(tx: Any) -> None:
    tx.run("INSERT OR REPLACE INTO machine_progress (mac, at, phase) VALUES (?, '', '')", MAC)
    for place in SPOILT:
        table, column = place.split(".")
        # Names are unique; what is long already stays as it is.
        tx.run(f"UPDATE {table} SET {column} = ? || substr(coalesce({column}, ''), 1, 20)", ILL)
    for topic in ("machines", "catalog", "events", "settings", "jobs"):
        tx.touch(topic)


def schema() -> list[str]:
    """Every column of text."""
    text = resources.files("bty_app.store").joinpath("schema.sql").read_text("utf-8")
    found = []
    for table, columns in re.findall(r"CREATE TABLE (\w+) \((.*?)\n\) STRICT", text, re.DOTALL):
        found += [f"{table}.{name}" for name in re.findall(r"^    (\w+) +TEXT", columns, re.M)]
    return found


def test_every_column_of_text_is_spoilt_or_read_by_a_rule() -> None:
    columns = schema()

    assert len(columns) > 60
    assert [name for name in columns if name not in SPOILT and not BY_RULE.fullmatch(name)] == []
    assert set(SPOILT) <= set(columns)


def test_words_that_mean_ill_run_nothing_and_break_no_page(spoilt: Site, chromium: Browser) -> None:
    shown, wide = "", []
    with served(spoilt.app) as port:
        base = f"http://{HOST}:{port}"
        page = chromium.new_context(**PHONE_DARK).new_page()
        complaints = complaints_of(page)
        page.on("dialog", lambda dialog: complaints.append(f"a dialog: {dialog.message}"))
        log_in(page, base)
        for path in map(walk.filled, walk.pages()):
            page.goto(f"{base}{path}")
            page.evaluate("document.querySelectorAll('details').forEach(part => part.open = true)")
            shoot(page, f"{walk.named(path)}-spoilt")
            shown += page.locator("body").inner_text()
            wide += [f"{path}: {too}" for too in _too_wide(page)]
            assert page.evaluate("window.__hit") is None, path

    assert complaints == []
    assert wide == []
    assert "49" not in re.findall(rf"{CANARY}.{{0,220}}\b(49)\b", shown)
    assert shown.count(CANARY) > 40
    assert "<U+202E>" in shown
    assert "\u202e" not in shown


@pytest.mark.parametrize("shape", ["light", "phone-dark"])
def test_every_page_is_whole_without_javascript(
    quick_dir: Path, chromium: Browser, shape: str
) -> None:
    with site(quick_dir / "state") as made:
        _a_lively_rack(made)
        made.add_bulk()
        add_past(made)
        made.add_artifacts("7.0", __version__)
        with served(made.app) as port:
            base = f"http://{HOST}:{port}"
            options = {**SHAPES, "phone-dark": PHONE_DARK}[shape]
            page = chromium.new_context(**options, java_script_enabled=False).new_page()
            complaints = complaints_of(page)
            log_in(page, base)
            for path in map(walk.filled, walk.pages()):
                page.goto(f"{base}{path}")
                shoot(page, f"{walk.named(path)}-{shape}-plain")
                assert page.locator("main").inner_text().strip(), path
                assert _too_wide(page) == [], path

    assert complaints == []


def _too_wide(page: Page) -> list[str]:
    """What stands out of the window, if the page can be moved sideways."""
    found: list[str] = page.evaluate(
        """() => {
          const most = document.documentElement.clientWidth;
          if (document.documentElement.scrollWidth <= most) return [];
          return [...document.querySelectorAll("body *")]
            .filter((part) => part.getBoundingClientRect().right > most + 1)
            .map((part) => `${part.tagName} ${part.className} ${part.id}`).slice(0, 12);
        }"""
    )
    return found
