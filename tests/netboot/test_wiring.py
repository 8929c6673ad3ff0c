"""What the boot servers serve, and who hears of it."""

from __future__ import annotations

import logging
import os
import random
from dataclasses import replace
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from bty_app import runtime_netboot
from bty_app.config import Config, Netboot, Paths, Server
from bty_app.domain.mac import Mac
from bty_app.netboot.seen import Seen
from bty_app.netboot.tftp import wire
from bty_app.netboot.tftp.server import Refusal
from bty_app.runtime_netboot import Places, teller
from bty_app.services.boot_files import BootFiles
from bty_app.services.boot_servers import BootServers, Name
from bty_app.services.boot_stages import MACHINES_WAITING
from bty_app.services.revisions import Revisions
from bty_app.workers.loop import LoopWorker
from tests.serving import site

LOCAL = IPv4Address("10.77.0.10")
AT = datetime(2026, 11, 22, 20, 0, tzinfo=UTC)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "boot").mkdir()
    (tmp_path / "ipxe").mkdir()
    return Config(
        paths=Paths(state_dir=tmp_path, boot_dir=tmp_path / "boot"),
        netboot=Netboot(ipxe_dir=tmp_path / "ipxe"),
    )


def places(config: Config) -> Places:
    return Places(config, BootFiles(config.paths.boot_dir, config.netboot.ipxe_dir), 8080)


def text(config: Config, name: str) -> str:
    found = places(config).found(name, LOCAL)
    assert not isinstance(found, Refusal), found
    with found[0] as file:
        read = file.read()
    assert len(read) == found[1]
    return read.decode()


@pytest.mark.parametrize(
    "name", ["ipxe.efi", "/ipxe.efi", "//ipxe.efi", "boot/ipxe.efi", "\\ipxe.efi"]
)
def test_a_boot_file_comes_before_that_of_the_package(config: Config, name: str) -> None:
    (config.netboot.ipxe_dir / "ipxe.efi").write_text("package")
    first = text(config, name)
    (config.paths.boot_dir / "ipxe.efi").write_text("ours")

    assert (first, text(config, name)) == ("package", "ours")


def test_the_script_that_leads_on_is_made_unless_one_was_put_there(config: Config) -> None:
    made = text(config, "autoexec.ipxe")
    (config.paths.boot_dir / "autoexec.ipxe").write_text("mine")

    assert "dhcp && chain http://10.77.0.10:8080/pxe-bootstrap.ipxe || goto failed\n" in made
    assert text(config, "autoexec.ipxe") == "mine"


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("../state.db", wire.ACCESS),
        ("/etc/passwd", wire.ACCESS),
        ("a/../../b", wire.ACCESS),
        ("..", wire.ACCESS),
        ("", wire.ACCESS),
        ("link", wire.ACCESS),
        ("linked/secret", wire.ACCESS),
        ("directory", wire.NOT_FOUND),
        ("pipe", wire.NOT_FOUND),
        ("none.efi", wire.NOT_FOUND),
        ("ipxe.iso", wire.NOT_FOUND),  # of the package, and no boot file
    ],
)
def test_nothing_outside_of_the_root_is_served(config: Config, name: str, code: int) -> None:
    boot, secret = config.paths.boot_dir, config.paths.state_dir / "secret"
    secret.write_text("secret")
    (config.netboot.ipxe_dir / "ipxe.iso").write_text("x")
    (boot / "link").symlink_to(secret)
    (boot / "linked").symlink_to(config.paths.state_dir)
    (boot / "directory").mkdir()
    os.mkfifo(boot / "pipe")

    found = places(config).found(name, LOCAL)

    assert isinstance(found, Refusal)
    assert found.code == code


@pytest.mark.parametrize(
    ("server", "netboot", "base"),
    [
        (Server(), {}, "http://10.77.0.10:8080"),
        (Server(host="127.0.0.1"), {}, "http://10.77.0.10:8080"),
        (Server(host="192.0.2.7"), {}, "http://192.0.2.7:8080"),
        (Server(host="192.0.2.7"), {"address": "192.0.2.9"}, "http://192.0.2.9:8080"),
        (Server(), {"address": "192.0.2.9"}, "http://192.0.2.9:8080"),
        (Server(public_url="https://bty.test"), {"address": "192.0.2.9"}, "https://bty.test"),
        (Server(host="::"), {}, "http://10.77.0.10:8080"),
        (Server(host="bty.test"), {}, "http://10.77.0.10:8080"),
    ],
)
def test_machines_are_told_an_address_that_they_reach(
    config: Config, server: Server, netboot: dict[str, str], base: str
) -> None:
    changed = replace(config, server=server, netboot=replace(config.netboot, **netboot))  # type: ignore[arg-type]

    offered = places(changed).offered(LOCAL)

    assert offered.script_url == f"{base}/pxe-bootstrap.ipxe"
    assert str(offered.server) == netboot.get("address", str(LOCAL))


