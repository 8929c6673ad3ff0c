"""Scripts come in with tokens: made, found, revoked; wrong ones are throttled."""

from __future__ import annotations

import contextlib
import math
import secrets
import threading
from datetime import datetime

from bty_app.domain import auth_events
from bty_app.domain import tokens as rules
from bty_app.domain.bounds import network_of
from bty_app.domain.moments import stamp
from bty_app.domain.sessions import Throttle, same_text, token_hash
from bty_app.domain.tokens import Token
from bty_app.errors import (
    ConflictError,
    NotAuthenticatedError,
    NotFoundError,
    StorageError,
    ThrottledError,
)
from bty_app.services.clock import Clock, utc_now
from bty_app.store import events, tokens
from bty_app.store.acting import act_for
from bty_app.store.database import Database, Tx

_NOTHING = "0" * 64  # compared in place of a token that is not there


class Tokens:
    """Any thread may call. What is used is written down by `note_uses`, off the request's path."""

    def __init__(self, database: Database, clock: Clock = utc_now) -> None:
        self._database = database
        self._clock = clock
        self._throttle = Throttle()
        self._lock = threading.Lock()
        self._refused = 0
        self._uses: dict[str, tuple[datetime, str | None]] = {}

    def create(self, name: str, scope: str, expires: str, *, ip: str | None) -> tuple[Token, str]:
        """A new token, and how it is spelled: nobody can be told that again.

        Args:
            name: for people; no other token has it.
            scope: `read`, `operate` or `admin`.
            expires: in how many days; empty for never.
            ip: who asks.

        Raises:
            ValidationError: one of them is wrong.
            ConflictError: the name is taken, or there are too many.
        """
        now = self._clock()
        wanted, name = rules.checked_scope(scope), rules.checked_name(name)
        ends = rules.expiry(expires, now)
        text = rules.spelled(token_id := secrets.token_hex(5), secrets.token_urlsafe(32))
        token = Token(token_id, token_hash(text), name, wanted, now, ends)

        def change(tx: Tx) -> None:
            if tokens.named(tx, name) is not None:
                raise ConflictError(f"there is a token {name!r} already: revoke it first")
            if tokens.count(tx) >= tokens.CAPACITY:
                raise ConflictError(f"there are {tokens.CAPACITY} tokens: revoke some first")
            tokens.insert(tx, token)
            events.record(tx, auth_events.token_created(token, ip), at=stamp(now))

        self._database.write(change)
        return token, text

    def listed(self) -> list[Token]:
        """All tokens, the newest first."""
        return self._database.read(tokens.every)

    def has_ended(self, token: Token) -> bool:
        """Whether its time is over."""
        return not token.is_valid(self._clock())

    def revoke(self, wanted: str, *, ip: str | None) -> Token:
        """Forget a token by its id or its name: it counts no more from this moment.

        Raises:
            NotFoundError: there is none.
        """
        at = stamp(self._clock())

        def change(tx: Tx) -> Token:
            token = tokens.get(tx, wanted) or tokens.named(tx, wanted)
            if token is None:
                raise NotFoundError(f"there is no token {wanted[:80]!r}")
            tokens.delete(tx, token.id)
            events.record(tx, auth_events.token_revoked(token, ip), at=at)
            return token

        return self._database.write(change)

    def find(self, text: str, *, ip: str | None) -> Token:
        """The valid token that was sent. A right one is heard whoever else guesses.

        Raises:
            NotAuthenticatedError: it is unknown, revoked or expired.
            ThrottledError: so it is, and too many of these came lately.
        """
        now = self._clock()
        token_id = rules.id_of(text)
        known = self._database.read(lambda tx: tokens.get(tx, token_id)) if token_id else None
        same = same_text(token_hash(text), known.token_hash if known else _NOTHING)
        if known is not None and same and known.is_valid(now):
            with self._lock:
                self._uses[known.id] = (now, ip)
            return known
        why = "expired" if known is not None and same else "unknown or revoked"
        self._refuse(token_id if known else None, why, ip)
        raise NotAuthenticatedError(f"the token is {why}")

    def act_for(self, token: Token | None) -> None:
        """Let events name `token`, as far as this thread writes them; None ends that."""
        act_for(token)

    def note_uses(self) -> None:
        """Write down which tokens were used since the last time, and when."""
        with self._lock:
            uses, self._uses = self._uses, {}
        if not uses:
            return

        def change(tx: Tx) -> None:
            for token_id, (at, ip) in uses.items():
                tokens.note_use(tx, token_id, at=at, ip=ip)

        try:
            self._database.write(change)
        except StorageError:  # a full disk: with the next turn
            with self._lock:
                self._uses = uses | self._uses
            raise

    def _refuse(self, token_id: str | None, why: str, ip: str | None) -> None:
        network, now = network_of(ip), self._clock()
        with self._lock:
            wait = self._throttle.wait(network, now.timestamp())
            if wait > 0:
                self._refused += 1
                seconds = math.ceil(wait)
                raise ThrottledError(
                    f"too many wrong tokens: try again in {seconds} s", retry_after=seconds
                )
            self._throttle.wrong(network, now.timestamp())
            refused, self._refused = self._refused, 0
        event = auth_events.token_refused(token_id, why, refused, ip)
        with contextlib.suppress(StorageError, ConflictError):  # the answer is no in any case
            self._database.write(lambda tx: events.record(tx, event, at=stamp(now)))
