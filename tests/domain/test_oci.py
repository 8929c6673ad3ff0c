"""References, manifests and indexes of registries, the malformed ones above all."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain.oci import (
    Reference,
    image_layer,
    is_index,
    manifest_for,
    parse_document,
    parse_reference,
)
from bty_app.errors import InvalidInputError

SHA = "sha256:" + "a" * 64
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.just(SHA),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=20,
)
FIELDS = ["digest", "size", "mediaType", "annotations", "platform"]
ENTRIES = st.lists(st.dictionaries(st.sampled_from(FIELDS), JSON) | JSON, max_size=5)
NAMES = st.sampled_from(["layers", "manifests", "mediaType"])


def row(**more: Any) -> dict[str, Any]:
    return {"mediaType": "application/octet-stream", "digest": SHA, "size": 1} | more


def titled(title: object, **more: Any) -> dict[str, Any]:
    return row(annotations={"org.opencontainers.image.title": title}, **more)


@pytest.mark.parametrize(
    ("src", "reference"),
    [
        (
            "ORAS://GHCR.io/Safl/Nosi/Debian:LaTest",
            Reference("ghcr.io", "safl/nosi/debian", "LaTest", None),
        ),
        ("oras://127.0.0.1:5000/o/r:1", Reference("127.0.0.1:5000", "o/r", "1", None)),
        (f"oras://r.io/o/r@{SHA}", Reference("r.io", "o/r", None, SHA)),
    ],
)
def test_a_source_is_taken_apart(src: str, reference: Reference) -> None:
    assert parse_reference(src) == reference


@pytest.mark.parametrize("src", ["https://h/x", "oras://h/r:1", "oras://h/o/r", "file:///x", ""])
def test_what_is_no_reference_is_refused(src: str) -> None:
    with pytest.raises(InvalidInputError):
        parse_reference(src)


@pytest.mark.parametrize(
    "beside",
    [
        titled("a.img.gz.sha256", size=99),
        titled("a.img.gz.ASC", size=99),
        row(mediaType="application/vnd.in-toto+json", size=99),
        row(mediaType="application/vnd.dev.cosign.simplesigning.v1+json", size=99),
        row(mediaType="application/vnd.cncf.helm.chart.provenance.v1.prov", size=99),
        row(mediaType="application/spdx+json", size=99),
        row(mediaType="application/vnd.cyclonedx+json", size=99),
        row(mediaType="application/vnd.oci.empty.v1+json", size=99),
    ],
)
def test_the_image_is_the_largest_layer_that_is_one(beside: dict[str, Any]) -> None:
    layers = [beside, titled("small.img", size=2), titled("a.img.xz", size=7)]

    found = image_layer({"layers": layers})

    assert (found.title, found.format) == ("a.img.xz", "img.xz")


def test_a_helper_is_taken_where_there_is_nothing_else() -> None:
    assert image_layer({"layers": [titled("a.json")]}).format == "img.gz"


@pytest.mark.parametrize("title", ["a\nb", "x" * 256, "", 7, None, ["x"]])
def test_a_title_that_cannot_be_shown_is_none(title: object) -> None:
    assert image_layer({"layers": [titled(title)]}).title is None


def test_attestations_and_other_systems_are_no_match() -> None:
    def entry(os: str, machine: str) -> dict[str, Any]:
        return {"digest": SHA, "platform": {"os": os, "architecture": machine}}

    index = {"manifests": [entry("unknown", "unknown"), entry("windows", "amd64")]}

    with pytest.raises(InvalidInputError, match="unknown/unknown, windows/amd64"):
        manifest_for(index, "amd64")
    assert manifest_for({"manifests": [*index["manifests"], {"digest": SHA}]}, "amd64") == SHA


@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_any_bytes_are_a_document_or_refused(data: bytes) -> None:
    with contextlib.suppress(InvalidInputError):
        assert isinstance(parse_document(data), dict)


@given(st.dictionaries(NAMES, ENTRIES | JSON), st.text(max_size=30))
def test_any_document_is_understood_or_refused(document: dict[str, Any], kind: str) -> None:
    with contextlib.suppress(InvalidInputError):
        if is_index(document, kind):
            assert manifest_for(document, "amd64") == SHA
        else:
            layer = image_layer(document)
            assert layer.digest == SHA
            assert layer.size >= 0
