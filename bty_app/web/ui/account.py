"""The account page: the password, who is logged in, and the tokens of scripts."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field

import falcon

from bty_app.domain.browsers import in_words
from bty_app.domain.moments import stamp
from bty_app.domain.sessions import MIN_PASSWORD, Session, public_id
from bty_app.domain.tokens import Scope, Token
from bty_app.errors import (
    BtyError,
    ConflictError,
    NotFoundError,
    ThrottledError,
    ValidationError,
)
from bty_app.services.account import AccountKeeper
from bty_app.services.tokens import Tokens
from bty_app.web.errors import status_of
from bty_app.web.forms import form_of
from bty_app.web.pages import Answer, Pages, see_other

HERE = "/ui/account"
SHOWN = 100  # sessions on the page; a script that logs in for every call makes thousands
_SAID = {
    "password": "The password is changed. All other sessions were ended.",
    "ended": "Ended.",
    "revoked": "The token is revoked: it counts no more.",
}
SCOPES = {
    Scope.READ: "read: look at everything but the account and the settings",
    Scope.OPERATE: "operate: machines, catalog, artifacts, events",
    Scope.ADMIN: "admin: also tokens, sessions, settings",
}


@dataclass(frozen=True, slots=True)
class SessionRow:
    """A session as people see it."""

    id: str
    browser: str
    ip: str | None
    created_at: str
    seen_at: str
    own: bool


@dataclass(frozen=True, slots=True)
class TokenRow:
    """A token as people see it."""

    token: Token
    created_at: str
    expires_at: str | None
    used_at: str | None
    expired: bool


@dataclass(frozen=True, slots=True)
class Told:
    """What the page says of the act that led to it; `made` is a new token, shown this once."""

    problems: dict[str, str] = field(default_factory=dict)
    entered: dict[str, str] = field(default_factory=dict)
    made: str = ""
    status: int = 200


class AccountView:
    """The page, and what stands behind it."""

    def __init__(self, pages: Pages, account: AccountKeeper, tokens: Tokens) -> None:
        self._pages = pages
        self.account = account
        self.tokens = tokens

    def show(self, req: falcon.Request, resp: falcon.Response, told: Told) -> None:
        """Answer with the page as it is now."""
        own = req.context.session
        found = self.account.sessions()
        said = _SAID.get(req.get_param("done") or "", "") if req.method == "GET" else ""
        values: dict[str, object] = {
            "told": told,
            "said": said,
            "fixed_by": self.account.fixed_by,
            "password_file": self.account.password_file,
            "min_password": MIN_PASSWORD,
            "sessions": [_session_row(row, own) for row in found[:SHOWN]],
            "more_sessions": max(0, len(found) - SHOWN),
            "tokens": [_token_row(row, self.tokens) for row in self.tokens.listed()],
            "scopes": SCOPES,
        }
        self._pages.render(req, resp, Answer("account.html", values, told.status))


class AccountPage:
    """`/ui/account`."""

    def __init__(self, view: AccountView) -> None:
        self._view = view

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The page."""
        self._view.show(req, resp, Told())


class _Act:
    """A form of the page."""

    def __init__(self, view: AccountView) -> None:
        self._view = view

    def on_get(self, _req: falcon.Request, resp: falcon.Response, **_parts: str) -> None:
        """303 to the page."""
        see_other(resp, HERE)


class AccountPassword(_Act):
    """`/ui/account/password`."""

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """`current`, `new`, `again`: 303 when it is changed, else the page with what is wrong."""
        form = form_of(req)
        current, new = form.text("current") or "", form.text("new") or ""
        if new != (form.text("again") or ""):
            self._refused(req, resp, "again", "is not the same as the new password", 422)
            return
        session, ip = req.context.session, req.context.client_ip
        try:
            ended = self._view.account.change_password(current, new, session, ip=ip)
        except ThrottledError as error:
            resp.set_header("Retry-After", str(error.retry_after))
            self._refused(req, resp, "current", error.message, 429)
        except ValidationError as error:
            self._refused(req, resp, "new", error.message.removeprefix("new: "), 422)
        except ConflictError as error:
            self._refused(req, resp, "new", error.message, 409)
        else:
            if ended is None:
                self._refused(req, resp, "current", "is not the password", 403)
            else:
                see_other(resp, f"{HERE}?done=password")

    def _refused(
        self, req: falcon.Request, resp: falcon.Response, name: str, why: str, status: int
    ) -> None:
        self._view.show(req, resp, Told({name: why}, status=status))


class AccountSessions(_Act):
    """`/ui/account/sessions/end`."""

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """End the session of `id`, or all but this one with `others`: 303 back."""
        form, ip = form_of(req), req.context.client_ip
        if form.text("others"):
            self._view.account.end_others(req.context.session, ip=ip)
        else:
            with contextlib.suppress(NotFoundError):  # it has ended by itself: that was wanted
                self._view.account.end(form.text("id") or "", ip=ip)
        see_other(resp, f"{HERE}?done=ended")


class AccountTokens(_Act):
    """`/ui/account/tokens`."""

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """`name`, `scope`, `expires`: the page with the token, this once."""
        form = form_of(req)
        names = ("name", "scope", "expires")
        entered = {name: form.text(name) or "" for name in names}
        try:
            _made, text = self._view.tokens.create(**entered, ip=req.context.client_ip)
        except (ValidationError, ConflictError) as error:
            self._view.show(req, resp, _wrong(error, entered))
            return
        self._view.show(req, resp, Told(made=text))


class AccountRevoke(_Act):
    """`/ui/account/tokens/{token_id}/revoke`."""

    def on_post(self, req: falcon.Request, resp: falcon.Response, token_id: str) -> None:
        """Revoke it: 303 back."""
        with contextlib.suppress(NotFoundError):  # somebody else was first
            self._view.tokens.revoke(token_id, ip=req.context.client_ip)
        see_other(resp, f"{HERE}?done=revoked")


def _wrong(error: BtyError, entered: dict[str, str]) -> Told:
    name, colon, why = error.message.partition(": ")
    if not colon or name not in entered:
        name, why = "name", error.message
    return Told({name: why}, entered, status=status_of(error))


def _session_row(session: Session, own: Session | None) -> SessionRow:
    return SessionRow(
        public_id(session),
        in_words(session.user_agent),
        session.source_ip,
        stamp(session.created_at),
        stamp(session.seen_at),
        own is not None and session.token_hash == own.token_hash,
    )


def _token_row(token: Token, tokens: Tokens) -> TokenRow:
    return TokenRow(
        token,
        stamp(token.created_at),
        stamp(token.expires_at) if token.expires_at else None,
        stamp(token.last_used_at) if token.last_used_at else None,
        tokens.has_ended(token),
    )
