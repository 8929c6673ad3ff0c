"""The fields of a submitted form, bounded and read once."""

from __future__ import annotations

import io
from dataclasses import dataclass
from urllib.parse import parse_qsl

import falcon
from falcon.media import MultipartFormHandler

from bty_app.errors import ValidationError
from bty_app.web import body

MAX_BYTES = 64 * 1024
MAX_FIELDS = 1000
_URLENCODED = "application/x-www-form-urlencoded"
_MULTIPART = "multipart/form-data"


@dataclass(frozen=True, slots=True)
class Form:
    """Fields in the order in which they were sent; a name may occur more than once."""

    fields: tuple[tuple[str, str], ...]

    def text(self, name: str) -> str | None:
        """The last value of a field, or None when it was not sent."""
        found = self.every(name)
        return found[-1] if found else None

    def every(self, name: str) -> tuple[str, ...]:
        """All values of a field."""
        return tuple(value for key, value in self.fields if key == name)


def form_of(req: falcon.Request) -> Form:
    """The form in the body; empty when the body is something else.

    Raises:
        TooLargeError: longer than a form of ours can be.
        ValidationError: too many fields, or a body that cannot be read.
    """
    kept: Form | None = getattr(req.context, "form", None)
    if kept is None:
        kept = req.context.form = Form(_fields(req))
    return kept


def _fields(req: falcon.Request) -> tuple[tuple[str, str], ...]:
    content_type = req.content_type or ""
    kind = content_type.partition(";")[0].strip().lower()
    if kind not in {_URLENCODED, _MULTIPART}:
        return ()
    data = body.read(req, MAX_BYTES)
    if kind == _MULTIPART:
        return _parts(data, content_type)
    try:
        return tuple(
            parse_qsl(
                data.decode("utf-8", "replace"),
                keep_blank_values=True,
                max_num_fields=MAX_FIELDS,
            )
        )
    except ValueError as error:
        raise ValidationError(f"a form has at most {MAX_FIELDS} fields") from error


def _parts(data: bytes, content_type: str) -> tuple[tuple[str, str], ...]:
    parts = MultipartFormHandler().deserialize(io.BytesIO(data), content_type, len(data))
    try:
        return tuple(
            (part.name or "", part.get_data().decode("utf-8", "replace")) for part in parts
        )
    except falcon.MediaMalformedError as error:
        raise ValidationError("the form cannot be read") from error
