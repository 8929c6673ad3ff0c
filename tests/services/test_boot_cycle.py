"""Whatever a box, its operator and bad luck do in whatever order: no disk is lost."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bty_app.domain.boot import FirmwareExit, LiveEnv, LocalDisk, Purpose
from bty_app.domain.bounds import Rate
from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.image_source import ImageRef
from bty_app.domain.image_target import NO_CACHE
from bty_app.domain.inventory import parse_inventory
from bty_app.domain.mac import Mac
from bty_app.domain.machine import FLASH_MODES, Assignment, BootMode, Machine, Phase, Serial
from bty_app.errors import NotFoundError
from bty_app.services.aside import Aside
from bty_app.services.contacts import Contacts
from bty_app.services.current_images import CurrentImages, Origin
from bty_app.services.discovery import Bounds
from bty_app.services.last_answers import LastAnswers
from bty_app.services.late_events import LateEvents
from bty_app.services.machines import Machines
from bty_app.services.plans import Plans
from bty_app.services.reports import Reports
from bty_app.services.revisions import Revisions
from bty_app.services.settings import Settings
from bty_app.store import catalog, events, machines
from bty_app.store.creation import create
from bty_app.store.database import Database

MAC = Mac("52:54:00:00:00:01")
REF = ImageRef("a" * 64)
ENTRY = CatalogEntry(
    bty_image_ref=REF,
    src="http://images.test/debian.img.zst",
    resolved_src=None,
    disk_image_sha="b" * 64,
    name="debian.img.zst",
    sha_url=None,
    format="img.zst",
    size_bytes=1000,
    description=None,
    added_at="2026-01-01T00:00:00.000000+00:00",
    arch=None,
)
PLENTY = Rate(1e9, 1e9)
MOSTLY = st.sampled_from([True, True, True, False])


def _no_source(_entry: CatalogEntry, _seconds: float) -> Origin:
    raise AssertionError("nothing here rolls")


class BootCycle(RuleBasedStateMachine):
    """One box, its disk, its operator; the real services over a real database file."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "state.db"
        create(self.path, version="1", at="2026-01-01T00:00:00.000000+00:00")
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        # What is true of the world, whatever the server believes.
        self.disk_half_written = False
        self.vouched = False
        self.finished_once = False
        self.labels_given = 0
        self.start()

    def start(self) -> None:
        self.database = Database(self.path)
        revisions = Revisions()
        chosen = Settings(self.database, revisions)
        bounds = Bounds(discovery=PLENTY, contacts=PLENTY)
        aside = Aside(LastAnswers(), LateEvents(self.database, self.clock))
        self.contacts = Contacts(self.database, chosen, bounds, self.clock, aside=aside)
        images = CurrentImages(self.database, _no_source, lambda _entry: NO_CACHE)
        self.plans = Plans(self.database, chosen, bounds, images, self.clock, aside=aside)
        self.reports = Reports(self.database, chosen, bounds, self.clock)
        self.operator = Machines(self.database, self.clock)

    def clock(self) -> datetime:
        return self.now

    def teardown(self) -> None:
        assert self.database.read(events.broken_at) is None
        self.database.close()
        self.folder.cleanup()

    def record(self) -> Machine | None:
        return self.database.read(lambda tx: machines.get(tx, MAC))

    # -- the operator ----------------------------------------------------------------------

    @initialize(mode=st.sampled_from(sorted(FLASH_MODES)))
    def is_set_up(self, mode: BootMode) -> None:
        self.catalog_changes(present=True)
        self.save(mode, bound=True, serial=Serial("S1"))

    @rule(
        mode=st.sampled_from([*BootMode, *FLASH_MODES]),
        bound=MOSTLY,
        serial=st.sampled_from([Serial("S1"), Serial("S1"), Serial("S1"), None]),
    )
    def save(self, mode: BootMode, bound: bool, serial: Serial | None) -> None:
        wanted = Assignment(mode, REF if bound else None, serial)
        self.operator.save(MAC, wanted, ip=None)
        self.finished_once = False
        saved = self.record()
        assert saved is not None
        assert (saved.phase, saved.attempts, saved.ordered_at) == (Phase.IDLE, 0, None)
        if mode is BootMode.IPXE_EXIT:
            self.vouched = True

    @rule()
    def labels_change(self) -> None:
        """A label is no order: where the machine is in its cycle stays as it is."""
        before = self.record()
        if before is None:
            return
        kept = (before.boot_mode, before.image_ref, before.target_disk_serial)
        self.labels_given += 1
        wanted = Assignment(*kept, labels=(f"label {self.labels_given}",), labels_given=True)
        self.operator.save(MAC, wanted, ip=None)
        after = self.record()
        assert after is not None
        assert (after.phase, after.attempts) == (before.phase, before.attempts)

    @rule(present=MOSTLY)
    def catalog_changes(self, present: bool) -> None:
        def change(tx: object) -> None:
            catalog.delete(tx, REF)  # type: ignore[arg-type]
            if present:
                catalog.insert(tx, ENTRY)  # type: ignore[arg-type]

        self.database.write(change)

    @rule()
    def look(self) -> None:
        before = self.record()
        self.contacts.preview(MAC)
        self.plans.preview(MAC, base_url="http://h")
        assert self.record() == before

    # -- the box ---------------------------------------------------------------------------

    @rule()
    def contact(self) -> None:
        what = self.contacts.answer(MAC, ip="10.0.0.1")
        machine, offer = what.machine, what.decision.offer
        if isinstance(offer, LocalDisk | FirmwareExit):
            by_word = machine.boot_mode is BootMode.IPXE_EXIT or self.vouched
            assert by_word or not self.disk_half_written
        if offer == LiveEnv(Purpose.FLASH):
            self.check_flash(machine)
        self.check_repeat(what.decision.offer)

    def check_repeat(self, first: object) -> None:
        """Asked again at once: the same answer, and nothing but the time of contact moves."""
        before = self.record()
        assert self.contacts.answer(MAC, ip="10.0.0.1").decision.offer == first
        assert self.record() == before

    def check_flash(self, machine: Machine) -> None:
        assert machine.boot_mode in FLASH_MODES
        assert machine.image_ref == REF
        assert self.database.read(lambda tx: catalog.by_ref(tx, REF)) is not None
        assert machine.target_disk_serial == "S1"
        assert not self.finished_once

    @rule()
    def fetch(self) -> None:
        self.reports.fetched(MAC)

    @rule(off=st.sampled_from([0, 130, 1000]), seconds=st.sampled_from([1, 130]), writes=MOSTLY)
    def boots_what_it_is_offered(self, off: int, seconds: int, writes: bool) -> None:
        """From power-on to the plan, as a sound box does it."""
        self.time_passes(off)
        offer = self.contacts.preview(MAC).decision.offer
        self.contact()
        if isinstance(offer, LiveEnv):
            self.fetch()
            self.time_passes(seconds)
            self.inventory()
            self.plan(writes)

    @rule(writes=MOSTLY)
    def plan(self, writes: bool) -> None:
        """A live environment with a flash plan may have begun to write before it dies."""
        plan = self.plans.answer(MAC, ip="10.0.0.1", base_url="http://h")
        machine = self.record()
        assert machine is not None
        if plan["mode"] == "flash":
            self.check_flash(machine)
            if writes:
                self.disk_half_written = True
                self.vouched = False

    @rule()
    def inventory(self) -> None:
        self.say(lambda: self.reports.inventory(MAC, parse_inventory({}), ip=None))

    @precondition(lambda self: self.disk_half_written)
    @rule()
    def flash_completes(self) -> None:
        """The flasher under way has written everything and says so, twice as it does."""
        before = self.record()
        self.say(lambda: self.reports.done(MAC, ip=None))
        after = self.record()
        if before is None or after is None:
            return
        if after.phase is Phase.DONE and before.phase is not Phase.DONE:
            self.disk_half_written = False
            self.finished_once = after.boot_mode is BootMode.FLASH_ONCE
        elif not after.disk_suspect:
            self.disk_half_written = False  # a wizard's flash, outside a cycle
        told = self.database.read(lambda tx: len(list(events.every(tx))))
        self.say(lambda: self.reports.done(MAC, ip=None))
        if after.last_flashed_at is not None:
            assert self.database.read(lambda tx: len(list(events.every(tx)))) == told
        assert self.record() == after

    @rule()
    def flash_fails(self) -> None:
        before = self.record()
        self.say(lambda: self.reports.failed(MAC, "no such disk", ip=None))
        after = self.record()
        if before is not None and after is not None:
            assert after.disk_suspect or not before.disk_suspect
            if after.boot_mode is BootMode.TUI:  # a person's flash, which the server did not order
                self.disk_half_written, self.vouched = True, False

    def say(self, report: object) -> None:
        try:
            report()  # type: ignore[operator]
        except NotFoundError:
            assert self.record() is None

    # -- luck ------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1, 60, 119, 121, 400, 4000]))
    def time_passes(self, seconds: int) -> None:
        self.now += timedelta(seconds=seconds)

    @rule()
    def server_restarts(self) -> None:
        before = self.record()
        self.database.close()
        self.start()
        assert self.record() == before

    @invariant()
    def attempts_are_bounded(self) -> None:
        machine = self.record()
        assert machine is None or 0 <= machine.attempts <= 5


BootCycle.TestCase.settings = settings(
    max_examples=60,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestBootCycle = BootCycle.TestCase
