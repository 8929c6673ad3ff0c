"""Machine records in their tables."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from bty_app.domain.mac import Mac
from bty_app.domain.machine import Assignment, BootMode, Machine, Phase, Serial
from bty_app.store import machine_pages, machines
from bty_app.store.database import Database
from bty_app.store.machine_pages import Page
from bty_app.store.machines import Progress
from tests.fresh_state import make_state

T = TypeVar("T")
MAC = Mac("52:54:00:00:00:01")
OTHER = Mac("52:54:00:00:00:02")
T0, T1, T2 = (f"2026-11-22T20:0{n}:00.000000+00:00" for n in range(3))
ONCE = Assignment(BootMode.FLASH_ONCE, "a" * 64, Serial("S1"), "0x81", ("rack 1",))


@pytest.fixture
def database(quick_dir: Path) -> Iterator[Database]:
    with Database(make_state(quick_dir)) as opened:
        yield opened


def record(database: Database, mac: Mac = MAC) -> Machine:
    found = database.read(lambda tx: machines.get(tx, mac))
    assert found is not None
    return found


def do(database: Database, *changes: Callable[[Any], object]) -> list[object]:
    return database.write(lambda tx: [change(tx) for change in changes])


def seen(at: str, ip: str = "192.0.2.7", mac: Mac = MAC) -> Callable[[Any], object]:
    return lambda tx: machines.seen(tx, mac, at=at, ip=ip)


def assigned(wanted: Assignment, at: str = T0, mac: Mac = MAC) -> Callable[[Any], object]:
    return lambda tx: machines.assign(tx, mac, wanted, at=at)


def in_phase(phase: Phase, at: str = T1, mac: Mac = MAC) -> Callable[[Any], object]:
    return lambda tx: machines.set_phase(tx, mac, phase, at=at)


def armed(attempts: int = 1, at: str = T0, mac: Mac = MAC) -> Callable[[Any], object]:
    return lambda tx: machines.arm(tx, mac, attempts=attempts, at=at)


def test_a_contact_creates_once_and_then_only_moves_its_time(database: Database) -> None:
    def contact(at: str, ip: str) -> tuple[Machine, bool]:
        return database.write(lambda tx: machines.seen(tx, MAC, at=at, ip=ip))

    _, was_new = contact(T0, "192.0.2.7")
    machine, is_new = contact(T1, "198.51.100.1")

    assert (was_new, is_new) == (True, False)
    assert machine == record(database)
    assert machine.boot_mode is BootMode.INVENTORY
    assert (machine.discovered_at, machine.created_at) == (T0, T0)
    assert (machine.last_seen_at, machine.updated_at) == (T1, T1)
    assert machine.last_seen_ip == "198.51.100.1"


def test_a_save_begins_the_cycle_anew_whatever_came_before(database: Database) -> None:
    do(
        database,
        assigned(ONCE),
        armed(4),
        lambda tx: machines.order_flash(tx, MAC, at=T0),
        lambda tx: machines.set_silence_reported(tx, MAC),
        lambda tx: machines.set_progress(tx, MAC, Progress(T0, "write", 1, 2, 3, None)),
    )

    assert do(database, assigned(ONCE, T1)) == [False]

    machine = record(database)
    assert (machine.phase, machine.attempts, machine.ordered_at) == (Phase.IDLE, 0, None)
    assert machine.last_flashed_at is None
    assert machine.disk_suspect
    assert database.read(lambda tx: machines.progress(tx, MAC)) is None
    assert database.read(lambda tx: tx.value("SELECT silence_reported FROM machines")) == 0


@pytest.mark.parametrize("mode", list(BootMode))
def test_only_a_save_to_ipxe_exit_vouches_for_the_disk(database: Database, mode: BootMode) -> None:
    do(database, assigned(ONCE), lambda tx: machines.order_flash(tx, MAC, at=T0))

    do(database, assigned(Assignment(mode)))

    assert record(database).disk_suspect == (mode is not BootMode.IPXE_EXIT)


def test_a_proven_flash_clears_the_order_and_the_doubt(database: Database) -> None:
    do(database, assigned(ONCE), armed(), lambda tx: machines.order_flash(tx, MAC, at=T0))
    assert record(database).disk_suspect

    do(database, lambda tx: machines.flashed(tx, MAC, at=T1))

    machine = record(database)
    assert (machine.last_flashed_at, machine.ordered_at, machine.disk_suspect) == (T1, None, False)


def test_arming_forgets_the_order_of_the_attempt_before_and_not_the_doubt(
    database: Database,
) -> None:
    do(database, assigned(ONCE), armed(), lambda tx: machines.order_flash(tx, MAC, at=T0))

    do(database, armed(2, T1))

    machine = record(database)
    assert (machine.phase, machine.attempts) == (Phase.BOOTED, 2)
    assert (machine.ordered_at, machine.disk_suspect) == (None, True)


def test_only_a_new_cycle_forgets_the_attempts(database: Database) -> None:
    do(database, assigned(ONCE), armed(3), in_phase(Phase.HELD))
    assert record(database).attempts == 3

    do(database, in_phase(Phase.IDLE, T2))

    machine = record(database)
    assert machine.attempts == 0
    assert machine.phase_at is not None
    assert machine.phase_at.isoformat(timespec="microseconds") == T2


def test_a_failure_without_an_armed_attempt_counts_as_one(database: Database) -> None:
    do(database, assigned(ONCE), lambda tx: machines.flash_failed(tx, MAC, at=T1))

    machine = record(database)
    assert (machine.phase, machine.attempts) == (Phase.FAILED, 1)


@pytest.mark.parametrize("phase", list(Phase))
def test_archives_show_the_originals_bit(database: Database, phase: Phase) -> None:
    do(database, assigned(ONCE), in_phase(phase))

    bit = database.read(lambda tx: tx.value("SELECT saw_flasher_boot FROM machines"))

    assert bit == (phase not in {Phase.IDLE, Phase.RELEASED})


def test_an_inventory_without_a_tree_keeps_the_tree(database: Database) -> None:
    do(database, seen(T0))
    do(database, lambda tx: machines.set_inventory(tx, MAC, disks="[]", lshw="{}", at=T0))
    do(database, lambda tx: machines.set_inventory(tx, MAC, disks='[{"a":1}]', lshw=None, at=T1))

    machine = record(database)
    assert (machine.known_disks_at, machine.hw_lshw_at) == (T1, T0)
    assert database.read(lambda tx: machines.known_disks(tx, MAC)) == '[{"a":1}]'
    assert database.read(lambda tx: machines.lshw(tx, MAC)) == "{}"


def test_what_is_done_to_one_machine_is_not_done_to_another(database: Database) -> None:
    do(database, assigned(ONCE), assigned(ONCE, mac=OTHER), seen(T0, mac=OTHER))
    before = record(database, OTHER)

    do(
        database,
        armed(3),
        lambda tx: machines.order_flash(tx, MAC, at=T1),
        lambda tx: machines.set_progress(tx, MAC, Progress(T0, "write", 1, 2, 3, None)),
        lambda tx: machines.flash_failed(tx, MAC, at=T1),
        lambda tx: machines.flashed(tx, MAC, at=T1),
        in_phase(Phase.DONE),
        lambda tx: machines.set_inventory(tx, MAC, disks="[]", lshw="{}", at=T1),
        assigned(Assignment(), T2),
    )
    do(database, lambda tx: machines.forget(tx, MAC))

    assert record(database, OTHER) == before
    assert database.read(lambda tx: machines.labels(tx, OTHER)) == ["rack 1"]


# -- silence ----------------------------------------------------------------------------------


def silent(database: Database, reporting: str, other: str) -> list[tuple[str, str]]:
    return database.read(
        lambda tx: [
            (machine.mac, heard)
            for machine, heard in machines.silent(
                tx, reporting_before=reporting, other_before=other
            )
        ]
    )


def test_silence_is_counted_from_the_last_word(database: Database) -> None:
    do(database, assigned(ONCE), armed(at=T0))
    assert silent(database, reporting=T2, other=T0) == []
    assert silent(database, reporting=T0, other=T1) == [(MAC, T0)]

    do(database, lambda tx: machines.set_progress(tx, MAC, Progress(T1, "w", 1, 2, 3, None)))

    assert silent(database, reporting=T1, other=T2) == []
    assert silent(database, reporting=T2, other=T0) == [(MAC, T1)]


@pytest.mark.parametrize("phase", [phase for phase in Phase if phase is not Phase.BOOTED])
def test_only_a_flash_under_way_can_be_silent(database: Database, phase: Phase) -> None:
    do(database, assigned(ONCE), in_phase(phase, T0))

    assert silent(database, reporting=T2, other=T2) == []


@pytest.mark.parametrize("mode", list(BootMode))
def test_only_a_flash_can_be_silent(database: Database, mode: BootMode) -> None:
    do(database, assigned(Assignment(mode, "a" * 64, Serial("S1"))), armed())

    found = silent(database, reporting=T2, other=T2)

    assert bool(found) == (mode in {BootMode.FLASH_ONCE, BootMode.FLASH_ALWAYS})


def test_a_reported_silence_is_not_reported_again_until_it_spoke(database: Database) -> None:
    do(database, assigned(ONCE), armed(), lambda tx: machines.set_silence_reported(tx, MAC))
    assert silent(database, reporting=T2, other=T2) == []

    do(database, lambda tx: machines.set_progress(tx, MAC, Progress(T0, "w", 1, 2, 3, None)))

    assert silent(database, reporting=T2, other=T2) == [(MAC, T0)]


# -- lists ------------------------------------------------------------------------------------


def listed(database: Database, **page: Any) -> list[str]:
    wanted = Page(**page)
    found = database.read(lambda tx: machine_pages.listed(tx, wanted))
    assert database.read(lambda tx: machine_pages.count(tx, wanted)) >= len(found)
    return [machine.mac[-2:] for machine in found]


@pytest.fixture
def fleet(database: Database) -> Database:
    """Twelve machines: every second is bound, every third is labelled."""
    for number in range(12):
        mac = Mac(f"02:00:00:00:00:{number:02d}")
        wanted = Assignment(
            BootMode.FLASH_ONCE if number % 2 else BootMode.IPXE_EXIT,
            "a" * 64 if number % 2 else None,
            Serial(f"SER{number}%"),
            None,
            ("Rack_1",) if number % 3 == 0 else (),
        )
        do(database, assigned(wanted, mac=mac), seen(T0, f"192.0.2.{number}", mac))
    return database


def test_a_page_is_a_slice_in_a_stable_order(fleet: Database) -> None:
    pages = [listed(fleet, sort="boot_mode", offset=o, limit=5) for o in (0, 5, 10, 15)]

    assert list(itertools.chain(*pages)) == [
        *(f"{n:02d}" for n in range(1, 12, 2)), *(f"{n:02d}" for n in range(0, 12, 2))
    ]  # fmt: skip
    assert listed(fleet, descending=True, limit=2) == ["11", "10"]


@pytest.mark.parametrize("sort", ["hw_lshw", "mac; DROP TABLE machines", ""])
def test_an_order_that_is_none_is_that_of_macs(fleet: Database, sort: str) -> None:
    assert listed(fleet, sort=sort, limit=3) == ["00", "01", "02"]


@pytest.mark.parametrize(
    ("page", "found"),
    [
        ({"label": "Rack_1"}, ["00", "03", "06", "09"]),
        ({"label": "rack_1"}, []),
        ({"bound": True, "label": "Rack_1"}, ["03", "09"]),
        ({"bound": False, "limit": 2}, ["00", "02"]),
        ({"boot_mode": "bty-tui"}, []),
        ({"search": "ser11"}, ["11"]),
        ({"search": "192.0.2.7"}, ["07"]),
        ({"search": "RACK_"}, ["00", "03", "06", "09"]),
        ({"search": "%", "limit": 99}, [f"{n:02d}" for n in range(12)]),
        ({"search": "5%"}, ["05"]),
        ({"search": "_"}, ["00", "03", "06", "09"]),
    ],
)
def test_each_filter_narrows_the_list(
    fleet: Database, page: dict[str, Any], found: list[str]
) -> None:
    assert listed(fleet, **page) == found


def test_counts_are_by_mode_and_phase(fleet: Database) -> None:
    do(fleet, armed(mac=Mac("02:00:00:00:00:01")))

    assert fleet.read(machines.counts_by_mode_and_phase) == [
        ("bty-flash-once", "booted", 1),
        ("bty-flash-once", "idle", 5),
        ("ipxe-exit", "idle", 6),
    ]


def test_the_counting_of_states_reads_an_index_and_no_record(fleet: Database) -> None:
    plan = fleet.read(lambda tx: list(tx.rows(f"EXPLAIN QUERY PLAN {machine_pages.STATES}")))

    assert "SCAN machines USING COVERING INDEX machines_searched" in [row[3] for row in plan]


def test_who_is_bound_to_an_image_is_named_up_to_a_limit(fleet: Database) -> None:
    bound = fleet.read(lambda tx: machines.bound_to(tx, "a" * 64, limit=2))

    assert bound == ["02:00:00:00:00:01", "02:00:00:00:00:03"]
    assert fleet.read(lambda tx: machines.bound_to(tx, "b" * 64)) == []
