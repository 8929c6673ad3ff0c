"""Who does not answer is left alone, and then asked by one."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain.breaker import FAILURES, OPEN_SECONDS, Breaker

WAIT = 2.0


def opened(at: float) -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES):
        assert breaker.allows(at)
        breaker = breaker.failed(at)
    return breaker


def test_it_opens_after_failures_in_a_row_alone() -> None:
    once = Breaker().failed(0)

    assert not once.is_open
    assert not once.answered().failed(0).is_open
    assert once.failed(0).is_open


def test_while_it_is_open_nobody_asks_and_then_one_does() -> None:
    breaker = opened(100)
    assert not breaker.allows(100 + OPEN_SECONDS - 0.1)
    then = 100 + OPEN_SECONDS
    assert breaker.allows(then)

    probing = breaker.asking(then, seconds=WAIT)

    assert not probing.allows(then + WAIT - 0.1)
    assert probing.allows(then + WAIT)  # the one who asked is gone without a word
    assert not probing.failed(then + WAIT).allows(then + WAIT + OPEN_SECONDS - 0.1)
    assert probing.answered().allows(then)


def test_while_it_is_closed_everybody_asks() -> None:
    assert Breaker().asking(5, seconds=WAIT).allows(5)


@given(st.lists(st.booleans(), max_size=30))
def test_it_is_open_just_when_the_last_answers_were_failures(answers: list[bool]) -> None:
    breaker, now = Breaker(), 0.0
    for answered in answers:
        breaker = breaker.asking(now, seconds=WAIT)
        breaker = breaker.answered() if answered else breaker.failed(now)
        now += OPEN_SECONDS

    failed = len(answers) >= FAILURES and not any(answers[-FAILURES:])
    assert breaker.is_open is failed
    assert breaker.allows(now)
