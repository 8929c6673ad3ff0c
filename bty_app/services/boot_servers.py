"""What TFTP and proxy DHCP have done since the start, for pages and metrics."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from bty_app.services.revisions import Revisions

TOPIC = "boot-servers"


class Name(StrEnum):
    """A boot server, as its stages begin."""

    DHCP = "dhcp"
    TFTP = "tftp"


# What each counts, in the order in which it is told; all that it was asked comes before.
RESULTS = {
    Name.DHCP: ("offered", "ignored", "held-back", "other", "malformed"),
    Name.TFTP: ("done", "failed", "declined", "held-back"),
}
Counted = tuple[str, str, Mapping[str, str], float]


@dataclass(frozen=True, slots=True)
class Last:
    """The last time that something happened, with whom, and the reason or the file."""

    at: datetime
    who: str
    about: str


@dataclass(frozen=True, slots=True)
class State:
    """One boot server. `counts` are by the words of `RESULTS`, `last` by those that have been."""

    name: Name
    is_on: bool
    where: str
    counts: Mapping[str, int]
    last: Mapping[str, Last]


class BootServers:
    """Any thread may call."""

    def __init__(self, revisions: Revisions) -> None:
        self._revisions = revisions
        self._lock = threading.Lock()
        self._where: dict[Name, str] = {}
        self._counts: Counter[str] = Counter()
        self._last: dict[str, Last] = {}
        self._bytes = 0

    def starts(self, name: Name, where: str) -> None:
        """It is served from now on; `where` is the address in words."""
        with self._lock:
            self._where[name] = where
        self._revisions.bump(frozenset({TOPIC}))

    def seen(self, stage: str, at: datetime, who: str, detail: Mapping[str, object]) -> None:
        """Count `dhcp.offered`, `tftp.done` …; `who` is a MAC or an address."""
        about = str(detail.get("reason") or detail.get("file") or "")
        sent = detail.get("bytes")
        with self._lock:
            self._counts[stage] += 1
            self._last[stage] = Last(at, who, about)
            if isinstance(sent, int):
                self._bytes += sent
        self._revisions.bump(frozenset({TOPIC}))

    def states(self) -> list[State]:
        """All of them, those that are off as well."""
        with self._lock:
            return [self._state(name) for name in Name]

    def counters(self) -> Iterator[Counted]:
        """Rows of `/metrics`, of what is served."""
        with self._lock:
            where, counts, sent = dict(self._where), dict(self._counts), self._bytes
        for name in where:
            metric, about = _METRICS[name]
            for result in RESULTS[name]:
                yield metric, about, {"result": result}, counts.get(f"{name}.{result}", 0)
        if Name.TFTP in where:
            yield "bty_tftp_bytes_total", "Bytes that clients have acknowledged.", {}, sent

    def _state(self, name: Name) -> State:
        words = RESULTS[name]
        counts = {word: self._counts[f"{name}.{word}"] for word in words}
        last = {w: self._last[f"{name}.{w}"] for w in words if f"{name}.{w}" in self._last}
        return State(name, name in self._where, self._where.get(name, ""), counts, last)


_METRICS = {
    Name.DHCP: ("bty_dhcp_requests_total", "DHCP requests that came here, by what came of them."),
    Name.TFTP: ("bty_tftp_transfers_total", "TFTP transfers that have ended, by how."),
}
