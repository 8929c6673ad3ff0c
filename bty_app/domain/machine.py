"""The machine record, and what an operator may set of it (CONTRACT 3.8)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import NewType

from bty_app.domain.flash_options import (
    AS_THE_SITE,
    BOOTED,
    OWN_DONES,
    OWN_VERIFIES,
    OWN_WIPES,
    OwnOptions,
)
from bty_app.domain.mac import Mac
from bty_app.errors import ValidationError

Serial = NewType("Serial", str)

DEFAULT_DRIVE = "0x80"
MAX_LABELS = 16
MAX_SERIAL = 128

_REF = re.compile(r"[0-9a-f]{64}", re.ASCII)
DRIVE = re.compile(r"0x[0-9a-fA-F]{1,2}", re.ASCII)
LABEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}", re.ASCII)
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class BootMode(StrEnum):
    """What the operator wants of a machine. The server never rewrites it."""

    IPXE_EXIT = "ipxe-exit"
    INVENTORY = "bty-inventory"
    FLASH_ONCE = "bty-flash-once"
    FLASH_ALWAYS = "bty-flash-always"
    TUI = "bty-tui"


# For people, on pages and in the sentences of events.
MODE_NAMES = {
    BootMode.IPXE_EXIT: "Boot from disk",
    BootMode.INVENTORY: "Inventory",
    BootMode.FLASH_ONCE: "Flash once",
    BootMode.FLASH_ALWAYS: "Flash at every boot",
    BootMode.TUI: "Wizard",
}


class State(StrEnum):
    """How a machine is at a glance. `store/machine_pages.py` tells it from the record."""

    RESTS = "rests"
    WAITS = "waits"
    LIVE = "live"
    FLASHING = "flashing"
    UNPROVEN = "unproven"
    DONE = "done"
    FAULT = "fault"


class Phase(StrEnum):
    """Where a machine is in its cycle (domain/boot.py says what leads where)."""

    IDLE = "idle"
    BOOTED = "booted"
    FAILED = "failed"
    HELD = "held"
    DONE = "done"
    RELEASED = "released"


FLASH_MODES = frozenset({BootMode.FLASH_ONCE, BootMode.FLASH_ALWAYS})


@dataclass(frozen=True, slots=True)
class Machine:
    """A box, known by its MAC. Times are ISO 8601 text in UTC, but `phase_at`."""

    mac: Mac
    image_ref: str | None
    discovered_at: str | None
    last_seen_at: str | None
    last_seen_ip: str | None
    boot_mode: BootMode
    sanboot_drive: str | None
    last_flashed_at: str | None
    known_disks_at: str | None
    hw_lshw_at: str | None
    target_disk_serial: Serial | None
    created_at: str
    updated_at: str
    phase: Phase
    phase_at: datetime | None
    attempts: int
    ordered_at: str | None
    disk_suspect: bool
    own: OwnOptions = AS_THE_SITE
    booted_at: str | None = None
    silence_reported: bool = False

    @property
    def drive(self) -> str:
        """The BIOS drive number that iPXE boots."""
        return self.sanboot_drive or DEFAULT_DRIVE

    def is_unproven(self, site_done: str) -> bool:
        """Was it flashed, and has to say yet that its system is up? `site_done` is the setting."""
        flashed = self.last_flashed_at
        return (
            self.boot_mode in FLASH_MODES
            and self.phase in {Phase.DONE, Phase.RELEASED}
            and (self.own.done or site_done) == BOOTED
            and flashed is not None
            and (self.booted_at is None or self.booted_at < flashed)
        )


@dataclass(frozen=True, slots=True)
class Assignment:
    """What an operator sets of a machine: a full replacement, checked.

    `labels_given` tells labels that were left out from an empty list: both clear them, but only
    labels that were named can be all that a save is about.
    """

    boot_mode: BootMode = BootMode.IPXE_EXIT
    image_ref: str | None = None
    target_disk_serial: Serial | None = None
    sanboot_drive: str | None = None
    labels: tuple[str, ...] = ()
    labels_given: bool = False
    own: OwnOptions = AS_THE_SITE


def assigned(machine: Machine, labels: Sequence[str]) -> Assignment:
    """What is set of a machine, as the assignment that would set it."""
    return Assignment(
        boot_mode=machine.boot_mode,
        image_ref=machine.image_ref,
        target_disk_serial=machine.target_disk_serial,
        sanboot_drive=machine.sanboot_drive,
        labels=tuple(sorted(labels)),
        labels_given=True,
        own=machine.own,
    )


def changes_labels_alone(machine: Machine, labels: Sequence[str], wanted: Assignment) -> bool:
    """Would saving `wanted` change the labels and nothing else?

    Such a save is no order to flash: a finished machine stays finished. One that changes nothing
    at all is the operator's way to say "again".
    """
    same = (
        machine.boot_mode is wanted.boot_mode
        and machine.image_ref == wanted.image_ref
        and machine.target_disk_serial == wanted.target_disk_serial
        and machine.sanboot_drive == wanted.sanboot_drive
        and machine.own == wanted.own
    )
    return same and wanted.labels_given and set(labels) != set(wanted.labels)


_ASSIGNMENT_KEYS = frozenset(
    {
        *("boot_mode", "bty_image_ref", "target_disk_serial", "sanboot_drive", "labels"),
        *("flash_wipe", "flash_verify", "flash_done"),
    }
)


def as_fields(wanted: Assignment) -> dict[str, object]:
    """Plain data, as `parse_assignment` takes it."""
    return {
        "boot_mode": wanted.boot_mode.value,
        "bty_image_ref": wanted.image_ref,
        "target_disk_serial": wanted.target_disk_serial,
        "sanboot_drive": wanted.sanboot_drive,
        "labels": list(wanted.labels),
        "flash_wipe": wanted.own.wipe,
        "flash_verify": wanted.own.verify,
        "flash_done": wanted.own.done,
    }


def parse_assignment(fields: Mapping[str, object]) -> Assignment:
    """An operator's MachineUpsert. Fields that are left out take their defaults.

    Raises:
        ValidationError: an unknown key, or a value that breaks its rule; names the field.
    """
    unknown = sorted(set(fields) - _ASSIGNMENT_KEYS)
    if unknown:
        known = ", ".join(sorted(_ASSIGNMENT_KEYS))
        raise ValidationError(f"{unknown[0][:64]!r} is not a field of a machine: use {known}")
    return Assignment(
        boot_mode=_boot_mode(fields.get("boot_mode", BootMode.IPXE_EXIT.value)),
        image_ref=_matching(fields, "bty_image_ref", _REF, "64 lower-case hexadecimal digits"),
        target_disk_serial=_serial(fields.get("target_disk_serial")),
        sanboot_drive=_matching(fields, "sanboot_drive", DRIVE, "0x and one or two digits"),
        labels=_labels(fields.get("labels", [])),
        labels_given="labels" in fields,
        own=OwnOptions(
            _own(fields, "flash_wipe", OWN_WIPES),
            _own(fields, "flash_verify", OWN_VERIFIES),
            _own(fields, "flash_done", OWN_DONES),
        ),
    )


def has_control_characters(text: str) -> bool:
    """Does `text` hold anything that could break a line, a script or a terminal?"""
    return _UNPRINTABLE.search(text) is not None


def _boot_mode(value: object) -> BootMode:
    try:
        return BootMode(value)  # type: ignore[arg-type]  # any other value is refused below
    except ValueError:
        known = ", ".join(mode.value for mode in BootMode)
        raise ValidationError(f"boot_mode: {str(value)[:40]!r} is not one of {known}") from None


def _matching(
    fields: Mapping[str, object], key: str, pattern: re.Pattern[str], rule: str
) -> str | None:
    value = fields.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise ValidationError(f"{key}: must be null or {rule}")
    return value


def _own(fields: Mapping[str, object], key: str, known: Sequence[str]) -> str | None:
    value = fields.get(key)
    if value is None:
        return None
    if not isinstance(value, str) or value not in known:
        raise ValidationError(f"{key}: must be null (as the site has it) or {', '.join(known)}")
    return value


def _serial(value: object) -> Serial | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str) or len(value) > MAX_SERIAL:
        raise ValidationError(
            f"target_disk_serial: must be null or text of at most {MAX_SERIAL} characters"
        )
    if has_control_characters(value):
        raise ValidationError("target_disk_serial: must not contain control characters")
    return Serial(value)


def _labels(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or len(value) > MAX_LABELS:
        raise ValidationError(f"labels: must be a list of at most {MAX_LABELS} labels")
    for label in value:
        if not isinstance(label, str) or not LABEL.fullmatch(label):
            raise ValidationError(
                "labels: each has 1 to 64 letters, digits, spaces, dots, underscores or hyphens,"
                " and begins with a letter or digit"
            )
    return tuple(sorted(set(value)))
