"""Proxy DHCP and TFTP on the ports and the broadcasts of a real LAN, of network namespaces."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bty_app import runtime_netboot
from bty_app.config import Config, Netboot, Paths
from bty_app.domain.boot_stages import Stage
from bty_app.domain.mac import Mac
from bty_app.domain.moments import stamp
from bty_app.netboot.around import Around
from bty_app.netboot.dhcp import probe, wire
from bty_app.netboot.dhcp.server import ALL, EACH, ProxyDhcpServer
from bty_app.netboot.owners import Owners
from bty_app.netboot.seen import Seen
from bty_app.netboot.tftp.server import TftpServer
from bty_app.services.boot_files import BootFiles
from bty_app.services.boot_stages import BootStages
from bty_app.services.revisions import Revisions
from bty_app.store import machines
from bty_app.store.database import Database
from tests.boot.lan import ROUTER, SERVER, Lan, lan
from tests.fresh_state import make_state
from tests.netboot.clients import EVERYBODY, MAC, client, question, tftp_get

BOX, SECOND = "10.77.0.5", "10.78.0.10"
# Where somebody is in each of the two networks.
FIRST_LAN, SECOND_LAN = ("switch", "br0"), ("router", "eth1")
LOADER = bytes(i % 251 for i in range(20_000))
FILES = ("undionly.kpxe", "ipxe.efi")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lan]:
    """A LAN whose server has a second network, straight to the router."""
    with lan(tmp_path_factory.mktemp("lan")) as made:
        peer = made.name("router")
        made.ip("server", f"link add eth1 type veth peer name eth1 netns {peer}")
        for where, address in (("server", SECOND), ("router", "10.78.0.1")):
            made.ip(where, f"addr add {address}/24 brd + dev eth1")
            made.ip(where, "link set eth1 up")
        made.ip("switch", f"addr add {BOX}/24 brd + dev br0")
        made.ip("switch", f"route add {SECOND} via {SERVER}")
        yield made


@pytest.fixture
def config(tmp_path: Path) -> Config:
    boot = tmp_path / "boot"
    boot.mkdir()
    for name in FILES:
        (boot / name).write_bytes(LOADER)
    return Config(
        paths=Paths(state_dir=tmp_path, boot_dir=boot),
        netboot=Netboot(ipxe_dir=tmp_path / "none", tftp=True, proxy_dhcp=True),
    )


@contextmanager
def serving(place: Lan, config: Config, interfaces: tuple[str, ...] = ()) -> Iterator[list[Seen]]:
    """Both servers at work in the namespace of the server; what they have seen."""
    seen: list[Seen] = []
    stop = threading.Event()
    files = BootFiles(config.paths.boot_dir, config.netboot.ipxe_dir)
    places = runtime_netboot.Places(config, files, 8080)
    around = Around(
        seen.append,
        time.monotonic,
        lambda: datetime.now(UTC),
        Owners(neighbours=Path("/none")),
        runtime_netboot._serves(interfaces),
    )

    def run(loop: Callable[[Callable[[], bool]], None]) -> None:
        with place.at("server"):  # names of interfaces are those of the thread's namespace
            loop(stop.is_set)

    with ExitStack() as stack:
        with place.at("server"):
            sockets = runtime_netboot.bound(config, stack)
        assert sockets.tftp is not None
        assert sockets.dhcp is not None
        loops = (
            TftpServer(sockets.tftp, places.found, around).run,
            ProxyDhcpServer(*sockets.dhcp, places.offered, around).run,
        )
        threads = [threading.Thread(target=run, args=(loop,)) for loop in loops]
        for thread in threads:
            thread.start()
        try:
            yield seen
        finally:
            stop.set()
            for thread in threads:
                thread.join(5)
        assert not any(thread.is_alive() for thread in threads)


def asked(own: socket.socket, packet: wire.Packet, to: tuple[str, int] = EVERYBODY) -> wire.Packet:
    """Our answer to a question; the LAN's own server has one as well."""
    own.sendto(wire.build(packet), to)
    while True:
        answer = wire.parse(own.recv(2000))
        ours = answer.options[wire.SERVER_ID] != socket.inet_aton(ROUTER)
        if ours and answer.mac == packet.mac:
            return answer


