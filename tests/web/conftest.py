"""What tests of pages ask for: a site, a host that its catalog comes from, a browser."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.conftest import in_memory
from tests.file_host import FileHost, file_host
from tests.own_network import own_network
from tests.web.browsing import ALBUM, CHROMIUM, HOST, SCREENSHOTS
from tests.web.site import Site, site
from tests.web.upstream import follow


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """In memory: nearly all of these tests have a database, and none is about its disk."""
    with in_memory() as path:
        yield path


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path / "state") as made:
        yield made


@pytest.fixture
def host(house: Site) -> Iterator[FileHost]:
    with file_host() as running:
        follow(house.database, running.url("/catalog.toml"))
        yield running


@pytest.fixture(scope="module")
def chromium(pytestconfig: pytest.Config) -> Iterator[Browser]:
    ALBUM.folder = pytestconfig.getoption("--screenshots") or SCREENSHOTS
    arguments = [
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        f"--host-resolver-rules=MAP {HOST} 127.0.0.1",
    ]
    with own_network(), sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()
