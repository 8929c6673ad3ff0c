"""What people and scripts filter the audit log by: the fields of a form or an address, checked."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

from bty_app.domain.events import Query
from bty_app.domain.moments import stamp
from bty_app.errors import ValidationError

MAX_TEXT = 200
_AGO = re.compile(r"([0-9]{1,5})([mhd])", re.ASCII)
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
_SWITCHES = frozenset({"failed", "open"})
_YES = frozenset({"1", "true", "yes", "on"})


@dataclass(frozen=True, slots=True)
class Filters:
    """What was asked for, as text; empty stands for anything.

    `kind` may have `*` for any characters. `since` and `until` are a moment (UTC unless it says
    otherwise), or how long ago: `30m`, `24h`, `7d`. `until` itself is left out.
    """

    q: str = ""
    kind: str = ""
    subject_kind: str = ""
    subject_id: str = ""
    actor: str = ""
    source_ip: str = ""
    since: str = ""
    until: str = ""
    failed: bool = False
    open: bool = False

    @property
    def is_any(self) -> bool:
        """Whether nothing is filtered."""
        return self == Filters()

    @property
    def is_narrow(self) -> bool:
        """Whether something beside the search is filtered."""
        return replace(self, q="", open=False) != Filters()

    def address(self, **more: str) -> str:
        """The query string; `more` stands behind."""
        given = {field.name: getattr(self, field.name) for field in fields(self)}
        texts = {name: "1" if value is True else value for name, value in given.items()}
        kept = {name: text for name, text in (texts | more).items() if text}
        return urlencode(kept, errors="replace")

    def pivot(self, **changed: str) -> str:
        """The query string with some of it changed."""
        return replace(self, **changed).address()  # type: ignore[arg-type]

    def query(self, now: datetime) -> Query:
        """What the audit log is asked.

        Raises:
            ValidationError: a moment cannot be read.
        """
        pattern = "*" in self.kind
        return Query(
            kind=None if pattern else self.kind or None,
            kind_pattern=self.kind if pattern else None,
            subject_kind=self.subject_kind or None,
            subject_id=self.subject_id or None,
            actor=self.actor or None,
            source_ip=self.source_ip or None,
            failed=self.failed,
            open_failures=self.open,
            search=self.q or None,
            since=_moment("since", self.since, now),
            until=_moment("until", self.until, now),
        )


NAMES = frozenset(field.name for field in fields(Filters))
ANY = Filters()


def filters_of(param: Callable[[str], str | None]) -> Filters:
    """The filters in a form or an address, each at most 200 characters."""
    found: dict[str, str | bool] = {}
    for field in fields(Filters):
        text = (param(field.name) or "").strip()[:MAX_TEXT]
        found[field.name] = text.lower() in _YES if field.name in _SWITCHES else text
    return Filters(**found)  # type: ignore[arg-type]


def around(stamped: str) -> tuple[str, str]:
    """From five minutes before a moment to five after it."""
    at = datetime.fromisoformat(stamped)
    five = timedelta(minutes=5)
    return _short(at - five), _short(at + five)


def _short(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M}"


def _moment(name: str, text: str, now: datetime) -> str | None:
    if not text:
        return None
    try:
        if ago := _AGO.fullmatch(text):
            return stamp(now - timedelta(**{_UNITS[ago[2]]: int(ago[1])}))
        at = datetime.fromisoformat(text)
        return stamp(at if at.tzinfo else at.replace(tzinfo=UTC))
    except (ValueError, OverflowError) as error:
        raise ValidationError(
            f"{name}: must be a moment such as 2026-11-22T19:07, or how long ago: 30m, 24h, 7d"
        ) from error
