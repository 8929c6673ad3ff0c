"""What an operator enters for a machine: kept as typed, checked field by field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.machine import FLASH_MODES, Assignment, BootMode, parse_assignment
from bty_app.errors import ValidationError
from bty_app.services.machines import Shown
from bty_app.web.forms import Form
from bty_app.web.ui.disks import Disk, name_of, with_serial


@dataclass(frozen=True, slots=True)
class Entered:
    """The fields as text (CONTRACT 3.9). A typed serial wins over a chosen one."""

    boot_mode: str = BootMode.IPXE_EXIT.value
    bty_image_ref: str = ""
    target_disk_serial: str = ""
    typed_serial: str = ""
    labels: str = ""
    sanboot_drive: str = ""

    @property
    def serial(self) -> str:
        """The serial that is meant."""
        return self.typed_serial or self.target_disk_serial


@dataclass(frozen=True, slots=True)
class Choices:
    """What there is to choose from."""

    entries: Sequence[CatalogEntry]
    disks: Sequence[Disk]

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
    )


def checked(entered: Entered, choices: Choices) -> Checked:
    """Each field by its own rule, and the combination by the rules of a flash."""
    fields: dict[str, object] = {
        "boot_mode": entered.boot_mode,
        "bty_image_ref": entered.bty_image_ref or None,
        "target_disk_serial": entered.serial or None,
        "sanboot_drive": entered.sanboot_drive or None,
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
    disk = name_of(choices.disks, assignment.target_disk_serial)
    again = " This repeats at later network boots." * (
        assignment.boot_mode is BootMode.FLASH_ALWAYS
    )
    return f"Saving arms it: its next network boot erases {disk} and writes {name} onto it.{again}"


def doubt(assignment: Assignment, choices: Choices) -> str:
    """What looks wrong but may be right; empty when nothing does."""
    serial = assignment.target_disk_serial
    if serial and choices.disks and with_serial(choices.disks, serial) is None:
        return "No disk of its last inventory has this serial. A wrong serial is never flashed."
    return ""


def _flash_problems(assignment: Assignment, choices: Choices) -> dict[str, str]:
    if assignment.boot_mode not in FLASH_MODES:
        return {}
    problems: dict[str, str] = {}
    if assignment.image_ref is None:
        problems["bty_image_ref"] = "choose the image that is to be flashed"
    elif choices.image(assignment.image_ref) is None:
        problems["bty_image_ref"] = "this image is not in the catalog: choose another"
    if assignment.target_disk_serial is None:
        problems["target_disk_serial"] = "choose the disk that is to be erased, or type its serial"
    else:
        disk = with_serial(choices.disks, assignment.target_disk_serial)
        if disk and disk.unfit:
            problems["target_disk_serial"] = f"this disk cannot be flashed: {disk.unfit}"
    return problems
