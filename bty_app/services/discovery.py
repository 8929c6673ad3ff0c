"""Machines are discovered by asking; how many may be, and how often one is written down."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from bty_app.domain import machine_events
from bty_app.domain.bounds import Buckets, Rate, network_of
from bty_app.domain.mac import Mac
from bty_app.domain.machine import Machine
from bty_app.errors import ThrottledError
from bty_app.store import events, machines
from bty_app.store.database import Tx

RETRY_SECONDS = 30


class Bounds:
    """The bounds on what anybody on the network may cause, shared between threads."""

    def __init__(
        self, *, discovery: Rate, contacts: Rate, steady: Callable[[], float] = time.monotonic
    ) -> None:
        """Set the bounds.

        Args:
            discovery: new records (and reports of unknown machines) from one network; all
                networks together have four times as much.
            contacts: recorded contacts of one machine.
            steady: a clock that never goes back, in seconds.
        """
        self._steady = steady
        self._lock = threading.Lock()
        self._networks = Buckets(discovery)
        self._everywhere = Buckets(Rate(discovery.burst * 4, discovery.per_second * 4))
        self._machines = Buckets(contacts, capacity=100_000)

    def discover(self, ip: str | None) -> None:
        """Take one discovery.

        Raises:
            ThrottledError: this network, or all together, brought too many.
        """
        now = self._steady()
        network = network_of(ip)
        with self._lock:
            allowed = self._networks.take(network, now) and self._everywhere.take("", now)
        if not allowed:
            raise ThrottledError(
                f"too many unknown machines from {network}: try again in a while",
                retry_after=RETRY_SECONDS,
            )

    def may_record(self, mac: Mac) -> bool:
        """May another contact of this machine be recorded? It is answered in any case."""
        with self._lock:
            return self._machines.take(mac, self._steady())


def seen(tx: Tx, bounds: Bounds, mac: Mac, *, ip: str | None, at: str) -> Machine:
    """Note a contact; discover the machine if it is new (CONTRACT 3.3).

    Raises:
        ThrottledError: it is new, and too many were lately.
    """
    machine, is_new = machines.seen(tx, mac, at=at, ip=ip)
    if is_new:
        bounds.discover(ip)
        events.record(tx, machine_events.discovered(mac, ip), at=at)
    return machine
