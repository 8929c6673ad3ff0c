"""Every address that can be read, from the router itself: no test that walks forgets one."""

from __future__ import annotations

import re
from collections.abc import Mapping

from tests.docs import routes
from tests.web.site import MAC, REF

_UNFIT = re.compile(r"([^a-z]|\b[0-9a-f]{2}\b|\b[0-9a-f]{64}\b)+")
_PLACE = re.compile(r"\{([a-z_]+)\}")
BACKUP = "2026-05-24T08-00-00Z"
ARCHIVE = "state.db.0.1.0.20261122T190718Z.bak"
# What stands for a part of an address where a test has nothing of its own.
EXAMPLES: Mapping[str, str] = {
    "mac": MAC,
    "ref": REF,
    "act_id": "act-00001",
    "job_id": "1",
    "number": "1",
    "token_id": "abcdefgh",
    "event_id": "1",
    "tag": "v1",
    "name": "app.css",
    "backup_id": BACKUP,
    "archive": ARCHIVE,
}
# Pages that are whole only with a query.
QUERIES: Mapping[str, str] = {
    "/ui/machines/bulk": f"mac={MAC}",
    "/ui/recover/remove": f"name={ARCHIVE}",
}
# They lead elsewhere, or are parts of pages: a browser never shows them alone.
NOT_SHOWN = re.compile(
    r"/ui|/ui/images|.*/(rows|state|preview|check|warm|entries|upload|fetch-release)"
    r"|/ui/backups/offsite|/ui/backups/\{backup_id\}/download|/ui/backups/\{backup_id\}/(pin|unpin|prove|drill)"
    r"|/ui/settings/(webhook-test|upstream|backup)|/ui/account/.*|/ui/machines/\{mac\}/hardware/\{number\}"
)


def readable() -> list[str]:
    """The templates of all addresses that answer GET."""
    return [route.path for route in routes.every() if route.method == "GET"]


def pages() -> list[str]:
    """Those of them that are pages of their own, the login page left out."""
    found = [path for path in readable() if path.startswith("/ui") and path != "/ui/login"]
    return [path for path in found if not NOT_SHOWN.fullmatch(path)]


def filled(path: str, known: Mapping[str, str] | None = None) -> str:
    """The address that a template stands for."""
    archive = {"name": ARCHIVE} if path.startswith("/ui/recover/") else {}
    parts = {**EXAMPLES, **archive, **(known or {})}
    address = _PLACE.sub(lambda place: parts[place[1]], path)
    return f"{address}?{QUERIES[path]}" if path in QUERIES else address


def named(address: str) -> str:
    """What a picture of the page is called."""
    place = _UNFIT.sub("-", address.partition("?")[0].removeprefix("/ui/"))
    return place.strip("-")
