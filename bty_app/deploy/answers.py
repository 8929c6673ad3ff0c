"""What a server that was started says of itself."""

from __future__ import annotations

import http.client
import json
from contextlib import closing
from urllib.parse import urlsplit

ANSWER_SECONDS = 10.0
_MOST_BYTES = 64 * 1024


def ready(url: str, version: str) -> str:
    """Empty when this release answers at `url` and can serve; else what it said instead."""
    try:
        status, told = _asked(url, "/readyz")
        _status, named = _asked(url, "/version")
    except (OSError, http.client.HTTPException, ValueError) as error:
        return f"nothing answers at {url} yet ({str(error) or type(error).__name__})"
    if named.get("version") != version:
        return f"bty {named.get('version')} answers at {url}, and not {version}"
    if status == http.client.OK:
        return ""
    problems = told.get("problems")
    listed = problems if isinstance(problems, list) else []
    return "not ready: " + ("; ".join(map(str, listed)) or f"status {status}")


def _asked(url: str, path: str) -> tuple[int, dict[str, object]]:
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(
        parts.hostname or "", parts.port or 80, timeout=ANSWER_SECONDS
    )
    with closing(connection):
        connection.request("GET", path)
        answer = connection.getresponse()
        told = json.loads(answer.read(_MOST_BYTES))
        return answer.status, told if isinstance(told, dict) else {}