def test_a_bios_rom_is_told_its_file_and_fetches_it(place: Lan, config: Config) -> None:
    """A ROM that is no iPXE: DISCOVER, offer, the rest with the LAN's own server, then TFTP."""
    with serving(place, config) as seen, place.at("switch"), client(68, device="br0") as own:
        answer = asked(own, question())
        taking = question(kind=wire.REQUEST, REQUESTED_IP=socket.inet_aton(BOX))
        own.sendto(wire.build(taking), EVERYBODY)
        asked(own, question(IPXE=b"\1"))  # once this is answered, that was heard
        got, sender = tftp_get((SERVER, 69), answer.options[wire.BOOT_FILE].decode())
        until = time.monotonic() + 5
        while len(seen) < 6 and time.monotonic() < until:
            time.sleep(0.01)  # its last packet is on the way

    assert (answer.kind, int(answer.yiaddr), str(answer.siaddr)) == (wire.OFFER, 0, SERVER)
    assert answer.options[wire.VENDOR_CLASS] == b"PXEClient"
    assert answer.file == b"undionly.kpxe"
    assert (got, sender) == (LOADER, SERVER)
    stages = [*["dhcp.asked", "dhcp.offered"] * 2, "tftp.done", "tftp.started"]
    assert sorted(stage.stage for stage in seen) == sorted(stages)  # two threads tell
    told = [stage.detail for stage in seen if stage.stage == "dhcp.asked"]
    assert told == [
        {"text": "BIOS", "architecture": 0},
        {"text": "iPXE (BIOS)", "architecture": 0},
    ]
    assert {stage.mac for stage in seen} == {MAC.hex(":")}


def test_who_does_not_boot_from_the_network_gets_no_answer(place: Lan, config: Config) -> None:
    with serving(place, config) as seen, place.at("switch"), client(68, device="br0") as own:
        for vendor in (b"MSFT 5.0", b"", b"pxeclient", b"udhcp 1.36"):
            own.sendto(wire.build(question(vendor)), EVERYBODY)
        answer = asked(own, question(b"HTTPClient:Arch:00016", 16))  # the first that is answered

    assert answer.options[wire.VENDOR_CLASS] == b"HTTPClient"
    assert answer.options[wire.BOOT_FILE].decode() == f"http://{SERVER}:8080/boot/ipxe.efi"
    assert [stage.stage for stage in seen] == [*["dhcp.other"] * 4, "dhcp.asked", "dhcp.offered"]
    assert not any(stage.mac for stage in seen[:4])


def test_who_asks_and_is_passed_over_is_seen_with_the_reason(place: Lan, config: Config) -> None:
    with serving(place, config) as seen, place.at("switch"), client(68, device="br0") as own:
        own.sendto(wire.build(question(b"PXEClient", 11)), EVERYBODY)  # there is no file for it
        other = question(mac=bytes.fromhex("525400999999"))
        asked(own, other)

    first = [stage for stage in seen if stage.mac == MAC.hex(":")]
    assert [stage.stage for stage in first] == ["dhcp.asked", "dhcp.ignored"]
    assert first[0].detail == {"text": "UEFI arm64", "architecture": 11}
    assert first[1].detail == {"reason": "the iPXE binary for its architecture (11) is missing"}


