"""The checks of `doctor`, each on an installation that has just this fault."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bty_app import __version__, runtime_parts
from bty_app.config import Config, Netboot, Paths, Upstream, Withcache
from bty_app.domain.artifacts import ARM64, live_file
from bty_app.domain.catalog_events import By
from bty_app.domain.dhcp_offers import LanOffer
from bty_app.domain.events import Actor
from bty_app.domain.findings import Finding, Level, worst
from bty_app.errors import BtyError, ConflictError, NotFoundError, StorageError, UnavailableError
from bty_app.services import doctor, doctor_boot, doctor_network, doctor_state, doctor_upstream
from bty_app.services.artifacts import Artifacts
from bty_app.services.port_holders import Holder, Protocol, holder
from bty_app.services.premises import Network, Premises
from bty_app.services.revisions import Revisions
from bty_app.services.settings import Settings
from bty_app.store import catalog, locks
from bty_app.store.database import Database
from bty_app.upstream.http import Http
from tests import programs
from tests.file_host import FileHost, file_host
from tests.fresh_state import make_state
from tests.netboot_set import Listener, made_set, put
from tests.serving import ENTRY

V = __version__
# They speak only where there is something to say.
SILENT = {
    "old-databases",
    "sets",
    "shadowed-files",
    "moved",
    "new-host",
    "clock",
    "public-url",
    "replication",
    "dhcp",
}
Look = Callable[[Premises], Iterable[Finding]]


@pytest.fixture
def place(quick_dir: Path) -> Path:
    make_state(quick_dir / "state")
    return quick_dir / "state"


@pytest.fixture
def config(place: Path) -> Config:
    return Config(
        paths=Paths(state_dir=place, boot_dir=place / "boot"),
        netboot=Netboot(ipxe_dir=place / "ipxe"),
        upstream=Upstream(catalog_url=""),
    )


@pytest.fixture
def database(place: Path) -> Iterator[Database]:
    with Database(place / "state.db") as opened:
        yield opened


@pytest.fixture
def host() -> Iterator[FileHost]:
    with file_host() as found:
        yield found


def premises(config: Config, database: Database | None = None) -> Premises:
    return runtime_parts.doctor(config, database)._premises


def said(look: Look, at: Premises) -> list[tuple[str, str]]:
    return [(finding.level.value, finding.sentence) for finding in look(at)]


def install(database: Database, config: Config, version: str) -> Path:
    boot_dir = config.paths.boot_dir
    source = put(boot_dir.parent / f"source-{version}", made_set(version))
    artifacts = Artifacts(database, Settings(database, Revisions()), Http(), boot_dir)
    artifacts.install_directory(source, Listener(), By(Actor.OPERATOR, None))
    return boot_dir / "current"


# -- the table ----------------------------------------------------------------------------------


def test_every_finding_says_which_check_it_is_of_and_all_checks_are_done(
    config: Config, database: Database
) -> None:
    found = runtime_parts.doctor(config, database).findings()

    names = [check.name for check in doctor.CHECKS]
    assert {finding.check for finding in found} == set(names) - SILENT
    assert all(f.remedy for f in found if f.level.needs_an_act)
    order = [names.index(finding.check) for finding in found]
    assert order == sorted(order)


def test_a_page_runs_no_check_that_asks_other_hosts(config: Config, host: FileHost) -> None:
    config = replace(config, upstream=Upstream(catalog_url=host.url("/catalog.toml")))

    found = runtime_parts.doctor(config, None).cheap_findings()

    assert host.asked == []
    assert "upstream-catalog" not in {finding.check for finding in found}


@pytest.mark.parametrize(
    ("error", "sentence", "remedy"),
    [
        (UnavailableError("it is away"), "it is away", ""),
        (PermissionError(13, "no", "/srv/x"), "/srv/x cannot be read by this user", "run it as"),
        (OSError(5, "Input/output error", "/srv/x"), "/srv/x: Input/output error", ""),
    ],
)
def test_a_check_that_cannot_be_done_is_a_finding_and_keeps_no_other(
    config: Config,
    monkeypatch: pytest.MonkeyPatch,
    error: Exception,
    sentence: str,
    remedy: str,
) -> None:
    def fails(_premises: Premises) -> Iterator[Finding]:
        yield Finding(Level.OK, "so far")
        raise error

    last = doctor.Check("last", lambda _premises: [Finding(Level.NOTE, "the last one")])
    monkeypatch.setattr(doctor, "CHECKS", (doctor.Check("first", fails), last))

    first, other = runtime_parts.doctor(config, None).findings()

    assert (first.check, first.level, first.sentence) == ("first", Level.FAULT, sentence)
    assert first.remedy.startswith(remedy)
    assert (other.check, other.sentence) == ("last", "the last one")


def test_the_worst_counts() -> None:
    assert worst([]) is Level.OK
    assert worst([Finding(Level.WARNING, ""), Finding(Level.NOTE, "")]) is Level.WARNING
    assert [level.needs_an_act for level in Level] == [False, False, True, True]


# -- what is kept here --------------------------------------------------------------------------


def test_a_database_of_this_version_is_well(config: Config, database: Database) -> None:
    found = said(doctor_state.database, premises(config, database))

    assert found == [("ok", "the database is of this version and knows 0 machines")]


@pytest.mark.parametrize(
    ("error", "level"),
    [
        (NotFoundError("no state"), "warning"),
        (ConflictError("of version 1"), "warning"),
        (StorageError("damaged"), "fault"),
    ],
)
def test_a_database_that_cannot_be_opened_is_a_finding_with_a_remedy(
    config: Config, error: BtyError, level: str
) -> None:
    [finding] = doctor_state.database(replace(premises(config), unopened=error))

    assert finding.level.value == level
    assert "bty" in finding.remedy


def test_directories_are_well_also_before_they_are_made(config: Config, place: Path) -> None:
    [state, boot] = said(doctor_state.directories, premises(config))

    assert state[0] == boot[0] == "ok"
    assert f"the boot directory {place / 'boot'} can be written and has" in boot[1]
    assert not (place / "boot").exists()


def test_a_directory_that_cannot_be_is_a_fault(config: Config, place: Path) -> None:
    (place / "boot").write_text("a file")

    [_state, boot] = said(doctor_state.directories, premises(config))

    assert boot[0] == "fault"
    assert boot[1].endswith("boot is not a directory")


def test_a_directory_that_cannot_be_written_is_a_fault(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_args: False)  # root may write everywhere

    found = said(doctor_state.directories, premises(config))

    assert [level for level, _sentence in found] == ["fault", "fault"]


@pytest.mark.parametrize(("mebibytes", "level"), [(31, "fault"), (200, "warning"), (300, "ok")])
def test_little_room_is_said(
    config: Config, monkeypatch: pytest.MonkeyPatch, mebibytes: int, level: str
) -> None:
    facts = list(os.statvfs("/"))
    facts[1], facts[4] = 1024, mebibytes * 1024  # f_frsize, f_bavail
    monkeypatch.setattr(os, "statvfs", lambda _path: os.statvfs_result(facts))

    [state, _boot] = said(doctor_state.directories, premises(config))

    assert state[0] == level
    assert f"{mebibytes} MiB free" in state[1]


def test_an_empty_catalog_is_said(config: Config, database: Database) -> None:
    at = premises(config, database)
    empty = said(doctor_state.catalog, at)
    database.write(lambda tx: catalog.insert(tx, ENTRY))

    assert empty == [("warning", "the catalog is empty: nothing can be flashed")]
    assert said(doctor_state.catalog, at) == [("ok", "the catalog has 1 image")]
    assert said(doctor_state.catalog, premises(config)) == []


# -- what machines boot -------------------------------------------------------------------------


def test_a_live_environment_is_missing_of_another_version_or_well(
    config: Config, database: Database
) -> None:
    at = premises(config, database)
    [missing] = doctor_boot.live_environment(at)
    install(database, config, "7.0")
    [other] = doctor_boot.live_environment(at)
    install(database, config, V)

    assert (missing.level, missing.sentence, missing.remedy) == (
        Level.FAULT,
        "no live environment is installed",
        f"fetch the netboot artifacts of {V}, or build them with bty live build --install",
    )
    assert other.level is Level.WARNING
    assert other.sentence == f"machines boot the live environment 7.0, this server is {V}"
    assert said(doctor_boot.live_environment, at) == [
        ("ok", f"machines boot the live environment {V}, of this version")
    ]


def test_what_machines_of_arm64_boot_is_looked_at_where_there_is_something(
    config: Config, place: Path
) -> None:
    put(place / "boot", made_set(V) | made_set("7.0", arch=ARM64))

    found = said(doctor_boot.live_environment, premises(config))

    assert found == [
        ("warning", f"for arm64: machines boot the live environment 7.0, this server is {V}"),
        ("ok", f"machines boot the live environment {V}, of this version"),
    ]
    put(place / "boot", made_set(V, arch=ARM64))
    assert ("ok", f"machines of arm64 boot the live environment {V}") in said(
        doctor_boot.live_environment, premises(config)
    )


def test_another_version_that_is_configured_is_a_note(config: Config, place: Path) -> None:
    put(place / "boot", made_set("7.0"))
    config = replace(config, netboot=Netboot(live_version="7.0"))

    [finding] = doctor_boot.live_environment(premises(config))

    assert finding.level is Level.NOTE
    assert "as netboot.live_version says" in finding.sentence


def test_a_damaged_live_environment_says_each_file(config: Config, database: Database) -> None:
    current = install(database, config, V)
    (current / live_file(V, "vmlinuz")).write_bytes(b"cut")
    (current / live_file(V, "initrd")).unlink()

    found = said(doctor_boot.live_environment, premises(config))

    assert found == [
        ("fault", f"the live environment {V} is damaged"),
        ("fault", f"the current set: {live_file(V, 'initrd')} is missing"),
        ("fault", f"the current set: {live_file(V, 'vmlinuz')} has 3 bytes, not 200000"),
    ]


def test_a_damaged_set_before_is_a_warning(config: Config, database: Database) -> None:
    old = install(database, config, "7.0").resolve()
    install(database, config, V)
    at = premises(config)
    assert said(doctor_boot.sets, at) == []

    (old / live_file("7.0", "initrd")).unlink()

    [(level, sentence)] = said(doctor_boot.sets, at)
    assert level == "warning"
    assert sentence.endswith("initrd is missing")


def test_a_flipped_bit_is_found_by_reading_every_file(config: Config, database: Database) -> None:
    install(database, config, "7.0")
    kernel = install(database, config, V) / live_file(V, "vmlinuz")
    data = kernel.read_bytes()
    kernel.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    at = premises(config)

    assert said(doctor_boot.sets, at) == []
    deep = said(doctor_boot.sets, replace(at, deep=True))

    by_level = dict(deep)
    assert sorted(by_level) == ["fault", "ok"]
    assert by_level["fault"].endswith(f"{kernel.name} is not as its manifest says")
    assert by_level["ok"].startswith("every file of the set 7.0-")


def test_a_file_that_a_set_hides_is_said(config: Config, database: Database, place: Path) -> None:
    install(database, config, V)
    (place / "boot" / "mine.efi").write_bytes(b"x")
    assert said(doctor_boot.shadowed_files, premises(config)) == []

    (place / "boot" / live_file(V, "vmlinuz")).write_bytes(b"mine")

    [(level, sentence)] = said(doctor_boot.shadowed_files, premises(config))
    assert level == "warning"
    assert sentence.startswith(f"boot/{live_file(V, 'vmlinuz')} is not served")


def test_each_kind_of_machine_needs_one_ipxe_binary(config: Config, place: Path) -> None:
    missing = list(doctor_boot.ipxe(premises(config)))
    put(place / "boot", {"snponly.efi": b"x"})
    put(place / "ipxe", {"undionly.kpxe": b"x"})

    found = said(doctor_boot.ipxe, premises(config))

    assert [finding.level.value for finding in missing] == ["warning", "warning", "note"]
    assert missing[0].remedy == "apt install ipxe"
    assert "into boot/" in missing[2].remedy
    assert found[:2] == [
        ("ok", "machines with a BIOS can load undionly.kpxe"),
        ("ok", "machines with UEFI on x86-64 can load snponly.efi"),
    ]


# -- other hosts --------------------------------------------------------------------------------


def followed(config: Config, source: str) -> Finding:
    config = replace(config, upstream=Upstream(catalog_url=source))
    [finding] = doctor_upstream.followed_catalog(premises(config))
    return finding


def test_the_followed_catalog_is_fetched_and_read(config: Config, host: FileHost) -> None:
    host.files["/catalog.toml"] = (
        b'version = 1\n[[images]]\nname = "a.img"\nsrc = "http://images.test/a.img"\n'
    )
    source = host.url("/catalog.toml").replace("//", "//me:hush@")

    good = followed(config, source)
    host.files["/catalog.toml"] = b"version = <html>"
    bad = followed(config, source)
    gone = followed(config, host.url("/gone.toml"))
    none = followed(config, "")

    assert (good.level, "has 1 images" in good.sentence) == (Level.OK, True)
    assert (bad.level, "is not valid" in bad.sentence) == (Level.WARNING, True)
    assert (gone.level, "out of reach" in gone.sentence) == (Level.WARNING, True)
    assert none.level is Level.NOTE
    assert not any("hush" in f"{f.sentence}{f.remedy}" for f in (good, bad, gone))


def test_to_be_offline_is_a_warning(config: Config) -> None:
    with file_host() as host:
        url = host.url("/catalog.toml")

    assert followed(config, url).level is Level.WARNING


def test_a_host_that_says_nothing_is_waited_for_a_short_time(
    config: Config, host: FileHost
) -> None:
    host.files["/catalog.toml"], host.stall_after = b"version = 1\n", 3
    catalogs = premises(config).catalogs
    catalogs._seconds = 0.2
    at = replace(premises(config), catalogs=catalogs, setting=lambda _s: host.url("/catalog.toml"))

    [finding] = doctor_upstream.followed_catalog(at)

    assert finding.level is Level.WARNING


@pytest.mark.parametrize("version", ["0.8", "0.13"])
def test_the_cache_says_its_version(config: Config, tmp_path: Path, version: str) -> None:
    with programs.withcache(tmp_path, version) as port:
        there = replace(config, withcache=Withcache(url=f"http://127.0.0.1:{port}"))

        [finding] = doctor_upstream.withcache(premises(there))

    [gone] = doctor_upstream.withcache(premises(there))
    [none] = doctor_upstream.withcache(premises(config))
    assert finding.level is Level.OK
    assert finding.sentence.startswith(f"withcache {version}.")
    assert gone.level is Level.WARNING
    assert none.level is Level.OK


@pytest.mark.parametrize(
    ("body", "level"),
    [
        (b"ok\n", "ok"),
        (b'{"service": "withcache"}', "ok"),
        (b"<html>", "warning"),
        (b'{"version": "1"}', "warning"),
        (b"\xff", "warning"),
    ],
)
def test_what_answers_at_its_address_must_be_a_cache(
    config: Config, host: FileHost, body: bytes, level: str
) -> None:
    host.files["/healthz"] = body
    there = replace(config, withcache=Withcache(url=host.url("")))

    [finding] = doctor_upstream.withcache(premises(there))
    host.statuses["/healthz"] = [500]
    [broken] = doctor_upstream.withcache(premises(there))

    assert finding.level.value == level
    assert ("withcache of unknown version answers" in finding.sentence) == (level == "ok")
    assert broken.level is Level.WARNING


# -- the network --------------------------------------------------------------------------------

OURS = Holder(4711, "bty", 1000)
OTHER = Holder(12, "dnsmasq", 0)
HIDDEN = Holder(None, "", 0)
TFTP_ON = Network(tftp=True)
BOTH_ON = Network(tftp=True, proxy_dhcp=True, http_port=8080)


def of_ports(
    monkeypatch: pytest.MonkeyPatch,
    at: Premises,
    held: dict[int, Holder],
    server: int | None = None,
) -> list[tuple[str, str]]:
    monkeypatch.setattr(doctor_network, "holder", lambda _protocol, port: held.get(port))
    monkeypatch.setattr(doctor_network, "_server_pid", lambda _place: server)
    return said(doctor_network.ports, at)


@pytest.mark.parametrize(
    ("network", "held", "server", "expected"),
    [
        (Network(), {}, None, [("ok", "TFTP and proxy DHCP are off, and nobody else has their")]),
        (
            Network(),
            {69: OTHER},
            None,
            [("ok", "UDP port 69 is held by dnsmasq (pid 12); TFTP is")],
        ),
        (Network(), {69: OURS}, 4711, [("ok", "UDP port 69 is the server's (TFTP)")]),
        (TFTP_ON, {69: OURS}, 4711, [("ok", "UDP port 69 is the server's (TFTP)")]),
        (TFTP_ON, {}, None, [("ok", "UDP port 69 is free for TFTP")]),
        (TFTP_ON, {}, 4711, [("warning", "TFTP is configured (netboot.tftp), and the running")]),
        (TFTP_ON, {69: OTHER}, None, [("fault", "UDP port 69 is held by dnsmasq (pid 12), and")]),
        (TFTP_ON, {69: OURS}, None, [("fault", "UDP port 69 is held by bty (pid 4711), and")]),
        (TFTP_ON, {69: HIDDEN}, None, [("note", "UDP port 69 is held by a process of the user")]),
        (TFTP_ON, {69: HIDDEN}, 4711, [("note", "UDP port 69 is held by a process of the user")]),
        (
            BOTH_ON,
            {8080: OURS, 69: OURS, 67: OTHER, 4011: OURS},
            4711,
            [
                ("ok", "TCP port 8080 is the server's (HTTP)"),
                ("ok", "UDP port 69"),
                ("fault", "UDP port 67 is held by dnsmasq (pid 12), and proxy DHCP needs it"),
                ("ok", "UDP port 4011"),
            ],
        ),
        (
            Network(proxy_dhcp=True),
            {},
            None,
            [
                ("ok", "UDP port 67"),
                ("ok", "UDP port 4011"),
                ("warning", "proxy DHCP names boot files of a TFTP server on this host"),
            ],
        ),
        (
            Network(proxy_dhcp=True),
            {69: OTHER},
            None,
            [("ok", "UDP port 69 is held"), ("ok", "UDP port 67"), ("ok", "UDP port 4011")],
        ),
    ],
)
def test_each_port_is_ours_or_free_or_somebody_elses(
    monkeypatch: pytest.MonkeyPatch,
    config: Config,
    network: Network,
    held: dict[int, Holder],
    server: int | None,
    expected: list[tuple[str, str]],
) -> None:
    found = of_ports(monkeypatch, replace(premises(config), network=network), held, server)

    assert [level for level, _sentence in found] == [level for level, _start in expected]
    for (_level, sentence), (_same, start) in zip(found, expected, strict=True):
        assert sentence.startswith(start)


def test_a_page_does_not_look_for_holders_of_ports_each_time(
    monkeypatch: pytest.MonkeyPatch, config: Config
) -> None:
    looks: list[int] = []

    def looked(_protocol: Protocol, port: int) -> None:
        looks.append(port)

    monkeypatch.setattr(doctor_network, "holder", looked)
    now = [1000.0]
    asked = doctor.Doctor(premises(config), steady=lambda: now[0])

    first = asked.cheap_findings()
    assert asked.cheap_findings() == first
    assert looks == [69, 67, 4011]
    now[0] += 31
    asked.cheap_findings()
    assert len(looks) == 6
    asked.findings()
    assert len(looks) == 9, "who asks the doctor gets a fresh look"


def test_who_has_a_port_is_found_by_name() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as own:
        own.bind(("127.0.0.1", 0))
        port = own.getsockname()[1]
        found = holder(Protocol.UDP, port)
        other = holder(Protocol.TCP, port)
    gone = holder(Protocol.UDP, port)

    assert found is not None
    assert (found.pid, found.uid) == (os.getpid(), os.getuid())
    assert found.words.endswith(f"(pid {os.getpid()})")
    assert (other, gone) == (None, None)


def test_a_port_of_somebody_whose_files_cannot_be_seen_has_a_user_at_least(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    head = (
        "sl local_address rem_address st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode\n"
    )
    row = (
        "1: 00000000:0043 00000000:0000 07 00000000:00000000 00:00000000 0 101 0 999999999 2 0 0\n"
    )
    (tmp_path / "net" / "udp").write_text(head + row + "broken\n")

    found = holder(Protocol.UDP, 67, tmp_path)

    assert found == Holder(None, "", 101)
    assert holder(Protocol.UDP, 68, tmp_path) is None


def test_the_server_is_known_by_what_it_says_of_itself(config: Config, place: Path) -> None:
    without = doctor_network._server_pid(place)
    with locks.serving(place, about=f"pid {os.getpid()}, bty 1, since today"):
        running = doctor_network._server_pid(place)
    (place / "serve.lock").write_text("pid 4194305, bty 1")  # no process has such a number

    assert (without, running, doctor_network._server_pid(place)) == (None, os.getpid(), None)


def test_nobody_is_asked_what_dhcp_hands_out_unless_it_is_wanted(config: Config) -> None:
    assert said(doctor_network.dhcp, premises(config)) == []


def test_what_cannot_be_asked_is_a_note(config: Config) -> None:
    def ask() -> tuple[tuple[str, ...], tuple[LanOffer, ...]]:
        raise UnavailableError("asking takes root")

    at = replace(premises(config), network=Network(ask_lan=ask))

    assert said(doctor_network.dhcp, at) == [("note", "asking takes root")]


ROUTER = LanOffer("eth0", "10.0.0.1", "10.0.0.77", "", "10.0.0.1")
LEADING = replace(ROUTER, boot_file="pxelinux.0", next_server="10.0.0.9")
OUR_PROXY = LanOffer("eth0", "10.0.0.2", "", "ipxe.efi", "10.0.0.2", is_ours=True)
THEIR_PROXY = LanOffer("eth0", "10.0.0.3", "", "wds.efi", "10.0.0.3")


@pytest.mark.parametrize(
    ("offers", "expected"),
    [
        ([], [("warning", "no DHCP server answers on eth0")]),
        ([ROUTER], [("ok", "names no boot file"), ("note", "nobody on eth0 tells machines what")]),
        ([LEADING], [("ok", "sends machines to pxelinux.0 of 10.0.0.9")]),
        ([ROUTER, OUR_PROXY], [("ok", "names no boot file"), ("ok", "our proxy DHCP, 10.0.0.2")]),
        (
            [LEADING, OUR_PROXY],
            [("warning", "beside our proxy DHCP: firmware may take either"), ("ok", "our proxy")],
        ),
        ([ROUTER, THEIR_PROXY], [("ok", "names no boot"), ("note", "a proxy DHCP that is not")]),
        (
            [ROUTER, THEIR_PROXY, OUR_PROXY],
            [
                ("ok", "names no"),
                ("warning", "not ours, 10.0.0.3 (eth0), names wds"),
                ("ok", "our"),
            ],
        ),
        (
            [ROUTER, replace(LEADING, server="10.0.0.4")],
            [("ok", ""), ("ok", "10.0.0.4"), ("warning", "several DHCP servers on eth0: 10.0.0.1")],
        ),
    ],
)
def test_what_dhcp_hands_out_is_judged(
    config: Config, offers: list[LanOffer], expected: list[tuple[str, str]]
) -> None:
    at = replace(premises(config), network=Network(ask_lan=lambda: (("eth0",), tuple(offers))))

    found = said(doctor_network.dhcp, at)

    assert [level for level, _ in found] == [level for level, _ in expected]
    for (_level, sentence), (_same, part) in zip(found, expected, strict=True):
        assert part in sentence
