"""A live environment asks what to do."""

from __future__ import annotations

from dataclasses import replace

from bty_app.domain import machine_events
from bty_app.domain.boot import Ask, LiveEnv, Purpose
from bty_app.domain.boot_stages import Stage
from bty_app.domain.events import Event
from bty_app.domain.image_target import Target, target
from bty_app.domain.mac import Mac
from bty_app.domain.moments import stamp
from bty_app.domain.offers import plan
from bty_app.errors import ConflictError, StorageError
from bty_app.services.aside import Aside
from bty_app.services.clock import Clock, utc_now
from bty_app.services.current_images import CurrentImages
from bty_app.services.decisions import (
    Decided,
    Moment,
    decided,
    enter_next_phase,
    remember_rules,
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
        self,
        database: Database,
        settings: Settings,
        bounds: Bounds,
        images: CurrentImages,
        clock: Clock = utc_now,
        *,
        aside: Aside,
    ) -> None:
        self._database = database
        self._settings = settings
        self._bounds = bounds
        self._images = images
        self._clock = clock
        self._aside = aside

    def answer(self, mac: Mac, *, ip: str | None, base_url: str) -> Plan:
        """Record the contact, decide, and remember what was ordered: one transaction.

        Raises:
            ThrottledError: an unknown machine, and too many of them lately.
        """
        if not self._bounds.may_record(mac):
            return self.preview(mac, base_url=base_url)
        found = self._target(mac)  # asks other hosts, so before the transaction
        moment = Moment(self._clock(), self._settings.limits(), rules=self._settings.rules())
        at = stamp(moment.now)
        options = self._settings.flash_options()

        def change(tx: Tx) -> Plan:
            machine = seen(tx, self._bounds, mac, ip=ip, at=at)
            what = decided(tx, machine, Ask.PLAN, moment)
            image = _image(what, found)
            body, offer_kind = plan(
                machine, what.decision, image, base_url=base_url, options=options
            )
            enter_next_phase(tx, what, at=at)
            remember_rules(tx, what, moment)
            flashes = what.decision.offer == LiveEnv(Purpose.FLASH)
            if flashes:
                machines.order_flash(tx, mac, at=at)
            cached = image.cached if image and flashes else None
            event = machine_events.planned(machine, body, offer_kind, ip, cached=cached)
            events.record(tx, event, at=at)
            return body

        try:
            body = self._database.write(change)
        except (StorageError, ConflictError) as error:
            unstorable = replace(moment, storable=False)
            body, event = self._read(mac, unstorable, base_url, found, ip=ip)
            self._aside.late.keep(event, at=at, why=error.message)
        self._aside.last.forget(mac)  # a live environment runs there: it may write the disk
        self._aside.note(Stage.PLAN, mac, ip, plan=body["mode"], image=body.get("name"))
        return body

    def preview(self, mac: Mac, *, base_url: str) -> Plan:
        """The plan as it would be given, of what is stored: changes nothing, asks nobody."""
        return self._read(
            mac,
            Moment(self._clock(), self._settings.limits(), rules=self._settings.rules()),
            base_url,
            None,
        )[0]

    def _target(self, mac: Mac) -> Target | None:
        """The image as it is now, where the machine is about to be told to flash it."""
        moment = Moment(self._clock(), self._settings.limits(), rules=self._settings.rules())

        def query(tx: Tx) -> Decided | None:
            machine = machines.get(tx, mac)
            return decided(tx, machine, Ask.PLAN, moment) if machine else None

        what = self._database.read(query)
        if what is None or what.entry is None or what.decision.offer != LiveEnv(Purpose.FLASH):
            return None
        return self._images.target(what.entry)

    def _read(
        self,
        mac: Mac,
        moment: Moment,
        base_url: str,
        found: Target | None,
        *,
        ip: str | None = None,
    ) -> tuple[Plan, Event]:
        """The plan of what is stored, and the event that tells of it."""
        options = self._settings.flash_options()

        def query(tx: Tx) -> tuple[Plan, Event]:
            machine = stored_or_unknown(tx, mac, at=stamp(moment.now))
            what = decided(tx, machine, Ask.PLAN, moment)
            image = _image(what, found)
            body, kind = plan(machine, what.decision, image, base_url=base_url, options=options)
            return body, machine_events.planned(machine, body, kind, ip)

        return self._database.read(query)


def _image(what: Decided, found: Target | None) -> Target | None:
    """The image of the decision: `found`, unless the machine was bound to another meanwhile."""
    if what.entry is None:
        return None
    if found is not None and found.ref == what.entry.bty_image_ref:
        return found
    return target(what.entry)
