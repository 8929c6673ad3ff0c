"""A JSON body, bounded before it is read and checked before it is trusted."""

from __future__ import annotations

import falcon

from bty_app.domain import json_bounds
from bty_app.errors import InvalidInputError, TooLargeError, ValidationError

MAX_VALUES = 500_000  # up to 90 bytes each when decoded


def read(req: falcon.Request, limit: int) -> bytes:
    """The body of a request.

    Raises:
        TooLargeError: it is longer than `limit` bytes; nothing beyond is read.
    """
    check_length(req, limit)
    data: bytes = req.bounded_stream.read(limit + 1)
    if len(data) > limit:
        raise TooLargeError(f"the body is larger than {limit} bytes")
    return data


def check_length(req: falcon.Request, limit: int) -> None:
    """Refuse a body that is said to be longer than `limit` bytes, before any of it is read.

    Raises:
        TooLargeError: it is.
    """
    if (req.content_length or 0) > limit:
        raise TooLargeError(f"the body is larger than {limit} bytes")


def json_object(req: falcon.Request, limit: int) -> dict[str, object]:
    """The JSON object in the body.

    Raises:
        TooLargeError: longer than `limit` bytes.
        ValidationError: not said to be JSON, not JSON, too deep, or not an object.
    """
    kind = (req.content_type or "").partition(";")[0].strip().lower()
    if kind != "application/json" and not kind.endswith("+json"):
        raise ValidationError("the body must be JSON, with Content-Type: application/json")
    value = parsed(read(req, limit))
    if not isinstance(value, dict):
        raise ValidationError("the body must be a JSON object")
    return value


def parsed(data: bytes) -> object:
    """The JSON value in `data`: strict (no NaN, no duplicate keys), of bounded depth and size.

    Raises:
        ValidationError: what is wrong with it.
    """
    try:
        # Bytes would be taken for UTF-16 or UTF-32 as well.
        return json_bounds.decode(data.decode("utf-8"), strict=True, most=MAX_VALUES)
    except UnicodeDecodeError as error:
        raise ValidationError("the JSON is not UTF-8") from error
    except InvalidInputError as error:
        raise ValidationError(f"the JSON body: {error.message[:200]}") from error
