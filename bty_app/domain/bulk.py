"""One act on many machines: what it would do to each, and to which it cannot be done, and why.

`planned` looks at one machine and never at a clock; `services/bulk.py` shows its steps, and does
them only as long as they are the ones that were shown.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar, assert_never

from bty_app.domain.disk_policy import Policy, resolve
from bty_app.domain.machine import (
    FLASH_MODES,
    MAX_LABELS,
    Assignment,
    BootMode,
    Machine,
    Phase,
    parse_assignment,
)
from bty_app.domain.reported_disks import Disk, name_of, with_serial
from bty_app.errors import ValidationError

MAX_EXPIRES_HOURS = 8760
JOB_KIND = "bulk"

E = TypeVar("E", bound=StrEnum)


class Kind(StrEnum):
    """What can be done to many machines at once."""

    SET = "set"
    ADD_LABELS = "add-labels"
    REMOVE_LABELS = "remove-labels"
    FLASH_AGAIN = "flash-again"
    FORGET = "forget"
    WAKE = "wake"
    POWER = "power"


@dataclass(frozen=True, slots=True)
class Act:
    """An act with what it sets; None leaves as it is. `expires_hours` bounds a flash it orders."""

    kind: Kind
    boot_mode: BootMode | None = None
    image_ref: str | None = None
    target: Policy | None = None
    labels: tuple[str, ...] = ()
    expires_hours: int | None = None

    def as_fields(self) -> dict[str, object]:
        """Plain data, as `parse_act` takes it."""
        fields: dict[str, object] = {
            "act": self.kind.value,
            "boot_mode": self.boot_mode.value if self.boot_mode else None,
            "bty_image_ref": self.image_ref,
            "target": self.target.value if self.target else None,
            "labels": list(self.labels) or None,
            "expires_hours": self.expires_hours,
        }
        return {key: value for key, value in fields.items() if value is not None}


class Outcome(StrEnum):
    """What comes of an act on one machine."""

    WILL = "will"
    SAME = "same"
    CANNOT = "cannot"


@dataclass(frozen=True, slots=True)
class Subject:
    """A machine with what a plan depends on; `disks` is None without an inventory."""

    machine: Machine
    labels: tuple[str, ...]
    disks: tuple[Disk, ...] | None


@dataclass(frozen=True, slots=True)
class Site:
    """What holds for all: the images by ref, and the labels of machines never to be flashed."""

    images: Mapping[str, str]
    protected: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Step:
    """The plan for one machine. `erased` is the serial of the disk that it orders to be erased."""

    outcome: Outcome
    words: str
    after: Assignment | None = None
    erased: str | None = None
    doubt: str = ""


def parse_act(fields: Mapping[str, object]) -> Act:
    """An act from plain data.

    Raises:
        ValidationError: names the field and its rule.
    """
    known = {"act", "boot_mode", "bty_image_ref", "target", "labels", "expires_hours"}
    unknown = sorted(set(fields) - known)
    if unknown:
        raise ValidationError(f"{unknown[0][:64]!r} is not a field of an act")
    kind = _one_of(Kind, "act", fields.get("act"))
    settable = ("boot_mode", "bty_image_ref", "labels")
    given = {key: fields[key] for key in settable if fields.get(key)}
    checked = parse_assignment(given)
    target = fields.get("target")
    act = Act(
        kind,
        boot_mode=checked.boot_mode if "boot_mode" in given else None,
        image_ref=checked.image_ref,
        target=_one_of(Policy, "target", target) if target else None,
        labels=checked.labels,
        expires_hours=_hours(fields.get("expires_hours")),
    )
    if kind is Kind.SET and not (act.boot_mode or act.image_ref or act.target):
        raise ValidationError("nothing to set: choose a mode, an image or a target disk")
    if kind in {Kind.ADD_LABELS, Kind.REMOVE_LABELS} and not act.labels:
        raise ValidationError("labels: name at least one")
    return act


def planned(act: Act, subject: Subject, site: Site) -> Step:
    """What `act` does to one machine."""
    machine = subject.machine
    match act.kind:
        case Kind.SET:
            return _set(act, subject, site)
        case Kind.FLASH_AGAIN:
            if machine.boot_mode not in FLASH_MODES:
                return _cannot(f"its mode is {machine.boot_mode.value}, which flashes nothing")
            return _armed(_as_it_is(subject), subject, site)
        case Kind.ADD_LABELS:
            return _labelled(subject, set(subject.labels) | set(act.labels))
        case Kind.REMOVE_LABELS:
            return _labelled(subject, set(subject.labels) - set(act.labels))
        case Kind.FORGET | Kind.POWER if _is_being_flashed(machine):
            return _cannot("it is being flashed now")
        case Kind.FORGET:
            return Step(Outcome.WILL, "its record, labels and hardware are deleted")
        case Kind.WAKE:
            return Step(Outcome.WILL, "a wake-on-LAN packet is sent to it")
        case Kind.POWER:
            return Step(Outcome.WILL, "the power hook is run for it")
        case _:
            assert_never(act.kind)


def fingerprint(machine: Machine, labels: tuple[str, ...]) -> str:
    """A word that is another one once what an operator set, or where the box is, has changed."""
    facts = (
        *(machine.boot_mode.value, machine.image_ref, machine.target_disk_serial),
        *(machine.sanboot_drive, machine.phase.value, machine.attempts, machine.ordered_at),
        *(str(machine.phase_at), machine.disk_suspect, machine.last_flashed_at, list(labels)),
    )
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def shown_as(subject: Subject, step: Step) -> str:
    """A word for all that a preview shows of one machine, and what that follows from."""
    facts = (
        *(fingerprint(subject.machine, subject.labels), subject.machine.known_disks_at),
        *(step.outcome.value, step.words, step.erased, step.doubt),
    )
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:32]


def _set(act: Act, subject: Subject, site: Site) -> Step:
    before = _as_it_is(subject)
    serial = before.target_disk_serial
    if act.target:
        choice = resolve(act.target, subject.disks)
        if choice.disk is None:
            return _cannot(choice.why_not)
        serial = choice.serial
    after = Assignment(
        boot_mode=act.boot_mode or before.boot_mode,
        image_ref=act.image_ref or before.image_ref,
        target_disk_serial=serial,
        sanboot_drive=before.sanboot_drive,
        labels=before.labels,
        labels_given=True,
    )
    if after == before:
        return Step(Outcome.SAME, "it is set like this already; nothing is ordered anew")
    if after.boot_mode in FLASH_MODES:
        return _armed(after, subject, site)
    if _is_being_flashed(subject.machine):
        return _cannot("it is being flashed now")
    return Step(Outcome.WILL, _difference(before, after, site), after)


def _armed(after: Assignment, subject: Subject, site: Site) -> Step:
    """A flash is ordered: only of a known image, onto a disk that can be named."""
    if _is_being_flashed(subject.machine):
        return _cannot("it is being flashed now")
    protected = sorted(site.protected & set(subject.labels))
    if protected:
        return _cannot(f"the label {protected[0]!r} forbids to flash it")
    if after.image_ref is None:
        return _cannot("no image is assigned to it")
    if after.image_ref not in site.images:
        return _cannot("its image is not in the catalog")
    serial = after.target_disk_serial
    if serial is None:
        return _cannot("it has no target disk")
    disk, doubt = with_serial(subject.disks, serial), ""
    if disk is not None and disk.unfit:
        return _cannot(f"its target disk cannot be flashed: {disk.unfit}")
    if subject.disks is None:
        doubt = "no inventory: nobody can say what is on that disk"
    elif disk is None:
        return _cannot(f"no disk of its last inventory has the serial {serial}")
    onto = name_of(subject.disks, serial)
    again = ", at every later boot as well" * (after.boot_mode is BootMode.FLASH_ALWAYS)
    words = f"its next network boot erases {onto} and writes {site.images[after.image_ref]}{again}"
    return Step(Outcome.WILL, words, after, serial, doubt)


def _labelled(subject: Subject, wanted: set[str]) -> Step:
    if wanted == set(subject.labels):
        return Step(Outcome.SAME, "its labels are like this already")
    if len(wanted) > MAX_LABELS:
        return _cannot(f"it would have {len(wanted)} labels: at most {MAX_LABELS}")
    labels = tuple(sorted(wanted))
    before = _as_it_is(subject)
    after = Assignment(
        *(before.boot_mode, before.image_ref, before.target_disk_serial, before.sanboot_drive),
        labels=labels,
        labels_given=True,
    )
    return Step(Outcome.WILL, f"its labels are then: {', '.join(labels) or 'none'}", after)


def _difference(before: Assignment, after: Assignment, site: Site) -> str:
    parts = []
    if before.boot_mode is not after.boot_mode:
        parts.append(f"mode {before.boot_mode.value} becomes {after.boot_mode.value}")
    if before.image_ref != after.image_ref:
        name = site.images.get(after.image_ref or "", "an image that is not in the catalog")
        parts.append(f"its image is {name}")
    if before.target_disk_serial != after.target_disk_serial:
        parts.append(f"its target disk is the one with serial {after.target_disk_serial}")
    return f"{'; '.join(parts)}; nothing is erased by this mode"


def _as_it_is(subject: Subject) -> Assignment:
    machine = subject.machine
    return Assignment(
        boot_mode=machine.boot_mode,
        image_ref=machine.image_ref,
        target_disk_serial=machine.target_disk_serial,
        sanboot_drive=machine.sanboot_drive,
        labels=tuple(sorted(subject.labels)),
        labels_given=True,
    )


def _is_being_flashed(machine: Machine) -> bool:
    under_way = machine.phase is Phase.BOOTED or machine.ordered_at is not None
    return machine.boot_mode in FLASH_MODES and under_way


def _cannot(why: str) -> Step:
    return Step(Outcome.CANNOT, why)


def _one_of(table: type[E], field: str, value: object) -> E:
    try:
        return table(value)  # type: ignore[arg-type]  # any other value is refused below
    except ValueError:
        known = ", ".join(item.value for item in table)
        raise ValidationError(f"{field}: {str(value)[:40]!r} is not one of {known}") from None


def _hours(value: object) -> int | None:
    if value is None or value == "":
        return None
    number = int(value) if isinstance(value, int | str) and str(value).isdecimal() else 0
    if not 1 <= number <= MAX_EXPIRES_HOURS or isinstance(value, bool):
        raise ValidationError(f"expires_hours: a whole number from 1 to {MAX_EXPIRES_HOURS}")
    return number
