"""An act on many machines: what it is and what it sets, from plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import TypeVar

from bty_app.domain.disk_policy import Policy
from bty_app.domain.flash_options import OWN_DONES, OWN_VERIFIES, OWN_WIPES, OwnOptions
from bty_app.domain.machine import BootMode, parse_assignment
from bty_app.errors import ValidationError

MAX_EXPIRES_HOURS = 8760
JOB_KIND = "bulk"
AS_THE_SITE = "site"  # takes back what is said of a machine itself

E = TypeVar("E", bound=StrEnum)


class Kind(StrEnum):
    """What can be done to many machines at once."""

    SET = "set"
    ADD_LABELS = "add-labels"
    REMOVE_LABELS = "remove-labels"
    FLASH_AGAIN = "flash-again"
    FORGET = "forget"
    WAKE = "wake"
    POWER = "power"


# What people read; a sentence goes on from there.
ACT_NAMES = {
    Kind.SET: "set mode, image, target disk, wiping",
    Kind.ADD_LABELS: "add labels",
    Kind.REMOVE_LABELS: "remove labels",
    Kind.FLASH_AGAIN: "flash again",
    Kind.FORGET: "forget",
    Kind.WAKE: "wake (wake-on-LAN)",
    Kind.POWER: "power hook",
}


@dataclass(frozen=True, slots=True)
class Act:
    """An act with what it sets; None leaves as it is. `expires_hours` bounds a flash it orders."""

    kind: Kind
    boot_mode: BootMode | None = None
    image_ref: str | None = None
    target: Policy | None = None
    labels: tuple[str, ...] = ()
    expires_hours: int | None = None
    wipe: str | None = None
    verify: str | None = None
    done: str | None = None

    def own(self, before: OwnOptions) -> OwnOptions:
        """What is said of a machine itself, where `before` was."""
        return OwnOptions(
            _own(self.wipe, before.wipe),
            _own(self.verify, before.verify),
            _own(self.done, before.done),
        )

    def as_fields(self) -> dict[str, object]:
        """Plain data, as `parse_act` takes it."""
        fields: dict[str, object] = {
            "act": self.kind.value,
            "boot_mode": self.boot_mode.value if self.boot_mode else None,
            "bty_image_ref": self.image_ref,
            "target": self.target.value if self.target else None,
            "labels": list(self.labels) or None,
            "expires_hours": self.expires_hours,
            "flash_wipe": self.wipe,
            "flash_verify": self.verify,
            "flash_done": self.done,
        }
        return {key: value for key, value in fields.items() if value is not None}


def parse_act(fields: Mapping[str, object]) -> Act:
    """An act from plain data.

    Raises:
        ValidationError: names the field and its rule.
    """
    known = {"act", "boot_mode", "bty_image_ref", "target", "labels", "expires_hours"}
    known |= {"flash_wipe", "flash_verify", "flash_done"}
    unknown = sorted(set(fields) - known)
    if unknown:
        raise ValidationError(f"{unknown[0][:64]!r} is not a field of an act")
    kind = _one_of(Kind, "act", fields.get("act"))
    settable = ("boot_mode", "bty_image_ref", "labels")
    given = {key: fields[key] for key in settable if fields.get(key)}
    checked = parse_assignment(given)
    target = fields.get("target")
    act = Act(
        kind,
        boot_mode=checked.boot_mode if "boot_mode" in given else None,
        image_ref=checked.image_ref,
        target=_one_of(Policy, "target", target) if target else None,
        labels=checked.labels,
        expires_hours=_hours(fields.get("expires_hours")),
        wipe=_word(fields, "flash_wipe", OWN_WIPES),
        verify=_word(fields, "flash_verify", OWN_VERIFIES),
        done=_word(fields, "flash_done", OWN_DONES),
    )
    if kind is Kind.SET and not any(
        (act.boot_mode, act.image_ref, act.target, act.wipe, act.verify, act.done)
    ):
        raise ValidationError(
            "nothing to set: choose a mode, an image, a target disk, wiping, reading back"
            " or when a flash is done"
        )
    if kind in {Kind.ADD_LABELS, Kind.REMOVE_LABELS} and not act.labels:
        raise ValidationError("labels: name at least one")
    return act


def _own(said: str | None, before: str | None) -> str | None:
    return before if said is None else None if said == AS_THE_SITE else said


def _word(fields: Mapping[str, object], field: str, known: tuple[str, ...]) -> str | None:
    value = fields.get(field)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or value not in {AS_THE_SITE, *known}:
        raise ValidationError(f"{field}: is one of {AS_THE_SITE}, {', '.join(known)}")
    return value


def _one_of(table: type[E], field: str, value: object) -> E:
    try:
        return table(value)  # type: ignore[arg-type]  # any other value is refused below
    except ValueError:
        known = ", ".join(item.value for item in table)
        raise ValidationError(f"{field}: {str(value)[:40]!r} is not one of {known}") from None


def _hours(value: object) -> int | None:
    if value is None or value == "":
        return None
    number = int(value) if isinstance(value, int | str) and str(value).isdecimal() else 0
    if not 1 <= number <= MAX_EXPIRES_HOURS or isinstance(value, bool):
        raise ValidationError(f"expires_hours: a whole number from 1 to {MAX_EXPIRES_HOURS}")
    return number
