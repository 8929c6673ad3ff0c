"""A circuit breaker: who does not answer is left alone for a while, and then asked by one."""

from __future__ import annotations

from dataclasses import dataclass, replace

FAILURES = 2
OPEN_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class Breaker:
    """`failures` in a row so far; nobody asks before `open_until`, seconds of a steady clock."""

    failures: int = 0
    open_until: float = float("-inf")

    @property
    def is_open(self) -> bool:
        """Whether it has failed too often to be asked by everybody."""
        return self.failures >= FAILURES

    def allows(self, now: float) -> bool:
        """Whether to ask now."""
        return now >= self.open_until

    def asking(self, now: float, *, seconds: float) -> Breaker:
        """Somebody asks, and waits so long at most; while it is open nobody else does."""
        return replace(self, open_until=now + seconds) if self.is_open else self

    def failed(self, now: float) -> Breaker:
        """It did not answer."""
        failures = min(self.failures + 1, FAILURES)
        until = now + OPEN_SECONDS if failures >= FAILURES else self.open_until
        return Breaker(failures, until)

    def answered(self) -> Breaker:
        """It did."""
        return Breaker()
