"""What was found out a moment ago is not asked again, and what many want is asked once.

Threads: any may call; those that want what another is finding out wait for it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from bty_app.errors import BtyError
from bty_app.services.slots import Slots

T = TypeVar("T")

CAPACITY = 1024


@dataclass(slots=True)
class _Slot(Generic[T]):
    lock: threading.Lock = field(default_factory=threading.Lock)
    good_until: float = float("-inf")
    value: T | None = None
    failure: BtyError | None = None


class Recent(Generic[T]):
    """Answers by key, each kept for a while; a failure is kept as well, for less long."""

    def __init__(
        self,
        *,
        seconds: float,
        failed_seconds: float,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        self._seconds = seconds
        self._failed_seconds = failed_seconds
        self._steady = steady
        self._slots: Slots[_Slot[T]] = Slots(_Slot, capacity=CAPACITY)

    def get(self, key: str, find_out: Callable[[], T]) -> T:
        """The answer for `key`: a recent one, or what `find_out` says now.

        Raises:
            BtyError: what `find_out` raised, now or a moment ago.
        """
        slot = self._slots.of(key)
        with slot.lock:
            if self._steady() >= slot.good_until:
                self._fill(slot, find_out)
            if slot.failure is not None:
                raise slot.failure
            assert slot.value is not None  # noqa: S101 - filled, and did not fail
            return slot.value

    def _fill(self, slot: _Slot[T], find_out: Callable[[], T]) -> None:
        try:
            slot.value, slot.failure = find_out(), None
        except BtyError as error:
            slot.failure = error
        keep = self._seconds if slot.failure is None else self._failed_seconds
        slot.good_until = self._steady() + keep
