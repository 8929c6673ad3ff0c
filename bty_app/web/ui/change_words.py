"""Rows that differ, as a page shows them."""

from __future__ import annotations

from dataclasses import dataclass

from bty_app.domain.machine import MODE_NAMES
from bty_app.domain.restoring import Field, RowChange
from bty_app.web.ui.words import Tone

NAMES = {
    "boot_mode": "mode",
    "bty_image_ref": "image",
    "target_disk_serial": "target disk",
    "sanboot_drive": "drive",
    "flash_wipe": "wiping",
    "flash_verify": "reading back",
    "flash_done": "when it is done",
    "booted_at": "last up",
    "known_disks_at": "disks reported",
    "hw_lshw_at": "lshw reported",
    "last_flashed_at": "last flashed",
    "last_seen_at": "last seen",
    "last_seen_ip": "address",
    "discovered_at": "discovered",
    "created_at": "record made",
    "phase": "state of its cycle",
    "disk_image_sha": "digest",
}
TABLES = {
    "machines": "Machines",
    "catalog_entries": "Catalog",
    "settings": "Settings",
    "hardware": "Hardware",
    "bindings": "Bindings",
    "labels": "Labels",
    "catalog": "Catalog",
    "history": "History",
}
_TONES = {
    "added": Tone.GOOD,
    "new": Tone.GOOD,
    "filled": Tone.GOOD,
    "removed": Tone.FAULT,
    "conflict": Tone.WAIT,
    "replaced": Tone.FAULT,
}
_KINDS = {
    "conflict": "differs: stays as it is here",
    "replaced": "is replaced",
    "filled": "is set",
    "added": "comes back",
    "removed": "goes",
}
COMPARED = {"added": "only then", "removed": "only now", "changed": "differs"}
_MODES = {mode.value: name for mode, name in MODE_NAMES.items()}
_OF_MACHINES = frozenset({"machines", "hardware", "bindings", "labels"})


@dataclass(frozen=True, slots=True)
class Value:
    """One value: its name, as it is and as it will be."""

    name: str
    old: str | None
    new: str | None


@dataclass(frozen=True, slots=True)
class Line:
    """One row of the table; `mac` when it is about a machine."""

    key: str
    mac: str
    table: str
    kind: str
    tone: Tone
    values: tuple[Value, ...]
    disarmed: bool


def lines(
    rows: tuple[RowChange, ...], images: dict[str, str], kinds: dict[str, str] = _KINDS
) -> list[Line]:
    """The rows in words; `images` has the name of each ref, `kinds` the word for each change."""
    return [
        Line(
            key=row.key,
            mac=row.key[:17] if row.table in _OF_MACHINES else "",
            table=TABLES.get(row.table, row.table),
            kind=kinds.get(row.kind, row.kind),
            tone=_TONES.get(row.kind, Tone.WORK),
            values=tuple(worded(field, images) for field in row.fields),
            disarmed=row.disarmed,
        )
        for row in rows
    ]


def worded(field: Field, images: dict[str, str]) -> Value:
    """A value in the words of the pages."""
    name = NAMES.get(field.name, field.name)
    return Value(name, _word(field.name, field.old, images), _word(field.name, field.new, images))


def _word(name: str, text: str | None, images: dict[str, str]) -> str | None:
    if text is None:
        return None
    if name == "boot_mode":
        return _MODES.get(text, text)
    if name == "bty_image_ref":
        return images.get(text, text[:12])
    return text
