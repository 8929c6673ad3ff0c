"""What an old database still holds that can be used: its rows, checked, and how that is told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from bty_app.domain import bundle
from bty_app.domain.bundle import HardwareRecord, Rejected
from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.catalog_events import By
from bty_app.domain.catalog_toml import parse_field
from bty_app.domain.events import Event, Kind, Subject
from bty_app.domain.image_name import detect_arch, detect_format
from bty_app.domain.image_source import image_ref
from bty_app.domain.mac import Mac, parse_mac
from bty_app.domain.machine import (
    FLASH_MODES,
    Assignment,
    BootMode,
    Phase,
    has_control_characters,
    parse_assignment,
)
from bty_app.domain.settings import SETTINGS_BY_KEY, checked
from bty_app.errors import InvalidInputError

OldRow = Mapping[str, str | int | None]
_FINISHED = frozenset({Phase.DONE.value, Phase.RELEASED.value})
_LONGEST_WORDS = 4096
_IMAGE_FIELDS = {
    "name": "name",
    "sha256": "disk_image_sha",
    "format": "format",
    "description": "description",
    "arch": "arch",
}


class Part(StrEnum):
    """What can be carried over from an old database."""

    HARDWARE = "hardware"
    LABELS = "labels"
    BINDINGS = "bindings"
    CATALOG = "catalog"
    SETTINGS = "settings"
    HISTORY = "history"


@dataclass(frozen=True, slots=True)
class Choice:
    """What an operator picks. Without `macs`: of all machines.

    `keep_boot_modes`: a machine that was armed there is armed here. `prefer_archive`: what is here
    and differs is replaced.
    """

    parts: frozenset[Part]
    macs: tuple[Mac, ...] = ()
    keep_boot_modes: bool = False
    prefer_archive: bool = False


@dataclass(frozen=True, slots=True)
class PartCounts:
    """Of one part: `new` rows, `filled` ones that said nothing here, those that are the `same`, and
    `conflicts` in which this database says something else; `replaced` is what came of those.
    """

    new: int = 0
    filled: int = 0
    same: int = 0
    conflicts: int = 0
    replaced: int = 0

    @property
    def carried(self) -> int:
        """How many rows are carried over."""
        return self.new + self.filled + self.replaced

    def as_data(self) -> dict[str, int]:
        """As JSON has it."""
        return {
            "new": self.new,
            "filled": self.filled,
            "same": self.same,
            "conflicts": self.conflicts,
            "replaced": self.replaced,
        }


@dataclass(frozen=True, slots=True)
class Binding:
    """What an operator had set of a machine, and whether a flash of it was done."""

    mac: Mac
    wanted: Assignment
    finished: bool

    @property
    def armed(self) -> bool:
        """Whether it would be flashed."""
        return self.wanted.boot_mode in FLASH_MODES and not (
            self.finished and self.wanted.boot_mode is BootMode.FLASH_ONCE
        )


def old_mac(row: OldRow) -> Mac:
    """The machine of a row.

    Raises:
        InvalidInputError: it has no MAC.
    """
    return parse_mac(str(row["mac"] or ""))


def old_hardware(position: int, row: OldRow) -> HardwareRecord:
    """The hardware record of a row; JSON that nobody can read is left out.

    Raises:
        InvalidInputError: it breaks a rule.
    """
    fields = {name: row[name] for name in ("known_disks_at", "hw_lshw_at")}
    values = {name: _json(row[name]) for name in ("known_disks", "hw_lshw")}
    found = bundle.parse_machine(position, {"mac": row["mac"], **fields, **values})
    if isinstance(found, Rejected):
        raise InvalidInputError(str(found))
    return found


def old_binding(row: OldRow) -> Binding:
    """What was set of the machine of a row, ours or the original's.

    A flash that was ordered once and done stays done: the original keeps its date.

    Raises:
        InvalidInputError: a value that no machine here may have.
    """
    fields = {
        "boot_mode": row["boot_mode"] or BootMode.INVENTORY.value,
        "bty_image_ref": row["bty_image_ref"] or None,
        "target_disk_serial": row["target_disk_serial"],
        "sanboot_drive": row["sanboot_drive"] or None,
        "flash_wipe": row["flash_wipe"],
        "flash_verify": row["flash_verify"],
        "flash_done": row["flash_done"],
    }
    phase = row["phase"]
    done = phase in _FINISHED if phase is not None else row["last_flashed_at"] is not None
    return Binding(old_mac(row), parse_assignment(fields), done)


def old_label(row: OldRow) -> tuple[Mac, str]:
    """A label.

    Raises:
        InvalidInputError: it breaks a rule.
    """
    return old_mac(row), parse_assignment({"labels": [row["label"]]}).labels[0]


def old_image(row: OldRow) -> CatalogEntry:
    """An image of the catalog; each field by the rule that catalog.toml has for it.

    Raises:
        InvalidInputError: it breaks one, or its ref is not that of its source.
    """
    src = str(row["src"] or "")
    ref = image_ref(src)
    if row["bty_image_ref"] not in (None, ref):
        raise InvalidInputError(f"{src[:200]}: its ref is not that of its source")
    fields = {name: _field(name, row[column]) for name, column in _IMAGE_FIELDS.items()}
    name = fields["name"]
    if not name:
        raise InvalidInputError(f"{src[:200]}: has no name")
    mirrors = parse_field("mirrors", _json(row["mirrors"]))
    size = row["size_bytes"]
    return CatalogEntry(
        bty_image_ref=ref,
        src=src,
        name=name,
        added_at=bundle.moment(row["added_at"], "added_at") or "",
        resolved_src=_plain(row["resolved_src"]),
        disk_image_sha=fields["sha256"],
        sha_url=_plain(row["sha_url"]),
        format=fields["format"] or detect_format(name),
        size_bytes=size if isinstance(size, int) and size >= 0 else None,
        description=fields["description"],
        arch=fields["arch"] or detect_arch(name),
        mirrors=mirrors if isinstance(mirrors, tuple) else (),
    )


def _field(name: str, value: object) -> str | None:
    found = parse_field(name, value or None)
    return found if isinstance(found, str) else None


def old_setting(row: OldRow) -> tuple[str, str]:
    """A setting that there is here, with a value that may be.

    Raises:
        InvalidInputError: there is none of that name, or its value breaks the rule.
    """
    key = str(row["key"])
    setting = SETTINGS_BY_KEY.get(key)
    if setting is None:
        raise InvalidInputError(f"{key[:80]}: is no setting of this release")
    return key, checked(setting, str(row["value"] or ""))


def old_event(row: OldRow) -> tuple[str | None, ...]:
    """An event: ts, kind, subject_kind, subject_id, actor, source_ip, summary, details.

    Raises:
        InvalidInputError: it has no moment, kind or actor.
    """
    ts = bundle.moment(row["ts"], "ts")
    kind, actor = _plain(row["kind"]), _plain(row["actor"])
    if not (ts and kind and actor):
        raise InvalidInputError("an event without its moment, kind or actor")
    details = row["details"]
    readable = isinstance(details, str) and _json(details) is not None and details.isascii()
    return (
        *(ts, kind, _plain(row["subject_kind"]), _plain(row["subject_id"]), actor),
        *(_plain(row["source_ip"]), str(row["summary"] or "")[:_LONGEST_WORDS]),
        str(details) if readable else None,
    )


def recovered(
    name: str,
    choice: Choice,
    counts: Mapping[Part, PartCounts],
    facts: Mapping[str, object],
    by: By,
) -> Event:
    """Something was carried over from an old database."""
    told = ", ".join(f"{counts[part].carried} of {part.value}" for part in Part if part in counts)
    kept = sum(row.conflicts for row in counts.values())
    summary = f"Carried over from {name}: {told}"
    if kept:
        summary += f"; {kept} that differ here were left as they are"
    details: dict[str, object] = {
        "source": name,
        "parts": {part.value: row.as_data() for part, row in counts.items()},
        "only": list(choice.macs[:1000]) or None,
        "keep_boot_modes": choice.keep_boot_modes,
        "prefer_archive": choice.prefer_archive,
        **facts,
    }
    return Event(Kind.STATE_RECOVERED, by.actor, summary, Subject("archive", name), by.ip, details)


def recover_failed(name: str, why: str, by: By) -> Event:
    """Nothing came over: the disk refused."""
    return Event(
        Kind.STATE_RECOVER_FAILED,
        by.actor,
        f"nothing came over from {name}: {why}",
        Subject("archive", name),
        by.ip,
        {"source": name, "problem": why},
    )


def _json(content: object) -> object:
    if not isinstance(content, str):
        return None
    try:
        return json.loads(content, parse_constant=lambda _name: None)
    except (ValueError, RecursionError):
        return None


def _plain(content: object) -> str | None:
    if content is None or has_control_characters(str(content)):
        return None
    return str(content)
