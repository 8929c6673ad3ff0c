"""Acts, their undoing and all that happens meanwhile, in any order."""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bty_app.domain.bulk import fingerprint
from bty_app.domain.bulk_act import Act, Kind
from bty_app.domain.disk_policy import Policy
from bty_app.domain.mac import Mac
from bty_app.domain.machine import FLASH_MODES, Assignment, BootMode
from bty_app.errors import ConflictError, ValidationError
from bty_app.services.bulk_plan import Selection
from bty_app.store import machines
from bty_app.store.database import Tx
from tests.web.site import DISKS, REF, site

MACS = tuple(Mac(f"52:54:00:00:00:{number:02x}") for number in range(4))
ACTS = (
    Act(Kind.SET, boot_mode=BootMode.FLASH_ONCE, image_ref=REF, target=Policy.ONLY),
    Act(Kind.SET, boot_mode=BootMode.IPXE_EXIT),
    Act(Kind.ADD_LABELS, labels=("a",)),
    Act(Kind.REMOVE_LABELS, labels=("a",)),
    Act(Kind.FLASH_AGAIN),
    Act(Kind.FORGET),
)
some = st.lists(st.sampled_from(MACS), min_size=1, unique=True).map(tuple)


class Fleet(RuleBasedStateMachine):
    """Every act does to each machine what was shown, once; every undoing brings back what was,
    or touches nothing.
    """

    def __init__(self) -> None:
        super().__init__()
        self._open = ExitStack()
        place = Path(self._open.enter_context(tempfile.TemporaryDirectory()))
        self.house = self._open.enter_context(site(place / "state"))
        self.number = 0
        # The acts: for each machine what was before and after.
        self.done: dict[str, dict[Mac, tuple[str, str]]] = {}

    @initialize()
    def fill(self) -> None:
        self.house.add_image()
        for number, mac in enumerate(MACS):
            self.house.add_machine(mac, disks=[{**DISKS[0], "serial": f"S{number}"}])

    def teardown(self) -> None:
        self._open.close()

    def now(self) -> dict[Mac, str]:
        def query(tx: Tx) -> dict[Mac, str]:
            found = {}
            for mac in MACS:
                machine = machines.get(tx, mac)
                labels = tuple(machines.labels(tx, mac))
                found[mac] = fingerprint(machine, labels) if machine else "gone"
            return found

        return self.house.database.read(query)

    @rule(macs=some, act=st.sampled_from(ACTS), repeats=st.integers(1, 2))
    def act(self, macs: tuple[Mac, ...], act: Act, repeats: int) -> None:
        self.house.hands.forward(seconds=7)
        bulk, selection = self.house.services.bulk, Selection(macs=macs)
        before = self.now()
        shown = bulk.preview(selection, act)
        assert self.now() == before
        self.number += 1
        act_id = f"act-{self.number:05}"
        if not shown.will:
            try:
                bulk.confirm(act_id, selection, act, shown.digest, ip=None)
            except ValidationError:
                assert self.now() == before
                return
            raise AssertionError("there was nothing to do")
        for _again in range(repeats):
            found = bulk.confirm(act_id, selection, act, shown.digest, ip=None)
            assert found.counts == {"done": shown.will}
        touched = {line.mac for line in shown.shown}
        after = self.now()
        assert all(after[mac] == before[mac] for mac in MACS if mac not in touched)
        assert all(after[mac] != before[mac] for mac in touched)
        self.done[act_id] = {mac: (before[mac], after[mac]) for mac in touched}

    @rule(mac=st.sampled_from(MACS))
    def somebody_saves(self, mac: Mac) -> None:
        self.house.hands.forward(seconds=3)
        self.house.services.machines.save(
            mac, Assignment(labels=("b",), labels_given=True), ip=None
        )

    @rule(mac=st.sampled_from(MACS))
    def a_box_boots(self, mac: Mac) -> None:
        self.house.hands.forward(seconds=130)
        self.house.services.contacts.answer(mac, ip=None)
        self.house.services.reports.fetched(mac)

    @rule(mac=st.sampled_from(MACS))
    def a_stale_confirmation_does_nothing(self, mac: Mac) -> None:
        bulk, selection = self.house.services.bulk, Selection(macs=MACS)
        act = Act(Kind.ADD_LABELS, labels=("c",))
        digest = bulk.preview(selection, act).digest
        self.somebody_saves(mac)
        self.house.services.machines.save(
            mac, Assignment(labels=(f"d{self.number}",), labels_given=True), ip=None
        )
        before = self.now()
        self.number += 1
        try:
            bulk.confirm(f"act-{self.number:05}", selection, act, digest, ip=None)
        except ConflictError:
            assert self.now() == before
            return
        raise AssertionError("it was done all the same")

    @precondition(lambda self: self.done)
    @rule(data=st.data())
    def undo(self, data: st.DataObject) -> None:
        act_id = data.draw(st.sampled_from(sorted(self.done)))
        before, bulk = self.now(), self.house.services.bulk
        try:
            bulk.undo(act_id, ip=None)
        except ConflictError:  # too long ago
            assert self.now() == before
            return
        after = self.now()
        for mac in MACS:
            was, made = self.done[act_id].get(mac, ("", ""))
            assert after[mac] == (was if before[mac] == made else before[mac])
        del self.done[act_id]

    @invariant()
    def an_armed_machine_has_an_image_and_a_disk(self) -> None:
        for shown in self.house.services.machines.every():
            if shown.machine.boot_mode in FLASH_MODES:
                assert shown.machine.image_ref == REF
                assert shown.machine.target_disk_serial is not None


TestFleet = Fleet.TestCase
TestFleet.settings = settings(
    max_examples=25,
    stateful_step_count=20,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
