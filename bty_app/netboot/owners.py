"""Which machine has which address: what DHCP requests told, else the kernel's neighbours."""

from __future__ import annotations

import threading
from collections import OrderedDict
from pathlib import Path

NEIGHBOURS = Path("/proc/net/arp")  # proc(5)
_COMPLETE = 0x2
_NOBODY = "00:00:00:00:00:00"


class Owners:
    """The MAC of an address, of the last `capacity` that were learnt. Any thread may call."""

    def __init__(self, *, capacity: int = 4096, neighbours: Path = NEIGHBOURS) -> None:
        self._capacity, self._neighbours = capacity, neighbours
        self._lock = threading.Lock()
        self._macs: OrderedDict[str, str] = OrderedDict()

    def learn(self, ip: str, mac: str) -> None:
        """A machine said that this is its address."""
        with self._lock:
            self._macs[ip] = mac
            self._macs.move_to_end(ip)
            while len(self._macs) > self._capacity:
                self._macs.popitem(last=False)

    def of(self, ip: str) -> str | None:
        """The MAC behind an address; None when it is not known."""
        with self._lock:
            known = self._macs.get(ip)
        return known or self._neighbour(ip)

    def _neighbour(self, ip: str) -> str | None:
        try:
            with self._neighbours.open(encoding="ascii", errors="replace") as table:
                rows = [line.split() for line in table]
        except OSError:  # not on this system
            return None
        for row in rows[1:]:
            if len(row) >= 4 and row[0] == ip and row[3] != _NOBODY:
                return row[3].lower() if int(row[2], 16) & _COMPLETE else None
        return None
