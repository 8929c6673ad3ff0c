"""One request of a bucket, and how it is made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from bty_app.upstream.http import Answer


@dataclass(frozen=True, slots=True)
class Call:
    """One request: of the bucket, or of the object `key`."""

    method: str
    key: str = ""
    query: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Caller:
    """How requests are made: `sure` for small ones, `send` for those with a large body."""

    sure: Callable[[Call], Answer]
    send: Callable[[Call], Answer]
    shown: str
