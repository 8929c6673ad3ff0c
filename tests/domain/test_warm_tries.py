"""Pauses after images that could not be fetched into the cache."""

from __future__ import annotations

from bty_app.domain.warm_tries import MEND_PAUSE_SECONDS, Tries, tries_for


def pauses(tries: Tries, count: int) -> list[float]:
    found, now = [], 0.0
    for _ in range(count):
        tries = tries.failed(now, has_other_bytes=False)
        found.append(tries.not_before - now)
        now = tries.not_before
        assert tries.may_try(now)
        assert not tries.may_try(now - 1)
    return found


def test_pauses_grow_from_a_minute_to_an_hour() -> None:
    assert pauses(Tries("a"), 9) == [60, 120, 240, 480, 960, 1920, 3600, 3600, 3600]


def test_pauses_have_no_end() -> None:
    assert pauses(Tries("a"), 2000)[-1] == 3600


def test_another_digest_is_another_streak() -> None:
    failed = Tries("a").failed(0.0, has_other_bytes=True).cancelled()

    assert tries_for(failed, "a") is failed
    assert tries_for(failed, "b") == Tries("b")
    assert tries_for(None, None) == Tries(None)


def test_who_asks_is_served_and_hears_nothing_twice() -> None:
    failed = Tries("a").failed(0.0, has_other_bytes=False).failed(60.0, has_other_bytes=False)

    asked = failed.cancelled().asked()

    assert asked.may_try(61.0)
    assert asked.is_told
    assert asked.failed(61.0, has_other_bytes=False).not_before == 121


def test_what_was_cancelled_waits_for_ever() -> None:
    assert not Tries("a").cancelled().may_try(10**12)


def test_wrong_bytes_are_not_fetched_again_and_again() -> None:
    failed = Tries("a").failed(0.0, has_other_bytes=True)

    assert not failed.asked().may_mend(MEND_PAUSE_SECONDS - 1)
    assert failed.may_mend(MEND_PAUSE_SECONDS)
    assert failed.failed(9.0, has_other_bytes=False).mend_not_before == MEND_PAUSE_SECONDS
    assert Tries("a").failed(0.0, has_other_bytes=False).may_mend(0.0)
