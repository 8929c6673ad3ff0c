"""The export bundle, `inventory.json` version 3: its text, and what a machine in it must be.

The text is exactly what `json.dumps(bundle, indent=2)` and a newline give (CONTRACT 7.1), made
without holding the bundle.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from bty_app.domain import json_bounds
from bty_app.domain.inventory import MAX_LSHW_BYTES, parse_disks
from bty_app.domain.mac import Mac, parse_mac
from bty_app.domain.moments import stamp
from bty_app.errors import InvalidInputError

FORMAT_VERSION = 3
FILE_NAME = "inventory.json"
MAX_MACHINE_TEXT = 16 * 1024 * 1024  # one machine as it stands in the file, with its indentation
# What the two columns may be with their indentation, so that a machine stays under the bound.
MAX_DISKS_TEXT = 5 * 1024 * 1024
MAX_LSHW_TEXT = 10 * 1024 * 1024
_INSIDE = "\n" + " " * 6  # a machine's values stand three levels deep


@dataclass(frozen=True, slots=True)
class HardwareRecord:
    """What is known of one machine's hardware. The two columns are compact ASCII JSON text."""

    mac: Mac
    known_disks: str | None
    known_disks_at: str | None
    hw_lshw: str | None
    hw_lshw_at: str | None


@dataclass(frozen=True, slots=True)
class Rejected:
    """A machine of a bundle that cannot be taken over; `position` counts from 1."""

    position: int
    mac: Mac | None
    reason: str

    def __str__(self) -> str:
        return f"machine {self.position} ({self.mac or 'no valid MAC'}): {self.reason}"


@dataclass(frozen=True, slots=True)
class PrettyRecord:
    """A machine on its way out. The two columns are JSON text indented by 2 from column 0."""

    mac: Mac
    known_disks: str | None
    known_disks_at: str | None
    hw_lshw: str | None
    hw_lshw_at: str | None


# -- writing -------------------------------------------------------------------------------------


def bundle_text(
    machines: Iterable[PrettyRecord], *, exported_at: str, version: str
) -> Iterator[str]:
    """The text of a bundle in pieces; `machines` must be sorted by MAC."""
    yield (
        f'{{\n  "bty_export_version": {FORMAT_VERSION},\n'
        f'  "exported_at": {json.dumps(exported_at)},\n'
        f'  "exported_by_bty_version": {json.dumps(version)},\n'
        '  "machines": ['
    )
    empty = True
    for machine in machines:
        yield "\n" if empty else ",\n"
        yield machine_text(machine)
        empty = False
    yield "]\n}\n" if empty else "\n  ]\n}\n"


def machine_text(machine: PrettyRecord) -> str:
    """One machine as it stands in the file, without the comma."""
    disks = (machine.known_disks or "null").replace("\n", _INSIDE)
    lshw = (machine.hw_lshw or "null").replace("\n", _INSIDE)
    return (
        f'    {{\n      "mac": "{machine.mac}",\n'
        f'      "known_disks": {disks},\n'
        f'      "known_disks_at": {json.dumps(machine.known_disks_at)},\n'
        f'      "hw_lshw": {lshw},\n'
        f'      "hw_lshw_at": {json.dumps(machine.hw_lshw_at)}\n    }}'
    )


def pretty(stored: str, *, limit: int) -> str | None:
    """`stored` JSON text indented by 2; None when it is not JSON, or longer than `limit` then.

    NaN and Infinity, which the original stores, become null.
    """
    if json_bounds.nodes(stored) > json_bounds.MAX_NODES:
        return None
    try:
        value = json.loads(stored, parse_constant=lambda _name: None)
        encoder = json.JSONEncoder(indent=2, allow_nan=False)
        return _joined(encoder.iterencode(json_bounds.finite(value)), limit)
    except (ValueError, RecursionError):
        return None


def is_as_dumped(stored: str) -> bool:
    """Is `stored` what `json.dumps` writes, so that another indentation changes nothing else?"""
    try:
        value = json.loads(stored)
        if stored == json.dumps(value, separators=(",", ":"), allow_nan=False):
            return True
        return stored == json.dumps(value, allow_nan=False)
    except (ValueError, RecursionError):
        return False


def _joined(pieces: Iterable[str], limit: int) -> str | None:
    parts: list[str] = []
    size = 0
    for piece in pieces:
        parts.append(piece)
        size += len(piece) + 6 * piece.count("\n")
        if size > limit:
            return None
    return "".join(parts)


# -- reading -------------------------------------------------------------------------------------


def check_version(value: object) -> None:
    """Accept version 3.

    Raises:
        InvalidInputError: any other; says which (CONTRACT 7.2: 3.0 counts as 3).
    """
    if type(value) in (int, float) and value == FORMAT_VERSION:
        return
    shown = json.dumps(value)[:40]
    if type(value) is int and value in (1, 2):
        raise InvalidInputError(
            f"this bundle has the old version {shown}: export it again with a newer release"
        )
    raise InvalidInputError(f"bty_export_version is {shown}, and only version 3 is known")


def parse_machine(position: int, machine: dict[str, Any]) -> HardwareRecord | Rejected:
    """Check one machine of a bundle; other keys than the five known ones are ignored."""
    mac: Mac | None = None
    try:
        mac = _mac(machine.get("mac"))
        return HardwareRecord(
            mac=mac,
            known_disks=_known_disks(_inline(machine.get("known_disks"), "known_disks")),
            known_disks_at=moment(machine.get("known_disks_at"), "known_disks_at"),
            hw_lshw=_hw_lshw(_inline(machine.get("hw_lshw"), "hw_lshw")),
            hw_lshw_at=moment(machine.get("hw_lshw_at"), "hw_lshw_at"),
        )
    except InvalidInputError as error:
        return Rejected(position, mac, error.message)


def moment(value: object, name: str) -> str | None:
    """A time in the one spelling that is stored; without a zone it is UTC.

    Raises:
        InvalidInputError: not ISO 8601 text.
    """
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidInputError(f"{name} is neither text nor null")
    try:
        parsed = datetime.fromisoformat(value)
        return stamp(parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC))
    except (ValueError, OverflowError) as error:
        raise InvalidInputError(f"{name} is not a time: {value[:40]!r}") from error


def _mac(value: object) -> Mac:
    if not isinstance(value, str):
        raise InvalidInputError("mac is not text")
    return parse_mac(value)


def _inline(value: object, name: str) -> object:
    """The value itself, or the one that a string holds as JSON."""
    if not isinstance(value, str):
        return value
    try:
        return json_bounds.decode(value)
    except InvalidInputError as error:
        raise InvalidInputError(f"{name}: {error.message}") from error


def _known_disks(value: object) -> str | None:
    return None if value is None else _stored(parse_disks(value), "known_disks")


def _hw_lshw(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, dict | list):
        raise InvalidInputError("hw_lshw is none of object, array and null")
    return _stored(value, "hw_lshw")


def _stored(value: object, name: str) -> str:
    text = json_bounds.compact(value)
    if len(text) > MAX_LSHW_BYTES:
        raise InvalidInputError(f"{name} is larger than {MAX_LSHW_BYTES // 1024**2} MiB")
    unfit = json_bounds.unfit_character(text)
    if unfit:
        raise InvalidInputError(f"{name} holds {unfit}")
    return text
