"""TFTP and proxy DHCP: their sockets, what they serve, and whom they tell."""

from __future__ import annotations

import io
import logging
import os
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, ip_address
from typing import BinaryIO

from bty_app import logs
from bty_app.config import Config
from bty_app.errors import BtyError, InvalidInputError
from bty_app.netboot import datagrams, ipxe
from bty_app.netboot.around import Around
from bty_app.netboot.dhcp import server as dhcp
from bty_app.netboot.dhcp.offer import Files
from bty_app.netboot.seen import Seen
from bty_app.netboot.tftp import server as tftp
from bty_app.netboot.tftp import wire
from bty_app.services.boot_files import BootFiles
from bty_app.services.boot_servers import BootServers, Name
from bty_app.services.boot_stages import BootStages
from bty_app.services.clock import utc_now
from bty_app.web.app import Services
from bty_app.workers.loop import LoopWorker

_log = logging.getLogger(__name__)

# The first that is here; the others of a line are as good.
BIOS = ("undionly.kpxe",)
X64 = ("ipxe.efi", "snponly.efi")
ARM64 = ("ipxe-arm64.efi", "snponly-arm64.efi")
# The answer to who asked says it, or is counted.
_QUIET = frozenset(
    {"dhcp.asked", "dhcp.other", "dhcp.malformed", "dhcp.held-back", "tftp.held-back"}
)


@dataclass(frozen=True, slots=True)
class Sockets:
    """What was bound; None where it is off."""

    tftp: socket.socket | None = None
    dhcp: tuple[socket.socket, socket.socket] | None = None


def bound(config: Config, stack: ExitStack) -> Sockets:
    """The sockets of what is switched on; `stack` closes them.

    Raises:
        ConflictError: another program has a port.
        ConfigError: a port needs more rights.
    """
    found = Sockets()
    if config.netboot.tftp:
        own = datagrams.bind(tftp.PORT, purpose="TFTP", flag="--tftp")
        stack.callback(own.close)
        found = replace(found, tftp=own)
    if config.netboot.proxy_dhcp:
        flag = "--proxy-dhcp"
        listening = datagrams.bind(dhcp.SERVER_PORT, purpose="proxy DHCP", flag=flag)
        stack.callback(listening.close)
        boot = datagrams.bind(dhcp.BOOT_PORT, purpose="proxy DHCP, boot requests", flag=flag)
        stack.callback(boot.close)
        found = replace(found, dhcp=(listening, boot))
    return found


def workers(
    config: Config, sockets: Sockets, services: Services, *, http_port: int
) -> list[LoopWorker]:
    """What serves on the sockets; `http_port` is where machines reach the HTTP server."""
    places = Places(config, services.boot_files, http_port)
    around = Around(
        teller(services.boot_servers, services.stages),
        time.monotonic,
        utc_now,
        serves=_serves(config.netboot.interfaces),
    )
    found = []
    if sockets.tftp is not None:
        server = tftp.TftpServer(sockets.tftp, places.found, around)
        found.append(LoopWorker("tftp", server.run))
        services.boot_servers.starts(Name.TFTP, _where(config, "UDP port 69"))
    if sockets.dhcp is not None:
        proxy = dhcp.ProxyDhcpServer(*sockets.dhcp, places.offered, around)
        found.append(LoopWorker("proxy-dhcp", proxy.run))
        services.boot_servers.starts(Name.DHCP, _where(config, "UDP ports 67 and 4011"))
    return found


def notes(config: Config) -> list[str]:
    """What of the configuration will hardly lead a machine here, in sentences."""
    on, server = config.netboot, config.server
    found = []
    if on.proxy_dhcp and not on.tftp:
        found.append("proxy DHCP is on and TFTP is off: this host must have another TFTP server")
    if (on.proxy_dhcp or on.tftp) and not server.public_url and _is_loopback(server.host):
        found.append(f"server.host is {server.host}: machines are led here, and do not reach it")
    return found


class Places:
    """What there is to boot, and by which address, for who reaches us at one. Any thread may call.

    `local` is that address of ours.
    """

    def __init__(self, config: Config, files: BootFiles, http_port: int) -> None:
        self._config, self._files, self._http_port = config, files, http_port

    def found(self, name: str, local: IPv4Address) -> tuple[BinaryIO, int] | tftp.Refusal:
        """A file for TFTP: one that is here, else the script that leads iPXE on."""
        plain = name.replace("\\", "/").lstrip("/").removeprefix("boot/")
        try:
            file = self._files.opened(plain)
        except InvalidInputError:
            return tftp.Refusal(wire.ACCESS, "only files of the boot directory are served")
        except BtyError as error:
            if plain != ipxe.AUTOEXEC:
                return tftp.Refusal(wire.NOT_FOUND, error.message)
            script = ipxe.autoexec(self.base_url(local)).encode("ascii")
            return io.BytesIO(script), len(script)
        return file, os.fstat(file.fileno()).st_size

    def offered(self, local: IPv4Address) -> Files:
        """What proxy DHCP offers."""
        base = self.base_url(local)
        here = {program.name for program in self._files.programs() if program.place}
        x64, arm64 = _first(X64, here), _first(ARM64, here)
        return Files(
            server=self._address(local),
            bios=_first(BIOS, here),
            x64=x64,
            arm64=arm64,
            x64_url=x64 and f"{base}/boot/{x64}",
            arm64_url=arm64 and f"{base}/boot/{arm64}",
            script_url=f"{base}/pxe-bootstrap.ipxe",
        )

    def base_url(self, local: IPv4Address) -> str:
        """How machines reach the HTTP server: as configured, else by the address that they know."""
        if self._config.server.public_url:
            return self._config.server.public_url
        return f"http://{self._listening() or self._address(local)}:{self._http_port}"

    def _address(self, local: IPv4Address) -> IPv4Address:
        configured = self._config.netboot.address
        return IPv4Address(configured) if configured else local

    def _listening(self) -> str:
        """The address of the HTTP server, when it listens on one alone that others reach."""
        host = self._config.server.host
        try:
            address = ip_address(host)
        except ValueError:
            return ""
        alone = address.version == 4 and not (address.is_unspecified or address.is_loopback)
        return host if alone and not self._config.netboot.address else ""


def teller(servers: BootServers, stages: BootStages) -> Callable[[Seen], None]:
    """What hears of everything that the boot servers see: the log, the counts, the timeline."""

    def tell(seen: Seen) -> None:
        level = logging.DEBUG if seen.stage in _QUIET else logging.INFO
        at, _, stage = seen.stage.partition(".")
        fields = {"mac": seen.mac, "ip": seen.ip, **seen.detail}
        logs.event(_log, level, at, stage=stage, **{k: v for k, v in fields.items() if v})
        servers.seen(seen.stage, seen.at, seen.mac or seen.ip, seen.detail)
        stages.seen(seen.mac, seen.ip, seen.stage, seen.at, seen.detail)

    return tell


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _first(names: tuple[str, ...], here: set[str]) -> str:
    return next((name for name in names if name in here), "")


def _serves(names: tuple[str, ...]) -> Callable[[int], bool]:
    if not names:
        return lambda _interface: True
    return lambda interface: datagrams.interface_name(interface) in names


def _where(config: Config, ports: str) -> str:
    names = ", ".join(config.netboot.interfaces)
    return f"{ports} of {names or 'every interface'}"
