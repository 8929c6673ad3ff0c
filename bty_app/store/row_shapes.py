"""What rows of ours, and of the original, look like where nothing says any more which they are.

By the number of their columns and the kinds of those, and by a look at the first ones. Columns as
they are stored: one that is computed is not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import apsw

from bty_app.store.carving import Value, could_be
from bty_app.store.creation import schema

_MAC = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}", re.ASCII)
_HASH = re.compile(r"[0-9a-f]{64}", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d.{0,20}", re.ASCII)
_WORD = re.compile(r"[a-z][a-z-]{0,40}", re.ASCII)
_DOTTED = re.compile(r"[a-z_]+([.][a-z_0-9]+)+", re.ASCII)
_SOURCE = re.compile(r"[A-Za-z]+://.+", re.ASCII)
_VERSION = re.compile(r"\d+([.]\d+)+.{0,40}", re.ASCII)
_ANY = re.compile(r".+", re.DOTALL)

KNOWN_MACS = "known_macs"  # no table: what an index knows of machines


@dataclass(frozen=True, slots=True)
class Shape:
    """Rows of a table. `kinds` is a letter for each column, as `carving.could_be` has it; of those
    in `looks` the text is looked at. `in_index`: they are kept as an index is.
    """

    table: str
    columns: tuple[str, ...]
    kinds: str
    looks: Mapping[str, re.Pattern[str]]
    in_index: bool = False

    def is_it(self, found: Sequence[Value]) -> bool:
        """Whether the values can be those of such a row; later ones may not be read yet."""
        row = dict(zip(self.columns, found, strict=False))
        return all(
            isinstance(text := row.get(name), str) and look.fullmatch(text) is not None
            for name, look in self.looks.items()
        )


def _shape(
    table: str, columns: str, looks: Mapping[str, re.Pattern[str]], *, in_index: bool = False
) -> Shape:
    """`columns` has the name of each: with `#` behind it a number, with `!` it has a value."""
    names = columns.split()
    kinds = "".join(
        (letter.upper() if name.endswith("!") else letter)
        for name, letter in ((name, "n" if "#" in name else "t") for name in names)
    )
    plain = tuple(name.rstrip("#!") for name in names)
    return Shape(table, plain, kinds, looks, in_index)


_MACHINE = {"mac": _MAC, "boot_mode": _WORD}
_IMAGE = {"bty_image_ref": _HASH, "src": _SOURCE, "name": _ANY}
_EVENT = {"ts": _MOMENT, "kind": _DOTTED, "actor": _WORD}
_BEGIN = (
    "mac! bty_image_ref discovered_at last_seen_at last_seen_ip boot_mode! sanboot_drive"
    " last_flashed_at"
)
_OURS = (
    f"{_BEGIN} known_disks_at hw_lshw_at target_disk_serial created_at! updated_at! phase! phase_at"
    " attempts#! ordered_at disk_suspect#! silence_reported#!"
)
_IMAGES = (
    "bty_image_ref! src! resolved_src disk_image_sha name! sha_url format size_bytes# description"
    " added_at!"
)
_EVENTS = "id# ts! kind! subject_kind subject_id actor! source_ip summary! details acknowledged#!"
_LABELS = {"mac": _MAC, "label": _ANY}

_LOOKS = {"machines": _MACHINE, "catalog_entries": _IMAGE}

# Of releases that there were, and what stays as it is; this one's tables say it themselves.
_KNOWN = (
    _shape("machines", f"{_OURS} flash_wipe flash_verify known_disks hw_lshw", _MACHINE),
    _shape("machines", f"{_OURS} known_disks hw_lshw", _MACHINE),  # up to 0.91
    _shape(  # the original
        "machines",
        f"{_BEGIN} saw_flasher_boot#! known_disks known_disks_at hw_lshw hw_lshw_at"
        " target_disk_serial created_at updated_at",
        _MACHINE,
    ),
    _shape("machine_labels", "mac! label!", _LABELS, in_index=True),
    _shape("machine_labels", "mac! label!", _LABELS),  # the original
    _shape("catalog_entries", f"{_IMAGES} arch mirrors upstream gone_at", _IMAGE),
    _shape("catalog_entries", f"{_IMAGES} arch", _IMAGE),  # 0.90
    _shape("catalog_entries", _IMAGES, _IMAGE),  # the original
    _shape("settings", "key! value updated_at!", {"key": _DOTTED, "updated_at": _MOMENT}),
    _shape("events", f"{_EVENTS} chain!", {**_EVENT, "chain": _HASH}),
    _shape("events", _EVENTS, _EVENT),  # the original
    _shape("bty_version", "version!", {"version": _VERSION}),
    _shape(KNOWN_MACS, "mac! row_id#!", {"mac": _MAC}, in_index=True),
)


@cache
def shapes() -> tuple[Shape, ...]:
    """All there are."""
    memory = apsw.Connection(":memory:")
    memory.execute(schema())
    ours = tuple(_of_table(memory, table) for table in _LOOKS)
    memory.close()
    return ours + _KNOWN


def _of_table(memory: apsw.Connection, table: str) -> Shape:
    """As this release makes it: columns that are computed are not stored."""
    sql = 'SELECT name, type, "notnull" FROM pragma_table_xinfo(?) WHERE hidden = 0'
    words = [
        f"{name}{'#' if kind == 'INTEGER' else ''}{'!' if must else ''}"
        for name, kind, must in memory.execute(sql, (table,))
    ]
    return _shape(table, " ".join(words), _LOOKS[table])


def by_types(types: Sequence[int], *, in_index: bool) -> Shape | None:
    """The shape that such serial types are of, before a value is read."""
    for shape in shapes():
        if shape.in_index is in_index and could_be(types, shape.kinds):
            return shape
    return None
