"""What an operator may say otherwise of a catalog entry; its identity, src and ref, never changes.

The rules are those of catalog.toml. Whoever changes a field names the value that they saw:
two editors cannot undo each other's work unseen.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from bty_app.domain.catalog import CatalogEntry, Change
from bty_app.domain.catalog_toml import parse_field
from bty_app.domain.image_name import detect_arch, detect_format
from bty_app.errors import ConflictError, InvalidInputError, ValidationError

# As in catalog.toml, and as the entry has it.
FIELDS: Mapping[str, str] = {
    "name": "name",
    "description": "description",
    "sha256": "disk_image_sha",
    "format": "format",
    "arch": "arch",
    "mirrors": "mirrors",
}
_SHOWN_CHARS = 100


def values_of(entry: CatalogEntry) -> dict[str, object]:
    """What may be edited of the entry, as plain JSON data."""
    values: dict[str, object] = {name: getattr(entry, kept) for name, kept in FIELDS.items()}
    return values | {"mirrors": list(entry.mirrors)}


def parsed(wanted: Mapping[str, object]) -> dict[str, Any]:
    """The wanted fields, each checked by its rule; None and "" take one away.

    Raises:
        ValidationError: a field that cannot be edited, or a value that breaks its rule.
    """
    unknown = sorted(set(wanted) - set(FIELDS))
    if unknown:
        raise ValidationError(f"unknown field {unknown[0][:80]!r}")
    try:
        return {
            name: parse_field(name, None if value == "" else value)
            for name, value in wanted.items()
        }
    except InvalidInputError as error:
        raise ValidationError(error.message) from error


def edited(
    entry: CatalogEntry, wanted: Mapping[str, Any], expected: Mapping[str, object]
) -> tuple[CatalogEntry, tuple[Change, ...]]:
    """The entry with the wanted fields, which are parsed, and what that changes.

    A format or architecture that is taken away becomes that of the name, as in catalog.toml.

    Raises:
        ConflictError: a field that changes is not what `expected` says that it is.
        ValidationError: `expected` says nothing of a field that changes.
    """
    now = values_of(entry)
    called = wanted.get("name", entry.name)
    detected = {"format": detect_format(called), "arch": detect_arch(called)}
    changes = []
    for name, value in wanted.items():
        old, meant = getattr(entry, FIELDS[name]), value or detected.get(name, value)
        if meant == old:
            continue
        _check_expected(name, now[name], expected)
        changes.append(Change(name, old, meant))
    new: dict[str, Any] = {FIELDS[change.field]: change.new for change in changes}
    return replace(entry, **new), tuple(changes)


def _check_expected(name: str, now: object, expected: Mapping[str, object]) -> None:
    if name not in expected:
        raise ValidationError(
            f"expected: must say what {name} is now, so that nobody's change is lost unseen"
        )
    if expected[name] != now:
        shown = "nothing" if now in (None, []) else repr(now)[:_SHOWN_CHARS]
        raise ConflictError(f"{name}: it was changed meanwhile, and is {shown} now")
