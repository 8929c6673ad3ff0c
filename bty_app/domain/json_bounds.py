"""JSON from strangers: what is refused before, while and after it is decoded."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from bty_app.errors import InvalidInputError

MAX_DEPTH = 64
MAX_NODES = 1_000_000  # up to 90 bytes each when decoded: 60 MB of `[],[],…` would be 1.4 GB

# A backslash counts when an even number of them stands before it.
_ESCAPE = re.compile(r"(?<!\\)(?:\\\\)*\\u(0000|d[89a-f][0-9a-f]{2})(?:\\u(d[c-f][0-9a-f]{2}))?")
_CONTAINERS = frozenset({dict, list})
# What was just decoded cannot hold itself: looking for that takes a sixth of the time.
_ENCODER = json.JSONEncoder(allow_nan=False, separators=(",", ":"), check_circular=False)


def nodes(text: str, start: int = 0) -> int:
    """At least as many values as `text` can hold from `start` on; strings may add to it."""
    return sum(text.count(mark, start) for mark in "[{,:")


def decoder(*, strict: bool = False) -> json.JSONDecoder:
    """A decoder that refuses an object with a key twice.

    NaN and Infinity, which are no JSON, are read as null, or with `strict` refused.
    """
    constant = _refused_constant if strict else _no_constant
    return json.JSONDecoder(object_pairs_hook=_unique, parse_constant=constant)


def decode(text: str, *, strict: bool = False, most: int = MAX_NODES) -> Any:
    """The value of a whole JSON text with at most `most` values.

    Raises:
        InvalidInputError: it is not JSON, is too deep, or holds too many values.
    """
    if nodes(text) > most:
        raise InvalidInputError(f"more than {most:,} values")
    try:
        value = decoder(strict=strict).decode(text)
    except RecursionError as error:
        raise too_deep() from error
    except ValueError as error:
        raise InvalidInputError(f"not JSON: {error}") from error
    if exceeds_depth(value):
        raise too_deep()
    return value


def object_of(data: bytes) -> dict[str, Any]:
    """The object that a stranger's JSON is.

    Raises:
        InvalidInputError: it is not JSON, or no object; too deep, or too many values.
    """
    try:
        value = decode(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InvalidInputError("not UTF-8") from error
    if not isinstance(value, dict):
        raise InvalidInputError("not a JSON object")
    return value


def too_deep() -> InvalidInputError:
    """The refusal of a value that is nested too deep."""
    return InvalidInputError(f"nested deeper than {MAX_DEPTH} levels")


def exceeds_depth(value: object, limit: int = MAX_DEPTH) -> bool:
    """Do lists and objects nest in `value` deeper than `limit` levels?"""
    level: list[Any] = [value] if type(value) in _CONTAINERS else []
    for _ in range(limit):
        if not level:
            return False
        level = [
            child
            for container in level
            for child in (container.values() if type(container) is dict else container)
            if type(child) in _CONTAINERS
        ]
    return bool(level)


def compact(value: object) -> str:
    """A decoded value as it is stored: ASCII, no spaces; a number that is not finite is null."""
    try:
        return _ENCODER.encode(value)
    except ValueError:  # 1e999 is read as infinity
        return _ENCODER.encode(finite(value))


def finite(value: Any) -> Any:
    """A copy of `value` with null in place of NaN and infinity."""
    if isinstance(value, dict):
        return {key: finite(child) for key, child in value.items()}
    if isinstance(value, list):
        return [finite(child) for child in value]
    if isinstance(value, float) and not -float("inf") < value < float("inf"):
        return None
    return value


def unfit_character(compacted: str) -> str | None:
    """What `compact` text holds that no page and no file can show: NUL or half a surrogate pair."""
    if "\\" not in compacted:
        return None
    for found in _ESCAPE.finditer(compacted):
        if found[1] == "0000":
            return "a NUL character"
        if found[1] >= "dc00" or found[2] is None:
            return "half of a surrogate pair"
    return None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    decoded = dict(pairs)
    if len(decoded) != len(pairs):
        seen: set[str] = set()
        twice = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise InvalidInputError(f"the key {twice[:64]!r} stands twice in one object")
    return decoded


def _refused_constant(name: str) -> NoReturn:
    raise InvalidInputError(f"not JSON: {name}")


def _no_constant(_name: str) -> None:
    return None
