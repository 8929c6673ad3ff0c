"""Acts on many machines: shown, confirmed, done once, undone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bty_app.domain.bulk_act import Act, Kind, parse_act
from bty_app.domain.disk_policy import Policy
from bty_app.domain.events import Query
from bty_app.domain.flash_options import OwnOptions
from bty_app.domain.mac import Mac
from bty_app.domain.machine import Assignment, BootMode, Machine, Serial
from bty_app.errors import ConflictError, UnavailableError, ValidationError
from bty_app.services.bulk import SLICE, Bulk
from bty_app.services.bulk_plan import Selection
from bty_app.services.bulk_work import Sender
from bty_app.store import machines
from bty_app.store.database import Tx
from bty_app.store.machine_pages import Page
from tests.web.site import AT, DISKS, REF, Site, mac, site

EVENTS = Query(limit=500)
ALL = Selection(page=Page())
FLASH = Act(Kind.SET, boot_mode=BootMode.FLASH_ONCE, image_ref=REF, target=Policy.ONLY)
LABEL = Act(Kind.ADD_LABELS, labels=("gpu",))


def disks(number: int) -> list[dict[str, object]]:
    return [{**DISKS[0], "serial": f"S{number}"}, {**DISKS[1]}]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path / "state") as made:
        made.add_image()
        yield made


def rack(house: Site, count: int) -> None:
    for number in range(count):
        house.add_machine(mac(number), disks=disks(number))


def do(bulk: Bulk, selection: Selection, act: Act, act_id: str = "act-00001") -> str:
    shown = bulk.preview(selection, act)
    bulk.confirm(act_id, selection, act, shown.digest, ip="192.0.2.1")
    return shown.digest


def run_jobs(house: Site) -> None:
    while any(job.is_active for job in house.services.jobs.listed()):
        work = house.services.jobs.next()
        assert work is not None
        work()


def record(house: Site, number: int) -> dict[str, object]:
    def query(tx: Tx) -> dict[str, object]:
        machine = machines.get(tx, mac(number))
        assert machine is not None
        return {
            "machine": machine,
            "labels": machines.labels(tx, mac(number)),
            "disks": machines.known_disks(tx, mac(number)),
        }

    return house.database.read(query)


def without_time(found: dict[str, object]) -> str:
    return str(found).split("updated_at")[0] + str(found).split("phase=")[1]


def test_the_preview_names_the_disk_that_will_be_erased_and_arms_nothing(house: Site) -> None:
    rack(house, 2)
    before = record(house, 0)

    shown = house.services.bulk.preview(ALL, FLASH)

    assert (shown.will, shown.erases, shown.cannots) == (2, 2, 0)
    assert "S64" not in shown.shown[0].step.words
    assert "serial S0" in shown.shown[0].step.words
    assert "erases the 476.9 GiB Samsung SSD 980 (nvme)" in shown.shown[0].step.words
    assert record(house, 0) == before


def test_it_says_what_the_disk_holds_by_the_last_inventory(house: Site) -> None:
    volume = {
        "class": "volume",
        "logicalname": "/dev/nvme0n1p1",
        "configuration": {"filesystem": "ext4"},
    }
    tree = {
        "class": "system",
        "children": [{"class": "disk", "serial": "S0", "children": [volume]}],
    }
    rack(house, 1)
    house.database.write(
        lambda tx: machines.set_inventory(
            tx, mac(0), disks=json.dumps(disks(0)), lshw=json.dumps(tree), at=AT
        )
    )

    assert house.services.bulk.preview(ALL, FLASH).shown[0].holds == ("/dev/nvme0n1p1 ext4",)


def test_the_confirmation_arms_by_serial_with_a_row_for_each_and_one_for_the_act(
    house: Site,
) -> None:
    rack(house, 3)

    do(house.services.bulk, ALL, FLASH)

    for number in range(3):
        machine = record(house, number)["machine"]
        assert (machine.target_disk_serial, machine.image_ref) == (f"S{number}", REF)  # type: ignore[attr-defined]
    kinds = [event.kind for event in house.services.audit.listed(EVENTS)]
    assert kinds.count("machine.bulk") == 3
    assert kinds.count("machines.bulk.begun") == 1


def test_a_fleet_that_has_changed_meanwhile_is_told_and_nothing_is_done(house: Site) -> None:
    rack(house, 2)
    digest = house.services.bulk.preview(ALL, FLASH).digest
    house.services.machines.save(mac(1), Assignment(labels=("new",), labels_given=True), ip=None)
    before = record(house, 0)

    with pytest.raises(ConflictError, match="look again"):
        house.services.bulk.confirm("act-00001", ALL, FLASH, digest, ip=None)

    assert record(house, 0) == before


def test_a_contact_meanwhile_is_no_change(house: Site) -> None:
    rack(house, 1)
    digest = house.services.bulk.preview(ALL, LABEL).digest
    house.database.write(lambda tx: machines.seen(tx, mac(0), at=AT.replace("19:", "20:"), ip=None))

    assert house.services.bulk.confirm("act-00001", ALL, LABEL, digest, ip=None).counts == {
        "done": 1
    }


def test_a_confirmation_that_is_repeated_does_nothing_twice(house: Site) -> None:
    rack(house, 2)
    bulk = house.services.bulk
    digest = do(bulk, ALL, FLASH)
    before, events = record(house, 0), len(house.services.audit.listed(EVENTS))
    house.hands.forward(minutes=1)

    again = bulk.confirm("act-00001", ALL, FLASH, digest, ip=None)

    assert again.counts == {"done": 2}
    assert record(house, 0) == before
    assert len(house.services.audit.listed(EVENTS)) == events
    with pytest.raises(ValidationError, match="another act"):
        bulk.confirm("act-00001", ALL, LABEL, bulk.preview(ALL, LABEL).digest, ip=None)


def test_many_machines_are_a_job_that_can_be_cancelled_and_gone_on_with(house: Site) -> None:
    rack(house, SLICE + 50)
    bulk = house.services.bulk

    do(bulk, ALL, LABEL)
    assert bulk.progress("act-00001").counts == {"pending": SLICE + 50}
    run_jobs(house)
    assert bulk.progress("act-00001").counts == {"done": SLICE + 50}

    do(bulk, ALL, Act(Kind.ADD_LABELS, labels=("two",)), "act-00002")
    bulk.cancel("act-00002")
    run_jobs(house)
    found = bulk.progress("act-00002")
    assert found.stored.state == "cancelled"
    assert found.counts == {"pending": SLICE + 50}


def test_a_machine_that_changes_while_the_job_runs_is_left_alone(house: Site) -> None:
    rack(house, SLICE + 1)
    bulk = house.services.bulk
    do(bulk, ALL, FLASH)
    house.services.machines.save(mac(7), Assignment(labels=("mine",), labels_given=True), ip=None)
    house.services.machines.forget(mac(8), ip=None)

    run_jobs(house)

    found = bulk.progress("act-00001")
    assert found.counts == {"done": SLICE - 1, "changed": 2}
    assert [item.mac for item in found.changed] == [mac(7), mac(8)]
    assert record(house, 7)["labels"] == ["mine"]


def test_undo_brings_back_all_but_what_has_changed_since(house: Site) -> None:
    rack(house, 3)
    bulk = house.services.bulk
    before = without_time(record(house, 0))
    do(bulk, ALL, FLASH)
    house.hands.forward(minutes=29)
    house.services.reports.fetched(mac(2))

    found = bulk.undo("act-00001", ip=None)

    assert found.counts == {"undone": 2, "kept": 1}
    assert [item.mac for item in found.kept] == [mac(2)]
    assert without_time(record(house, 0)) == before
    assert record(house, 2)["machine"].boot_mode is BootMode.FLASH_ONCE  # type: ignore[attr-defined]
    assert bulk.undo("act-00001", ip=None).counts == found.counts


def test_undo_brings_back_the_whole_record_of_a_forgotten_machine(house: Site) -> None:
    rack(house, 2)
    before = record(house, 1)
    do(house.services.bulk, ALL, Act(Kind.FORGET))
    assert house.services.machines.count(Page()) == 0

    house.services.bulk.undo("act-00001", ip=None)

    assert record(house, 1) == before


def test_undo_ends_after_its_time(house: Site) -> None:
    rack(house, 1)
    do(house.services.bulk, ALL, LABEL)
    house.hands.forward(minutes=31)

    with pytest.raises(ConflictError, match="cannot be undone"):
        house.services.bulk.undo("act-00001", ip=None)


def test_what_cannot_be_done_is_said_with_its_reason(house: Site) -> None:
    rack(house, 1)
    house.services.settings.change({"flash.never_labels": "prod"}, ip=None)
    two = [dict(DISKS[0]) | {"serial": "A"}, dict(DISKS[0]) | {"serial": "B"}]
    house.add_machine(mac(1), disks=two)
    house.database.write(lambda tx: machines.seen(tx, mac(2), at=AT, ip=None))
    house.add_machine(mac(3), disks=disks(3))
    house.database.write(lambda tx: machines.set_labels(tx, mac(3), ["prod"], at=AT))
    house.add_machine(mac(4), Assignment(BootMode.FLASH_ONCE, REF, Serial("S4")), disks=disks(4))
    house.services.reports.fetched(mac(4))

    shown = house.services.bulk.preview(ALL, FLASH)

    said = {found[0]: why for why, found in shown.cannot.items()}
    assert shown.will == 1
    assert "2 disks" in said[mac(1)]
    assert "no inventory" in said[mac(2)]
    assert "prod" in said[mac(3)]
    assert "being flashed now" in said.get(mac(4), "") or shown.same == 1


def test_wake_is_sent_once_to_each_and_a_failure_is_told(house: Site) -> None:
    rack(house, 3)
    sent: list[Mac] = []

    def wake(to: Mac) -> None:
        if to == mac(1):
            raise UnavailableError("no network")
        sent.append(to)

    services = house.services
    bulk = Bulk(house.database, services.settings, services.jobs, Sender(wake), house.hands)

    do(bulk, ALL, Act(Kind.WAKE))

    found = bulk.progress("act-00001")
    assert sent == [mac(0), mac(2)]
    assert found.counts == {"done": 2, "failed": 1}
    assert not found.can_undo


def test_an_order_of_an_act_can_expire(house: Site) -> None:
    rack(house, 1)
    fields = FLASH.as_fields() | {"expires_hours": 2}
    do(house.services.bulk, ALL, parse_act(fields))

    assert type(house.services.contacts.preview(mac(0)).decision.offer).__name__ == "LiveEnv"
    house.hands.forward(hours=2)
    decided = house.services.contacts.answer(mac(0), ip=None)

    assert decided.decision.reason.value == "order-expired"
    kinds = [event.kind for event in house.services.audit.listed(EVENTS)]
    assert kinds.count("machine.flash.held_back") == 1


def test_a_preview_says_what_is_wiped_and_an_undo_takes_it_back(house: Site) -> None:
    rack(house, 2)
    bulk = house.services.bulk
    do(bulk, ALL, FLASH)
    run_jobs(house)
    house.services.settings.change({"flash.wipe": "auto"}, ip=None)
    again = bulk.preview(ALL, Act(Kind.FLASH_AGAIN))
    wiping = parse_act(
        {
            "act": "set",
            "flash_wipe": "secure",
            "flash_verify": "yes",
            "flash_done": "booted",
        }
    )
    shown = bulk.preview(ALL, wiping)
    do(bulk, ALL, wiping, "act-00002")
    run_jobs(house)
    done = record(house, 0)["machine"]
    site_again = bulk.preview(ALL, parse_act({"act": "set", "flash_wipe": "site"}))
    bulk.undo("act-00002", ip=None)
    run_jobs(house)
    undone = record(house, 0)["machine"]

    assert again.shown[0].step.words.endswith("; the disk is wiped before (auto)")
    assert shown.shown[0].step.words.endswith("wiped before (secure) and read back after")
    assert site_again.shown[0].step.words.endswith("wiped before (auto) and read back after")
    assert isinstance(done, Machine)
    assert isinstance(undone, Machine)
    assert done.own == OwnOptions("secure", "yes", "booted")
    assert undone.own == OwnOptions()
    with pytest.raises(ValidationError, match="flash_wipe"):
        parse_act({"act": "set", "flash_wipe": "burn"})


def test_a_new_setting_makes_what_was_shown_stale(house: Site) -> None:
    """Nobody confirms a flash that wipes on the word of a preview that did not say so."""
    rack(house, 1)
    shown = house.services.bulk.preview(ALL, FLASH)
    house.services.settings.change({"flash.wipe": "secure"}, ip=None)

    with pytest.raises(ConflictError):
        house.services.bulk.confirm("act-00003", ALL, FLASH, shown.digest, ip=None)
