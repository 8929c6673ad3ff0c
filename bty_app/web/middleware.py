"""What holds for every request: a checked Host, the client's address, headers, one log line."""

from __future__ import annotations

import ipaddress
import itertools
import logging
import re
import secrets
import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import falcon

from bty_app import logs
from bty_app.errors import InvalidInputError
from bty_app.services.metrics import Metrics

_log = logging.getLogger(__name__)

_HOST = re.compile(
    r"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,252}[A-Za-z0-9])?)(?::[0-9]{1,5})?",
    re.ASCII,
)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_QUIET = frozenset({"/healthz", "/readyz", "/metrics"})
_MAX_HOPS = 32


class Front:
    """The first and the last to see a request (one object, used by all request threads)."""

    def __init__(
        self, metrics: Metrics, *, public_url: str, trusted_proxies: Sequence[Network]
    ) -> None:
        self._metrics = metrics
        self._public_url = public_url.rstrip("/")
        self._trusted = tuple(trusted_proxies)
        self._run = secrets.token_hex(3)
        self._numbers = itertools.count(1)

    def process_request(self, req: falcon.Request, _resp: falcon.Response) -> None:
        """Know who asks and under which name we are known, before anything else happens."""
        context = req.context
        context.started = time.perf_counter()
        context.request_id = f"{self._run}-{next(self._numbers)}"
        context.session = None
        context.note = {}
        context.client_ip = client_address(
            req.env.get("REMOTE_ADDR"), req.get_header("X-Forwarded-For"), self._trusted
        )
        context.base_url = self._public_url or f"{req.scheme}://{checked_host(req)}"

    def process_response(
        self, req: falcon.Request, resp: falcon.Response, _resource: Any, _ok: bool
    ) -> None:
        """Headers that every answer has; one log line; one count."""
        context = req.context
        seconds = time.perf_counter() - context.started
        status = falcon.http_status_to_code(resp.status)
        resp.set_header("X-Content-Type-Options", "nosniff")
        resp.set_header("X-Request-Id", context.request_id)
        route = req.uri_template or "unknown"
        # A client may make up methods; each would be kept for ever.
        method = req.method if req.method in falcon.HTTP_METHODS else "other"
        self._metrics.observe(route, method, status, seconds)
        level = logging.DEBUG if req.path in _QUIET else logging.INFO
        logs.event(
            _log,
            level,
            "http",
            method=req.method,
            path=req.path,
            status=status,
            ms=round(seconds * 1000, 1),
            ip=context.client_ip,
            request_id=context.request_id,
            **context.note,
        )


def checked_host(req: falcon.Request) -> str:
    """The Host header, which our answers repeat.

    Raises:
        InvalidInputError: it is missing, or not a host name or address with an optional port.
    """
    host = req.get_header("Host") or ""
    if not _HOST.fullmatch(host):
        raise InvalidInputError("the Host header is missing or not a host name or address")
    port = host.rpartition(":")[2] if not host.endswith("]") and ":" in host else ""
    if port and not 0 < int(port) <= 65535:
        raise InvalidInputError("the Host header has a port that does not exist")
    return host


def client_address(
    peer: str | None, forwarded_for: str | None, trusted: Sequence[Network]
) -> str | None:
    """Who really asks: the last address in X-Forwarded-For that is not one of our proxies.

    The header counts only where the peer itself is a trusted proxy.
    """
    address = _address(peer)
    if address is None or not forwarded_for or not _within(address, trusted):
        return str(address) if address else None
    # The nearest hops stand last; what a client put before them may be of any length.
    for hop in reversed(forwarded_for.rsplit(",", _MAX_HOPS)[-_MAX_HOPS:]):
        named = _address(hop.strip())
        if named is None:
            return str(address)
        address = named
        if not _within(named, trusted):
            break
    return str(address)


def is_within(text: str | None, networks: Sequence[Network]) -> bool:
    """Whether the address is of one of the networks; one that is none is of no network."""
    address = _address(text)
    return address is not None and _within(address, networks)


@lru_cache(maxsize=4096)
def _address(text: str | None) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address((text or "").partition("%")[0])
    except ValueError:
        return None
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        return parsed.ipv4_mapped
    return parsed


def _within(
    address: ipaddress.IPv4Address | ipaddress.IPv6Address, networks: Sequence[Network]
) -> bool:
    return any(address.version == net.version and address in net for net in networks)
