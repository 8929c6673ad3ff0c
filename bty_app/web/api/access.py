"""Access, for administrators' scripts: tokens, sessions, the password (under /api/v1)."""

from __future__ import annotations

import falcon

from bty_app.domain.moments import stamp
from bty_app.domain.sessions import Session, public_id
from bty_app.domain.tokens import Scope
from bty_app.errors import NotAllowedError, ValidationError
from bty_app.services.account import AccountKeeper
from bty_app.services.tokens import Tokens
from bty_app.web import body

MAX_BODY_BYTES = 16 * 1024


class TokenList:
    """`/api/v1/tokens`."""

    scope = Scope.ADMIN

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """`{"tokens": [...]}`, the newest first; no secret is among it."""
        resp.media = {"tokens": [token.as_data() for token in self._tokens.listed()]}

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """`{"name", "scope", "expires_days"?}`: 201 with the `token`, this once."""
        given = _given(req, "name", "scope", "expires_days")
        days = given.get("expires_days")
        made, text = self._tokens.create(
            _text(given, "name"),
            _text(given, "scope") or Scope.READ.value,
            "" if days is None else str(days),
            ip=req.context.client_ip,
        )
        resp.status = 201
        resp.set_header("Cache-Control", "no-store")
        resp.media = made.as_data() | {"token": text}


class TokenById:
    """`/api/v1/tokens/{token_id}`."""

    scope = Scope.ADMIN

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def on_delete(self, req: falcon.Request, resp: falcon.Response, token_id: str) -> None:
        """Revoke it; 204."""
        self._tokens.revoke(token_id, ip=req.context.client_ip)
        resp.status = 204


class SessionList:
    """`/api/v1/sessions`."""

    scope = Scope.ADMIN

    def __init__(self, account: AccountKeeper) -> None:
        self._account = account

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """`{"sessions": [...]}`, the last used first."""
        own = req.context.session
        rows = [_session_json(row, own) for row in self._account.sessions()]
        resp.media = {"sessions": rows}

    def on_delete(self, req: falcon.Request, resp: falcon.Response) -> None:
        """End all but the one that asks: `{"ended": n}`."""
        ended = self._account.end_others(req.context.session, ip=req.context.client_ip)
        resp.media = {"ended": ended}


class SessionById:
    """`/api/v1/sessions/{session_id}`."""

    scope = Scope.ADMIN

    def __init__(self, account: AccountKeeper) -> None:
        self._account = account

    def on_delete(self, req: falcon.Request, resp: falcon.Response, session_id: str) -> None:
        """End it; 204."""
        self._account.end(session_id, ip=req.context.client_ip)
        resp.status = 204


class PasswordChange:
    """`/api/v1/account/password`."""

    scope = Scope.ADMIN

    def __init__(self, account: AccountKeeper) -> None:
        self._account = account

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """`{"current", "new"}`: `{"sessions_ended": n}`; 403 when `current` is not the password."""
        given = _given(req, "current", "new")
        session, ip = req.context.session, req.context.client_ip
        ended = self._account.change_password(
            _text(given, "current"), _text(given, "new"), session, ip=ip
        )
        if ended is None:
            raise NotAllowedError("current: that is not the password")
        resp.media = {"sessions_ended": ended}


def _session_json(session: Session, own: Session | None) -> dict[str, object]:
    return {
        "id": public_id(session),
        "created_at": stamp(session.created_at),
        "seen_at": stamp(session.seen_at),
        "expires_at": stamp(session.expires_at),
        "source_ip": session.source_ip,
        "user_agent": session.user_agent,
        "this_one": own is not None and own.token_hash == session.token_hash,
    }


def _given(req: falcon.Request, *known: str) -> dict[str, object]:
    given = body.json_object(req, MAX_BODY_BYTES)
    if unknown := sorted(set(given) - set(known)):
        raise ValidationError(f"{unknown[0][:40]}: there is no such field")
    return given


def _text(given: dict[str, object], name: str) -> str:
    value = given.get(name, "")
    if not isinstance(value, str):
        raise ValidationError(f"{name}: must be text")
    return value
