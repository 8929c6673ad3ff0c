"""A row of the table of configuration keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import field
from typing import TypeVar

T = TypeVar("T")


def key(
    default: T,
    parse: Callable[[object], T],
    kind: str,
    help: str,  # noqa: A002  the table's column
    **more: str | bool,
) -> T:
    """One row: `more` may have `flag` ("--port"), `shown_default`, and `secret`."""
    row = {"parse": parse, "kind": kind, "help": help, **more}
    return field(default=default, metadata=row, repr=not more.get("secret"))
