"""One row of the table of settings, and rules that several rows have."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from bty_app.domain.image_source import without_credentials


@dataclass(frozen=True, slots=True)
class Setting:
    """One row of the table. `parse` gives the value, or raises ValueError with the rule.

    `configured` names the configuration key that gives the default, where one does. `mask` leaves
    out what nobody is shown.
    """

    key: str
    default: Any
    parse: Callable[[str], Any]
    help: str
    configured: str = ""
    mask: Callable[[str], str] = without_credentials


def whole_number(low: int, high: int) -> Callable[[str], int]:
    """The rule of a number within bounds, both included."""

    def parse(text: str) -> int:
        if not text.isascii() or not text.isdigit() or not low <= int(text[:12]) <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return int(text)

    return parse


def no_or_within(low: int, high: int) -> Callable[[str], int]:
    """The rule of a number within bounds, both included, or 0 for none."""

    def parse(text: str) -> int:
        try:
            return whole_number(0, 0)(text)
        except ValueError:
            pass
        try:
            return whole_number(low, high)(text)
        except ValueError:
            raise ValueError(f"0, or a whole number from {low} to {high}") from None

    return parse


def time_zone(text: str) -> str:
    """The rule of the name of a time zone."""
    try:
        return ZoneInfo(text).key
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise ValueError("a time zone that this host knows, such as Europe/Berlin") from None


def value(setting: Setting, stored: Mapping[str, str]) -> Any:
    """The setting's value: the stored one where it is valid, else the default."""
    text = stored.get(setting.key)
    if text is None:
        return setting.default
    try:
        return setting.parse(text)
    except ValueError:
        return setting.default
