"""What a check of the installation has found, and how bad it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Level(StrEnum):
    """How much it matters; the worst one last."""

    OK = "ok"
    NOTE = "note"
    WARNING = "warning"
    FAULT = "fault"

    @property
    def needs_an_act(self) -> bool:
        """Whether somebody should do something about it."""
        return self in {Level.WARNING, Level.FAULT}


@dataclass(frozen=True, slots=True)
class Finding:
    """One sentence, and what to do about it, where there is something; `check` is who says it."""

    level: Level
    sentence: str
    remedy: str = ""
    check: str = ""


def worst(findings: Iterable[Finding]) -> Level:
    """The worst level among them."""
    order = list(Level)
    return max((finding.level for finding in findings), key=order.index, default=Level.OK)


def as_data(findings: Sequence[Finding], *, version: str, at: str | None) -> dict[str, object]:
    """All of them for programs. `version` is that of the program that looked, `at` the stamp of the
    look; None where that was not at everything.
    """
    return {
        "version": version,
        "level": worst(findings).value,
        "looked_at": at,
        "findings": [
            {
                "check": finding.check,
                "level": finding.level.value,
                "sentence": finding.sentence,
                "remedy": finding.remedy or None,
            }
            for finding in findings
        ],
    }
