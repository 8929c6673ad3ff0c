"""The audit rows of settings that an operator has changed, or could not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bty_app.domain.catalog_events import By, plain
from bty_app.domain.events import Event, Kind, Subject
from bty_app.domain.settings import SETTINGS_BY_KEY


@dataclass(frozen=True, slots=True)
class Change:
    """What was stored and what is; None stands for the default."""

    old: str | None
    new: str | None


def updated(changes: Mapping[str, Change], by: By) -> Event:
    """Settings were changed. What a URL has of a password is not told."""
    told = {
        key: {"old": _plain(key, change.old), "new": _plain(key, change.new)}
        for key, change in sorted(changes.items())
    }
    words = "; ".join(
        f"{key} is {row['new'] or 'the default'}, was {row['old'] or 'the default'}"
        for key, row in told.items()
    )
    subject = Subject("settings", ",".join(told))
    return Event(
        Kind.SETTINGS_UPDATED, by.actor, f"settings changed: {words}", subject, by.ip, told
    )


def update_failed(keys: Iterable[str], error: str, by: By) -> Event:
    """Nothing was stored: the settings of these keys are as they were."""
    why = plain(error)
    named = sorted(keys)
    return Event(
        Kind.SETTINGS_UPDATE_FAILED,
        by.actor,
        f"settings not changed: {', '.join(named)}: {why}",
        Subject("settings", ",".join(named)),
        by.ip,
        {"keys": named, "error": why},
    )


def _plain(key: str, text: str | None) -> str | None:
    if text is None:
        return None
    setting = SETTINGS_BY_KEY.get(key)
    return plain(setting.mask(text) if setting else text)
