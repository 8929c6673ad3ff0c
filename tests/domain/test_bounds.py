"""How often something may happen."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain.bounds import Buckets, Rate, network_of


def test_a_burst_goes_at_once_and_the_rest_at_its_rate() -> None:
    buckets = Buckets(Rate(3, 0.5))

    at_once = [buckets.take("a", 100.0) for _ in range(5)]
    after_two_seconds = [buckets.take("a", 102.0) for _ in range(2)]
    long_after = [buckets.take("a", 9999.0) for _ in range(5)]

    assert at_once == [True] * 3 + [False] * 2
    assert after_two_seconds == [True, False]
    assert long_after == [True] * 3 + [False] * 2


def test_each_key_has_its_own() -> None:
    buckets = Buckets(Rate(1, 0))

    assert [buckets.take(key, 0) for key in "abab"] == [True, True, False, False]


def test_a_refusal_takes_nothing() -> None:
    buckets = Buckets(Rate(1, 1))
    buckets.take("a", 0)

    for now in (0.2, 0.4, 0.6, 0.8):
        assert not buckets.take("a", now)
    assert buckets.take("a", 1.0)


def test_a_clock_that_stands_or_goes_back_gives_nothing() -> None:
    buckets = Buckets(Rate(1, 1))
    buckets.take("a", 100)

    assert not buckets.take("a", 50)
    assert not buckets.take("a", 50.5)
    assert buckets.take("a", 51)


def test_the_least_recently_used_is_forgotten_first() -> None:
    buckets = Buckets(Rate(1, 0), capacity=2)
    for key in ("a", "b", "a", "c"):
        buckets.take(key, 0)

    assert [buckets.take(key, 0) for key in "a"] == [False]
    assert buckets.take("b", 0)


@given(
    burst=st.integers(1, 5),
    per_second=st.floats(0, 2),
    steps=st.lists(st.floats(0, 3), max_size=40),
)
def test_no_more_than_the_burst_and_the_rate_ever_pass(
    burst: int, per_second: float, steps: list[float]
) -> None:
    buckets = Buckets(Rate(burst, per_second))
    now, passed = 0.0, 0

    for step in steps:
        now += step
        passed += buckets.take("a", now)

    assert passed <= burst + now * per_second + 1e-6


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.0/24"),
        ("2001:db8:1:2:3::4", "2001:db8:1:2::/64"),
        (None, "unknown"),
        ("", "unknown"),
        ("<script>", "unknown"),
    ],
)
def test_a_network_is_what_one_site_has(address: str | None, network: str) -> None:
    assert network_of(address) == network
