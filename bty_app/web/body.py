"""A JSON body, bounded before it is read and checked before it is trusted."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

import falcon

from bty_app.errors import TooLargeError, ValidationError

MAX_DEPTH = 64
# What a body may hold besides text: each of these bytes can become an object of 50 bytes and more.
MAX_STRUCTURE = 500_000

# Never backtracks and always ends in a match: one pass over any bytes, in constant memory.
_STRING = re.compile(rb'"(?:[^"\\]++|\\.?)*+"?', re.DOTALL)
_NOT_BRACKETS = re.compile(rb"[^\[\]{}]+")


def read(req: falcon.Request, limit: int) -> bytes:
    """The body of a request.

    Raises:
        TooLargeError: it is longer than `limit` bytes; nothing beyond is read.
    """
    if (req.content_length or 0) > limit:
        raise TooLargeError(f"the body is larger than {limit} bytes")
    data: bytes = req.bounded_stream.read(limit + 1)
    if len(data) > limit:
        raise TooLargeError(f"the body is larger than {limit} bytes")
    return data


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
    check_shape(data)
    try:
        # Bytes would be taken for UTF-16 or UTF-32 as well, which `check_shape` cannot read.
        text = data.decode("utf-8")
        return json.loads(text, object_pairs_hook=_object, parse_constant=_constant)
    except RecursionError:
        raise ValidationError(f"the JSON is nested deeper than {MAX_DEPTH}") from None
    except UnicodeDecodeError as error:
        raise ValidationError("the JSON is not UTF-8") from error
    except ValueError as error:
        raise ValidationError(f"the body is not JSON: {str(error)[:200]}") from error


def check_shape(data: bytes) -> None:
    """Refuse JSON that would cost far more memory than it has bytes, before it is decoded.

    Raises:
        ValidationError: nested too deep, or too many values.
    """
    structure = sum(data.count(byte) for byte in (b"[", b"{", b","))
    if structure > MAX_STRUCTURE:
        raise ValidationError(f"the JSON holds more than {MAX_STRUCTURE} values")
    if data.count(b"[") + data.count(b"{") <= MAX_DEPTH:
        return
    depth = 0
    for bracket in _NOT_BRACKETS.sub(b"", _STRING.sub(b"", data)):
        depth += 1 if bracket in b"[{" else -1
        if depth < 0:
            return  # the decoder stops here as well
        if depth > MAX_DEPTH:
            raise ValidationError(f"the JSON is nested deeper than {MAX_DEPTH}")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValidationError("the JSON has an object with the same key twice")
    return found


def _constant(text: str) -> NoReturn:
    raise ValidationError(f"{text} is not JSON")
