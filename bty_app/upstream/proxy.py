"""The proxy that the environment names: http_proxy, https_proxy, all_proxy, no_proxy."""

from __future__ import annotations

import base64
import http.client
import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import unquote
from urllib.request import getproxies_environment, proxy_bypass

from urllib3.exceptions import LocationValueError
from urllib3.util import Url, parse_url


class ProxyError(OSError):
    """A proxy that cannot be used; the sentence names it without credentials."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """An http:// proxy. `headers` are for it alone."""

    host: str
    port: int
    headers: dict[str, str]

    def __str__(self) -> str:
        return f"the proxy http://{_authority(self.host, self.port)}"

    def tunnel(self, line: socket.socket, host: str, port: int) -> None:
        """Have what follows on `line` go to `host` (RFC 9110 9.3.6).

        Raises:
            OSError, http.client.HTTPException: it does not.
        """
        where = _authority(host, port)
        fields = {"Host": where, **self.headers}
        lines = [f"CONNECT {where} HTTP/1.1", *(f"{k}: {v}" for k, v in fields.items()), "", ""]
        line.sendall("\r\n".join(lines).encode("latin-1"))
        answer = http.client.HTTPResponse(line, method="CONNECT")
        try:
            answer.begin()
        finally:
            answer.close()
        if answer.status != 200:
            raise ProxyError(f"{self} answers {answer.status}, not 200")


def proxy_for(scheme: str, host: str, port: int) -> Proxy | None:
    """The proxy for what is asked of `host`; None for this machine and what no_proxy names.

    Raises:
        ProxyError: the environment names something else than an http:// proxy.
    """
    if _is_loopback(host) or proxy_bypass(_authority(host, port)):
        return None
    named = getproxies_environment()
    text = named.get(scheme) or named.get("all")
    return _parse(text, scheme) if text else None


def _parse(text: str, scheme: str) -> Proxy:
    try:
        url = parse_url(text if "://" in text else f"http://{text}")
    except LocationValueError:
        url = Url()
    if url.scheme != "http" or not url.host:
        raise ProxyError(f"{scheme}_proxy in the environment names no http:// proxy")
    headers = {}
    if url.auth:
        token = base64.b64encode(unquote(url.auth).encode()).decode()
        headers["Proxy-Authorization"] = f"Basic {token}"
    return Proxy(url.host.strip("[]"), url.port or 80, headers)


def _authority(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
