"""Logging in and out, over a real database file."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bty_app.domain.events import Query, StoredEvent
from bty_app.errors import ThrottledError
from bty_app.services.sessions import Account, Sessions, Visitor
from bty_app.store import events, sessions
from bty_app.store.database import Database
from tests.fresh_state import make_state

PASSWORD = "pässwört"
HERE = Visitor("192.0.2.7", "curl/8")


class Hands:
    def __init__(self) -> None:
        self.now = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(make_state(tmp_path)) as opened:
        yield opened


@pytest.fixture
def hands() -> Hands:
    return Hands()


def made(
    database: Database, hands: Hands, password: str = PASSWORD, key: str = "k" * 16
) -> Sessions:
    account = Account(password, key)
    service = Sessions(database, account, hands)
    service.end_those_of_another_password()
    return service


def told(database: Database) -> list[StoredEvent]:
    return list(reversed(database.read(lambda tx: events.listed(tx, Query(limit=500)))))


def logged_in(service: Sessions) -> str:
    token = service.log_in(PASSWORD, HERE)
    assert token is not None
    return token


def test_the_right_password_opens_a_session(database: Database, hands: Hands) -> None:
    service = made(database, hands)

    token = logged_in(service)

    found = service.find(token)
    assert found is not None
    assert found[0].source_ip == "192.0.2.7"
    assert found[0].user_agent == "curl/8"


def test_the_database_does_not_hold_the_token(database: Database, hands: Hands) -> None:
    token = logged_in(made(database, hands))

    held = database.read(lambda tx: str(list(tx.rows("SELECT * FROM sessions, settings"))))
    assert token not in held
    assert PASSWORD not in held


def test_a_wrong_password_opens_nothing(database: Database, hands: Hands) -> None:
    assert made(database, hands).log_in("passwort", HERE) is None
    assert database.read(sessions.every) == []


def test_an_empty_password_is_never_right(database: Database, hands: Hands) -> None:
    assert made(database, hands, password="").log_in("", HERE) is None


def test_each_login_and_logout_is_told(database: Database, hands: Hands) -> None:
    service = made(database, hands)
    service.log_in("wrong", HERE)
    found = service.find(logged_in(service))
    assert found is not None

    service.log_out(found[0], ip="192.0.2.7")

    rows = told(database)
    assert [row.kind for row in rows] == [
        "auth.login.failed",
        "auth.login.succeeded",
        "auth.logout",
    ]
    for row in rows:
        assert (row.actor, row.subject_kind, row.subject_id) == ("operator", "auth", "operator")
        assert row.source_ip == "192.0.2.7"


def test_logout_ends_every_copy_of_the_token(database: Database, hands: Hands) -> None:
    service = made(database, hands)
    token = logged_in(service)
    found = service.find(token)
    assert found is not None

    service.log_out(found[0], ip=None)

    assert service.find(token) is None


def test_a_session_lasts_seven_days_from_its_last_use(database: Database, hands: Hands) -> None:
    service = made(database, hands)
    token = logged_in(service)

    hands.now += timedelta(days=6)
    assert service.find(token) is not None
    hands.now += timedelta(days=6, hours=23)
    assert service.find(token) is not None
    hands.now += timedelta(days=7)
    assert service.find(token) is None


def test_use_is_written_at_most_once_in_ten_minutes(database: Database, hands: Hands) -> None:
    service = made(database, hands)
    token = logged_in(service)
    renewed = []

    for _ in range(30):
        hands.now += timedelta(minutes=1)
        found = service.find(token)
        assert found is not None
        renewed.append(found[1])

    assert renewed.count(True) == 3


def test_sessions_outlive_a_restart(database: Database, hands: Hands) -> None:
    token = logged_in(made(database, hands))

    assert made(database, hands).find(token) is not None


@pytest.mark.parametrize(
    ("password", "key"), [("another password", "k" * 16), (PASSWORD, "another secret!!")]
)
def test_another_password_or_key_ends_all_sessions(
    database: Database, hands: Hands, password: str, key: str
) -> None:
    token = logged_in(made(database, hands))

    assert made(database, hands, password, key).find(token) is None


def test_guesses_are_refused_after_a_few(database: Database, hands: Hands) -> None:
    service = made(database, hands)
    for _ in range(5):
        assert service.log_in("wrong", HERE) is None

    with pytest.raises(ThrottledError) as refused:
        service.log_in(PASSWORD, HERE)
    assert refused.value.retry_after == 1

    hands.now += timedelta(seconds=1)
    assert service.log_in(PASSWORD, HERE) is not None


def test_refused_guesses_fill_no_log(database: Database, hands: Hands) -> None:
    service = made(database, hands)
    for _ in range(500):
        hands.now += timedelta(milliseconds=10)
        try:
            service.log_in("wrong", HERE)
        except ThrottledError:
            continue

    rows = told(database)
    assert len(rows) == 7
    assert sum(_refused_before(row) for row in rows) > 100


def test_a_guessing_stranger_does_not_lock_the_operator_out(
    database: Database, hands: Hands
) -> None:
    service = made(database, hands)
    logged_in(service)
    for number in range(80):
        try:
            service.log_in("wrong", Visitor(f"198.51.{number}.1"))
        except ThrottledError:
            continue

    with pytest.raises(ThrottledError):
        service.log_in(PASSWORD, Visitor("203.0.113.1"))
    assert service.log_in(PASSWORD, HERE) is not None


def test_logins_do_not_pile_up(
    database: Database, hands: Hands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "CAPACITY", 3)
    service = made(database, hands)
    tokens = []
    for _ in range(5):
        hands.now += timedelta(seconds=1)
        tokens.append(logged_in(service))

    assert [service.find(token) is not None for token in tokens] == [False, False, True, True, True]


def test_a_login_sweeps_out_what_has_expired(database: Database, hands: Hands) -> None:
    service = made(database, hands)
    logged_in(service)
    hands.now += timedelta(days=8)

    logged_in(service)

    assert len(database.read(sessions.every)) == 1


def _refused_before(row: StoredEvent) -> int:
    assert row.details is not None
    return int(row.details.partition(": ")[2].rstrip("}"))
