"""What the first tutorial boots is made by one command."""

from __future__ import annotations

from pathlib import Path

import pytest

from bty_app import __version__
from bty_app.domain.catalog_toml import MAX_CATALOG_BYTES, parse_catalog
from tests.boot import practice

pytestmark = pytest.mark.boot


def test_it_makes_a_live_environment_an_image_that_a_catalog_names_and_an_empty_disk(
    tmp_path: Path,
) -> None:
    practice.prepare(tmp_path)

    names = {path.suffix for path in (tmp_path / "state" / "boot").glob(f"*-v{__version__}.*")}
    catalog = (tmp_path / "images" / "catalog.toml").read_bytes()
    [image] = parse_catalog(catalog, limit=MAX_CATALOG_BYTES)
    assert names == {".vmlinuz", ".initrd", ".squashfs"}
    assert image.size_bytes == (tmp_path / "images" / "practice.img").stat().st_size
    assert not any((tmp_path / "disk.img").read_bytes())
