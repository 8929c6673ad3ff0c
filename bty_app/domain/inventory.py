"""What a live environment says of its hardware, checked at the door (CONTRACT 3.5, 0.2)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from bty_app.domain.machine import has_control_characters
from bty_app.errors import ValidationError

MAX_DISKS = 512  # the original refuses the 65th, and a big storage box then loops for ever
MAX_LSHW_BYTES = 4 * 1024 * 1024

TEXT_LIMITS = {"path": 255, "size": 32, "vendor": 64, "model": 128, "serial": 128, "tran": 32}
_FLAGS = ("removable", "readonly")
DISK_KEYS = ("model", "path", "readonly", "removable", "serial", "size", "tran", "vendor")


@dataclass(frozen=True, slots=True)
class Inventory:
    """A checked inventory. `disks` and `lshw` are compact ASCII JSON text, as stored."""

    disks: str
    count: int
    serials: tuple[str, ...]
    lshw: str | None
    lshw_too_large: bool


def parse_inventory(body: Mapping[str, object]) -> Inventory:
    """The body of `POST /pxe/{mac}/inventory`.

    Raises:
        ValidationError: an unknown key, or a field that breaks its rule; names it.
    """
    unknown = sorted(set(body) - {"disks", "lshw"})
    if unknown:
        raise ValidationError(f"{unknown[0][:64]!r} is not a field of an inventory")
    disks = parse_disks(body.get("disks"))
    tree = body.get("lshw")
    if tree is not None and not isinstance(tree, dict | list):
        raise ValidationError("lshw: must be an object, an array or null")
    text = None if tree is None else canonical_json(tree)
    too_large = text is not None and len(text) > MAX_LSHW_BYTES
    return Inventory(
        disks=canonical_json(disks),
        count=len(disks),
        serials=tuple(str(disk["serial"]) for disk in disks if disk["serial"]),
        lshw=None if too_large else text,
        lshw_too_large=too_large,
    )


def parse_disks(value: object) -> list[dict[str, object]]:
    """A list of disks with exactly the keys that are stored; other keys are dropped.

    Raises:
        ValidationError: names the disk, the field and the rule.
    """
    if value is None:
        return []
    if not isinstance(value, list) or len(value) > MAX_DISKS:
        raise ValidationError(f"disks: must be a list of at most {MAX_DISKS} disks")
    return [_disk(number, disk) for number, disk in enumerate(value)]


def canonical_json(value: object) -> str:
    """Compact ASCII JSON. Lone surrogates, which no page could show, become question marks.

    Raises:
        ValidationError: a number that is not finite.
    """
    try:
        text = json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    except ValueError as error:
        raise ValidationError("NaN and Infinity are not JSON") from error
    if text.isascii():
        return text
    readable = text.encode("utf-8", "replace").decode("utf-8")
    return json.dumps(json.loads(readable), separators=(",", ":"))


def _disk(number: int, disk: object) -> dict[str, object]:
    if not isinstance(disk, dict):
        raise ValidationError(f"disks[{number}]: must be an object")
    fields: dict[str, object] = {}
    for key in DISK_KEYS:
        if key in _FLAGS:
            fields[key] = _flag(number, key, disk.get(key, False))
        else:
            fields[key] = _text(number, key, disk.get(key))
    if not fields["path"]:
        raise ValidationError(f"disks[{number}].path: is missing")
    return fields


def _text(number: int, key: str, value: object) -> str | None:
    limit = TEXT_LIMITS[key]
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > limit:
        raise ValidationError(f"disks[{number}].{key}: must be null or text of up to {limit}")
    if has_control_characters(value):
        raise ValidationError(f"disks[{number}].{key}: must not contain control characters")
    return value


def _flag(number: int, key: str, value: object) -> bool:
    if value is not None and not isinstance(value, bool):
        raise ValidationError(f"disks[{number}].{key}: must be true or false")
    return bool(value)
