"""What is done besides when an image is written: before it, and after it."""

from __future__ import annotations

from dataclasses import dataclass

WIPE_METHODS = ("auto", "discard", "secure", "overwrite")


@dataclass(frozen=True, slots=True)
class FlashOptions:
    """`wipe` is how the disk is erased before, or None; `verify` reads everything back."""

    wipe: str | None = None
    verify: bool = False


NO_OPTIONS = FlashOptions()
