"""What live environments report, and what their silence means."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from bty_app.domain.machine import BootMode, Phase, State
from bty_app.domain.settings import FLASH_DONE, GRACE_SECONDS, SILENCE_MINUTES, UP_MINUTES
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


# -- a flash that is done once its system is up -----------------------------------------------


def flashed(site: Site, mode: str = "bty-flash-once") -> None:
    site.bind(mode)
    site.boots()
    site.status("done")


def states(site: Site) -> dict[State, int]:
    return {state: count for (_mode, state), count in site.services.machines.states()[0].items()}


def put(site: Site, *values: str | None) -> None:
    sql = (
        "UPDATE machines SET boot_mode = ?, phase = ?, flash_done = ?, booted_at = ?,"
        " last_flashed_at = ?"
    )
    site.database.write(lambda tx: tx.run(sql, *values))


def up(site: Site) -> None:
    assert site.post(f"/pxe/{MAC}/booted").status_code == 204


def test_where_its_word_counts_a_flash_is_done_once_its_system_is_up(server: Site) -> None:
    set_to(server, FLASH_DONE.key, "booted")
    flashed(server)
    before = states(server)
    server.clock.forward(60)
    script = server.contact()
    meanwhile = states(server)
    up(server)

    assert before == meanwhile == {State.UNPROVEN: 1}
    assert "sanboot" in script, "it boots the disk all the same"
    assert states(server) == {State.DONE: 1}


def test_a_word_from_before_the_flash_does_not_count_and_each_flash_needs_its_own(
    server: Site,
) -> None:
    set_to(server, FLASH_DONE.key, "booted")
    server.bind("bty-flash-always")
    server.boots()
    up(server)
    server.clock.forward(1)
    server.status("done")
    assert states(server) == {State.UNPROVEN: 1}

    server.clock.forward(1)
    up(server)
    assert states(server) == {State.DONE: 1}
    server.contact()
    server.clock.forward(GRACE_SECONDS.default + 1)
    server.boots()
    server.clock.forward(1)
    server.status("done")

    assert states(server) == {State.UNPROVEN: 1}


def test_a_system_that_never_says_that_it_is_up_is_one_fault(server: Site) -> None:
    set_to(server, FLASH_DONE.key, "booted")
    set_to(server, UP_MINUTES.key, "20")
    flashed(server)
    never_up = server.services.reports.report_never_up
    server.clock.forward(20 * MINUTE)
    assert never_up() == 0

    server.clock.forward(1)
    found = [never_up() for _ in range(3)]

    assert found == [1, 0, 0]
    (fault,) = server.events("machine.booted.failed")
    assert fault["actor"] == "system"
    assert "look at its console" in fault["summary"]
    assert server.services.audit.open_failures() == 1
    assert states(server) == {State.FAULT: 1}
    assert silence(server) == 0

    up(server)
    assert states(server) == {State.DONE: 1}
    assert never_up() == 0


def test_a_silent_flash_does_not_hide_that_its_system_never_came_up(server: Site) -> None:
    set_to(server, FLASH_DONE.key, "booted")
    server.bind("bty-flash-once")
    server.boots()
    progress(server)
    server.clock.forward(11 * MINUTE)
    assert silence(server) == 1
    server.status("done")
    server.clock.forward(31 * MINUTE)

    assert server.services.reports.report_never_up() == 1


def test_what_is_said_of_one_machine_wins_over_the_site(server: Site) -> None:
    saved = server.save(boot_mode="bty-flash-once", bty_image_ref="0" * 64, flash_done="written")
    assert saved.json["flash_done"] == "written"
    set_to(server, FLASH_DONE.key, "booted")
    flashed(server)
    assert states(server) == {State.UNPROVEN: 1}

    server.database.write(lambda tx: tx.run("UPDATE machines SET flash_done = 'written'"))
    assert states(server) == {State.DONE: 1}
    set_to(server, FLASH_DONE.key, "written")
    server.database.write(lambda tx: tx.run("UPDATE machines SET flash_done = 'booted'"))
    assert states(server) == {State.UNPROVEN: 1}
    server.clock.forward(31 * MINUTE)
    assert server.services.reports.report_never_up() == 1


@pytest.mark.parametrize("site_says", ["written", "booted"])
@pytest.mark.parametrize("own", [None, "written", "booted"])
@pytest.mark.parametrize("booted_at", [None, "2026-01-01", "2026-01-02", "2026-01-03"])
@pytest.mark.parametrize("flashed_at", [None, "2026-01-02"])
def test_the_record_and_the_database_tell_the_same(
    server: Site, site_says: str, own: str | None, booted_at: str | None, flashed_at: str | None
) -> None:
    server.bind("bty-flash-once")
    set_to(server, FLASH_DONE.key, site_says)
    for mode in BootMode:
        for phase in Phase:
            put(server, mode.value, phase.value, own, booted_at, flashed_at)
            machine = server.machine()
            assert machine is not None
            told = machine.is_unproven(server.services.settings.flash_done())
            assert told == (State.UNPROVEN in states(server)), (mode, phase)
