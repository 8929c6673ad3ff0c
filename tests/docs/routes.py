"""The HTTP surface, from the router of the application itself."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import falcon.inspect
from falcon.testing import TestClient

from bty_app import __version__, runtime, runtime_parts
from bty_app.config import Admin, Config, Paths, Server
from bty_app.services.revisions import Revisions
from bty_app.store import creation
from bty_app.web.app import create_app
from bty_app.web.scopes import scope_of
from tests.docs.tables import code, sentence, table

_FIELD = re.compile(r"\{([a-z_]+)(?::[^}]*)?\}", re.ASCII)
_EXAMPLES = {
    "tag": "v1",
    "ref": "a" * 64,
    "job_id": "1",
    "act_id": "act-00001",
    "backup_id": "2026-05-24T08-00-00Z",
    "archive": "state.db.0.1.0.20261122T190718Z.bak",
    "mac": "52:54:00:12:34:56",
    "name": "file",
    "event_id": "1",
    "number": "1",
}
# A method that is closed although its resource is open for others.
_CLOSED = {("PUT", "/boot/{name}")}
# Where the code says less than a reader of the reference needs.
_ABOUT = {
    "GET /version": f'The release: `{{"version": "{__version__}"}}`.',
    "GET /": "303 to the login page.",
    "GET /healthz": '200 `{"status": "ok"}` for as long as the process answers.',
    "GET /metrics": "Counts and gauges in the text format of Prometheus.",
    "GET /pxe-bootstrap.ipxe": "The first script: a chain to the machine's own.",
    "GET /events": "Audit rows, newest first; see below for the filters.",
    "POST /events/{event_id}/ack": "Acknowledge the row.",
    "GET /ui": "303 to the dashboard.",
}


@dataclass(frozen=True, slots=True)
class Route:
    """One method of one address."""

    method: str
    path: str
    open: bool
    about: str
    scope: str = ""


def of_machines() -> str:
    """What is open to everybody on the network."""
    return _table(route for route in every() if route.open and not _is_page(route))


def of_operators() -> str:
    """JSON behind a session."""
    found = [route for route in every() if not route.open and not _is_page(route)]
    rows = [(route.method, code(route.path), route.scope, route.about) for route in found]
    return table(("method", "path", "scope", "answer"), *rows)


def of_pages() -> str:
    """What browsers use."""
    return _table(route for route in every() if _is_page(route))


def every() -> tuple[Route, ...]:
    """All routes of the application, in the order of its table."""
    return _surface()[0]


def document() -> dict[str, Any]:
    """What `/openapi.json` answers."""
    return _surface()[1]


@lru_cache(maxsize=1)
def _surface() -> tuple[tuple[Route, ...], dict[str, Any]]:
    with TemporaryDirectory() as name:
        place = Path(name)
        creation.create(
            place / "state.db", version=__version__, at="2026-11-22T19:07:18.000000+00:00"
        )
        config = Config(
            admin=Admin(password="not used"),
            server=Server(session_secret="not used, and long enough"),
            paths=Paths(
                state_dir=place,
                boot_dir=place / "boot",
                backup_dir=place / "backups",
                catalog_file=place / "catalog.toml",
            ),
        )
        revisions = Revisions()
        with runtime.opened(place, revisions) as database:
            services = runtime.services(config, database, revisions)
            app = create_app(services, runtime_parts.options(config))
            return tuple(_routes(app)), TestClient(app).simulate_get("/openapi.json").json


def _routes(app: falcon.App[Any, Any]) -> Iterator[Route]:
    for info in falcon.inspect.inspect_routes(app):
        resource, methods = _found(app, info.path)
        path = _FIELD.sub(r"{\1}", info.path)
        for method in sorted(m.method for m in info.methods if not m.internal):
            is_open = getattr(resource, "open_to_all", False) and (method, path) not in _CLOSED
            said = sentence(inspect.getdoc(methods[method]))
            about = _ABOUT.get(f"{method} {path}", said)
            if method == "HEAD" and methods.get("GET") == methods["HEAD"]:
                about = "As GET, without the body."
            scope = "" if is_open else scope_of(resource, method).value
            yield Route(method, path, bool(is_open), about, scope)


def _found(app: falcon.App[Any, Any], path: str) -> tuple[object, dict[str, Any]]:
    found = app._router.find(_FIELD.sub(lambda field: _EXAMPLES.get(field[1], "1"), path))
    assert found is not None, path
    return found[0], found[1]


def _is_page(route: Route) -> bool:
    return route.path.startswith(("/ui", "/static"))


def _table(routes: Iterator[Route]) -> str:
    rows = [(route.method, code(route.path), route.about) for route in routes]
    return table(("method", "path", "answer"), *rows)
