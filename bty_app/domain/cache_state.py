"""What is known of an image in the cache."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class CacheKind(StrEnum):
    """Where the bytes of an image stand in the cache."""

    NOT_CONFIGURED = "not configured"
    UNKNOWN = "unknown"
    COLD = "cold"
    WARMING = "warming"
    WARM = "warm"
    DIFFERS = "differs"
    AWAY = "away"


@dataclass(frozen=True, slots=True)
class CacheState:
    """The state, and what the cache holds where it holds something."""

    kind: CacheKind
    sha256: str | None
    size_bytes: int | None
    url: str | None
