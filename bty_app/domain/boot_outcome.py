"""What a boot has come to, in words, and what it means when the next stage never comes."""

from __future__ import annotations

from dataclasses import dataclass

from bty_app.domain.boot_stages import Seen


@dataclass(frozen=True, slots=True)
class Hang:
    """The stage that never came, what usually is the cause, and what to do."""

    missing: str
    cause: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a boot has come to whose last stage is known.

    Where it is not `final`, another stage must come within `patience` seconds; when it does not,
    the boot hangs as `hang` says. A final outcome with a `hang` is a fault that was reported.
    """

    words: str
    final: bool = False
    patience: float = 0.0
    hang: Hang | None = None


def text_of(seen: Seen, key: str) -> str:
    """A value of what was seen with a stage; empty where there is none."""
    value = seen.detail.get(key)
    return str(value) if value not in (None, "") else ""


def why(seen: Seen, otherwise: str) -> str:
    """The reason that was seen with a stage, else `otherwise`."""
    return text_of(seen, "why") or text_of(seen, "reason") or text_of(seen, "text") or otherwise
