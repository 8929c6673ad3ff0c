"""A real browser before the pages, for tests that are a person."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playwright.sync_api import ConsoleMessage, Page, expect

from tests.web.site import PASSWORD

# Chromium without its own windows, which cost as much as the pages in them.
CHROMIUM = "/usr/bin/chromium-headless-shell"
SCREENSHOTS = Path(__file__).parents[2] / "dist" / "screenshots"  # unless --screenshots says
# No browser trusts this name as it trusts 127.0.0.1: headers are as on a real network.
HOST = "bty.lan"
SHAPES: dict[str, dict[str, Any]] = {
    "light": {"color_scheme": "light", "viewport": {"width": 1280, "height": 900}},
    "dark": {"color_scheme": "dark", "viewport": {"width": 1280, "height": 900}},
    "phone": {"color_scheme": "light", "viewport": {"width": 390, "height": 844}},
}


PHONE_DARK: dict[str, Any] = SHAPES["phone"] | {"color_scheme": "dark"}


def complaints_of(page: Page) -> list[str]:
    """What the browser finds wrong from now on: script errors, refused loads, failed answers."""
    found: list[str] = []

    def heard(message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            found.append(message.text)

    page.on("console", heard)
    page.on("pageerror", lambda error: found.append(str(error)))
    return found


def log_in(page: Page, base: str) -> None:
    page.goto(f"{base}/ui/login")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Dashboard")).to_be_visible()


@dataclass(slots=True)
class Album:
    """Where the pictures of pages are kept."""

    folder: Path = SCREENSHOTS


ALBUM = Album()


def shoot(page: Page, name: str) -> None:
    ALBUM.folder.mkdir(parents=True, exist_ok=True)
    page.screenshot(path=ALBUM.folder / f"{name}.png", full_page=True)
