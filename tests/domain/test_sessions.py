"""Rules of logins."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain.sessions import (
    ALTOGETHER,
    PER_NETWORK,
    Guesses,
    Session,
    Throttle,
    another_wrong,
    form_token,
    login_form_is_ours,
    login_form_token,
    password_fingerprint,
    same_text,
    token_hash,
    wait_of,
)

KEY = b"a key of the server"
NOW = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)


def session(token: str) -> Session:
    return Session(token_hash(token), NOW, NOW, NOW + timedelta(days=7), None, None)


def test_a_session_ends_at_its_moment() -> None:
    assert session("t").is_valid(NOW + timedelta(days=7, microseconds=-1))
    assert not session("t").is_valid(NOW + timedelta(days=7))


def test_use_is_noted_at_most_once_in_ten_minutes() -> None:
    assert not session("t").is_due(NOW + timedelta(minutes=9, seconds=59))
    assert session("t").is_due(NOW + timedelta(minutes=10))


@pytest.mark.parametrize("text", ["", "x", "pässwört", "пароль", "😀", "\udc80"])
def test_any_text_can_be_compared(text: str) -> None:
    assert same_text(text, text)
    assert not same_text(text, f"{text}x")


def test_a_form_belongs_to_one_session_and_one_key() -> None:
    made = form_token(KEY, session("a"))

    assert made == form_token(KEY, session("a"))
    assert made != form_token(KEY, session("b"))
    assert made != form_token(b"another key", session("a"))


def test_a_login_form_is_ours_for_a_day() -> None:
    made = login_form_token(KEY, NOW)

    assert login_form_is_ours(KEY, made, NOW + timedelta(hours=24))
    assert not login_form_is_ours(KEY, made, NOW + timedelta(hours=24, seconds=1))
    assert not login_form_is_ours(b"another key", made, NOW)


@given(st.text())
def test_no_made_up_text_is_a_login_form_of_ours(text: str) -> None:
    assert not login_form_is_ours(KEY, text, NOW)


def test_a_fingerprint_tells_passwords_apart_and_does_not_hold_them() -> None:
    made = password_fingerprint(KEY, "salt", "secret word")

    assert made == password_fingerprint(KEY, "salt", "secret word")
    assert made != password_fingerprint(KEY, "salt", "secret words")
    assert made != password_fingerprint(KEY, "pepper", "secret word")
    assert made != password_fingerprint(b"another key", "salt", "secret word")
    assert "secret" not in made


def test_waits_double_up_to_the_longest() -> None:
    waits = [wait_of(Guesses(count, 100.0), PER_NETWORK, 100.0) for count in range(18)]

    assert waits == [0, 0, 0, 0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900]


def test_a_wait_runs_out() -> None:
    guesses = Guesses(8, 100.0)

    assert wait_of(guesses, PER_NETWORK, 105.0) == 3.0
    assert wait_of(guesses, PER_NETWORK, 108.0) == 0.0


def test_a_clock_set_back_does_not_make_the_wait_longer() -> None:
    assert wait_of(Guesses(8, 100_000.0), PER_NETWORK, 100.0) == 8.0


def test_a_quiet_hour_makes_forgotten() -> None:
    assert another_wrong(Guesses(9, 0.0), PER_NETWORK, 3600.0).count == 10
    assert another_wrong(Guesses(9, 0.0), PER_NETWORK, 3600.1).count == 1


def test_networks_wait_for_themselves() -> None:
    throttle = Throttle()
    for _ in range(6):
        throttle.wrong("198.51.100.0/24", 0.0)

    assert throttle.wait("198.51.100.0/24", 0.0) == 2.0
    assert throttle.wait("192.0.2.0/24", 0.0) == 0.0


def test_many_networks_together_wait_but_not_the_one_that_has_logged_in() -> None:
    throttle = Throttle()
    throttle.right("192.0.2.0/24")
    for number in range(60):
        throttle.wrong(f"network {number}", 0.0)

    assert throttle.wait("198.51.100.0/24", 0.0) == ALTOGETHER.longest
    assert throttle.wait("192.0.2.0/24", 0.0) == 0.0


def test_a_network_that_has_logged_in_still_waits_for_its_own_guesses() -> None:
    throttle = Throttle()
    throttle.right("192.0.2.0/24")
    for _ in range(5):
        throttle.wrong("192.0.2.0/24", 0.0)

    assert throttle.wait("192.0.2.0/24", 0.0) == 1.0


def test_a_right_password_forgives() -> None:
    throttle = Throttle()
    for _ in range(7):
        throttle.wrong("192.0.2.0/24", 0.0)
    throttle.right("192.0.2.0/24")

    assert throttle.wait("192.0.2.0/24", 0.0) == 0.0


def test_it_remembers_a_bounded_number_of_networks() -> None:
    throttle = Throttle(capacity=2)
    for _ in range(6):
        throttle.wrong("first", 0.0)
    throttle.wrong("second", 0.0)
    throttle.wrong("third", 0.0)

    assert throttle.wait("first", 0.0) == 0.0
