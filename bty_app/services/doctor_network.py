"""Checks of the ports that machines come to, and of what DHCP on the LAN hands out."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bty_app.domain.dhcp_offers import judged
from bty_app.domain.findings import Finding, Level
from bty_app.errors import UnavailableError
from bty_app.services.port_holders import Holder, Protocol, holder
from bty_app.services.premises import Premises

_PID = re.compile(r"pid ([0-9]{1,10})\b")


@dataclass(frozen=True, slots=True)
class Wanted:
    """A port of the server; `key` is the configuration that switches it on."""

    protocol: Protocol
    port: int
    what: str
    key: str
    is_on: bool

    @property
    def name(self) -> str:
        """As people say it."""
        return f"{self.protocol.upper()} port {self.port}"


def ports(premises: Premises) -> Iterator[Finding]:
    """Each is the server's, or free, or somebody else's whose it may be."""
    network, server = premises.network, _server_pid(premises.state_dir)
    wanted = [
        Wanted(Protocol.UDP, 69, "TFTP", "netboot.tftp", network.tftp),
        Wanted(Protocol.UDP, 67, "proxy DHCP", "netboot.proxy_dhcp", network.proxy_dhcp),
        Wanted(Protocol.UDP, 4011, "proxy DHCP", "netboot.proxy_dhcp", network.proxy_dhcp),
    ]
    if network.http_port:
        http = Wanted(Protocol.TCP, network.http_port, "HTTP", "server.port", is_on=True)
        wanted.insert(0, http)
    held = {port: holder(port.protocol, port.port) for port in wanted}
    for port, who in held.items():
        yield from _port(port, who, server)
    if not any(held[port] or port.is_on for port in wanted if port.protocol is Protocol.UDP):
        yield Finding(Level.OK, "TFTP and proxy DHCP are off, and nobody else has their ports here")
    if network.proxy_dhcp and not network.tftp and held[wanted[-3]] is None:
        yield Finding(
            Level.WARNING,
            "proxy DHCP names boot files of a TFTP server on this host, and there is none",
            "switch netboot.tftp on",
        )


def _port(wanted: Wanted, held: Holder | None, server: int | None) -> Iterator[Finding]:
    if held is None and not wanted.is_on:
        return
    if held is not None:
        yield _held(wanted, held, server)
    elif server is None:
        yield Finding(Level.OK, f"{wanted.name} is free for {wanted.what}")
    else:
        yield Finding(
            Level.WARNING,
            f"{wanted.what} is configured ({wanted.key}), and the running server does not serve it"
            f" ({wanted.name})",
            "start the server again",
        )


def _held(wanted: Wanted, held: Holder, server: int | None) -> Finding:
    if held.pid is not None and held.pid == server:
        return Finding(Level.OK, f"{wanted.name} is the server's ({wanted.what})")
    if held.pid is None and wanted.is_on:
        remedy = "run doctor as root, or as the user of the server, to know more"
        return Finding(Level.NOTE, f"{wanted.name} is held by {held.words}", remedy)
    if wanted.is_on:
        return Finding(
            Level.FAULT,
            f"{wanted.name} is held by {held.words}, and {wanted.what} needs it",
            f"stop that, or change {wanted.key}",
        )
    return Finding(Level.OK, f"{wanted.name} is held by {held.words}; {wanted.what} is off here")


def dhcp(premises: Premises) -> Iterator[Finding]:
    """With `deep`: what machines on the LAN are told."""
    if premises.network.ask_lan is None:
        return
    try:
        asked, offers = premises.network.ask_lan()
    except UnavailableError as error:
        yield Finding(Level.NOTE, error.message, "run doctor as root")
        return
    yield from judged(offers, asked)
    if not asked:
        yield Finding(Level.NOTE, "no interface of this host has an IPv4 address")


def _server_pid(state_dir: Path) -> int | None:
    """Of the server that runs on this state, as it has said itself."""
    with contextlib.suppress(OSError):
        descriptor = os.open(state_dir / "serve.lock", os.O_RDONLY | os.O_CLOEXEC)
        try:
            found = _PID.search(os.pread(descriptor, 200, 0).decode("utf-8", "replace"))
        finally:
            os.close(descriptor)
        pid = int(found[1]) if found else None
        return pid if pid and Path(f"/proc/{pid}").exists() else None
    return None
