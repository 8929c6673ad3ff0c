"""What many open tabs ask for is made once: as long as nothing changed, and once a second else."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

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
        self._lock = threading.Lock()
        self._slots: OrderedDict[str, _Slot[T]] = OrderedDict()

    def get(self, key: str, revision: str, make: Callable[[], T], *, exact: bool = False) -> T:
        """The value of `key`: that of `revision`, or one of this last second.

        `exact` is for somebody who has just acted and must see it: no second of grace.
        """
        slot = self._slot(key)
        with slot.lock:
            now = self._clock()
            kept = slot.value
            recent = not exact and now - slot.made < FRESH_SECONDS
            if kept is not None and (slot.revision == revision or recent):
                return kept
            slot.value = value = make()
            slot.revision, slot.made = revision, now
            return value

    def _slot(self, key: str) -> _Slot[T]:
        with self._lock:
            slot = self._slots.pop(key, None) or _Slot()
            self._slots[key] = slot
            if len(self._slots) > CAPACITY:
                self._slots.popitem(last=False)
            return slot
