"""What is to be flashed, and what came of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

from bty_app.domain.jobs import Step

Kind = Literal["http", "registry", "file"]


@dataclass(frozen=True, slots=True)
class Source:
    """A place that has the image: a URL, an `oras://` reference, or the path of a file."""

    kind: Kind
    url: str
    label: str = "origin"
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}), repr=False)


@dataclass(frozen=True, slots=True)
class Order:
    """An image: its sources, best first; `sha256` and `size_bytes` are of the bytes as fetched.

    `verify` reads everything back from the disk. `bmap` is the content of a .bmap file. After
    `stall_seconds` that bring next to nothing a connection counts as dead; None: as is usual.
    """

    sources: tuple[Source, ...]
    format: str
    sha256: str | None = None
    size_bytes: int | None = None
    bmap: bytes | None = None
    verify: bool = False
    stall_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """An image that is on the disk. `sha256` is of the bytes as fetched; `bytes_image` is the size
    of the image, of which `bytes_written` went over as data and `bytes_zeroed` as zeros. `notes`
    say what was left out on the way: sources that were damaged, a .bmap file that did not fit.
    """

    bytes_fetched: int
    bytes_image: int
    bytes_written: int
    bytes_zeroed: int
    sha256: str
    seconds: float
    sources_used: tuple[Source, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FlashStep(Step):
    """How far a flash is: `done` and `total` count fetched bytes, or those read back."""

    bytes_image: int = 0
    bytes_written: int = 0
    bytes_zeroed: int = 0
