"""A LAN of network namespaces: a switch, a DHCP server that knows nothing of booting, our server.

Nothing of it touches the network of the host. It takes root, as network namespaces do.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.boot.kernel import RigError
from tests.boot.machine import Tap
from tests.own_network import enter

ROUTER, SERVER = "10.77.0.1", "10.77.0.10"
TAP = Tap("tap0")


class Lan:
    """Three namespaces: `switch` with a bridge and the box's cable, `router` with the DHCP server,
    `server` for ours.
    """

    def __init__(self, stem: str) -> None:
        self._stem = stem

    def ip(self, place: str, words: str) -> None:
        """An `ip` command in one of them."""
        command = ["ip", "-netns", self.name(place), *words.split()]
        subprocess.run(command, check=True, capture_output=True)

    def name(self, place: str) -> str:
        """The namespace's."""
        return f"{self._stem}-{place}"

    @contextmanager
    def at(self, place: str) -> Iterator[None]:
        """This thread is there: so are its new sockets, and the processes that it starts."""
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        there = os.open(f"/run/netns/{self.name(place)}", os.O_RDONLY | os.O_CLOEXEC)
        try:
            enter(there)
            yield
        finally:
            enter(home)
            os.close(there)
            os.close(home)


@contextmanager
def lan(directory: Path, boot_file: str = "") -> Iterator[Lan]:
    """The LAN, with its DHCP server at work; `directory` is for what that writes.

    With a `boot_file` that names it, and our server as the one that has it by TFTP; to a machine
    with a line `MAC,set:loaded` in `directory/hosts` it names the script that we have beside it.

    Raises:
        RigError: no root, or a program is missing.
    """
    if os.geteuid() != 0 or not shutil.which("ip") or not shutil.which("dnsmasq"):
        raise RigError("network namespaces take root, Debian's iproute2, and dnsmasq-base")
    made = Lan(f"btylab{os.getpid()}")
    with ExitStack() as stack:
        for place in ("switch", "router", "server"):
            subprocess.run(["ip", "netns", "add", made.name(place)], check=True)
            stack.callback(subprocess.run, ["ip", "netns", "del", made.name(place)], check=False)
            made.ip(place, "link set lo up")
        made.ip("switch", "link add br0 type bridge forward_delay 0")
        made.ip("switch", "link set br0 up")
        made.ip("switch", f"tuntap add {TAP.name} mode tap")
        _plug(made, TAP.name)
        for place, address in (("router", ROUTER), ("server", SERVER)):
            _cable(made, place)
            made.ip(place, f"addr add {address}/24 brd + dev eth0")
        made.ip("router", "addr add fd77::1/64 dev eth0 nodad")
        stack.enter_context(_dhcp_server(made, directory, boot_file))
        yield made


def _cable(made: Lan, place: str) -> None:
    peer = made.name(place)
    made.ip("switch", f"link add {place} type veth peer name eth0 netns {peer}")
    _plug(made, place)
    made.ip(place, "link set eth0 up")


def _plug(made: Lan, interface: str) -> None:
    made.ip("switch", f"link set {interface} master br0 up")


@contextmanager
def _dhcp_server(made: Lan, directory: Path, boot_file: str) -> Iterator[None]:
    log = directory / "dnsmasq.log"
    command = [
        *("dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--no-ping"),
        *("--interface=eth0", "--user=root", "--pid-file=", "--log-dhcp"),
        *("--log-facility=-", "--dhcp-range=10.77.0.100,10.77.0.200,1h"),
        f"--dhcp-leasefile={directory / 'leases'}",
        # iPXE waits 13 s for a router of IPv6 where there is none.
        *("--enable-ra", "--dhcp-range=fd77::,ra-only"),
        *(_booting(directory / "hosts", boot_file) if boot_file else ()),
    ]
    with log.open("wb") as out, made.at("router"):
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        until = time.monotonic() + 10
        while b"DHCP, IP range" not in log.read_bytes():
            if process.poll() is not None or time.monotonic() > until:
                raise RigError(f"dnsmasq does not start: {log.read_text('utf-8', 'replace')}")
            time.sleep(0.02)
        yield
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(5)
        process.kill()


def _booting(hosts: Path, boot_file: str) -> tuple[str, ...]:
    hosts.mkdir()  # dnsmasq reads at once what comes into it
    return (
        f"--dhcp-hostsdir={hosts}",
        f"--dhcp-boot=tag:!loaded,{boot_file},,{SERVER}",
        f"--dhcp-boot=tag:loaded,autoexec.ipxe,,{SERVER}",
    )
