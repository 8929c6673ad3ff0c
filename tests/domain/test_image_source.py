"""One spelling for each source of an image, and the ref that machines are bound to."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain.image_source import (
    IMAGE_REF,
    basename,
    canonical_src,
    image_ref,
    is_http,
    without_credentials,
)
from bty_app.errors import InvalidInputError

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parent.parent / "data" / "vectors.json").read_text(encoding="utf-8")
)
# Anything at all, and near misses of URLs, which reach deeper.
URLISH = st.one_of(
    st.text(),
    st.builds(
        lambda scheme, rest: scheme + rest,
        st.sampled_from(["http://", "https://", "HTTP://", "oras://", "file://", "http:", ""]),
        st.text(st.sampled_from("aZ.:/@[]%?#-_ 0189\t\n\u2100\ud800\x00ü\u2028")),
    ),
)


@pytest.mark.parametrize("vector", VECTORS["canonicalise"], ids=lambda v: repr(v["src"])[:60])
def test_every_vector_of_the_contract_holds(vector: dict[str, str]) -> None:
    if "error" in vector:
        with pytest.raises(InvalidInputError):
            canonical_src(vector["src"])
    else:
        assert canonical_src(vector["src"]) == vector["canonical"]
        assert image_ref(vector["src"]) == vector["ref"]


def test_the_vectors_are_all_there() -> None:
    assert len(VECTORS["canonicalise"]) == 40


@pytest.mark.parametrize(
    ("src", "canonical"),
    [
        ("http://example.com:00080/a", "http://example.com/a"),
        ("https://ex.com/a\tb\r\nc", "https://ex.com/abc"),
        ("https://ex.com/a ", "https://ex.com/a "),
        ("https://a@b@ex.com/a", "https://ex.com/a"),
        ("http://[FE80::1%25Eth0]/a", "http://fe80::1%25Eth0/a"),
        ("https://ex.com?q=A", "https://ex.com?q=A"),
        ("file://a/./b//c", "file://a/b/c"),
        ("FILE:///A", "file://A"),
    ],
)
def test_the_finer_rules_hold(src: str, canonical: str) -> None:
    assert canonical_src(src) == canonical


@pytest.mark.parametrize(
    "src",
    [
        "http://host:notaport/x.img",
        "http://host:-1/x.img",
        "http://host:65536/x.img",
        "http://host:\u0661/x.img",
        "http://host:" + "9" * 3000 + "/x.img",
        "http://a:b:c/x.img",
        "http://[::1/x.img",
        "http://::1]/x.img",
        "http://[not-an-address]/x.img",
        "http://x[::1]/x.img",
        "http://ex\u2100.com/x.img",
        "http://user@/x.img",
        "http://ex.com/\ud800.img",
        "http://ex.com/\x00.img",
        "http://ex.com/" + "a" * 5000,
        "oras://h/r:1",
        "oras://ghcr.io/o/r:1\n",
        "oras://ghcr.io/o/\u212a:1",
        "oras://user@ghcr.io/o/r:1",
    ],
    ids=lambda src: ascii(src)[:40],
)
def test_a_malformed_source_is_refused_with_a_sentence(src: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        canonical_src(src)

    assert "image source" in caught.value.message
    assert len(caught.value.message) < 500


@given(URLISH)
def test_any_text_has_a_ref_or_is_invalid_input(src: str) -> None:
    try:
        ref = image_ref(src)
    except InvalidInputError:
        return

    assert IMAGE_REF.fullmatch(ref)


@given(URLISH)
def test_scheme_and_path_survive_and_nothing_is_found_twice(src: str) -> None:
    try:
        canonical = canonical_src(src)
    except InvalidInputError:
        return

    assert canonical.startswith(("http://", "https://", "oras://", "file://"))
    assert image_ref(src) == image_ref(src)
    if not is_http(src):
        assert canonical_src(canonical) == canonical


@given(
    st.from_regex(r"[a-z0-9]{1,12}\.example", fullmatch=True),
    st.text(st.sampled_from("abcXYZ019/._~%-"), max_size=30),
    st.text(st.sampled_from("abc=&19"), max_size=10),
)
def test_case_of_host_default_port_and_user_make_no_difference(
    host: str, path: str, query: str
) -> None:
    tail = f"/{path}" + (f"?{query}" if query else "")
    plain = f"https://{host}{tail}"

    assert canonical_src(plain) == plain
    assert canonical_src(f"HTTPS://me:pw@{host.upper()}:443{tail}") == plain
    assert canonical_src(f"https://{host}:8443{tail}") != plain


@pytest.mark.parametrize(
    ("src", "name"),
    [
        ("https://ex.com/d/a.img.gz?t=1#f", "a.img.gz"),
        ("https://ex.com/a%20b.img", "a%20b.img"),
        ("https://ex.com/", ""),
        ("https://ex.com", ""),
        ("https://ex.com?x=/y", ""),
    ],
)
def test_the_basename_is_the_last_segment_as_written(src: str, name: str) -> None:
    assert basename(src) == name


@pytest.mark.parametrize(
    ("src", "shown"),
    [
        ("https://me:secret@ex.com/a?b@c", "https://ex.com/a?b@c"),
        ("HTTP://ex.com/a@b", "HTTP://ex.com/a@b"),
        ("http:/\\me:pw@x", "http:/\\me:pw@x"),
        ("oras://ghcr.io/o/r:1", "oras://ghcr.io/o/r:1"),
    ],
)
def test_a_source_is_shown_without_its_password(src: str, shown: str) -> None:
    assert without_credentials(src) == shown
