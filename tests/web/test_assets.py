"""Style sheets and scripts, from memory."""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

from bty_app.web.assets import Assets
from tests.web.site import Site, site

STATIC = resources.files("bty_app.web") / "static"


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path / "state") as made:
        yield made


@pytest.mark.parametrize(
    ("name", "content_type"),
    [
        ("app.css", "text/css; charset=utf-8"),
        ("app.js", "text/javascript; charset=utf-8"),
        ("htmx.js", "text/javascript; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    ],
)
def test_a_file_is_served_for_ever_under_its_hash(
    house: Site, name: str, content_type: str
) -> None:
    answer = house.client().simulate_get(Assets().url(name))

    assert answer.status_code == 200
    assert answer.content == (STATIC / name).read_bytes()
    assert answer.headers["content-type"] == content_type
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"


def test_another_content_has_another_name(tmp_path: Path) -> None:
    (tmp_path / "app.css").write_text("a{}")
    before = Assets(tmp_path).url("app.css")
    (tmp_path / "app.css").write_text("b{}")

    assert Assets(tmp_path).url("app.css") != before


@pytest.mark.parametrize(
    ("accepted", "zipped"),
    [
        ("gzip", True),
        ("br, gzip;q=0.5", True),
        ("*", True),
        ("", False),
        ("br", False),
        ("gzip;q=0", False),
        ("gzip; q=0.000", False),
    ],
)
def test_it_is_zipped_for_who_takes_it(house: Site, accepted: str, zipped: bool) -> None:
    headers = {"Accept-Encoding": accepted}

    answer = house.client().simulate_get(Assets().url("htmx.js"), headers=headers)

    assert answer.headers["vary"] == "Accept-Encoding"
    assert ("content-encoding" in answer.headers) == zipped
    plain = gzip.decompress(answer.content) if zipped else answer.content
    assert plain == (STATIC / "htmx.js").read_bytes()


def test_head_has_the_headers_alone(house: Site) -> None:
    answer = house.client().simulate_head(Assets().url("app.css"))

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(len((STATIC / "app.css").read_bytes()))


@pytest.mark.parametrize(
    "name", ["app.css", "app-000000000000.css", "htmx.txt", "..%2Fassets.py", "%00", ""]
)
def test_no_other_name_is_served(house: Site, name: str) -> None:
    assert house.client().simulate_get(f"/static/{name}").status_code == 404


def test_the_vendored_script_is_what_its_note_says() -> None:
    noted = re.search(r"SHA-256\s+([0-9a-f]{64})", (STATIC / "htmx.txt").read_text())

    assert noted is not None
    assert hashlib.sha256((STATIC / "htmx.js").read_bytes()).hexdigest() == noted[1]