def test_a_machine_that_asks_on_and_on_is_a_few_rows_on_its_timeline(
    place: Lan, config: Config, tmp_path: Path
) -> None:
    """Firmware that never gets further asks for hours, by turns as firmware and as iPXE."""
    rounds = int(EACH.burst) // 2
    with serving(place, config) as seen, place.at("switch"), client(68, device="br0") as own:
        for _ in range(rounds):
            asked(own, question())
            asked(own, question(IPXE=b"\1"))
    make_state(tmp_path / "state")
    with Database(tmp_path / "state" / "state.db") as database:
        mac, now = Mac(MAC.hex(":")), seen[-1].at
        database.write(lambda tx: machines.seen(tx, mac, at=stamp(now), ip=BOX))
        stages = BootStages(database, Revisions(), lambda: now)
        for number, each in enumerate(seen):
            stages.seen(each.mac, each.ip, each.stage, each.at, each.detail)
            if number % 3 == 0:
                stages.flush()
        stages.flush()
        kept = stages.of(mac)
        boot = stages.timeline(mac)[0]

    assert [(stage.stage, stage.times) for stage in kept] == [
        (Stage.DHCP_ASKED, rounds),
        (Stage.DHCP_OFFERED, rounds),
    ] * 2
    assert len(boot.stages) == 4


def test_the_boot_server_answers_on_4011_to_who_asks(place: Lan, config: Config) -> None:
    with serving(place, config), place.at("switch"), client() as own:
        answer = asked(own, question(kind=wire.REQUEST), (SERVER, 4011))

    assert (answer.kind, answer.file) == (wire.ACK, b"undionly.kpxe")


def test_a_relay_gets_the_answer_for_its_client(place: Lan, config: Config) -> None:
    with serving(place, config) as seen, place.at("switch"), client(67) as own:
        answer = asked(own, question(giaddr=BOX), (SERVER, 67))

    assert str(answer.giaddr) == BOX
    assert {stage.ip for stage in seen} == {"0.0.0.0"}  # noqa: S104 - the client's, not the relay's


def test_an_answer_to_no_single_host_is_not_sent(place: Lan, config: Config) -> None:
    with serving(place, config) as seen, place.at("switch"), client(67) as own:
        for forged in ("255.255.255.255", "224.0.0.1", "127.0.0.1"):
            lie = question(giaddr=forged, mac=bytes.fromhex("525400999999"))
            own.sendto(wire.build(lie), (SERVER, 67))
        asked(own, question(giaddr=BOX), (SERVER, 67))

    assert [stage.stage for stage in seen] == ["dhcp.asked", "dhcp.offered"]


@pytest.mark.parametrize(("where", "address"), [(FIRST_LAN, SERVER), (SECOND_LAN, SECOND)])
def test_each_network_is_told_the_address_that_it_reaches(
    place: Lan, config: Config, where: tuple[str, str], address: str
) -> None:
    with serving(place, config), place.at(where[0]), client(68, device=where[1]) as own:
        answer = asked(own, question(IPXE=b"\1"))
        script, sender = tftp_get((address, 69), "autoexec.ipxe")

    url = f"http://{address}:8080/pxe-bootstrap.ipxe"
    assert answer.options[wire.BOOT_FILE].decode() == url
    assert url in script.decode()
    assert sender == address


def test_a_transfer_comes_from_the_address_that_was_asked(place: Lan, config: Config) -> None:
    """Not from the one that is nearest to the client: firmware drops that."""
    with serving(place, config), place.at("switch"):
        got, sender = tftp_get((SECOND, 69), "ipxe.efi")
        with client() as own:
            own.sendto(b"\0\1none\0octet\0", (SECOND, 69))
            _error, refusing = own.recvfrom(100)

    assert (got, sender) == (LOADER, SECOND)
    assert refusing == (SECOND, 69)


def test_only_the_interfaces_that_are_named_are_served(place: Lan, config: Config) -> None:
    with serving(place, config, ("eth1",)) as seen:
        with place.at("switch"), client(68, device="br0") as own:
            own.sendto(wire.build(question()), EVERYBODY)
            own.sendto(b"\0\1ipxe.efi\0octet\0", (SERVER, 69))
        with place.at("router"), client(68, device="eth1") as own:
            answer = asked(own, question())

    assert str(answer.siaddr) == SECOND
    assert [stage.stage for stage in seen] == ["dhcp.asked", "dhcp.offered"]


