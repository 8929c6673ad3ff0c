"""One spelling of a MAC address: six lower-case pairs with colons."""

from __future__ import annotations

import re
from typing import NewType

from bty_app.errors import InvalidInputError

Mac = NewType("Mac", str)

_SIX_PAIRS = re.compile(r"[0-9a-f]{2}(?:[:-][0-9a-f]{2}){5}", re.ASCII)


def parse_mac(text: str) -> Mac:
    """`text` in the canonical spelling; colons and hyphens may be mixed, case does not matter.

    Raises:
        InvalidInputError: not six pairs of hexadecimal digits (CONTRACT 3.1).
    """
    lowered = text.lower()
    if not _SIX_PAIRS.fullmatch(lowered):
        raise InvalidInputError(f"invalid MAC: {text[:64]!r}")
    return Mac(lowered.replace("-", ":"))
