"""Why something failed, as every server takes it."""

from __future__ import annotations

from bty_app.domain.progress import MAX_REASON
from bty_app.errors import BtyError, FlashRefusedError

UNTOUCHED = "nothing was written"
UNBOOTABLE = "the disk does not boot: flash it again"


def shortened(reason: str) -> str:
    """One line of at most 500 characters, of which the end says what state the disk is in."""
    plain = " ".join("".join(c if c.isprintable() else " " for c in reason).split())
    if len(plain) <= MAX_REASON:
        return plain
    state = next((f"; {end}" for end in (UNTOUCHED, UNBOOTABLE) if plain.endswith(end)), "")
    return f"{plain[: MAX_REASON - 1 - len(state)]}…{state}"


def is_untouched(error: Exception) -> bool:
    """Whether a flash that failed like this has left the disk as it was."""
    is_refusal = isinstance(error, FlashRefusedError)
    return is_refusal or (isinstance(error, BtyError) and error.message.endswith(UNTOUCHED))
