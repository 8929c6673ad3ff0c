"""What machines say of themselves, made harmless to look at."""

from __future__ import annotations

import unicodedata

LONGEST = 200
# Marks, overrides and isolates that turn the direction of the text around them, and what is unseen.
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def said(value: object, longest: int = LONGEST) -> str:
    """`value` as text of a bounded length; what cannot be seen is named: `<U+202E>`."""
    text = str(value)
    short = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return "".join(
        f"<U+{ord(char):04X}>" if unicodedata.category(char) in _UNSEEN else char for char in short
    )
