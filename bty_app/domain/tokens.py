"""API tokens: how one is spelled, what it may, and how long it counts.

`bty_<id>_<secret>`: the id names it in lists and logs, the secret is 256 random bits.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from bty_app.domain.moments import stamp
from bty_app.errors import ValidationError

PREFIX = "bty_"
MAX_NAME = 64
MAX_DAYS = 3650
_SPELLED = re.compile(r"bty_([0-9a-f]{10})_[A-Za-z0-9_-]{43}", re.ASCII)
_DAYS = re.compile(r"([1-9][0-9]{0,3})d?", re.ASCII)


class Scope(StrEnum):
    """What a credential may; each includes those before it."""

    READ = "read"
    OPERATE = "operate"
    ADMIN = "admin"

    def covers(self, wanted: Scope) -> bool:
        """Whether this one is enough for `wanted`."""
        order = list(Scope)
        return order.index(self) >= order.index(wanted)


@dataclass(frozen=True, slots=True)
class Asker:
    """The script that something is done for: what events say of its token."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Token:
    """A token as it is kept. `last_used` is known to about a minute."""

    id: str
    token_hash: str
    name: str
    scope: Scope
    created_at: datetime
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    last_used_ip: str | None = None

    def is_valid(self, now: datetime) -> bool:
        """Whether it still counts at `now`."""
        return self.expires_at is None or now < self.expires_at

    def as_data(self) -> dict[str, object]:
        """What may be shown of it."""
        return {
            "id": self.id,
            "name": self.name,
            "scope": self.scope.value,
            "created_at": stamp(self.created_at),
            "expires_at": stamp(self.expires_at) if self.expires_at else None,
            "last_used_at": stamp(self.last_used_at) if self.last_used_at else None,
            "last_used_ip": self.last_used_ip,
        }


def spelled(token_id: str, secret: str) -> str:
    """The token as a script sends it."""
    return f"{PREFIX}{token_id}_{secret}"


def id_of(text: str) -> str | None:
    """The id in what somebody sent; None when that is not spelled as a token of ours."""
    found = _SPELLED.fullmatch(text)
    return found[1] if found else None


def checked_name(text: str) -> str:
    """The name of a token, for people.

    Raises:
        ValidationError: it is empty, too long, or not one line of text.
    """
    name = text.strip()
    if not name or len(name) > MAX_NAME or not name.isprintable():
        raise ValidationError(f"name: must be one line of 1 to {MAX_NAME} characters")
    return name


def checked_scope(text: str) -> Scope:
    """The scope that `text` names.

    Raises:
        ValidationError: it names none.
    """
    try:
        return Scope(text.strip().lower())
    except ValueError as error:
        raise ValidationError(f"scope: must be {_listed(Scope)}") from error


def days_of(text: str) -> int | None:
    """In how many days a token ends: `90` or `90d`; empty: never.

    Raises:
        ValidationError: `text` is no number of days from 1 to 3650.
    """
    if not text.strip():
        return None
    found = _DAYS.fullmatch(text.strip())
    if not found or int(found[1]) > MAX_DAYS:
        raise ValidationError(f"expires: must be a number of days from 1 to {MAX_DAYS}, or empty")
    return int(found[1])


def expiry(text: str, now: datetime) -> datetime | None:
    """When a token of this many days ends.

    Raises:
        ValidationError: as `days_of`.
    """
    days = days_of(text)
    return None if days is None else now + timedelta(days=days)


def _listed(words: Iterable[str]) -> str:
    *first, last = words
    return f"{', '.join(first)} or {last}"
