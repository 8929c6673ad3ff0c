"""What an operator enters for a machine: kept as typed, checked field by field."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from bty_app.domain import json_bounds
from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.flash_options import NO_OPTIONS, FlashOptions, besides
from bty_app.domain.hardware import Volume, volumes
from bty_app.domain.image_fit import doubts, impossible
from bty_app.domain.machine import (
    FLASH_MODES,
    Assignment,
    BootMode,
    as_fields,
    assigned,
    parse_assignment,
)
from bty_app.domain.reported_disks import Disk, name_of, with_serial
from bty_app.errors import ValidationError
from bty_app.services.machines import Shown
from bty_app.web.forms import Form


@dataclass(frozen=True, slots=True)
class Entered:
    """The fields as text (CONTRACT 3.9). A typed serial wins over a chosen one."""

    boot_mode: str = BootMode.IPXE_EXIT.value
    bty_image_ref: str = ""
    target_disk_serial: str = ""
    typed_serial: str = ""
    labels: str = ""
    sanboot_drive: str = ""
    flash_wipe: str = ""
    flash_verify: str = ""
    flash_done: str = ""
    was: str = ""

    @property
    def serial(self) -> str:
        """The serial that is meant."""
        return self.typed_serial or self.target_disk_serial


@dataclass(frozen=True, slots=True)
class Choices:
    """What there is to choose from."""

    entries: Sequence[CatalogEntry]
    disks: Sequence[Disk]
    arch: str | None = None
    lshw: object = None
    options: FlashOptions = NO_OPTIONS

    def nowhere(self, entry: CatalogEntry) -> bool:
        """Can this image be flashed onto no disk of this machine, whichever is chosen?"""
        serials = [disk.serial for disk in self.disks if not disk.unfit]
        return all(self.refusal(entry, serial) for serial in serials or [""])

    def refusal(self, entry: CatalogEntry, serial: str) -> str:
        """Why this image cannot be flashed here; empty when it can."""
        disk = with_serial(self.disks, serial)
        size = disk.most_bytes if disk else None
        return impossible(entry, disk_bytes=size, arch=self.arch)

    def image(self, ref: str) -> CatalogEntry | None:
        """The image of this ref that a machine can be given."""
        return next((e for e in self.entries if e.bty_image_ref == ref and e.name), None)


@dataclass(frozen=True, slots=True)
class Checked:
    """The assignment that the fields mean, or what is wrong with which field."""

    assignment: Assignment | None
    problems: dict[str, str]


def entered_in(form: Form) -> Entered:
    """The fields of a submitted form; those that were left out take their defaults."""

    def text(name: str) -> str:
        return (form.text(name) or "").strip()

    return Entered(
        boot_mode=text("boot_mode") or BootMode.IPXE_EXIT.value,
        bty_image_ref=text("bty_image_ref"),
        target_disk_serial=form.text("target_disk_serial") or "",
        typed_serial=text("typed_serial"),
        labels=form.text("labels") or "",
        sanboot_drive=text("sanboot_drive"),
        flash_wipe=text("flash_wipe"),
        flash_verify=text("flash_verify"),
        flash_done=text("flash_done"),
        was=text("was"),
    )


def entered_of(shown: Shown) -> Entered:
    """The fields as they are stored."""
    machine = shown.machine
    return Entered(
        boot_mode=machine.boot_mode.value,
        bty_image_ref=machine.image_ref or "",
        target_disk_serial=machine.target_disk_serial or "",
        labels=", ".join(shown.labels),
        sanboot_drive=machine.sanboot_drive or "",
        flash_wipe=machine.own.wipe or "",
        flash_verify=machine.own.verify or "",
        flash_done=machine.own.done or "",
        was=spelled(assigned(machine, shown.labels)),
    )


def spelled(wanted: Assignment) -> str:
    """An assignment as a hidden field: what was set when the form was shown."""
    return json.dumps(as_fields(wanted))


def believed(entered: Entered) -> Assignment | None:
    """What was set when the form was shown; None for a script that sends no such field.

    Raises:
        ValidationError: it is not what we put there.
    """
    if not entered.was:
        return None
    fields = json_bounds.decode(entered.was)
    if not isinstance(fields, dict):
        raise ValidationError("was: must be an object")
    return parse_assignment(fields)


def differences(believed_: Assignment, now: Assignment) -> tuple[str, ...]:
    """The names of the fields that somebody else has changed."""
    pairs = (
        ("mode", believed_.boot_mode, now.boot_mode),
        ("image", believed_.image_ref, now.image_ref),
        ("target disk", believed_.target_disk_serial, now.target_disk_serial),
        ("drive", believed_.sanboot_drive, now.sanboot_drive),
        ("wiping", believed_.own.wipe, now.own.wipe),
        ("reading back", believed_.own.verify, now.own.verify),
        ("when it is done", believed_.own.done, now.own.done),
        ("labels", believed_.labels, now.labels),
    )
    return tuple(name for name, before, after in pairs if before != after)


def checked(entered: Entered, choices: Choices) -> Checked:
    """Each field by its own rule, and the combination by the rules of a flash."""
    fields: dict[str, object] = {
        "boot_mode": entered.boot_mode,
        "bty_image_ref": entered.bty_image_ref or None,
        "target_disk_serial": entered.serial or None,
        "sanboot_drive": entered.sanboot_drive or None,
        "flash_wipe": entered.flash_wipe or None,
        "flash_verify": entered.flash_verify or None,
        "flash_done": entered.flash_done or None,
        "labels": [label for part in entered.labels.split(",") if (label := part.strip())],
    }
    problems: dict[str, str] = {}
    for name, value in fields.items():
        try:
            parse_assignment({name: value})
        except ValidationError as error:
            problems[name] = error.message.removeprefix(f"{name}: ")
    if problems:
        return Checked(None, problems)
    assignment = parse_assignment(fields)
    problems = _flash_problems(assignment, choices)
    return Checked(None if problems else assignment, problems)


def consequence(assignment: Assignment, choices: Choices) -> str:
    """What saving does, for the operator to read before."""
    if assignment.boot_mode not in FLASH_MODES:
        return "Saving starts its cycle anew. Nothing on its disks is erased by this mode."
    image = choices.image(assignment.image_ref or "")
    name = image.name if image else "the image"
    serial = assignment.target_disk_serial
    disk = name_of(choices.disks, serial) if serial else None
    again = " This repeats at later network boots." * (
        assignment.boot_mode is BootMode.FLASH_ALWAYS
    )
    done = besides(assignment.own.over(choices.options))
    more = f" T{done[1:]}." if done else ""
    erases = f"its next network boot erases {disk} and writes {name} onto it"
    return f"Saving arms it: {erases}.{more}{again}"


def doubt(assignment: Assignment, choices: Choices) -> str:
    """What looks wrong but may be right; empty when nothing does."""
    said = []
    image = choices.image(assignment.image_ref or "")
    if image and assignment.boot_mode in FLASH_MODES:
        said = [f"{words[:1].upper()}{words[1:]}." for words in doubts(image)]
    serial = assignment.target_disk_serial
    if serial and choices.disks and with_serial(choices.disks, serial) is None:
        said.append(
            "No disk of its last inventory has this serial. A wrong serial is never flashed."
        )
    return " ".join(said)


def erased(assignment: Assignment, choices: Choices) -> tuple[Volume, ...] | None:
    """The partitions that saving would erase, as last seen; None where nothing is erased."""
    if assignment.boot_mode not in FLASH_MODES or assignment.target_disk_serial is None:
        return None
    return volumes(choices.lshw, assignment.target_disk_serial)


def _flash_problems(assignment: Assignment, choices: Choices) -> dict[str, str]:
    if assignment.boot_mode not in FLASH_MODES:
        return {}
    problems: dict[str, str] = {}
    if assignment.image_ref is None:
        problems["bty_image_ref"] = "choose the image that is to be flashed"
    elif (image := choices.image(assignment.image_ref)) is None:
        problems["bty_image_ref"] = "this image is not in the catalog: choose another"
    elif refusal := choices.refusal(image, assignment.target_disk_serial or ""):
        problems["bty_image_ref"] = f"this image cannot be flashed here: {refusal}"
    if assignment.target_disk_serial is None:
        problems["target_disk_serial"] = "choose the disk that is to be erased, or type its serial"
    else:
        disk = with_serial(choices.disks, assignment.target_disk_serial)
        if disk and disk.unfit:
            problems["target_disk_serial"] = f"this disk cannot be flashed: {disk.unfit}"
    return problems
