"""A live environment asks what to do."""

from __future__ import annotations

from bty_app.domain import machine_events
from bty_app.domain.boot import Ask, LiveEnv, Purpose
from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.mac import Mac
from bty_app.domain.moments import stamp
from bty_app.domain.offers import Target, plan
from bty_app.errors import ConflictError, StorageError
from bty_app.services.clock import Clock, utc_now
from bty_app.services.decisions import (
    Decided,
    Moment,
    decided,
    enter_next_phase,
    stored_or_unknown,
)
from bty_app.services.discovery import Bounds, seen
from bty_app.services.settings import Settings
from bty_app.store import events, machines
from bty_app.store.database import Database, Tx

Plan = dict[str, object]


class Plans:
    """Answers live environments, from the same decision as the scripts."""

    def __init__(
        self, database: Database, settings: Settings, bounds: Bounds, clock: Clock = utc_now
    ) -> None:
        self._database = database
        self._settings = settings
        self._bounds = bounds
        self._clock = clock

    def answer(self, mac: Mac, *, ip: str | None, base_url: str) -> Plan:
        """Record the contact, decide, and remember what was ordered: one transaction.

        Raises:
            ThrottledError: an unknown machine, and too many of them lately.
        """
        if not self._bounds.may_record(mac):
            return self.preview(mac, base_url=base_url)
        moment = Moment(self._clock(), self._settings.limits())
        at = stamp(moment.now)

        def change(tx: Tx) -> Plan:
            machine = seen(tx, self._bounds, mac, ip=ip, at=at)
            what = decided(tx, machine, Ask.PLAN, moment)
            body, offer_kind = _plan(what, base_url)
            enter_next_phase(tx, what, at=at)
            if what.decision.offer == LiveEnv(Purpose.FLASH):
                machines.order_flash(tx, mac, at=at)
            events.record(tx, machine_events.planned(machine, body, offer_kind, ip), at=at)
            return body

        try:
            return self._database.write(change)
        except (StorageError, ConflictError):
            return self._read(mac, Moment(moment.now, moment.limits, storable=False), base_url)

    def preview(self, mac: Mac, *, base_url: str) -> Plan:
        """The plan as it would be given, changing nothing at all."""
        return self._read(mac, Moment(self._clock(), self._settings.limits()), base_url)

    def _read(self, mac: Mac, moment: Moment, base_url: str) -> Plan:
        def query(tx: Tx) -> Plan:
            machine = stored_or_unknown(tx, mac, at=stamp(moment.now))
            body, _kind = _plan(decided(tx, machine, Ask.PLAN, moment), base_url)
            return body

        return self._database.read(query)


def _plan(what: Decided, base_url: str) -> tuple[Plan, str]:
    target = _target(what.entry) if what.entry else None
    return plan(what.machine, what.decision, target, base_url=base_url)


def _target(entry: CatalogEntry) -> Target:
    """Where the client gets the image: a registry reference as it stands, else a URL."""
    is_registry = entry.src.lower().startswith("oras://")
    return Target(
        ref=entry.bty_image_ref,
        name=entry.name,
        url=entry.src if is_registry else (entry.resolved_src or entry.src),
        sha256=entry.disk_image_sha,
        format=entry.format,
    )
