"""Log in and out."""

from __future__ import annotations

import falcon

from bty_app.errors import ThrottledError, ValidationError
from bty_app.services.sessions import Sessions
from bty_app.web.auth import (
    Cookies,
    SessionCheck,
    check_same_origin,
    is_from_browser,
    visitor_of,
)
from bty_app.web.forms import Form, form_of
from bty_app.web.pages import Answer, Pages, see_other

HOME = "/ui/dashboard"


class Login:
    """`/ui/login`. A script posts the field `password` alone and keeps the cookie."""

    open_to_all = True

    def __init__(
        self, pages: Pages, sessions: Sessions, check: SessionCheck, cookies: Cookies
    ) -> None:
        self._pages = pages
        self._sessions = sessions
        self._check = check
        self._cookies = cookies

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The form; somebody who is logged in goes on."""
        if self._check.session_of(req, resp) is not None:
            see_other(resp, HOME)
            return
        self._page(req, resp, 200, "")

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """303 with a session; 403 with the form when the password is wrong; 429 when throttled."""
        check_same_origin(req)
        form = form_of(req)
        password = form.text("password")
        if password is None:
            raise ValidationError("password: the field is missing")
        if is_from_browser(req) and not self._is_ours(form):
            self._page(req, resp, 403, "The page was open for too long. Please try again.")
            return
        try:
            # The password file ends with a newline, and a script may send the file as it is.
            token = self._sessions.log_in(password.removesuffix("\n"), visitor_of(req))
        except ThrottledError as error:
            resp.set_header("Retry-After", str(error.retry_after))
            self._page(req, resp, 429, f"{error.message[0].upper()}{error.message[1:]}.")
            return
        if token is None:
            self._page(req, resp, 403, "That is not the password.")
            return
        self._cookies.give(resp, token)
        see_other(resp, HOME)

    def _is_ours(self, form: Form) -> bool:
        return self._sessions.is_form_of(None, form.text("csrf_token") or "")

    def _page(self, req: falcon.Request, resp: falcon.Response, status: int, problem: str) -> None:
        self._pages.render(req, resp, Answer("login.html", {"problem": problem}, status))


class Logout:
    """`/ui/logout`."""

    def __init__(self, sessions: Sessions, cookies: Cookies) -> None:
        self._sessions = sessions
        self._cookies = cookies

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """End the session, for every copy of its cookie."""
        self._sessions.log_out(req.context.session, ip=req.context.client_ip)
        self._cookies.take(resp)
        see_other(resp, "/ui/login")


class Forward:
    """A page's other address."""

    def __init__(self, to: str) -> None:
        self._to = to

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Go there."""
        see_other(resp, self._to)
