"""Operators log in and out; guesses are throttled."""

from __future__ import annotations

import contextlib
import math
import secrets
import threading
from dataclasses import dataclass, field, replace

from bty_app.domain import sessions as rules
from bty_app.domain.bounds import network_of
from bty_app.domain.events import Actor, Event, Kind, Subject
from bty_app.domain.moments import stamp
from bty_app.domain.sessions import FINGERPRINT, LIFETIME, Session, Throttle
from bty_app.errors import ConflictError, StorageError, ThrottledError
from bty_app.services.clock import Clock, utc_now
from bty_app.store import events, sessions, settings
from bty_app.store.database import Database, Tx

MAX_USER_AGENT = 200
_OPERATOR = Subject("auth", "operator")


@dataclass(frozen=True, slots=True)
class Account:
    """The operator's password, and the key that signs forms."""

    password: str = field(repr=False)
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who asks, as far as can be told."""

    ip: str | None
    user_agent: str | None = None


class Sessions:
    """Logins, kept in the database: they outlive a restart and end when they are revoked."""

    def __init__(self, database: Database, account: Account, clock: Clock = utc_now) -> None:
        self._database = database
        self._password = account.password
        self._key = account.key.encode()
        self._clock = clock
        self._throttle = Throttle()
        self._lock = threading.Lock()
        self._refused = 0

    def end_those_of_another_password(self) -> bool:
        """Call it at start: after a change of password (or key) nobody stays logged in.

        Returns:
            Whether the password is another one than before.
        """

        def change(tx: Tx) -> bool:
            known = tx.value("SELECT value FROM settings WHERE key = ?", FINGERPRINT)
            salt = str(known).partition(":")[0] if known else secrets.token_hex(16)
            now = rules.password_fingerprint(self._key, salt, self._password)
            if known is not None and rules.same_text(str(known), now):
                return False
            sessions.delete_all(tx)
            settings.put(tx, FINGERPRINT, now, at=stamp(self._clock()))
            return known is not None

        return self._database.write(change, always=True)

    def log_in(self, password: str, visitor: Visitor) -> str | None:
        """The token of a new session, or None: the password is wrong.

        Raises:
            ThrottledError: too many wrong guesses lately; this one was not looked at.
            StorageError: the session cannot be recorded.
        """
        if not self.is_password(password, visitor):
            return None
        self._opened(token := secrets.token_urlsafe(32), visitor)
        return token

    def is_password(self, password: str, visitor: Visitor) -> bool:
        """Whether it is; a wrong one is recorded.

        Raises:
            ThrottledError: too many wrong guesses lately; this one was not looked at.
        """
        refused_before = self._guess(password, visitor)
        if refused_before is None:
            return True
        event = _event(
            Kind.LOGIN_FAILED,
            "a login with a wrong password",
            visitor.ip,
            {"refused_before": refused_before},
        )
        at = stamp(self._clock())
        with contextlib.suppress(StorageError):  # the answer is no, written down or not
            self._database.write(lambda tx: events.record(tx, event, at=at), always=True)
        return False

    def take_password(self, tx: Tx, password: str, *, keep: Session | None) -> int:
        """In this transaction: end all sessions but `keep`, and know this password at the next
        start; return how many were ended. `use_password` follows once it is durable.
        """
        ended = sessions.delete_others(tx, keep.token_hash if keep else None)
        salt = secrets.token_hex(16)
        known = rules.password_fingerprint(self._key, salt, password)
        settings.put(tx, FINGERPRINT, known, at=stamp(self._clock()))
        return ended

    def use_password(self, password: str) -> None:
        """From now on this is the password."""
        with self._lock:
            self._password = password

    def find(self, token: str) -> tuple[Session, bool] | None:
        """The valid session of `token`, and whether it has just been made to last longer."""
        token_hash = rules.token_hash(token)
        session = self._database.read(lambda tx: sessions.get(tx, token_hash))
        now = self._clock()
        if session is None or not session.is_valid(now):
            return None
        if not session.is_due(now):
            return session, False
        longer = replace(session, seen_at=now, expires_at=now + LIFETIME)
        try:
            self._database.write(
                lambda tx: sessions.note_use(
                    tx, token_hash, seen_at=longer.seen_at, expires_at=longer.expires_at
                ),
                always=True,
            )
        except (StorageError, ConflictError):  # a full disk must not lock the operator out
            return session, False
        return longer, True

    def log_out(self, session: Session, *, ip: str | None) -> None:
        """Close a session, for every copy of its token."""
        at = stamp(self._clock())

        def change(tx: Tx) -> None:
            if sessions.delete(tx, session.token_hash):
                events.record(tx, _event(Kind.LOGOUT, "the operator logged out", ip), at=at)

        self._database.write(change, always=True)

    def form_token(self, session: Session | None) -> str:
        """What a form on a page must carry: of this session, or of the login page."""
        if session is None:
            return rules.login_form_token(self._key, self._clock())
        return rules.form_token(self._key, session)

    def is_form_of(self, session: Session | None, token: str) -> bool:
        """Whether a form with this token came from a page that we made for this session."""
        if session is None:
            return rules.login_form_is_ours(self._key, token, self._clock())
        return rules.same_text(token, rules.form_token(self._key, session))

    def _guess(self, password: str, visitor: Visitor) -> int | None:
        """None: it is the password. Else how many guesses were refused since the last one heard."""
        network = network_of(visitor.ip)
        now = self._clock().timestamp()
        with self._lock:  # guesses that come together are counted one by one
            wait = self._throttle.wait(network, now)
            if wait > 0:
                self._refused += 1
                seconds = math.ceil(wait)
                raise ThrottledError(
                    f"too many wrong passwords: try again in {seconds} s", retry_after=seconds
                )
            if self._password and rules.same_text(password, self._password):
                self._throttle.right(network)
                return None
            self._throttle.wrong(network, now)
            refused, self._refused = self._refused, 0
            return refused

    def _opened(self, token: str, visitor: Visitor) -> None:
        now = self._clock()
        agent = visitor.user_agent
        session = Session(
            token_hash=rules.token_hash(token),
            created_at=now,
            seen_at=now,
            expires_at=now + LIFETIME,
            source_ip=visitor.ip,
            user_agent=agent[:MAX_USER_AGENT] if agent else None,
        )
        event = _event(Kind.LOGIN_SUCCEEDED, "the operator logged in", visitor.ip)

        def change(tx: Tx) -> None:
            sessions.insert(tx, session)
            events.record(tx, event, at=stamp(now))

        self._database.write(change, always=True)


def _event(
    kind: Kind, summary: str, ip: str | None, details: dict[str, object] | None = None
) -> Event:
    return Event(kind, Actor.OPERATOR, summary, _OPERATOR, ip, details)
