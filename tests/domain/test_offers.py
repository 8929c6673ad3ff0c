"""How a decision is told: over every situation there is, and in what order."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace

import pytest

from bty_app.domain.boot import (
    Ask,
    Decision,
    FirmwareExit,
    LiveEnv,
    LocalDisk,
    Purpose,
    Reason,
    Wait,
    decide,
)
from bty_app.domain.flash_options import FlashOptions, OwnOptions
from bty_app.domain.image_target import Place, Source, Target
from bty_app.domain.mac import Mac
from bty_app.domain.machine import BootMode, Machine, Phase, Serial
from bty_app.domain.offers import offer_details, plan
from tests.domain.test_boot import EVERY, LIMITS

TARGET = Target(
    *("a" * 64, "debian", "http://i.test/d.img.zst", "b" * 64, "img.zst"),
    sources=(Source(Place.MIRROR, "http://m.test/d.img.zst"),),
)
BASE = "http://h:8080"


def machine(mode: BootMode, **more: object) -> Machine:
    fields: dict[str, object] = {
        "mac": Mac("52:54:00:12:34:56"),
        "image_ref": "a" * 64,
        "discovered_at": None,
        "last_seen_at": None,
        "last_seen_ip": None,
        "boot_mode": mode,
        "sanboot_drive": None,
        "last_flashed_at": None,
        "known_disks_at": None,
        "hw_lshw_at": None,
        "target_disk_serial": Serial("S1"),
        "created_at": "x",
        "updated_at": "x",
        "phase": Phase.IDLE,
        "phase_at": None,
        "attempts": 0,
        "ordered_at": None,
        "disk_suspect": False,
    }
    return Machine(**(fields | more))  # type: ignore[arg-type]


def decisions(ask: Ask) -> Iterator[tuple[BootMode, Decision]]:
    """Every decision that any situation leads to."""
    seen = set()
    for now in EVERY:
        decision = decide(now, ask, LIMITS)
        if (now.mode, decision) not in seen:
            seen.add((now.mode, decision))
            yield now.mode, decision


def test_every_decision_has_details_in_the_order_of_the_contract() -> None:
    for mode, decision in decisions(Ask.CONTACT):
        details = offer_details(machine(mode), decision, "debian")

        keys = list(details)
        assert keys[:2] == ["boot_mode", "offer"]
        assert keys[-1] == "offer_kind"
        assert details["boot_mode"] == mode.value
        assert json.dumps(details, allow_nan=False)


def test_a_plan_orders_a_flash_where_the_decision_does_and_nowhere_else() -> None:
    for mode, decision in decisions(Ask.PLAN):
        body, kind = plan(machine(mode), decision, TARGET, base_url=BASE)

        ordered = decision.offer == LiveEnv(Purpose.FLASH)
        assert (body["mode"] == "flash") == ordered
        assert kind.startswith(f"plan:{body['mode']}")
        assert set(body) <= {
            "mode", "image", "target_disk_serial", "name", "disk_image_sha", "format", "catalog",
            "retry_after", "sources",
        }  # fmt: skip


def test_a_flash_without_a_target_is_never_ordered() -> None:
    order = Decision(LiveEnv(Purpose.FLASH), Reason.AS_BOUND, Phase.IDLE)

    body, _ = plan(machine(BootMode.FLASH_ONCE), order, None, base_url=BASE)

    assert body == {"mode": "interactive", "catalog": f"{BASE}/catalog.toml"}


def test_a_plan_has_its_keys_in_the_order_of_the_contract() -> None:
    order = Decision(LiveEnv(Purpose.FLASH), Reason.AS_BOUND, Phase.IDLE)

    body, kind = plan(machine(BootMode.FLASH_ONCE), order, TARGET, base_url=BASE)

    assert list(body) == [
        "mode", "image", "target_disk_serial", "name", "disk_image_sha", "format", "sources",
    ]  # fmt: skip
    assert body["sources"] == [{"from": "mirror", "url": "http://m.test/d.img.zst"}]
    assert kind == "plan:flash:bty-flash-once"


def test_what_is_done_besides_stands_behind_the_keys_of_the_contract() -> None:
    order = Decision(LiveEnv(Purpose.FLASH), Reason.AS_BOUND, Phase.IDLE)
    options = FlashOptions("secure", verify=True, stall_seconds=90)

    body, _ = plan(machine(BootMode.FLASH_ONCE), order, TARGET, base_url=BASE, options=options)

    done = [("wipe", "secure"), ("verify", True), ("stall_seconds", 90)]
    assert list(body.items())[-3:] == done


@pytest.mark.parametrize(
    ("own", "done"),
    [
        (OwnOptions(), {"wipe": "secure"}),
        (OwnOptions(wipe="no"), {}),
        (OwnOptions(wipe="discard", verify="yes"), {"wipe": "discard", "verify": True}),
        (OwnOptions(verify="no"), {"wipe": "secure"}),
    ],
)
def test_what_is_said_of_the_machine_counts_before_the_settings(
    own: OwnOptions, done: dict[str, object]
) -> None:
    order = Decision(LiveEnv(Purpose.FLASH), Reason.AS_BOUND, Phase.IDLE)
    this = replace(machine(BootMode.FLASH_ONCE), own=own)

    body, _ = plan(this, order, TARGET, base_url=BASE, options=FlashOptions("secure"))
    bare, _ = plan(this, order, TARGET, base_url=BASE)

    assert {key: body[key] for key in ("wipe", "verify") if key in body} == done
    assert bare.get("verify", False) == (own.verify == "yes")
    over = own.over(FlashOptions(None, verify=True, stall_seconds=90))
    assert (over.verify, over.stall_seconds) == (own.verify != "no", 90)


@pytest.mark.parametrize(
    ("decision", "told"),
    [
        (
            Decision(LocalDisk("0x81"), Reason.NOT_STORABLE, Phase.IDLE),
            {"offer": "ipxe-exit", "sanboot_drive": "0x81", "reason": "not-storable",
             "offer_kind": "bty-flash-once-ipxe-exit"},
        ),
        (
            Decision(FirmwareExit(), Reason.NO_TARGET_DISK, Phase.IDLE),
            {"offer": "exit-fallback", "bty_image_ref": "a" * 64, "reason": "no_target_disk",
             "offer_kind": "exit-fallback"},
        ),
        (
            Decision(Wait(60), Reason.UNPROVEN_DISK, Phase.IDLE),
            {"offer": "wait", "seconds": 60, "reason": "unproven-disk", "offer_kind": "wait"},
        ),
    ],
)  # fmt: skip
def test_what_spec_16_adds_names_its_reason(decision: Decision, told: dict[str, object]) -> None:
    details = offer_details(machine(BootMode.FLASH_ONCE), decision, None)

    assert details == {"boot_mode": "bty-flash-once", **told}
