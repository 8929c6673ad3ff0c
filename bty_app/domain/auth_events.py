"""Audit rows of access: passwords, sessions, tokens. None has a secret in it."""

from __future__ import annotations

from bty_app.domain.events import Actor, Event, Kind, Subject
from bty_app.domain.tokens import Token

_OPERATOR = Subject("auth", "operator")


def password_changed(ended: int, ip: str | None) -> Event:
    """The operator has another password."""
    summary = f"the password was changed; sessions ended: {ended}"
    return Event(
        Kind.PASSWORD_CHANGED, Actor.OPERATOR, summary, _OPERATOR, ip, {"sessions_ended": ended}
    )


def sessions_revoked(count: int, ip: str | None) -> Event:
    """Sessions were ended from elsewhere."""
    summary = f"{count} {'session was' if count == 1 else 'sessions were'} ended"
    return Event(
        Kind.SESSIONS_REVOKED, Actor.OPERATOR, summary, _OPERATOR, ip, {"sessions_ended": count}
    )


def token_created(token: Token, ip: str | None) -> Event:
    """A script may come in."""
    ends = token.expires_at.isoformat() if token.expires_at else None
    details: dict[str, object] = {"name": token.name, "scope": token.scope.value, "expires": ends}
    summary = f"token {token.name!r} was created, scope {token.scope.value}"
    return Event(Kind.TOKEN_CREATED, Actor.OPERATOR, summary, _subject(token.id), ip, details)


def token_revoked(token: Token, ip: str | None) -> Event:
    """A script may come in no more."""
    details: dict[str, object] = {"name": token.name, "scope": token.scope.value}
    summary = f"token {token.name!r} was revoked"
    return Event(Kind.TOKEN_REVOKED, Actor.OPERATOR, summary, _subject(token.id), ip, details)


def token_refused(token_id: str | None, why: str, refused_before: int, ip: str | None) -> Event:
    """Somebody came with a token that does not count."""
    details: dict[str, object] = {"why": why, "refused_before": refused_before}
    subject = _subject(token_id) if token_id else Subject("token", "unknown")
    return Event(
        Kind.TOKEN_FAILED, Actor.OPERATOR, f"a request with a token that is {why}", subject, ip,
        details,
    )  # fmt: skip


def _subject(token_id: str) -> Subject:
    return Subject("token", token_id)
