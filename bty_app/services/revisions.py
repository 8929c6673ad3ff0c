"""A number for each topic that grows with each commit: is there anything new to show?"""

from __future__ import annotations

import secrets
import threading
from collections import Counter
from collections.abc import Callable


class Revisions:
    """Counters, shared between threads. The first part of a revision is new at each start."""

    def __init__(self) -> None:
        self._epoch = secrets.token_hex(4)
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._listeners: list[tuple[str, Callable[[], object]]] = []

    def bump(self, topics: frozenset[str]) -> None:
        """Something under these topics has changed and is durable."""
        with self._lock:
            self._counts.update(topics)
        for topic, call in self._listeners:
            if topic in topics:
                call()

    def listen(self, topic: str, call: Callable[[], object]) -> None:
        """Have `call` called after each change under `topic`, in the thread that made it: it must
        not wait for anything.
        """
        self._listeners.append((topic, call))

    def current(self, *topics: str) -> str:
        """The revision of all `topics` together."""
        with self._lock:
            return f"{self._epoch}-{sum(self._counts[topic] for topic in topics)}"
