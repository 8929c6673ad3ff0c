"""The fields and files of a submitted form, bounded and read once.

A resource that takes files says how large the whole form may be: `max_form_bytes`.
"""

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
class Upload:
    """A file as it was sent. Its name is the sender's word, and no path of ours."""

    filename: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Form:
    """Fields in the order in which they were sent; a name may occur more than once."""

    fields: tuple[tuple[str, str], ...]
    files: tuple[tuple[str, Upload], ...] = ()

    def text(self, name: str) -> str | None:
        """The last value of a field, or None when it was not sent."""
        found = self.every(name)
        return found[-1] if found else None

    def every(self, name: str) -> tuple[str, ...]:
        """All values of a field."""
        return tuple(value for key, value in self.fields if key == name)

    def file(self, name: str) -> Upload | None:
        """The file of this name; None when none was chosen."""
        found = [upload for key, upload in self.files if key == name and upload.filename]
        return found[-1] if found else None


def form_of(req: falcon.Request) -> Form:
    """The form in the body; empty when the body is something else.

    Raises:
        TooLargeError: longer than a form of ours can be.
        ValidationError: too many fields, or a body that cannot be read.
    """
    kept: Form | None = getattr(req.context, "form", None)
    if kept is None:
        kept = req.context.form = _read(req)
    return kept


def _read(req: falcon.Request) -> Form:
    content_type = req.content_type or ""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == _MULTIPART:
        limit = getattr(req.context, "max_form_bytes", MAX_BYTES)
        return _parts(body.read(req, limit), content_type)
    return Form(_fields(body.read(req, MAX_BYTES)) if kind == _URLENCODED else ())


def _fields(data: bytes) -> tuple[tuple[str, str], ...]:
    text = data.decode("utf-8", "replace")
    try:
        return tuple(parse_qsl(text, keep_blank_values=True, max_num_fields=MAX_FIELDS))
    except ValueError as error:
        raise ValidationError(f"a form has at most {MAX_FIELDS} fields") from error


def _parts(data: bytes, content_type: str) -> Form:
    handler = MultipartFormHandler()
    handler.parse_options.max_body_part_buffer_size = len(data)  # the whole is bounded already
    fields: list[tuple[str, str]] = []
    files: list[tuple[str, Upload]] = []
    try:
        for part in handler.deserialize(io.BytesIO(data), content_type, len(data)):
            name, filename, value = part.name or "", part.filename, part.get_data()
            if filename is None:
                fields.append((name, value.decode("utf-8", "replace")))
            else:
                files.append((name, Upload(filename, value)))
    except (falcon.HTTPBadRequest, ValueError, LookupError) as error:  # of names and charsets
        raise ValidationError("the form cannot be read") from error
    return Form(tuple(fields), tuple(files))
