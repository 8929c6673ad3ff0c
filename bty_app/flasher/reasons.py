"""Why something failed, as every server takes it."""

from __future__ import annotations

from bty_app.domain.progress import MAX_REASON


def shortened(reason: str) -> str:
    """One line of at most 500 characters."""
    plain = " ".join("".join(c if c.isprintable() else " " for c in reason).split())
    return plain if len(plain) <= MAX_REASON else f"{plain[: MAX_REASON - 1]}…"
