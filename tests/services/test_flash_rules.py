"""The rules that bound flashes, from the contact to the fetch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from bty_app.domain.boot import LiveEnv, LocalDisk, Purpose, Reason, Wait
from bty_app.domain.bulk_act import Act, Kind
from bty_app.domain.events import Query
from bty_app.domain.inventory import parse_inventory
from bty_app.domain.machine import Assignment, BootMode, Serial
from bty_app.services.bulk_plan import Selection
from bty_app.services.decisions import Decided
from tests.web.site import DISKS, REF, Site, mac, site

ONCE = Assignment(BootMode.FLASH_ONCE, REF, Serial("S64ENX0T123456"))
ALWAYS = Assignment(BootMode.FLASH_ALWAYS, REF, Serial("S64ENX0T123456"))
FLASH = LiveEnv(Purpose.FLASH)


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path / "state") as made:
        made.add_image()
        yield made


def set_rules(house: Site, **rules: str) -> None:
    house.services.settings.change({f"flash.{key}": text for key, text in rules.items()}, ip=None)


def rack(house: Site, count: int, wanted: Assignment = ONCE) -> None:
    for number in range(count):
        house.add_machine(mac(number), disks=DISKS)
        house.services.machines.save(mac(number), wanted, ip=None)


def ask(house: Site, number: int) -> Decided:
    return house.services.contacts.answer(mac(number), ip=None)


def flash(house: Site, number: int) -> None:
    assert ask(house, number).decision.offer == FLASH
    house.services.reports.fetched(mac(number))
    plan = house.services.plans.answer(mac(number), ip=None, base_url="http://h")
    assert plan["mode"] == "flash"
    house.services.reports.done(mac(number), ip=None)


def test_a_rack_that_comes_back_together_is_flashed_so_many_an_hour(house: Site) -> None:
    set_rules(house, per_hour="3")
    rack(house, 10)

    first = [ask(house, number).decision for number in range(10)]

    assert [decision.offer == FLASH for decision in first] == [True] * 3 + [False] * 7
    assert first[3].reason is Reason.HOURLY_LIMIT
    assert isinstance(first[3].offer, Wait)
    assert first[3].hold is not None
    assert first[3].hold.until == "2026-11-22T21:00:00+00:00"
    house.hands.forward(minutes=61)
    later = [ask(house, number).decision.offer == FLASH for number in range(3, 10)]
    assert later == [True] * 3 + [False] * 4


def test_one_attempt_counts_once_however_often_it_asks(house: Site) -> None:
    set_rules(house, per_hour="1")
    rack(house, 2)

    for _again in range(3):
        assert ask(house, 0).decision.offer == FLASH
    flash(house, 0)

    assert ask(house, 1).decision.reason is Reason.HOURLY_LIMIT


def test_a_fetch_and_a_plan_without_a_contact_begin_nothing_beyond_the_bound(house: Site) -> None:
    set_rules(house, per_hour="1")
    rack(house, 2)
    ask(house, 0)

    house.services.reports.fetched(mac(1))
    plan = house.services.plans.answer(mac(1), ip=None, base_url="http://h")

    assert house.services.machines.get(mac(1)).machine.phase.value == "idle"
    assert plan["mode"] == "interactive"
    assert plan["retry_after"]


def test_what_has_begun_goes_on(house: Site) -> None:
    rack(house, 1)
    ask(house, 0)
    house.services.reports.fetched(mac(0))
    set_rules(house, hours="02:00-03:00", per_hour="1", order_expires_hours="1")
    house.hands.forward(hours=5)

    plan = house.services.plans.answer(mac(0), ip=None, base_url="http://h")

    assert plan["mode"] == "flash"


def test_outside_its_hours_a_machine_waits_and_begins_when_they_do(house: Site) -> None:
    set_rules(house, hours="22:00-06:00", zone="Europe/Berlin")  # 21:00 UTC in winter
    rack(house, 1)

    held = ask(house, 0).decision

    assert held.reason is Reason.OUT_OF_HOURS
    assert held.hold is not None
    assert held.hold.until == "2026-11-22T21:00:00+00:00"
    house.hands.forward(hours=1)
    assert ask(house, 0).decision.offer == FLASH


def test_a_machine_with_a_proven_disk_boots_it_while_a_rule_holds(house: Site) -> None:
    rack(house, 1, ALWAYS)
    flash(house, 0)
    ask(house, 0)  # released to its disk
    set_rules(house, hours="02:00-03:00")
    house.hands.forward(minutes=10)

    held = ask(house, 0).decision

    assert isinstance(held.offer, LocalDisk)
    assert held.reason is Reason.OUT_OF_HOURS
    assert house.services.machines.get(mac(0)).machine.phase.value == "released"


def test_a_label_forbids_even_the_plan_of_what_has_begun(house: Site) -> None:
    rack(house, 1)
    ask(house, 0)
    house.services.reports.fetched(mac(0))
    set_rules(house, never_labels="prod, db")
    house.services.machines.save(
        mac(0),
        Assignment(ONCE.boot_mode, ONCE.image_ref, ONCE.target_disk_serial, None, ("db",), True),
        ip=None,
    )

    plan = house.services.plans.answer(mac(0), ip=None, base_url="http://h")

    assert plan["mode"] == "exit"
    assert ask(house, 0).decision.reason is Reason.PROTECTED_LABEL


def test_a_half_written_disk_is_not_booted_because_of_a_rule(house: Site) -> None:
    rack(house, 1)
    ask(house, 0)
    house.services.reports.fetched(mac(0))
    house.services.plans.answer(mac(0), ip=None, base_url="http://h")
    house.services.reports.failed(mac(0), "broken", ip=None)
    set_rules(house, never_labels="db")
    house.database.write(
        lambda tx: tx.run("INSERT INTO machine_labels (mac, label) VALUES (?, 'db')", mac(0))
    )
    house.hands.forward(hours=1)

    held = ask(house, 0).decision

    assert isinstance(held.offer, Wait)
    assert held.reason is Reason.PROTECTED_LABEL


def test_a_forgotten_order_expires_and_says_so_once(house: Site) -> None:
    set_rules(house, order_expires_hours="24")
    rack(house, 2, ALWAYS)
    flash(house, 1)
    ask(house, 1)
    house.hands.forward(hours=25)

    for _again in range(2):
        assert ask(house, 0).decision.reason is Reason.ORDER_EXPIRED
    assert isinstance(ask(house, 1).decision.offer, LocalDisk)

    listed = house.services.audit.listed(Query(kind="machine.flash.held_back"))
    assert len([row for row in listed if row.subject_id == mac(0)]) == 1
    house.services.machines.save(mac(0), ALWAYS, ip=None)
    assert ask(house, 0).decision.offer == FLASH


def test_the_list_and_the_page_say_which_rule_and_until_when(house: Site) -> None:
    set_rules(house, hours="22:00-06:00")
    rack(house, 1)
    ask(house, 0)
    visit = house.visit()

    assert "held back: not in these hours" in visit.get("/ui/machines").text
    page = visit.get(f"/ui/machines/{mac(0)}").text
    assert "between 22:00 and 06:00 only" in page
    assert "from 2026-11-22 22:00 UTC on" in page


def test_never_more_begin_within_an_hour_than_the_bound(house: Site) -> None:
    """Twelve boxes that ask, fetch, fail and finish at all kinds of moments."""
    bound = 4
    set_rules(house, per_hour=str(bound))
    rack(house, 12, ALWAYS)
    began: list[datetime] = []
    for step, number in zip(range(240), itertools.cycle(range(12)), strict=False):
        before = house.services.machines.get(mac(number)).machine
        ask(house, number)
        house.services.reports.fetched(mac(number))
        after = house.services.machines.get(mac(number)).machine
        if after.phase_at != before.phase_at and after.phase.value == "booted":
            began.append(house.hands.now)
            if step % 3 == 0:
                house.services.reports.failed(mac(number), "broken", ip=None)
            elif step % 3 == 1:
                house.services.reports.done(mac(number), ip=None)
        house.hands.forward(seconds=97 + step % 7 * 41)

    assert len(began) > 3 * bound
    for moment in began:
        within = [other for other in began if moment <= other < moment + timedelta(hours=1)]
        assert len(within) <= bound


@pytest.mark.parametrize("known_by", ["its inventory", "proxy DHCP"])
def test_an_image_for_another_architecture_is_not_flashed_until_another_one_is_chosen(
    house: Site, known_by: str
) -> None:
    rack(house, 1)
    ask(house, 0)
    house.services.reports.fetched(mac(0))
    say_arm64(house, known_by)
    declare(house, "x86_64")

    decision = ask(house, 0).decision
    plan = house.services.plans.answer(mac(0), ip=None, base_url="http://h")

    assert (decision.reason, plan["mode"]) == (Reason.WRONG_ARCHITECTURE, "exit")
    assert isinstance(decision.offer, LocalDisk)
    assert decision.hold is not None
    assert "it is for x86_64, this machine is arm64: choose another image" in decision.hold.words
    assert house.services.machines.architecture(mac(0)) == "arm64"
    told = house.services.audit.listed(Query(kind="machine.flash.held_back"))
    assert [event.subject_id for event in told] == [mac(0)]
    declare(house, "arm64")
    assert house.services.plans.answer(mac(0), ip=None, base_url="http://h")["mode"] == "flash"


def test_an_act_on_many_says_which_machine_the_image_is_not_for(house: Site) -> None:
    rack(house, 2)
    say_arm64(house, "its inventory")  # of the first one
    declare(house, "x86_64")
    again = Act(Kind.FLASH_AGAIN)
    both = Selection(macs=(mac(0), mac(1)))

    shown = house.services.bulk.preview(both, again)

    assert [line.mac for line in shown.shown] == [mac(1)]
    [(why, held)] = shown.cannot.items()
    assert held == [mac(0)]
    assert why.endswith("it is for x86_64, this machine is arm64")
    labelled = house.services.bulk.preview(both, Act(Kind.ADD_LABELS, labels=("a",)))
    assert labelled.will == 2, "what flashes nothing can be done to both"


def test_what_is_not_known_holds_nothing_back(house: Site) -> None:
    rack(house, 1)
    declare(house, "arm64")

    assert ask(house, 0).decision.offer == FLASH
    say_arm64(house, "its inventory")
    declare(house, None)
    assert ask(house, 0).decision.offer == FLASH


def say_arm64(house: Site, known_by: str) -> None:
    if known_by == "proxy DHCP":
        at = house.hands()
        house.services.stages.seen(mac(0), "192.0.2.9", "dhcp.offered", at, {"architecture": 11})
        house.services.stages.flush()
        return
    cpu = {"class": "processor", "capabilities": {"asimd": True}}
    lshw = {"class": "system", "children": [cpu]}
    found = parse_inventory({"disks": DISKS, "lshw": lshw})
    house.services.reports.inventory(mac(0), found, ip=None)


def declare(house: Site, arch: str | None) -> None:
    house.database.write(lambda tx: tx.run("UPDATE catalog_entries SET arch = ?", arch))
