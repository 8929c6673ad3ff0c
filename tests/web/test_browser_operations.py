"""The pages that look after the state, with the keyboard alone."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from tests.web import walk
from tests.web.browsing import HOST, SHAPES, log_in
from tests.web.past import add_past
from tests.web.site import Site, served, site
from tests.web.test_browser import _a_lively_rack

pytestmark = pytest.mark.browser

ABOUT = ("/ui/backups", "/ui/recover", "/ui/restore", "/ui/doctor", "/ui/settings")
PAGES = [path for path in map(walk.filled, walk.pages()) if path.startswith(ABOUT)]
# What can be acted on and is shown, and what the focus is on: by its place in the document.
WANTED = """() => {
  const all = [...document.querySelectorAll('a[href], button, input, select, textarea, summary')];
  window.places = new Map(all.map((element, place) => [element, place]));
  return all.flatMap((element, place) =>
    element.type === 'hidden' || element.disabled || !element.checkVisibility()
      || (element.type === 'radio' && !element.checked) ? [] : [place]);
}"""
FOCUSED = """() => {
  const on = document.activeElement, style = getComputedStyle(on);
  const shown = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) > 0
    || style.boxShadow !== 'none';
  return [window.places.has(on) ? window.places.get(on) : -1, shown, on.outerHTML.slice(0, 120)];
}"""


@pytest.fixture
def running(quick_dir: Path) -> Iterator[Site]:
    copies = quick_dir / "copies"
    copies.mkdir()
    with site(quick_dir / "state", copies=copies) as made:
        _a_lively_rack(made)
        add_past(made)
        yield made


def unreached(page: Page) -> list[str]:
    """What the tab key does not come to, or comes to unseen."""
    page.evaluate("document.querySelectorAll('[hx-get]').forEach(e => e.removeAttribute('hx-get'))")
    left = set(page.evaluate(WANTED))
    wrong: list[str] = []
    for _ in range(len(left) + 20):
        page.keyboard.press("Tab")
        place, is_shown, text = page.evaluate(FOCUSED)
        left.discard(place)
        if place >= 0 and not is_shown:
            wrong.append(f"no mark of the focus: {text}")
        if not left:
            break
    html = "[...window.places.keys()][{}].outerHTML.slice(0, 120)"
    return wrong + [f"not reached: {page.evaluate(html.format(place))}" for place in sorted(left)]


def test_there_are_such_pages() -> None:
    for path in ABOUT:
        assert any(page.startswith(path) for page in PAGES), path


@pytest.mark.parametrize("shape", ["light", "phone"])
def test_all_that_can_be_done_is_reached_with_the_tab_key(
    running: Site, chromium: Browser, shape: str
) -> None:
    with served(running.app) as port:
        base = f"http://{HOST}:{port}"
        page = chromium.new_context(**SHAPES[shape]).new_page()
        log_in(page, base)
        found = {}
        for path in PAGES:
            page.goto(f"{base}{path}")
            found[path] = unreached(page)

    assert {path: rows for path, rows in found.items() if rows} == {}
