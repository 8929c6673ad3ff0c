"""Format and architecture by name."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain.image_name import FORMATS, detect_arch, detect_format, is_tarball, name_fault
from tests.domain.test_image_source import VECTORS


@pytest.mark.parametrize("vector", VECTORS["detect_format"], ids=lambda v: v["name"])
def test_the_format_vectors_of_the_contract_hold(vector: dict[str, Any]) -> None:
    assert detect_format(vector["name"]) == vector["format"]
    assert is_tarball(vector["name"]) == vector["tarball"]


@pytest.mark.parametrize("vector", VECTORS["detect_arch"], ids=lambda v: v["name"])
def test_the_architecture_vectors_of_the_contract_hold(vector: dict[str, Any]) -> None:
    assert detect_arch(vector["name"]) == vector["arch"]


@pytest.mark.parametrize("known", FORMATS)
def test_every_format_is_found_whatever_the_case(known: str) -> None:
    assert detect_format(f"Disk.{known}") == known
    assert detect_format(f"DISK.{known.upper()}") == known


@pytest.mark.parametrize("name", ["a.tgz", "a.txz", "a.tbz2", "a.tzst", "A.TAR.ZST", "a.tar"])
def test_archives_are_no_images(name: str) -> None:
    assert is_tarball(name)
    assert detect_format(name) is None


@pytest.mark.parametrize(
    "name", ["", "  ", "a\nb", "a\x00", "a\x9b", "\u2028", "\ud800", "a" * 256]
)
def test_what_cannot_be_shown_on_one_line_is_no_name(name: str) -> None:
    assert name_fault(name)


@given(st.text())
def test_any_text_can_be_asked(name: str) -> None:
    assert detect_format(name) in (*FORMATS, None)
    assert detect_arch(name) is None or name
