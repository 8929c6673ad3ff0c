"""Where the files of a release are."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain.release import Release, release_of
from bty_app.errors import InvalidInputError

GITHUB = "https://github.com/safl/bty/releases/download"


@pytest.mark.parametrize(
    ("source", "tag", "version", "places"),
    [
        ("safl/bty", "latest", "1.2", (f"{GITHUB}/v1.2",)),
        ("safl/bty", "", "1.2", (f"{GITHUB}/v1.2",)),
        ("safl/bty", "v0.77.2", "0.77.2", (f"{GITHUB}/v0.77.2",)),
        ("safl/bty", "0.77.2", "0.77.2", (f"{GITHUB}/0.77.2",)),
        ("https://github.com/safl/bty/releases", "v1.0", "1.0", (f"{GITHUB}/v1.0",)),
        ("https://github.com/safl/bty/releases/tag/v0.9", "latest", "0.9", (f"{GITHUB}/v0.9",)),
        ("https://github.com/safl/bty/releases/download/v0.9/", "", "0.9", (f"{GITHUB}/v0.9",)),
        ("https://github.com/safl/bty/releases/latest", "", "1.2", (f"{GITHUB}/v1.2",)),
        ("http://host:8000/bty/", "v0.9", "0.9", ("http://host:8000/bty/v0.9",
                                                 "http://host:8000/bty")),
        ("/srv/bty", "", "1.2", ("/srv/bty/v1.2", "/srv/bty")),
        ("file:///srv/bty/", "v0.9", "0.9", ("/srv/bty/v0.9", "/srv/bty")),
    ],
)  # fmt: skip
def test_a_repository_a_mirror_and_a_directory_have_their_places(
    source: str, tag: str, version: str, places: tuple[str, ...]
) -> None:
    found = release_of(source, tag, running="1.2")

    assert (found.version, found.places) == (version, places)
    assert found.is_local == places[0].startswith("/")


@pytest.mark.parametrize(
    ("source", "tag"),
    [
        *(("", "v1"), ("bty", "v1"), ("a/b/c", "v1"), ("../x", "v1"), ("ftp://host/x", "v1")),
        *(("https://host/a b", "v1"), ("https://host/x?y", "v1"), ("https://host/x#y", "v1")),
        *(("/srv/\n", "v1\n"), ("https://x\x00", "v1"), ("file:relative", "v1"), ("/" * 2000, "")),
        *(("safl/bty", "../x"), ("safl/bty", "-x"), ("safl/bty", "a/b"), ("safl/bty", "v" * 65)),
    ],
)  # fmt: skip
def test_what_can_be_no_source_or_no_tag_is_refused(source: str, tag: str) -> None:
    with pytest.raises(InvalidInputError, match="must be"):
        release_of(source, tag, running="1.2")


@given(source=st.text(max_size=60), tag=st.text(max_size=20))
def test_any_text_is_a_release_or_is_refused(source: str, tag: str) -> None:
    try:
        found = release_of(source, tag, running="1.2")
    except InvalidInputError:
        return
    assert isinstance(found, Release)
    assert found.places
    assert all(place.startswith(("/", "http://", "https://", "HTTP")) or "://" in place
               for place in found.places)  # fmt: skip
