"""An inventory is compared with the one before; what differed is kept and told."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from bty_app.domain import hardware, machine_events
from bty_app.domain.hardware import Facts
from bty_app.domain.hardware_diff import diff
from bty_app.domain.inventory import Inventory
from bty_app.domain.mac import Mac
from bty_app.errors import NotFoundError
from bty_app.store import events, hardware_history, machines
from bty_app.store.database import Database, Tx
from bty_app.store.hardware_history import Entry

__all__ = ["Entry", "Hardware", "Reported", "compare", "reported"]


@dataclass(frozen=True, slots=True)
class Reported:
    """An inventory that has just arrived: what it says, and how it is kept."""

    facts: Facts
    packed: bytes


def reported(inventory: Inventory) -> Reported:
    """Make it ready; this may take a tenth of a second for the largest."""
    lshw = json.loads(inventory.lshw) if inventory.lshw else None
    facts = hardware.facts_of(json.loads(inventory.disks), lshw)
    return Reported(facts, hardware_history.packed(inventory.disks, inventory.lshw))


def compare(tx: Tx, mac: Mac, new: Reported, *, ip: str | None, at: str) -> None:
    """Keep `new` if it differs from what was known, and make an event of the difference.

    To be called before the inventory is stored: a machine whose history is empty (a restored
    or an upgraded database) is compared with the inventory that is there.
    """
    kept = hardware_history.last(tx, mac)
    before = kept[1] if kept else _stored(tx, mac)
    if before is None:
        hardware_history.add(tx, mac, new.facts, (), new.packed, at=at)
        return
    now = hardware.known_before(new.facts, before)
    changes = diff(before, now)
    if kept and hardware.digest(now) == kept[0]:
        return
    words: Sequence[str] = [change.words for change in changes]
    # What was not known before and is now is kept, and is no change.
    hardware_history.add(tx, mac, now, words, new.packed, at=at)
    if words:
        events.record(tx, machine_events.hardware_changed(mac, words, ip), at=at)


class Hardware:
    """What operators see of the history."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def history(self, mac: Mac) -> list[Entry]:
        """The inventories that differed, newest first."""
        return self._database.read(lambda tx: hardware_history.listed(tx, mac))

    def report(self, mac: Mac, number: int) -> str:
        """One of them as it was reported, JSON text.

        Raises:
            NotFoundError: it is not kept, or no longer.
        """
        found = self._database.read(lambda tx: hardware_history.report(tx, mac, number))
        if found is None:
            raise NotFoundError(f"no inventory {number} of {mac} is kept")
        return found

    def facts(self, mac: Mac) -> Facts:
        """What the last inventory says, sorted out."""
        return self._database.read(lambda tx: _stored(tx, mac)) or Facts()

    def tree(self, mac: Mac) -> object:
        """The lshw tree that is stored, or None."""
        text = self._database.read(lambda tx: machines.lshw(tx, mac))
        return _value(text)


def _stored(tx: Tx, mac: Mac) -> Facts | None:
    disks, lshw = machines.known_disks(tx, mac), machines.lshw(tx, mac)
    if disks is None and lshw is None:
        return None
    return hardware.facts_of(_value(disks), _value(lshw))


def _value(text: str | None) -> object:
    """A stored JSON text; None where others have written what is none."""
    try:
        return None if text is None else json.loads(text)
    except (ValueError, RecursionError):
        return None
