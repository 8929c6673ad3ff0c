"""Checksum files."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain.sha_manifest import digest_of
from bty_app.errors import InvalidInputError
from tests.domain.test_image_source import VECTORS

A, B = "a" * 64, "b" * 64


@pytest.mark.parametrize("vector", VECTORS["sha256_manifest"], ids=lambda v: repr(v["text"])[:40])
def test_every_vector_of_the_contract_holds(vector: dict[str, Any]) -> None:
    if "error" in vector:
        with pytest.raises(InvalidInputError):
            digest_of(vector["text"], vector["target"])
    else:
        assert digest_of(vector["text"], vector["target"]) == vector["digest"]


@pytest.mark.parametrize("line", [f"{A}  x", f"{A} *x", f"{A}\tx", f"{A}  ./x", f"{A} *./x\r"])
def test_every_way_to_write_a_line_is_read(line: str) -> None:
    assert digest_of(f"{line}\n{B}  y\n\n", "x") == A


def test_a_bare_digest_answers_for_any_name() -> None:
    assert digest_of(f"{A}\n", "x") == A


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (f"# comment\n{A}  x", "line 1"),
        (f"{A}  x\n{B}  x", "several"),
        (f"{A}  x\n{B}", "does not list 'z'"),
        ("\n \n", "empty"),
    ],
)
def test_a_doubtful_manifest_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason):
        digest_of(text, "x" if reason != "does not list 'z'" else "z")


def test_several_digests_are_no_answer_without_a_name() -> None:
    with pytest.raises(InvalidInputError, match="several"):
        digest_of(f"{A}  x\n{B}  y", None)


@given(st.text(), st.none() | st.text())
def test_any_text_gives_a_digest_or_invalid_input(text: str, target: str | None) -> None:
    try:
        digest = digest_of(text, target)
    except InvalidInputError:
        return

    assert len(digest) == 64
