"""Continuous replication by Litestream: where to, and the configuration that says so to it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote

from bty_app.errors import InvalidInputError

SOCKET_FILE: Final = "litestream.sock"
LOCAL_DIRECTORY: Final = ".state.db-litestream"
MAX_SOCKET_PATH: Final = 107  # sun_path of unix(7)
SYNC_INTERVAL: Final = "1s"
SNAPSHOT_INTERVAL: Final = "24h"
RETENTION: Final = "168h"

_TARGET = re.compile(
    r"(?:file:///|(?:s3|gs|abs|sftp|webdav|webdavs|nats)://[A-Za-z0-9])[A-Za-z0-9._/:%+~-]{0,500}",
    re.ASCII,
)
_ENDPOINT = re.compile(r"https?://[A-Za-z0-9\[][A-Za-z0-9.:\[\]-]{0,253}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Replica:
    """Where the database is replicated to; an endpoint is that of a server that speaks S3."""

    url: str
    endpoint: str = ""


def check_target(text: str) -> str:
    """A URL of Litestream without credentials, or nothing.

    Raises:
        InvalidInputError: it is none.
    """
    target = text.rstrip("/")
    if target and (not _TARGET.fullmatch(target) or ".." in target.split("/")):
        raise InvalidInputError(
            "must be a URL such as s3://bucket/bty or file:///srv/replica, without credentials"
        )
    return target


def check_endpoint(text: str) -> str:
    """`http://host:port` of a server that speaks S3, or nothing.

    Raises:
        InvalidInputError: it is none.
    """
    endpoint = text.rstrip("/")
    if endpoint and not _ENDPOINT.fullmatch(endpoint):
        raise InvalidInputError("must be http://host:port of the server that speaks S3")
    return endpoint


def configuration(replica: Replica, state_dir: str) -> str:
    """The text of litestream.yml. Credentials are not in it: Litestream takes them from its
    environment.

    Raises:
        InvalidInputError: there is no replica, or its control socket would have too long a name.
    """
    if not replica.url:
        raise InvalidInputError("where to? --to URL, or litestream.url in the configuration")
    socket = f"{state_dir}/{SOCKET_FILE}"
    if len(socket.encode()) > MAX_SOCKET_PATH:
        raise InvalidInputError(f"{state_dir}: is too long a path for Litestream's control socket")
    if f"{replica.url}/".startswith(f"file://{quote(state_dir)}/"):
        raise InvalidInputError(f"{replica.url}: a replica in the state directory saves nothing")
    lines = [
        "# Made by `bty litestream config`. Run Litestream with -no-expand-env.",
        "socket:",
        "  enabled: true",
        f"  path: {_quoted(socket)}",
        "  permissions: 0600",
        "snapshot:",
        f"  interval: {SNAPSHOT_INTERVAL}",
        f"  retention: {RETENTION}",
        "dbs:",
        f"  - path: {_quoted(f'{state_dir}/state.db')}",
        "    replica:",
        f"      url: {_quoted(replica.url)}",
        *([f"      endpoint: {_quoted(replica.endpoint)}"] if replica.endpoint else []),
        *(["      force-path-style: true"] if replica.endpoint else []),
        f"      sync-interval: {SYNC_INTERVAL}",
    ]
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """As JSON writes it, which YAML reads."""
    return json.dumps(text)
