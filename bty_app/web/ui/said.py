"""What machines say of themselves, made harmless to look at."""

from __future__ import annotations

import unicodedata

from markupsafe import Markup, escape

LONGEST = 200
# Marks, overrides and isolates that turn the direction of the text around them, and what is unseen.
_UNSEEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}


def said(value: object, longest: int = LONGEST) -> str:
    """`value` as text of a bounded length; what cannot be seen is named: `<U+202E>`."""
    text = str(value)
    short = text if len(text) <= longest else f"{text[: longest - 1]}…"
    return _named(short, "")


def seen(value: object) -> object:
    """What a template shows: of any text, what cannot be seen is named, line breaks left out."""
    if not isinstance(value, str) or value.isprintable() or hasattr(value, "__html__"):
        return value
    return _named(value, "\n\t")


def with_commands(text: str) -> Markup:
    """A sentence; what it has between backticks is a command, and is shown as one."""
    parts = [escape(seen(part)) for part in text.split("`")]
    if len(parts) % 2 == 0:  # a backtick that has no other
        return escape(seen(text))
    return Markup().join(
        Markup("<code>{}</code>").format(part) if place % 2 else part
        for place, part in enumerate(parts)
    )


def exact(value: object) -> Markup:
    """A value as it is, for a field of a form: it is to come back unchanged."""
    return escape(value)


def _named(text: str, but: str) -> str:
    return "".join(
        f"<U+{ord(char):04X}>"
        if unicodedata.category(char) in _UNSEEN and char not in but
        else char
        for char in text
    )
