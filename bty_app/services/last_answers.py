"""What machines were told last, for when the database cannot be read. Any thread may call."""

from __future__ import annotations

import threading
from collections import OrderedDict

from bty_app.domain.boot import Decision
from bty_app.domain.mac import Mac

MACHINES = 100_000


class LastAnswers:
    """The last answer of each machine, of so many machines at most; lost with the process."""

    def __init__(self, *, most: int = MACHINES) -> None:
        self._most = most
        self._lock = threading.Lock()
        self._told: OrderedDict[Mac, Decision] = OrderedDict()

    def keep(self, mac: Mac, decision: Decision) -> None:
        """The machine was told this, and it is on record."""
        with self._lock:
            self._told[mac] = decision
            self._told.move_to_end(mac)
            if len(self._told) > self._most:
                self._told.popitem(last=False)

    def forget(self, mac: Mac) -> None:
        """The machine may write its disk: what it was told before is no answer any more."""
        with self._lock:
            self._told.pop(mac, None)

    def of(self, mac: Mac) -> Decision | None:
        """What the machine was told last, if that is known."""
        with self._lock:
            return self._told.get(mac)
