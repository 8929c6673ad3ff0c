"""For which script a thread acts: the edge says so for a request, and each event names its token.

A context variable, so that no use case need hand on what it has no other use for. A job keeps the
context of the request that asked for it, and a process that does a part of it is told.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextvars import ContextVar

from bty_app.domain.tokens import Asker, Token

_ASKER: ContextVar[Asker | None] = ContextVar("asker", default=None)
_VARIABLE = "BTY_ASKED_BY"


def act_for(token: Token | None) -> None:
    """From now on, this thread acts for a script with this token; None: for nobody of these."""
    _ASKER.set(Asker(token.id, token.name) if token else None)


def acting() -> Asker | None:
    """The script that this thread acts for."""
    return _ASKER.get()


def for_child() -> Mapping[str, str]:
    """What the environment of a process of ours says of who asked for its work."""
    asker = acting()
    return {_VARIABLE: json.dumps([asker.id, asker.name])} if asker else {}


def as_child(environment: Mapping[str, str]) -> None:
    """From now on, this thread acts for whom its parent acted for."""
    text = environment.get(_VARIABLE)
    if text:
        token_id, name = json.loads(text)
        _ASKER.set(Asker(str(token_id), str(name)))
