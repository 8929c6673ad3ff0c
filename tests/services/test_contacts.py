"""Machines ask, all at once and without end."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from bty_app.domain.boot import LiveEnv, Purpose
from bty_app.domain.bounds import Rate
from bty_app.domain.mac import Mac
from bty_app.errors import ThrottledError
from bty_app.services.discovery import Bounds
from bty_app.store import events
from tests.serving import IP, MAC, Site


def test_a_rack_that_boots_at_once_is_discovered_whole_and_once(server: Site) -> None:
    macs = [Mac(f"02:00:00:00:00:{number:02x}") for number in range(40)] * 3

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(lambda mac: server.services.contacts.answer(mac, ip=IP), macs))

    assert {what.decision.offer for what in answers} == {LiveEnv(Purpose.INVENTORY)}
    assert len(server.events("machine.discovered")) == 40
    assert len(server.events("netboot.pxe.offered")) == 120
    assert server.database.read(events.broken_at) is None


def test_a_preview_of_an_unknown_machine_is_what_a_first_contact_gets(server: Site) -> None:
    shown = server.services.contacts.preview(MAC)
    told = server.services.contacts.answer(MAC, ip=IP)

    assert shown.decision == told.decision


def test_the_event_and_the_phase_are_one_transaction(server: Site) -> None:
    server.bind("bty-flash-always")
    server.boots()
    server.plan()
    server.done()
    told = len(server.events())

    def refuse(tx: object) -> None:
        tx.run(  # type: ignore[attr-defined]
            "CREATE TRIGGER no_more BEFORE INSERT ON events BEGIN SELECT RAISE(ABORT, 'no'); END"
        )

    server.database.write(refuse)
    before = server.machine()

    server.contact()

    assert server.machine() == before
    assert len(server.events()) == told


class Steady:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_a_network_that_brought_too_many_is_let_in_again_at_its_rate() -> None:
    steady = Steady()
    bounds = Bounds(discovery=Rate(2, 0.1), contacts=Rate(1, 1), steady=steady)
    bounds.discover("192.0.2.1")
    bounds.discover("192.0.2.2")
    with pytest.raises(ThrottledError, match=r"192\.0\.2\.0/24") as refused:
        bounds.discover("192.0.2.3")

    steady.seconds = 10
    bounds.discover("192.0.2.3")

    assert refused.value.retry_after == 30
    with pytest.raises(ThrottledError):
        bounds.discover("192.0.2.3")


def test_addresses_that_are_none_share_one_bound() -> None:
    bounds = Bounds(discovery=Rate(1, 0), contacts=Rate(1, 1), steady=Steady())
    bounds.discover(None)

    with pytest.raises(ThrottledError):
        bounds.discover("garbage")


def test_contacts_of_one_machine_are_recorded_at_its_rate() -> None:
    steady = Steady()
    bounds = Bounds(discovery=Rate(1, 1), contacts=Rate(2, 1), steady=steady)

    at_once = [bounds.may_record(MAC) for _ in range(3)]
    steady.seconds = 1

    assert at_once == [True, True, False]
    assert bounds.may_record(MAC)
    assert bounds.may_record(Mac("02:00:00:00:00:01"))