def test_the_answers_per_second_are_bounded(place: Lan, config: Config) -> None:
    one = int(EACH.burst)
    with serving(place, config) as seen, place.at("router"), client(68, device="eth1") as own:
        for _ in range(one * 3):
            own.sendto(wire.build(question()), EVERYBODY)
        other = question(mac=bytes.fromhex("525400999999"))
        own.sendto(wire.build(other), EVERYBODY)
        while wire.parse(own.recv(2000)).mac != other.mac:
            pass

    answered = [stage for stage in seen if stage.stage == "dhcp.offered"]
    assert one <= sum(stage.mac == MAC.hex(":") for stage in answered) <= one + 2
    assert sum(stage.stage == "dhcp.held-back" for stage in seen) >= one
    assert one * 10 < ALL.burst


def test_what_dhcp_on_the_lan_hands_out_is_asked_as_a_machine_would(
    place: Lan, config: Config
) -> None:
    with place.at("server"):
        without = probe.ask_lan(2)
    with serving(place, config), place.at("server"):
        interfaces, offers = probe.ask_lan(2)

    assert without[0] == interfaces == ("eth0", "eth1")
    [router] = without[1]
    assert (router.interface, router.server, router.boot_file) == ("eth0", ROUTER, "")
    assert router.address.startswith("10.77.0.")
    assert not router.is_ours
    ours = [offer for offer in offers if offer.is_ours]
    assert {(o.interface, o.server, o.address, o.boot_file) for o in ours} == {
        ("eth0", SERVER, "", "ipxe.efi"),
        ("eth1", SECOND, "", "ipxe.efi"),
    }
    assert router.server in {offer.server for offer in offers if offer.address}


def serve(state: Path, *flags: str, rights: Sequence[str] = ()) -> subprocess.Popen[str]:
    """The server, of nobody; with these `rights` of setpriv(1), and no others."""
    state.chmod(0o777)
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs"]
    place = ["--state-dir", str(state / "state"), "serve", "--port", "0", *flags]
    command = [*nobody, *rights, sys.executable, "-m", "bty_app", *place]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


BIND_ALONE = tuple(f"--{which}-caps=-all,+net_bind_service" for which in ("inh", "ambient"))


@pytest.mark.parametrize(
    ("port", "flag", "what"),
    [
        (69, "--tftp", "TFTP"),
        (4011, "--proxy-dhcp", "proxy DHCP"),
    ],
)
def test_a_port_of_another_program_is_one_line_and_to_be_tried_again(
    place: Lan, quick_dir: Path, port: int, flag: str, what: str
) -> None:
    with place.at("server"), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("", port))
        with serve(quick_dir, flag, rights=BIND_ALONE) as process:
            _out, said = process.communicate(timeout=60)

    assert process.returncode == 75
    assert len(said.splitlines()) == 1
    assert f"UDP port {port} ({what}" in said
    assert f"serve without {flag}" in said
    assert not (quick_dir / "state" / "state.db").exists()


def test_a_port_that_takes_more_rights_is_one_line_and_never_tried_again(
    place: Lan, quick_dir: Path
) -> None:
    with place.at("server"), serve(quick_dir, "--proxy-dhcp") as process:
        _out, said = process.communicate(timeout=60)

    assert process.returncode == 78
    assert len(said.splitlines()) == 1
    assert "UDP port 67 (proxy DHCP) needs the right CAP_NET_BIND_SERVICE" in said


def test_one_right_is_enough_to_serve_a_lan_and_its_end_comes_soon(
    place: Lan, quick_dir: Path
) -> None:
    with ExitStack() as stack:
        with place.at("server"):
            process = serve(quick_dir, "--tftp", "--proxy-dhcp", rights=BIND_ALONE)
        stack.enter_context(process)
        assert process.stdout is not None
        while "serves http" not in process.stdout.readline():
            assert process.poll() is None
        with place.at("switch"), client(68, device="br0") as own:  # the ports are bound by now
            answer = asked(own, question(IPXE=b"\1"))
        began = time.monotonic()
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=60)

    assert b"/pxe-bootstrap.ipxe" in answer.options[wire.BOOT_FILE]
    assert process.returncode == 0
    assert time.monotonic() - began < 10
