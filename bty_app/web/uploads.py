"""A large file in a form: taken as it comes, and never in memory as a whole."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import BinaryIO, cast

import falcon
from falcon.media import MultipartFormHandler
from falcon.media.multipart import BodyPart
from falcon.typing import ReadableIO

from bty_app.domain.image_name import UNPRINTABLE
from bty_app.errors import ValidationError
from bty_app.web import body

MAX_NAME = 200
_TOKEN = "csrf_token"  # noqa: S105 - the name of the field


@dataclass(frozen=True, slots=True)
class Arriving:
    """A file that is being sent. Its name is the sender's word, and no path of ours."""

    name: str
    stream: BinaryIO


def arriving(
    req: falcon.Request, field: str, *, limit: int, check_token: Callable[[str], None]
) -> Arriving:
    """The file `field` of a multipart form; nothing of it has been read yet.

    The token of our pages must stand before it, so `check_token` has let the form pass.

    Raises:
        As `check_token`.
        TooLargeError: the form is longer than `limit` bytes.
        ValidationError: it is no such form, or no file was chosen.
    """
    body.check_length(req, limit)
    try:
        part, token = _part(req, field)
        filename = part.filename if part else None
    except (falcon.MediaMalformedError, falcon.HTTPInvalidHeader, UnicodeDecodeError) as error:
        raise ValidationError("the form cannot be read") from error
    check_token(req.get_header("X-CSRF-Token") or token)
    if part is None or not filename:
        raise ValidationError("choose a file")
    return Arriving(sent_name(filename), cast("BinaryIO", part.stream))


def _part(req: falcon.Request, field: str) -> tuple[BodyPart | None, str]:
    """The part of this name, if there is one, and the token that stands before it."""
    content_type, token = req.content_type or "", ""
    if content_type.partition(";")[0].strip().lower() != "multipart/form-data":
        return None, token
    stream = cast("ReadableIO", req.bounded_stream)
    form = MultipartFormHandler().deserialize(stream, content_type, req.content_length or 0)
    for part in form:
        if part.name == field:
            return part, token
        if part.name == _TOKEN:
            token = part.get_data().decode("utf-8", "replace")
    return None, token


def sent_name(name: str) -> str:
    """What a sender calls a file, for people: one segment, printable, and short."""
    segment = name.replace("\\", "/").rpartition("/")[2] or "an upload"
    return UNPRINTABLE.sub("\N{REPLACEMENT CHARACTER}", segment)[:MAX_NAME]
