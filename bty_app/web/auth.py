"""Who may ask: a script's token; or the session cookie, and proof that a browser was sent here by
our own pages.

A resource is closed unless its class says `open_to_all = True`; `closed_methods` of such a class
are closed all the same. One whose class says `checks_form = True` takes a form that is too large
to be read before it: it calls `check_token` itself, before it takes anything of it.
"""

from __future__ import annotations

from typing import Any, Final
from urllib.parse import urlsplit

import falcon

from bty_app.domain.sessions import LIFETIME, Session
from bty_app.errors import NotAllowedError, NotAuthenticatedError
from bty_app.services.sessions import Sessions, Visitor
from bty_app.services.tokens import Tokens
from bty_app.web.forms import MAX_BYTES, form_of
from bty_app.web.scopes import is_for_people, scope_of

COOKIE: Final = "bty-token"
SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_COOKIES_TRIED = 4  # a program that was on this host before may have left one of the same name


class Cookies:
    """The one cookie there is; `secure` where browsers reach us over https only."""

    def __init__(self, *, secure: bool) -> None:
        self._secure = secure

    def give(self, resp: falcon.Response, token: str) -> None:
        """Let the browser keep the token for as long as a session lasts."""
        resp.set_cookie(
            COOKIE,
            token,
            max_age=int(LIFETIME.total_seconds()),
            path="/",
            secure=self._secure,
            http_only=True,
            same_site="Strict",
        )

    def take(self, resp: falcon.Response) -> None:
        """Let the browser forget it."""
        resp.unset_cookie(COOKIE, same_site="Strict", path="/")


def is_open(resource: object, method: str) -> bool:
    """Whether it is answered to whoever asks."""
    closed: tuple[str, ...] = getattr(resource, "closed_methods", ())
    return bool(getattr(resource, "open_to_all", False)) and method not in closed


class SessionCheck:
    """Lets a request through to a closed resource, or not."""

    def __init__(self, sessions: Sessions, tokens: Tokens, cookies: Cookies) -> None:
        self._sessions = sessions
        self._tokens = tokens
        self._cookies = cookies

    def process_request(self, _req: falcon.Request, _resp: falcon.Response) -> None:
        """Nobody yet: the thread may have served a script before."""
        self._tokens.act_for(None)

    def process_resource(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        resource: object,
        _params: dict[str, Any],
    ) -> None:
        """Set `req.context.session`.

        Raises:
            NotAuthenticatedError: closed, and neither a valid session nor a valid token.
            NotAllowedError: the token may not do this.
            ThrottledError: too many wrong tokens lately.
            falcon.HTTPForbidden: a change that another site's page may have asked for.
        """
        req.context.max_form_bytes = getattr(resource, "max_form_bytes", MAX_BYTES)
        if is_open(resource, req.method):
            return
        token = bearer(req)
        if token is not None:
            self._let_in(req, resource, token)
            return
        session = self.session_of(req, resp)
        if session is None:
            raise NotAuthenticatedError("login required")
        req.context.session = session
        if req.method not in SAFE_METHODS:
            check_same_origin(req)
            if req.path.startswith("/ui/") and not getattr(resource, "checks_form", False):
                check_form(req, self._sessions, session)

    def _let_in(self, req: falcon.Request, resource: object, text: str) -> None:
        """A script. No browser sends this header by itself, so no page of another site can."""
        if is_for_people(req.path):
            raise NotAllowedError("pages take no token: use the API, or log in")
        token = self._tokens.find(text, ip=req.context.client_ip)
        req.context.note["token"] = token.id
        needed = scope_of(resource, req.method)
        if not token.scope.covers(needed):
            raise NotAllowedError(
                f"this needs a token of scope {needed.value}; {token.name!r} has"
                f" {token.scope.value}",
                needed=needed.value,
            )
        self._tokens.act_for(token)

    def session_of(self, req: falcon.Request, resp: falcon.Response) -> Session | None:
        """The valid session of a request; its cookie is renewed along with it."""
        for token in (req.get_cookie_values(COOKIE) or [])[:_COOKIES_TRIED]:
            found = self._sessions.find(token)
            if found is not None:
                session, renewed = found
                if renewed:
                    self._cookies.give(resp, token)
                return session
        return None


def bearer(req: falcon.Request) -> str | None:
    """What stands in `Authorization: Bearer …` (RFC 6750, 2.1); None without such a header."""
    kind, _, token = (req.get_header("Authorization") or "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else None


def check_same_origin(req: falcon.Request) -> None:
    """A browser says where a request comes from: it must be a page of ours.

    Programs send neither header, and no other site can make a browser leave them out.

    Raises:
        falcon.HTTPForbidden: it comes from elsewhere.
    """
    site = req.get_header("Sec-Fetch-Site")
    if site is not None:
        ours = site in {"same-origin", "none"}
    else:
        origin = req.get_header("Origin")
        ours = origin is None or _place(origin) in _our_places(req)
    if not ours:
        raise falcon.HTTPForbidden(
            description="this request comes from another site's page; if this server stands"
            " behind a proxy, set server.public_url"
        )


def is_from_browser(req: falcon.Request) -> bool:
    """Whether a browser says so itself."""
    return bool(req.get_header("Sec-Fetch-Site") or req.get_header("Origin"))


def check_form(req: falcon.Request, sessions: Sessions, session: Session | None) -> None:
    """A form must carry the token that our pages give it: `csrf_token`, or X-CSRF-Token.

    Raises:
        falcon.HTTPForbidden: it does not.
    """
    token = req.get_header("X-CSRF-Token") or form_of(req).text("csrf_token") or ""
    check_token(token, sessions, session)


def check_token(token: str, sessions: Sessions, session: Session | None) -> None:
    """A form's token must be the one that our pages give it.

    Raises:
        falcon.HTTPForbidden: it is not.
    """
    if not sessions.is_form_of(session, token):
        raise falcon.HTTPForbidden(
            description="this form is not from a page of your session: load the page again"
        )


def visitor_of(req: falcon.Request) -> Visitor:
    """Who asks."""
    return Visitor(req.context.client_ip, req.user_agent)


def _our_places(req: falcon.Request) -> frozenset[str]:
    """Host and port under which browsers know us; a proxy in front may speak https for us."""
    host = req.get_header("Host") or ""
    origins = (req.context.base_url, f"http://{host}", f"https://{host}")
    return frozenset(place for origin in origins if (place := _place(origin)))


def _place(origin: str) -> str | None:
    """Host and port of an origin, the scheme's own port left out; None when it is not one."""
    try:
        parts = urlsplit(origin)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return None
    usual = {"http": 80, "https": 443}[parts.scheme]
    return parts.hostname if port in {None, usual} else f"{parts.hostname}:{port}"
