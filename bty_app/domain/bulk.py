"""One act on many machines: what it would do to each, and to which it cannot be done, and why.

`planned` looks at one machine and never at a clock; `services/bulk.py` shows its steps, and does
them only as long as they are the ones that were shown.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import assert_never

from bty_app.domain.bulk_act import Act, Kind
from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.disk_policy import resolve
from bty_app.domain.flash_options import NO_OPTIONS, FlashOptions, besides
from bty_app.domain.machine import (
    FLASH_MODES,
    MAX_LABELS,
    Assignment,
    BootMode,
    Machine,
    Phase,
    assigned,
)
from bty_app.domain.reported_disks import Disk, name_of, with_serial


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
    """What holds for all: the images by ref, the labels of machines never to be flashed, and
    what is done besides when one is; `bound` are the images that say for which processors they are.
    """

    images: Mapping[str, str]
    protected: frozenset[str] = frozenset()
    options: FlashOptions = NO_OPTIONS
    bound: Mapping[str, CatalogEntry] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """The plan for one machine. `erased` is the serial of the disk that it orders to be erased."""

    outcome: Outcome
    words: str
    after: Assignment | None = None
    erased: str | None = None
    doubt: str = ""


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
        *(machine.own.wipe, machine.own.verify, machine.own.done),
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
        own=act.own(before.own),
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
    if done := besides(after.own.over(site.options)):
        words += f"; {done}"
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
        own=before.own,
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
    if before.own != after.own:
        done = besides(after.own.over(site.options)) or "the disk is neither wiped nor read back"
        parts.append(f"at its flashes {done}")
    return f"{'; '.join(parts)}; nothing is erased by this mode"


def _as_it_is(subject: Subject) -> Assignment:
    return assigned(subject.machine, subject.labels)


def _is_being_flashed(machine: Machine) -> bool:
    under_way = machine.phase is Phase.BOOTED or machine.ordered_at is not None
    return machine.boot_mode in FLASH_MODES and under_way


def _cannot(why: str) -> Step:
    return Step(Outcome.CANNOT, why)
