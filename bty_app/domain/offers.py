"""How a decision is told: the audit details of an offer, and the plan of a live environment."""

from __future__ import annotations

from typing import assert_never

from bty_app.domain.boot import Decision, FirmwareExit, LiveEnv, LocalDisk, Purpose, Reason, Wait
from bty_app.domain.flash_options import NO_OPTIONS, USUAL_STALL_SECONDS, FlashOptions
from bty_app.domain.image_target import Target
from bty_app.domain.machine import FLASH_MODES, BootMode, Machine

_NO_REPORT = {
    BootMode.INVENTORY: "retry_after_armed_no_post",
    BootMode.FLASH_ONCE: "retry_after_armed_no_done",
    BootMode.FLASH_ALWAYS: "retry_after_armed_no_done",
}


def offer_details(
    machine: Machine, decision: Decision, image_name: str | None
) -> dict[str, object]:
    """The details of a `netboot.pxe.offered` event (CONTRACT 4.7)."""
    offer, kind, extras = _told(machine, decision, image_name)
    return {"boot_mode": machine.boot_mode.value, "offer": offer, **extras, "offer_kind": kind}


def _told(
    machine: Machine, decision: Decision, image_name: str | None
) -> tuple[str, str, dict[str, object]]:
    mode = machine.boot_mode
    match decision.offer:
        case LiveEnv(purpose):
            return mode.value, mode.value, _live_extras(machine, decision, purpose, image_name)
        case LocalDisk() if decision.reason is Reason.NOT_BOUND:
            return "unknown", "unknown", {}
        case LocalDisk(drive):
            kind = "ipxe-exit" if mode is BootMode.IPXE_EXIT else f"{mode.value}-ipxe-exit"
            return "ipxe-exit", kind, {"sanboot_drive": drive} | _disk_extras(mode, decision)
        case FirmwareExit():
            reason: dict[str, object] = {
                "bty_image_ref": machine.image_ref,
                "reason": decision.reason.value,
            }
            return "exit-fallback", "exit-fallback", reason
        case Wait(seconds):
            wait: dict[str, object] = {"seconds": seconds, "reason": decision.reason.value}
            return "wait", "wait", wait
        case _:
            assert_never(decision.offer)


def _live_extras(
    machine: Machine, decision: Decision, purpose: Purpose, image_name: str | None
) -> dict[str, object]:
    extras: dict[str, object] = {}
    if purpose is Purpose.FLASH:
        extras["bty_image_ref"] = machine.image_ref
        extras["image_name"] = image_name
        extras["target_disk_serial"] = machine.target_disk_serial
    if decision.reason is Reason.RETRY:
        extras[_NO_REPORT[machine.boot_mode]] = True
    return extras


def _disk_extras(mode: BootMode, decision: Decision) -> dict[str, object]:
    if decision.reason is Reason.CYCLE_DONE:
        done = "ipxe_exit_after_flash" if mode in FLASH_MODES else "after_inventory"
        return {done: True}
    if decision.reason is Reason.BY_MODE:
        return {}
    return {"reason": decision.reason.value}


def plan(
    machine: Machine,
    decision: Decision,
    target: Target | None,
    *,
    base_url: str,
    options: FlashOptions = NO_OPTIONS,
) -> tuple[dict[str, object], str]:
    """What the live environment is told to do, and the `offer_kind` of the event (CONTRACT 3.4).

    An inventory is harmless and its environment reboots only when it is told so: in that mode
    the plan is `inventory` in every phase.
    """
    mode = machine.boot_mode
    if mode is BootMode.INVENTORY:
        return {"mode": "inventory"}, "plan:inventory"
    interactive: dict[str, object] = {
        "mode": "interactive",
        "catalog": f"{base_url}/catalog.toml",
    }
    match decision.offer:
        case LiveEnv(Purpose.FLASH) if target is not None:
            return _flash(machine, target, options), f"plan:flash:{mode.value}"
        case LiveEnv():
            return interactive, "plan:interactive:tui"
        case FirmwareExit():
            return interactive, "plan:interactive:flash-unresolved"
        case Wait(seconds):
            # Our client comes back after the pause; the original's ignores the extra key.
            waiting = interactive | {"retry_after": seconds}
            return waiting, f"plan:interactive:{decision.reason.value}"
        case LocalDisk():
            return {"mode": "exit"}, f"plan:exit:{mode.value}"
        case _:
            assert_never(decision.offer)


def _flash(machine: Machine, target: Target, options: FlashOptions) -> dict[str, object]:
    body: dict[str, object] = {
        "mode": "flash",
        "image": target.url,
        "target_disk_serial": machine.target_disk_serial,
        "name": target.name,
    }
    if target.sha256:
        body["disk_image_sha"] = target.sha256
    if target.format:
        body["format"] = target.format
    # The original's client passes over a key that it does not know; ours tries these in order.
    body["sources"] = [{"from": source.place.value, "url": source.url} for source in target.sources]
    options = machine.own.over(options)
    if options.wipe:
        body["wipe"] = options.wipe
    if options.verify:
        body["verify"] = True
    if options.stall_seconds != USUAL_STALL_SECONDS:
        body["stall_seconds"] = options.stall_seconds
    return body
