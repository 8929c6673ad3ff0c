"""Stages are kept at once and written in batches."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bty_app.domain.boot_stages import Stage
from bty_app.domain.boot_timeline import Kind
from bty_app.domain.mac import Mac
from bty_app.errors import StorageError
from bty_app.services import boot_stages as service
from bty_app.services.boot_stages import BootStages
from bty_app.services.revisions import Revisions
from bty_app.store import boot_stages, machines
from bty_app.store.database import Database
from tests.fresh_state import make_state
from tests.web.site import AT, Hands

MAC, OTHER = Mac("52:54:00:12:34:56"), Mac("52:54:00:12:34:57")
IP = "192.0.2.7"


@pytest.fixture
def hands() -> Hands:
    return Hands()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    make_state(tmp_path / "state")
    with Database(tmp_path / "state" / "state.db") as made:
        yield made


@pytest.fixture
def stages(database: Database, hands: Hands) -> BootStages:
    return BootStages(database, Revisions(), hands)


def known(database: Database, *macs: Mac) -> None:
    for mac in macs:
        database.write(lambda tx, mac=mac: machines.seen(tx, mac, at=AT, ip=IP))  # type: ignore[misc]


def names(stages: BootStages, mac: Mac = MAC) -> list[Stage]:
    return [seen.stage for seen in stages.of(mac)]


def test_a_stage_is_seen_at_once_and_stored_by_the_next_flush(
    stages: BootStages, database: Database
) -> None:
    known(database, MAC)
    stages.note(Stage.KERNEL_DONE, MAC, IP, bytes=7, of=7)

    assert names(stages) == [Stage.KERNEL_DONE]
    assert database.read(lambda tx: boot_stages.of(tx, MAC)) == []
    assert stages.flush() == 1
    assert stages.flush() == 0
    (kept,) = BootStages(database, Revisions()).of(MAC)
    assert (kept.stage, dict(kept.detail), kept.ip) == (
        Stage.KERNEL_DONE,
        {"bytes": 7, "of": 7},
        IP,
    )
    assert names(stages) == [Stage.KERNEL_DONE]


def test_stages_of_an_address_find_their_machine(
    stages: BootStages, database: Database, hands: Hands
) -> None:
    known(database, MAC)
    stages.seen(None, IP, "tftp.started", hands(), {"file": "ipxe.efi"})
    stages.note(Stage.BOOTSTRAP, None, IP)
    assert names(stages) == []
    hands.forward(seconds=1)

    stages.note(Stage.SCRIPT, MAC, IP, offer="live")
    stages.note(Stage.CLIENT, None, IP)
    stages.flush()

    assert names(stages) == [Stage.TFTP_STARTED, Stage.BOOTSTRAP, Stage.SCRIPT, Stage.CLIENT]


def test_an_address_of_two_machines_is_that_of_neither(
    stages: BootStages, database: Database
) -> None:
    known(database, MAC, OTHER)
    stages.note(Stage.SCRIPT, MAC, IP)
    stages.note(Stage.SCRIPT, OTHER, IP)
    stages.note(Stage.CLIENT, None, IP)

    assert names(stages) == [Stage.SCRIPT]
    assert names(stages, OTHER) == [Stage.SCRIPT]


def test_dhcp_before_the_record_waits_for_it_and_not_for_ever(
    stages: BootStages, database: Database, hands: Hands
) -> None:
    stages.seen(str(MAC).upper(), "0.0.0.0", "dhcp.offered", hands(), "x86-64 UEFI")  # noqa: S104
    stages.seen(OTHER, None, "dhcp.ignored", hands(), None)
    assert stages.flush() == 0
    assert names(stages) == [Stage.DHCP_OFFERED]

    known(database, MAC)
    assert stages.flush() == 1
    hands.forward(minutes=11)
    stages.flush()

    assert names(stages) == [Stage.DHCP_OFFERED]
    assert names(stages, OTHER) == []


def test_what_nobody_knows_is_passed_over(stages: BootStages, hands: Hands) -> None:
    stages.seen("no mac", IP, "dhcp.offered", hands(), None)
    stages.seen(MAC, IP, "dhcp.invented", hands(), None)

    assert names(stages) == []


def test_repeats_are_counted_across_flushes(
    stages: BootStages, database: Database, hands: Hands
) -> None:
    known(database, MAC)
    for _ in range(3):
        for _again in range(4):
            stages.note(Stage.FLASHING, MAC, IP, phase="writing")
            hands.forward(seconds=2)
        stages.flush()

    (kept,) = stages.of(MAC)
    assert kept.times == 12
    assert (kept.until - kept.at).total_seconds() == 22


def test_a_full_disk_loses_nothing(
    stages: BootStages, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    known(database, MAC)
    stages.note(Stage.SCRIPT, MAC, IP)

    def full(*_args: object, **_more: object) -> bool:
        raise StorageError("no room")

    with monkeypatch.context() as patch:
        patch.setattr(boot_stages, "append", full)
        with pytest.raises(StorageError):
            stages.flush()
    stages.note(Stage.KERNEL_STARTED, MAC, IP)

    assert stages.flush() == 2
    assert names(stages) == [Stage.SCRIPT, Stage.KERNEL_STARTED]


def test_each_machine_and_all_together_are_bounded(
    stages: BootStages, database: Database, hands: Hands
) -> None:
    known(database, MAC)
    for number in range(450):
        stages.note(Stage.SCRIPT, MAC, IP, seconds=number)
        if number % 150 == 149:
            stages.flush()

    kept = stages.of(MAC)
    assert len(kept) == boot_stages.PER_MACHINE
    assert kept[-1].detail["seconds"] == 449
    database.write(lambda tx: boot_stages.trim(tx, keep=10))
    assert len(stages.of(MAC)) == 10


def test_memory_is_bounded_however_many_addresses_there_are(
    stages: BootStages, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "MACHINES_WAITING", 8)
    monkeypatch.setattr(service, "ADDRESSES", 8)
    for number in range(100):
        stages.note(Stage.SCRIPT, Mac(f"52:54:00:00:00:{number:02x}"), f"192.0.2.{number}")
        stages.note(Stage.BOOTSTRAP, None, f"198.51.100.{number}")

    assert len(stages._waiting) == len(stages._strays) == len(stages._whose) == 8


def test_machines_without_a_record_do_not_keep_others_waiting(
    stages: BootStages, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "BATCH", 2)
    for number in range(9):
        stages.note(Stage.DHCP_OFFERED, Mac(f"52:54:00:00:00:{number:02x}"), None)
    known(database, MAC)
    stages.note(Stage.SCRIPT, MAC, IP)

    assert stages.flush() == 1


def test_a_forgotten_machine_takes_its_stages_with_it(
    stages: BootStages, database: Database, hands: Hands
) -> None:
    known(database, MAC)
    stages.note(Stage.INITRD_DONE, MAC, IP)
    stages.flush()
    hands.forward(hours=1)
    assert stages.timeline(MAC)[0].kind is Kind.HANGS

    database.write(lambda tx: machines.forget(tx, MAC))

    assert stages.timeline(MAC) == []
