"""Long lists in parts: a cursor says where a part begins.

It holds the place of the last row that was given, never a number of rows: what is added or removed
meanwhile moves nothing, so no row is given twice and none is passed over.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Final
from urllib.parse import urlencode

import falcon

from bty_app.errors import ValidationError
from bty_app.web.shapes import Nullable, Text, Whole, Word

USUAL_LIMIT = 100
MAX_LIMIT = 500
PAGING: Final[Mapping[str, Word]] = {
    "cursor": Text("Where to go on: it stands in `next`.", most=200, pattern="[A-Za-z0-9_-]*"),
    "limit": Whole(f"At most so many rows ({USUAL_LIMIT}).", least=1, most=MAX_LIMIT),
}
NEXT: Final = Nullable(Text("The address of the next part; null behind the last one."))
LINK: Final = 'The address of the next part, as `rel="next"` (RFC 8288).'


def place_in(cursor: str | None, what: str) -> str:
    """The place that a cursor of the list `what` holds; empty without one.

    Raises:
        ValidationError: that list gave no such cursor.
    """
    if not cursor:
        return ""
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode("ascii")
    except (binascii.Error, UnicodeDecodeError):
        text = ""
    named, _, place = text.partition(" ")
    if named != what or not place:
        raise ValidationError("cursor: this list gave no such cursor; begin without one")
    return place


def next_address(
    req: falcon.Request, resp: falcon.Response, what: str, place: str | None
) -> str | None:
    """The address of what follows `place` in the same list, which the answer's Link says too."""
    if place is None:
        return None
    cursor = base64.urlsafe_b64encode(f"{what} {place}".encode("ascii")).decode().rstrip("=")
    query = urlencode({**req.params, "cursor": cursor}, errors="replace")
    address = f"{req.path}?{query}"
    resp.append_header("Link", f'<{address}>; rel="next"')
    return address
