"""Exceptions become answers: `{"detail": "…"}` (CONTRACT 3.1), with more around it under /api/v1
(problem details, RFC 9457).
"""

from __future__ import annotations

import json
import logging
from http import HTTPStatus
from typing import Any

import falcon

from bty_app import errors

_log = logging.getLogger(__name__)

STATUS: tuple[tuple[type[errors.BtyError], int], ...] = (
    (errors.ValidationError, 422),
    (errors.InvalidInputError, 400),
    (errors.NotAuthenticatedError, 401),
    (errors.NotAllowedError, 403),
    (errors.NotFoundError, 404),
    (errors.PreconditionError, 412),
    (errors.MovedError, 503),
    (errors.ConflictError, 409),
    (errors.TooLargeError, 413),
    (errors.ThrottledError, 429),
    (errors.UnavailableError, 503),
)
RETRY_SECONDS = 5
PROBLEM = "application/problem+json"
# What no failure of ours is behind: the framework refused the request, or there is a bug.
NO_CODE, UNEXPECTED = "http", "internal"
_TITLES = {404: "Not Found", 405: "Method Not Allowed"}


def install(app: falcon.App[Any, Any]) -> None:
    """Give `app` its error handlers."""
    app.add_error_handler(Exception, _unexpected)
    app.add_error_handler(falcon.HTTPError, _http)
    app.add_error_handler(errors.BtyError, _ours)


def status_of(error: errors.BtyError) -> int:
    """The HTTP status of a failure; the first row of the table that fits."""
    return next((status for kind, status in STATUS if isinstance(error, kind)), 500)


def _ours(
    req: falcon.Request, resp: falcon.Response, error: errors.BtyError, _params: dict[str, Any]
) -> None:
    status = status_of(error)
    if status == 401 and req.path.startswith("/ui"):
        _to_login(req, resp)
        return
    if status == 401:
        resp.set_header("WWW-Authenticate", 'Bearer realm="bty"')
    elif isinstance(error, errors.NotAllowedError) and error.needed:
        needed = f'Bearer realm="bty", error="insufficient_scope", scope="{error.needed}"'
        resp.set_header("WWW-Authenticate", needed)
    elif isinstance(error, errors.ThrottledError):
        resp.set_header("Retry-After", str(error.retry_after))
    elif status == 503:
        resp.set_header("Retry-After", str(RETRY_SECONDS))
    _answer(req, resp, status, error.message, error.code)


def _to_login(req: falcon.Request, resp: falcon.Response) -> None:
    if req.get_header("HX-Request"):
        resp.status = 401
        resp.set_header("HX-Redirect", "/ui/login")
        return
    resp.status = 303
    resp.location = "/ui/login"


def _http(
    req: falcon.Request, resp: falcon.Response, error: falcon.HTTPError, _params: dict[str, Any]
) -> None:
    status = falcon.http_status_to_code(error.status)
    for name, value in dict(error.headers or {}).items():
        resp.set_header(name, value)
    _answer(req, resp, status, _TITLES.get(status) or error.description or error.title or "refused")


def _unexpected(
    req: falcon.Request, resp: falcon.Response, error: Exception, _params: dict[str, Any]
) -> None:
    request_id = req.context.request_id
    _log.error("internal error", exc_info=error, extra={"fields": {"request_id": request_id}})
    _answer(req, resp, 500, f"internal error: see the log for request {request_id}")


def _answer(
    req: falcon.Request, resp: falcon.Response, status: int, detail: str, code: str = ""
) -> None:
    resp.status = status
    if req.path.startswith("/api/v1/"):
        resp.content_type = PROBLEM
        title = HTTPStatus(status).phrase
        shown = {"type": "about:blank", "title": title, "status": status, "detail": detail}
        shown |= {"code": code or (UNEXPECTED if status == 500 else NO_CODE)}
        resp.data = json.dumps(shown, separators=(",", ":")).encode()
        return
    resp.content_type = falcon.MEDIA_JSON
    resp.media = {"detail": detail}
