"""What many open tabs ask for is made once: as long as nothing changed, and once a second else."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from bty_app.services.slots import Slots

T = TypeVar("T")

FRESH_SECONDS = 1.0
CAPACITY = 64


@dataclass(slots=True)
class _Slot(Generic[T]):
    lock: threading.Lock = field(default_factory=threading.Lock)
    revision: str | None = None
    made: float = 0.0
    value: T | None = None


class Shared(Generic[T]):
    """Values by key, each with the revision it was made of. Any thread may call."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._slots: Slots[_Slot[T]] = Slots(_Slot, capacity=CAPACITY)

    def get(self, key: str, revision: str, make: Callable[[], T], *, exact: bool = False) -> T:
        """The value of `key`: that of `revision`, or one of this last second.

        `exact` is for somebody who has just acted and must see it: no second of grace.
        """
        slot = self._slots.of(key)
        with slot.lock:
            now = self._clock()
            kept = slot.value
            recent = not exact and now - slot.made < FRESH_SECONDS
            if kept is not None and (slot.revision == revision or recent):
                return kept
            slot.value = value = make()
            slot.revision, slot.made = revision, now
            return value
