"""Which token a thread acts for: the edge says so for a request, and each event names it.

A context variable, so that no use case need hand on what it has no other use for; work that a
request leaves to another thread is its own.
"""

from __future__ import annotations

from contextvars import ContextVar

from bty_app.domain.tokens import Token

_TOKEN: ContextVar[Token | None] = ContextVar("token", default=None)


def act_for(token: Token | None) -> None:
    """From now on, this thread acts for a script with this token; None: for nobody of these."""
    _TOKEN.set(token)


def acting() -> Token | None:
    """The token of the script that this thread acts for."""
    return _TOKEN.get()
