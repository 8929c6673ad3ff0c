"""What live environments report, and what their silence means."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from bty_app.domain.settings import GRACE_SECONDS, SILENCE_MINUTES
from bty_app.store import settings
from tests.serving import IP, KERNEL, MAC, Site

MINUTE = 60.0


def silence(site: Site) -> int:
    return site.services.reports.report_silence()


def progress(site: Site) -> None:
    assert site.post(f"/pxe/{MAC}/progress", json={"phase": "write"}).status_code == 204


def set_to(site: Site, key: str, value: str) -> None:
    site.database.write(lambda tx: settings.put(tx, key, value, at="x"))


# -- the heartbeat ----------------------------------------------------------------------------


def test_a_flash_that_reported_progress_and_went_silent_is_one_fault(server: Site) -> None:
    server.bind("bty-flash-once")
    server.boots()
    progress(server)
    server.clock.forward(10 * MINUTE)
    assert silence(server) == 0

    server.clock.forward(1)
    found = [silence(server) for _ in range(3)]
    server.clock.forward(60 * MINUTE)
    found.append(silence(server))

    assert found == [1, 0, 0, 0]
    (fault,) = server.events("machine.heartbeat.failed")
    assert (fault["actor"], fault["source_ip"]) == ("system", None)
    assert fault["details"] == {
        "last_heard_at": "2026-11-22T20:01:00.000000+00:00",
        "attempts": 1,
    }
    assert "a power cycle makes it boot the flasher again" in fault["summary"]
    assert server.services.audit.open_failures() == 1


def test_a_client_that_never_reports_progress_has_six_times_as_long(server: Site) -> None:
    server.bind("bty-flash-once")
    server.boots(seconds=0)

    server.clock.forward(60 * MINUTE)
    assert silence(server) == 0
    server.clock.forward(1)
    assert silence(server) == 1
    assert silence(server) == 0


def test_a_machine_that_speaks_again_can_go_silent_again(server: Site) -> None:
    server.bind("bty-flash-once")
    server.boots()
    progress(server)
    server.clock.forward(11 * MINUTE)
    assert silence(server) == 1

    progress(server)
    server.clock.forward(11 * MINUTE)

    assert silence(server) == 1


def test_each_attempt_has_its_own_fault(server: Site) -> None:
    server.bind("bty-flash-once")
    for _ in range(2):
        server.boots()
        server.clock.forward(61 * MINUTE)
        assert silence(server) == 1

    details = [event["details"] for event in server.events("machine.heartbeat.failed")]
    assert [detail["attempts"] for detail in details] == [1, 2]


@pytest.mark.parametrize("end", ["done", "failed", "save"])
def test_a_flash_that_has_ended_is_not_silent(server: Site, end: str) -> None:
    server.bind("bty-flash-once")
    server.boots()
    progress(server)
    if end == "save":
        server.bind("bty-flash-once")
    else:
        server.status(end)

    server.clock.forward(600 * MINUTE)

    assert silence(server) == 0


def test_how_long_silence_may_last_is_a_setting_that_takes_at_once(server: Site) -> None:
    server.bind("bty-flash-once")
    server.boots()
    progress(server)
    server.clock.forward(2 * MINUTE)
    assert silence(server) == 0

    set_to(server, SILENCE_MINUTES.key, "1")

    assert silence(server) == 1


# -- completion -------------------------------------------------------------------------------


def test_two_completions_at_once_are_one_flash(server: Site) -> None:
    server.bind("bty-flash-once")
    server.boots()

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: server.services.reports.done(MAC, ip=IP), range(16)))

    assert len(server.events("machine.flashed")) == 1


def test_kernel_and_initrd_fetched_at_once_are_one_attempt(server: Site) -> None:
    server.bind("bty-flash-once")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: server.services.reports.fetched(MAC), range(16)))

    assert len(server.events("netboot.flasher.armed")) == 1
    assert server.machine().attempts == 1  # type: ignore[union-attr]


def test_a_flash_in_the_wizard_is_told_and_changes_no_cycle(server: Site) -> None:
    server.save(boot_mode="bty-tui")
    server.contact()

    server.done()
    server.clock.forward(0.01)
    server.done()
    server.clock.forward(3600)
    server.done()

    assert len(server.events("machine.flashed")) == 2
    machine = server.machine()
    assert machine is not None
    assert machine.last_flashed_at == "2026-11-22T21:00:00.010000+00:00"
    assert machine.phase == "idle"


def test_a_completion_after_a_failure_of_the_same_attempt_counts(server: Site) -> None:
    server.bind("bty-flash-once")
    server.boots()
    server.plan()
    server.status("failed", reason="verify")

    server.status("done")

    assert server.phase() == "done"
    assert not server.machine().disk_suspect  # type: ignore[union-attr]


def test_a_failure_after_a_completion_undoes_nothing(server: Site) -> None:
    server.bind("bty-flash-once")
    server.boots()
    server.plan()
    server.done()

    server.status("failed", reason="late")

    assert server.phase() == "done"
    assert server.kinds()[-1] == "machine.flash_failed"


def test_a_flash_ordered_without_a_fetch_is_completed_by_its_client(server: Site) -> None:
    """A stick boots the live environment: no kernel comes from here."""
    server.bind("bty-flash-once")
    assert server.plan()["mode"] == "flash"
    assert server.machine().disk_suspect  # type: ignore[union-attr]

    server.done()

    assert server.phase() == "done"
    assert "sanboot" in server.contact()


def test_a_completion_of_a_flash_that_was_reassigned_meanwhile_is_stale(server: Site) -> None:
    server.bind("bty-flash-once")
    server.boots()
    server.plan()
    server.bind("bty-flash-once", serial="S2")

    server.done()

    assert server.kinds()[-1] == "machine.report.stale"
    assert server.plan()["target_disk_serial"] == "S2"
    assert server.machine().disk_suspect  # type: ignore[union-attr]


def test_without_grace_a_repeat_advances_as_the_originals_does(server: Site) -> None:
    set_to(server, GRACE_SECONDS.key, "0")
    server.bind("bty-flash-always")
    server.boots()
    server.plan()
    server.done()

    first = server.contact()
    server.clock.forward(0.001)
    second = server.contact()

    assert "sanboot" in first
    assert "kernel" in second


def test_a_report_moves_the_time_of_contact(server: Site) -> None:
    server.contact()
    server.clock.forward(60)

    server.inventory(disks=[])

    machine = server.machine()
    assert machine is not None
    assert machine.last_seen_at == machine.known_disks_at == "2026-11-22T20:01:00.000000+00:00"


def test_a_fetch_of_a_later_boot_is_a_further_attempt_up_to_the_limit(server: Site) -> None:
    server.bind("bty-flash-once")
    attempts = []
    for _ in range(7):
        server.contact()
        server.fetch(KERNEL)
        attempts.append(server.machine().attempts)  # type: ignore[union-attr]
        server.clock.forward(1000)

    assert attempts == [1, 2, 3, 4, 5, 5, 5]
    assert server.phase() == "held"
