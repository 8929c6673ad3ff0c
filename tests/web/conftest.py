"""A site, and a host that its catalog comes from, for every test of pages that asks for one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.file_host import FileHost, file_host
from tests.web.site import Site, site
from tests.web.upstream import follow


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path / "state") as made:
        yield made


@pytest.fixture
def host(house: Site) -> Iterator[FileHost]:
    with file_host() as running:
        follow(house.database, running.url("/catalog.toml"))
        yield running
