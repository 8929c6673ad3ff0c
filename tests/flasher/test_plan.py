"""The server's plan, checked at the door."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain.flash_options import NO_OPTIONS, WIPE_METHODS, FlashOptions
from bty_app.domain.image_name import FORMATS
from bty_app.domain.withcache import blob_url
from bty_app.errors import InvalidInputError
from bty_app.flasher.plan import (
    ExitPlan,
    FlashPlan,
    InteractivePlan,
    InventoryPlan,
    Place,
    Plan,
    WaitPlan,
    parse_plan,
)

SHA = "ab" * 32
URL = "http://h/a.img.gz"


def parsed(**body: object) -> Plan:
    return parse_plan(json.dumps(body).encode())


def flash(**more: object) -> FlashPlan:
    plan = parsed(**({"mode": "flash", "image": URL, "target_disk_serial": "S"} | more))
    assert isinstance(plan, FlashPlan)
    return plan


@pytest.mark.parametrize(
    ("body", "plan"),
    [
        ({"mode": "inventory"}, InventoryPlan()),
        ({"mode": "exit", "catalog": 7}, ExitPlan()),
        ({"mode": "interactive", "catalog": "http://h/c"}, InteractivePlan("http://h/c")),
        ({"mode": "interactive", "catalog": ""}, InteractivePlan()),
        ({"mode": "interactive", "retry_after": 60}, WaitPlan(60)),
        ({"mode": "interactive", "retry_after": 0.5}, WaitPlan(5)),
        ({"mode": "interactive", "retry_after": 1e99}, WaitPlan(3600)),
        ({"mode": "interactive", "retry_after": -1}, InteractivePlan()),
        ({"mode": "interactive", "retry_after": True}, InteractivePlan()),
        ({"mode": "interactive", "retry_after": "60"}, InteractivePlan()),
        ({"mode": "flash"}, InteractivePlan(None, "the server names no image")),
        (
            {"mode": "flash", "image": URL, "target_disk_serial": "  "},
            InteractivePlan(None, "the server names no disk"),
        ),
        (
            {"mode": "flash", "image": "file:///etc/passwd", "target_disk_serial": "S"},
            InteractivePlan(None, "the server names no image"),
        ),
        (
            {"mode": "flash", "image": URL, "target_disk_serial": "S", "wipe": "shred"},
            InteractivePlan(None, "the server wants a wipe by 'shred': unknown"),
        ),
        (
            {"mode": "flash", "image": URL, "target_disk_serial": "S", "wipe": ["secure"]},
            InteractivePlan(None, "the server wants a wipe by \"['secure']\": unknown"),
        ),
        (
            {"mode": "ramboot"},
            InteractivePlan(None, "the server orders 'ramboot', which is unknown"),
        ),
    ],
)
def test_a_plan_is_one_of_five(body: dict[str, Any], plan: Plan) -> None:
    assert parsed(**body) == plan


def test_the_plan_of_the_original_names_one_image_and_may_have_keys_that_nobody_knows() -> None:
    plan = flash(target_disk_serial=" S1 ", name="deb", disk_image_sha=SHA.upper(), new={"x": 1})

    assert plan == FlashPlan((Place(URL),), "S1", "deb", "img.gz", SHA)


@pytest.mark.parametrize("method", WIPE_METHODS)
def test_a_plan_may_want_a_wipe_before_and_a_look_afterwards(method: str) -> None:
    assert flash(wipe=method, verify=True).options == FlashOptions(method, verify=True)
    assert flash(wipe="", verify="yes").options == NO_OPTIONS
    assert flash().options == NO_OPTIONS


@pytest.mark.parametrize(
    ("told", "meant"),
    [(90, 90), (1, 5), (10**9, 3600), (0, 30), (-1, 30), ("90", 30), (True, 30), (None, 30)],
)
def test_a_plan_may_say_when_a_source_counts_as_dead(told: object, meant: int) -> None:
    assert flash(stall_seconds=told).options == FlashOptions(stall_seconds=meant)


def test_the_sources_of_our_server_go_before_its_image() -> None:
    sources = [
        {"from": "cache", "url": "http://c/b/x/a.img.gz"},
        {"from": "moon", "url": "oras://h/x@sha256:1"},
        {"from": "mirror", "url": "ftp://no"},
        "rubbish",
        {"url": ["http://no"]},
    ]

    plan = flash(sources=sources)

    assert plan.places == (
        Place("http://c/b/x/a.img.gz", "cache"),
        Place("oras://h/x@sha256:1", "origin"),
    )


@pytest.mark.parametrize("sources", [None, [], "x", [7], [{"url": ""}]])
def test_without_a_source_of_use_the_image_counts(sources: object) -> None:
    assert flash(sources=sources).places == (Place(URL),)


@pytest.mark.parametrize(
    ("image", "told", "found"),
    [
        ("http://h/a.img.zst?x=1", "img.gz", "img.zst"),
        ("http://h/a%2Eimg%2Exz", None, "img.xz"),
        ("http://h/download", "qcow2", "qcow2"),
        ("http://h/download", "exe", None),
        ("http://[bad/x", "img", "img"),
        ("oras://h/x:v1.img", "img.zst", "img.zst"),
        ("oras://h/x:v1.img", None, None),
    ],
)
def test_the_name_says_the_format_before_the_server(
    image: str, told: str | None, found: str | None
) -> None:
    assert flash(image=image, format=told).format == found


def test_a_digest_that_cannot_be_one_is_no_plan_to_write_a_disk_by() -> None:
    for value in ("zz", "a" * 63, 7, SHA + "\n"):
        with pytest.raises(InvalidInputError, match="digest"):
            flash(disk_image_sha=value)


def test_the_originals_digest_of_a_tag_may_be_an_old_one_and_ours_is_of_now() -> None:
    tag, fixed = "oras://h/x:v1", f"oras://h/x@sha256:{SHA}"

    assert flash(image=tag, disk_image_sha=SHA).sha256 is None
    assert flash(image=fixed, disk_image_sha=SHA).sha256 == SHA
    ours = [{"from": "origin", "url": tag}]
    assert flash(image=tag, disk_image_sha=SHA, sources=ours).sha256 == SHA


VALUES = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
KEYS = ("image", "target_disk_serial", "sources", "name", "format", "catalog", "retry_after")
MODES = st.sampled_from(["flash", "interactive", "exit", "inventory", "other"])


@given(MODES, st.dictionaries(st.sampled_from(KEYS), VALUES))
def test_any_plan_is_understood_or_refused(mode: str, body: dict[str, object]) -> None:
    plan = parse_plan(json.dumps({"mode": mode} | body).encode("utf-8", "replace"))

    if isinstance(plan, FlashPlan):
        assert plan.places
        assert plan.serial
        assert plan.format in {None, *FORMATS}


@given(st.binary(max_size=64))
def test_any_bytes_are_refused_with_a_sentence(data: bytes) -> None:
    with pytest.raises(InvalidInputError):
        parse_plan(data)


@pytest.mark.parametrize(
    "origin", ["https://example.com/a%20b.img.gz?x=1", "oras://ghcr.io/safl/nosi/debian:latest"]
)
def test_a_cache_that_is_the_only_place_tells_where_it_has_the_image_from(origin: str) -> None:
    cache = blob_url("http://10.0.0.5:8081", origin)
    body = {"mode": "flash", "image": cache, "target_disk_serial": "S", "format": "img.gz"}

    plan = parse_plan(json.dumps(body).encode())

    assert isinstance(plan, FlashPlan)
    assert plan.places == (Place(cache, "cache"), Place(origin))


@pytest.mark.parametrize(
    "url", ["http://h/b/zzzz/a.img", "http://h/b/aHR0cDovL2gvYQ/other.img", "http://h/b/__/a.img"]
)
def test_an_address_that_only_looks_like_that_of_a_cache_is_the_place(url: str) -> None:
    body = {"mode": "flash", "image": url, "target_disk_serial": "S"}

    plan = parse_plan(json.dumps(body).encode())

    assert isinstance(plan, FlashPlan)
    assert plan.places == (Place(url),)
