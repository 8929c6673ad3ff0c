"""HTML: the templates, what every page shows, and the headers that every page has."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from importlib import resources

import falcon
from jinja2 import Environment, FunctionLoader, StrictUndefined, TemplateNotFound
from markupsafe import Markup

from bty_app import __version__
from bty_app.domain.mac import Mac, parse_mac
from bty_app.errors import InvalidInputError
from bty_app.services.sessions import Sessions
from bty_app.web.assets import Assets
from bty_app.web.ui.alerts import Alerts
from bty_app.web.ui.kind_words import actor_words, kind_words
from bty_app.web.ui.said import exact, said, seen, with_commands

CONTENT_SECURITY_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "frame-ancestors 'none'",
        "base-uri 'none'",
    )
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A page to be rendered: which template, with what, and the status."""

    template: str
    values: dict[str, object]
    status: int = 200


class Pages:
    """Renders pages and parts of pages. Any thread may call."""

    def __init__(self, assets: Assets, sessions: Sessions, alerts: Alerts) -> None:
        self._sessions = sessions
        self._alerts = alerts
        self._environment = environment(assets)

    def render(self, req: falcon.Request, resp: falcon.Response, answer: Answer) -> None:
        """Answer with a whole page."""
        session = req.context.session
        shown = self._alerts.current(exact=True) if session else None
        html = self._environment.get_template(answer.template).render(
            answer.values,
            path=req.path,
            session=session,
            csrf_token=self._sessions.form_token(session),
            alerts=shown,
        )
        send(resp, html, status=answer.status)

    def part(self, template: str, values: dict[str, object]) -> str:
        """A part of a page. It may be kept and shown to others: it knows of no session."""
        return self._environment.get_template(template).render(
            values, alerts=self._alerts.current()
        )

    def send_part(self, resp: falcon.Response, html: str) -> None:
        """Answer an open page with a part of it, and with the badge of the moment."""
        send(resp, html + self.part("badge_swap.html", {}))

    def error(self, req: falcon.Request, resp: falcon.Response, status: int, detail: str) -> None:
        """Answer with a page that says what went wrong."""
        values: dict[str, object] = {"detail": detail, "machine": _machine_in(req.path)}
        self.render(req, resp, Answer("error.html", values, status))


def _machine_in(path: str) -> Mac | None:
    """The machine that a path below /ui/machines/ is about."""
    steps = path.split("/")
    if steps[1:3] != ["ui", "machines"] or len(steps) < 5:
        return None
    try:
        return parse_mac(steps[3])
    except InvalidInputError:
        return None


class ErrorPages:
    """Middleware: a person gets a page where a script gets `{"detail": …}`."""

    def __init__(self, pages: Pages) -> None:
        self._pages = pages

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, _resource: object, succeeded: bool
    ) -> None:
        """Show the failure of a page as a page."""
        if succeeded or not req.path.startswith("/ui/") or req.get_header("HX-Request"):
            return
        wants_page = "text/html" in (req.get_header("Accept") or "")
        detail = resp.media.get("detail") if isinstance(resp.media, dict) else None
        if wants_page and detail is not None:
            resp.media = None
            self._pages.error(req, resp, falcon.http_status_to_code(resp.status), str(detail))


def send(resp: falcon.Response, html: str, *, status: int = 200) -> None:
    """Answer with `html`, kept by nobody, allowed to load nothing but what is ours."""
    resp.status = status
    resp.content_type = falcon.MEDIA_HTML
    resp.text = html
    resp.set_header("Cache-Control", "no-store")
    resp.set_header("Content-Security-Policy", CONTENT_SECURITY_POLICY)
    # "no-referrer" would make browsers send "Origin: null" with our own forms (Fetch, 3.2).
    resp.set_header("Referrer-Policy", "same-origin")


def see_other(resp: falcon.Response, path: str) -> None:
    """Send the browser on, with GET."""
    resp.status = 303
    resp.location = path
    resp.set_header("Cache-Control", "no-store")


def way_back(wanted: str | None, otherwise: str) -> str:
    """Where a form leads: only to a page of ours, never to another site."""
    if wanted and wanted.startswith("/ui/") and wanted.isascii() and wanted.isprintable():
        return wanted
    return otherwise


def environment(assets: Assets) -> Environment:
    """The template environment: escaping always, undefined names an error, nothing on disk.

    Whatever is shown is harmless to look at; a field whose value comes back says `|exact`.
    """
    made = Environment(
        loader=FunctionLoader(_source),
        autoescape=True,
        undefined=StrictUndefined,
        auto_reload=False,
        bytecode_cache=None,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=seen,
    )
    made.globals["asset"] = assets.url
    made.globals["version"] = __version__
    made.filters["moment"] = moment
    made.filters["kind_words"] = kind_words
    made.filters["actor_words"] = actor_words
    made.filters["exact"] = exact
    made.filters["said"] = said
    made.filters["with_commands"] = with_commands
    made.filters["said_long"] = partial(said, longest=2000)
    made.filters["size"] = human_size
    made.filters["duration"] = duration
    return made


def moment(stamped: str | None) -> Markup:
    """A stored time to the minute, UTC; the exact value is in the element and on hover."""
    if not stamped:
        return Markup('<span class="none">never</span>')
    try:
        at = datetime.fromisoformat(stamped).astimezone(UTC)
    except ValueError:  # a state file that others have written to
        return Markup("<span>{}</span>").format(stamped)
    return Markup('<time datetime="{}" title="{}">{}</time>').format(
        at.isoformat(), f"{at:%Y-%m-%d %H:%M:%S.%f} UTC", f"{at:%Y-%m-%d %H:%M}"
    )


def human_size(count: int | None) -> str:
    """Bytes as people read them: 1.4 GiB."""
    if count is None:
        return "unknown size"
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{count} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def duration(seconds: int) -> str:
    """A time to wait as people say it: 40 s, 3 min, 2 h 5 min."""
    if seconds < 60:
        return f"{seconds} s"
    minutes = -(-seconds // 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def _source(name: str) -> tuple[str, str | None, None]:
    file = resources.files("bty_app.web") / "templates" / name
    try:
        return file.read_text("utf-8"), name, None
    except FileNotFoundError:
        raise TemplateNotFound(name) from None
