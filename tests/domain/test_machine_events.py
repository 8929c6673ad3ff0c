"""What is written down of a machine: sentences that a person can act on."""

from __future__ import annotations

import pytest

from bty_app.domain import machine_events as told
from bty_app.domain.boot import Ask, decide
from bty_app.domain.events import Actor, Event, Kind
from bty_app.domain.inventory import parse_inventory
from bty_app.domain.mac import Mac
from bty_app.domain.machine import Assignment, BootMode
from tests.domain.test_boot import EVERY, LIMITS
from tests.domain.test_offers import machine

MAC = Mac("52:54:00:12:34:56")
IP = "192.0.2.7"
ONCE = machine(BootMode.FLASH_ONCE, attempts=5)

EVENTS: list[tuple[Event, Kind, Actor]] = [
    (told.discovered(MAC, IP), Kind.MACHINE_DISCOVERED, Actor.PXE_CLIENT),
    (told.saved(MAC, Assignment(), created=True, ip=IP), Kind.MACHINE_CREATED, Actor.OPERATOR),
    (told.saved(MAC, Assignment(), created=False, ip=IP), Kind.MACHINE_UPSERTED, Actor.OPERATOR),
    (told.deleted(MAC, IP), Kind.MACHINE_DELETED, Actor.OPERATOR),
    (told.planned(ONCE, {"mode": "exit"}, "k", IP), Kind.PXE_PLAN, Actor.PXE_CLIENT),
    (told.armed(MAC), Kind.FLASHER_ARMED, Actor.PXE_CLIENT),
    (told.inventory(MAC, parse_inventory({}), IP), Kind.MACHINE_INVENTORY, Actor.PXE_CLIENT),
    (told.flashed(MAC, IP), Kind.MACHINE_FLASHED, Actor.PXE_CLIENT),
    (told.stale(MAC, IP), Kind.MACHINE_REPORT_STALE, Actor.PXE_CLIENT),
    (told.flash_failed(MAC, None, IP), Kind.MACHINE_FLASH_FAILED, Actor.PXE_CLIENT),
    (told.orphan(MAC, "done", IP, {}), Kind.CLIENT_ORPHAN, Actor.PXE_CLIENT),
    (told.silent(ONCE, "then"), Kind.MACHINE_HEARTBEAT_FAILED, Actor.SYSTEM),
    (told.held(ONCE), Kind.MACHINE_ATTEMPTS_FAILED, Actor.SYSTEM),
]


@pytest.mark.parametrize(("event", "kind", "actor"), EVENTS)
def test_each_fact_has_its_kind_its_actor_and_its_subject(
    event: Event, kind: Kind, actor: Actor
) -> None:
    assert (event.kind, event.actor) == (kind, actor)
    assert event.subject is not None
    assert (event.subject.kind, event.subject.id) == ("machine", MAC)
    assert event.summary.startswith(MAC)
    without_address = {Kind.FLASHER_ARMED, *(k for _, k, a in EVENTS if a is Actor.SYSTEM)}
    assert event.source_ip == (None if kind in without_address else IP)


def test_every_offer_is_told_in_words() -> None:
    for now in EVERY[::7]:
        decision = decide(now, Ask.CONTACT, LIMITS)

        event = told.offered(machine(now.mode), decision, "debian", IP)

        assert event.kind is Kind.PXE_OFFERED
        assert event.summary.endswith(f"{decision.reason.value})")


def test_faults_say_what_to_do() -> None:
    silent, held = told.silent(ONCE, "10:00"), told.held(ONCE)
    given_up = told.held(machine(BootMode.INVENTORY, attempts=5))

    assert "silent since 10:00" in silent.summary
    assert "power cycle" in silent.summary
    assert silent.details == {"last_heard_at": "10:00", "attempts": 5}
    assert "boots nothing until it is saved again" in held.summary
    assert "boots its disk until it is saved again" in given_up.summary


@pytest.mark.parametrize(("count", "words"), [(0, "0 disks"), (1, "1 disk"), (2, "2 disks")])
def test_disks_are_counted_in_words(count: int, words: str) -> None:
    found = parse_inventory({"disks": [{"path": "/dev/sda"}] * count})

    assert told.inventory(MAC, found, IP).summary == f"{MAC} reported {words}"