@pytest.mark.parametrize(
    ("host", "public_url", "on", "count"),
    [
        ("127.0.0.1", "", {"tftp": True}, 1),
        ("::1", "", {"tftp": True, "proxy_dhcp": True}, 1),
        ("localhost", "", {"proxy_dhcp": True}, 2),
        ("127.0.0.1", "http://bty.lan", {"tftp": True}, 0),
        ("127.0.0.1", "", {}, 0),
        ("0.0.0.0", "", {"tftp": True, "proxy_dhcp": True}, 0),  # noqa: S104
    ],
)
def test_what_hardly_leads_a_machine_here_is_said_at_the_start(
    config: Config, host: str, public_url: str, on: dict[str, bool], count: int
) -> None:
    server = Server(host=host, public_url=public_url)
    changed = replace(config, server=server, netboot=replace(config.netboot, **on))  # type: ignore[arg-type]

    assert len(runtime_netboot.notes(changed)) == count


def test_only_what_is_here_is_offered(config: Config) -> None:
    nothing = places(config).offered(LOCAL)
    (config.paths.boot_dir / "snponly.efi").write_text("x")
    (config.netboot.ipxe_dir / "undionly.kpxe").write_text("x")

    some = places(config).offered(LOCAL)

    assert (nothing.bios, nothing.x64, nothing.x64_url) == ("", "", "")
    assert (some.bios, some.x64, some.arm64) == ("undionly.kpxe", "snponly.efi", "")
    assert some.x64_url == "http://10.77.0.10:8080/boot/snponly.efi"


def seen(stage: str, mac: str | None = "52:54:00:12:34:56", **detail: str | int | float) -> Seen:
    return Seen(mac, "10.77.0.5", stage, AT, detail)


def test_what_is_seen_is_logged_counted_and_put_on_the_timeline(
    quick_dir: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with site(quick_dir / "state") as house, caplog.at_level(logging.INFO):
        servers = house.services.boot_servers
        servers.starts(Name.TFTP, "port 69")
        tell = teller(servers, house.services.stages)
        tell(seen("tftp.started", file="ipxe.efi", of=1000))
        tell(seen("tftp.declined", file="ipxe.efi", of=1000, bytes=0))
        tell(seen("tftp.done", file="ipxe.efi", of=1000, bytes=1000, seconds=0.1))
        tell(seen("dhcp.other", None))
        timeline = house.services.stages.of(Mac("52:54:00:12:34:56"))
        counted = house.services.metrics.text([])

    assert [stage.stage.value for stage in timeline] == ["tftp.started", "tftp.done"]
    assert 'bty_tftp_transfers_total{result="done"} 1\n' in counted
    assert 'bty_tftp_transfers_total{result="declined"} 1\n' in counted
    assert "# TYPE bty_tftp_bytes_total counter\nbty_tftp_bytes_total 1000\n" in counted
    assert "bty_dhcp_requests_total" not in counted  # it is off
    assert len(caplog.records) == 3


def test_machines_that_nobody_knows_fill_neither_memory_nor_database(quick_dir: Path) -> None:
    many = random.Random(1)  # noqa: S311
    with site(quick_dir / "state") as house:
        tell = teller(house.services.boot_servers, house.services.stages)
        for _ in range(MACHINES_WAITING * 2):
            mac = many.randbytes(6).hex(":")
            tell(Seen(mac, "0.0.0.0", "dhcp.offered", house.clock.now, {"file": "x"}))  # noqa: S104
        stages = house.services.stages
        written = stages.flush()
        waiting = len(stages._waiting)
        house.clock.forward(3600)
        stages.flush()

        assert (written, waiting) == (0, MACHINES_WAITING)
        assert not stages._waiting
        assert house.database.read(lambda tx: tx.value("SELECT count(*) FROM boot_stages")) == 0


def test_a_loop_that_fails_is_begun_anew_and_says_so(caplog: pytest.LogCaptureFixture) -> None:
    turns: list[int] = []

    def loop(_stopping: object) -> None:
        turns.append(len(turns))
        if len(turns) == 1:
            raise ZeroDivisionError("a bug")
        worker.stop()

    worker = LoopWorker("tftp", loop)
    worker.run()

    assert turns == [0, 1]
    assert "tftp failed" in caplog.text
    assert "a bug" in caplog.text


def test_a_server_without_requests_has_counts_of_nought() -> None:
    servers = BootServers(Revisions())
    servers.starts(Name.DHCP, "here")

    assert [(row[2], row[3]) for row in servers.counters()] == [
        ({"result": word}, 0) for word in ("offered", "ignored", "held-back", "other", "malformed")
    ]
    assert [state.is_on for state in servers.states()] == [True, False]
