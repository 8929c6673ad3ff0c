"""A bounded memory by key; what was used longest ago goes first. Any thread may call."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

S = TypeVar("S")


class Slots(Generic[S]):
    """A slot for each key, made when it is first asked for."""

    def __init__(self, make: Callable[[], S], *, capacity: int) -> None:
        self._make = make
        self._capacity = capacity
        self._lock = threading.Lock()
        self._slots: OrderedDict[str, S] = OrderedDict()

    def of(self, key: str) -> S:
        """The slot of `key`, which is now the one used last."""
        with self._lock:
            if key not in self._slots:
                self._slots[key] = self._make()
            self._slots.move_to_end(key)
            if len(self._slots) > self._capacity:
                self._slots.popitem(last=False)
            return self._slots[key]
