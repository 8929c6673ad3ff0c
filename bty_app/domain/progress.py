"""What our own live environment says of a flash under way (`POST /pxe/{mac}/progress`)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from bty_app.domain.machine import has_control_characters
from bty_app.errors import ValidationError

MAX_REASON = 500
PHASE = re.compile(r"[a-z][a-z0-9_-]{0,31}", re.ASCII)
_KEYS = frozenset({"phase", "bytes", "total", "rate", "error"})
LARGEST = 2**62


@dataclass(frozen=True, slots=True)
class ProgressReport:
    """One report. Bytes of the image, and bytes per second."""

    phase: str
    bytes_done: int | None = None
    bytes_total: int | None = None
    rate: int | None = None
    error: str | None = None


def parse_progress(body: Mapping[str, object]) -> ProgressReport:
    """The body of a progress report: `phase`, and any of `bytes`, `total`, `rate`, `error`.

    Raises:
        ValidationError: an unknown key, or a value that breaks its rule.
    """
    unknown = sorted(set(body) - _KEYS)
    if unknown:
        raise ValidationError(f"{unknown[0][:64]!r} is not a field of a progress report")
    phase = body.get("phase")
    if not isinstance(phase, str) or not PHASE.fullmatch(phase):
        raise ValidationError("phase: must be 1 to 32 lower-case letters, digits, _ or -")
    return ProgressReport(
        phase=phase,
        bytes_done=_amount(body, "bytes"),
        bytes_total=_amount(body, "total"),
        rate=_amount(body, "rate"),
        error=parse_reason(body.get("error"), field="error"),
    )


def parse_reason(value: object, *, field: str = "reason") -> str | None:
    """The sentence that goes with a failure (CONTRACT 3.6), or None.

    Raises:
        ValidationError: not text, or longer than 500 characters.
    """
    if value is None:
        return None
    if not isinstance(value, str) or len(value) > MAX_REASON:
        raise ValidationError(f"{field}: must be null or text of up to {MAX_REASON} characters")
    if not has_control_characters(value):
        return value
    # A tool's message may hold line ends: they are data, but a log line must stay one line.
    return "".join(c if not has_control_characters(c) else " " for c in value)


def _amount(body: Mapping[str, object], key: str) -> int | None:
    value = body.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= LARGEST:
        raise ValidationError(f"{key}: must be null or a whole number that is not negative")
    return value
