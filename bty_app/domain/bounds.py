"""Token buckets: how often something may happen, for each key and with bursts."""

from __future__ import annotations

import ipaddress
from collections import OrderedDict
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `burst` at once, `per_second` in the long run."""

    burst: float
    per_second: float


class Buckets:
    """One bucket for each key; the least recently used are forgotten beyond `capacity`.

    Not locked: it belongs to one thread, or its owner locks.
    """

    def __init__(self, rate: Rate, *, capacity: int = 10_000) -> None:
        self._rate = rate
        self._capacity = capacity
        self._levels: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, key: str, now: float) -> bool:
        """Take one token of `key` at `now` (seconds of any steady clock); False when empty."""
        level, at = self._levels.pop(key, (self._rate.burst, now))
        level = min(self._rate.burst, level + max(0.0, now - at) * self._rate.per_second)
        allowed = level >= 1.0
        self._levels[key] = (level - 1.0 if allowed else level, now)
        if len(self._levels) > self._capacity:
            self._levels.popitem(last=False)
        return allowed


def network_of(address: str | None) -> str:
    """The network that a bound counts for: the /24 of an IPv4 address, the /64 of an IPv6 one."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return "unknown"
    bits = 24 if parsed.version == 4 else 64
    return str(ipaddress.ip_network((parsed, bits), strict=False))
