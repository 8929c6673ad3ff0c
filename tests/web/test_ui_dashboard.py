"""The dashboard: how the machines are, what needs somebody, what runs, what happened."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path

import pytest

from bty_app import __version__
from bty_app.domain.artifacts import live_file
from bty_app.domain.events import Kind
from bty_app.domain.findings import Finding, Level
from bty_app.domain.flash_options import OwnOptions
from bty_app.domain.jobs import Teller
from bty_app.domain.mac import Mac
from bty_app.domain.machine import Assignment, BootMode, Phase, Serial, State
from bty_app.services.machines import Page
from bty_app.store import machines
from bty_app.store.database import Tx
from bty_app.web.pages import human_size
from bty_app.web.ui import fleet
from bty_app.web.ui.activity import activity
from bty_app.web.ui.dashboard import Step, needs
from bty_app.web.ui.words import STATE_TONES, Subject, Tone, short
from tests.netboot_set import made_set, put
from tests.web.site import AT, MAC, REF, Site, Visit, mac, site

PATH = "/ui/dashboard"


@pytest.fixture
def house(quick_dir: Path) -> Iterator[Site]:
    with site(quick_dir / "state") as made:
        yield made


@pytest.fixture
def state_dir(quick_dir: Path) -> Path:
    return quick_dir / "state"


def make_well(house: Site, state_dir: Path) -> None:
    """Nothing is left to do."""
    put(state_dir / "boot", made_set(__version__))
    put(state_dir / "ipxe", {"undionly.kpxe": b"x", "ipxe.efi": b"x"})
    house.add_image()


def poll_of(text: str) -> str:
    found = re.search(r'hx-get="(/ui/dashboard/state[^"]+)"', text)
    assert found is not None
    return unescape(found[1])


def test_it_is_the_page_behind_the_login_the_brand_and_ui(house: Site) -> None:
    visit = house.visit()

    assert visit.get("/ui").headers["location"] == PATH
    assert 'class="brand" href="/ui/dashboard"' in visit.get("/ui/events").text


def test_a_first_start_shows_the_next_step_and_each_checks_itself(
    house: Site, state_dir: Path
) -> None:
    visit = house.visit()

    def marks() -> list[str]:
        found = re.findall(
            r'<li><strong>.*?class="tone \w+">(here|next|later)<', visit.get(PATH).text
        )
        return [str(mark) for mark in found]

    assert marks() == ["here", "next", "later", "later", "later", "later"], "of the password"
    put(state_dir / "boot", made_set("7.0"))
    assert marks() == ["here", "here", "next", "later", "later", "later"]
    house.add_image()
    assert marks() == ["here", "here", "here", "next", "later", "later"]
    put(state_dir / "ipxe", {"undionly.kpxe": b"x", "ipxe.efi": b"x"})
    house.hands.forward(minutes=10)
    assert marks() == ["here", "here", "here", "here", "next", "later"]
    house.add_machine()
    assert marks() == ["here", "here", "here", "here", "here", "next"]
    house.services.reports.done(MAC, ip=None)
    assert marks()[-1] == "next", "nobody knows that it boots"
    assert "It is written." in visit.get(PATH).text
    house.hands.forward(minutes=10)
    house.services.contacts.answer(MAC, ip=None)
    assert marks() == []


def test_a_system_that_says_that_it_is_up_ends_the_first_steps(house: Site) -> None:
    house.add_machine()
    assert "First steps" in house.visit().get(PATH).text

    house.services.reports.booted(MAC, ip=None)

    assert "First steps" not in house.visit().get(PATH).text


def test_a_password_that_the_server_made_is_the_first_step(quick_dir: Path) -> None:
    with site(quick_dir / "state", password="") as house:
        made = (quick_dir / "state" / "admin-password").read_text().strip()
        visit = Visit(house, house.token(made))
        assert re.search("A password of your own</strong> <span[^>]*>next", visit.get(PATH).text)

        house.add_event(Kind.PASSWORD_CHANGED, "the password was changed")

        assert re.search("A password of your own</strong> <span[^>]*>here", visit.get(PATH).text)


def test_the_states_are_counted_as_the_list_filters_and_words_them(house: Site) -> None:
    house.add_image()
    number = 0
    for mode, phase, ref, serial, (flashing, own, silent) in itertools.product(
        BootMode,
        Phase,
        (None, REF, "c" * 64),
        (None, Serial("S1")),
        ((False, None, 0), (True, None, 0), (False, "booted", 0), (False, "booted", 1)),
    ):
        wanted = Assignment(mode, ref, serial, own=OwnOptions(done=own))
        house.add_machine(mac(number), wanted)
        _set(house, mac(number), phase, flashing=flashing, silent=silent)
        number += 1
    visit = house.visit()
    text = visit.get(PATH).text

    by_mode, rate = house.services.machines.states()
    counts = {share.state: share.count for share in fleet.shares(by_mode, rate)}

    assert sum(counts.values()) == number
    assert set(counts) == set(State)
    assert f"{human_size(rate)}/s" in text
    for state, count in counts.items():
        assert f'<a href="/ui/machines?state={state.value}"><strong>{count}</strong>' in text
        rows = house.services.machines.listed(Page(state=state.value, limit=1000))
        assert len(rows) == count
        names = {REF: "debian.img"}
        tones = {
            short(
                Subject(
                    r.machine,
                    names.get(r.machine.image_ref or ""),
                    None,
                    r.progress,
                    unproven=r.machine.is_unproven("written"),
                )
            ).tone
            for r in rows
        }
        assert tones <= {STATE_TONES[state]}, state
        shown = visit.get(f"/ui/machines?state={state.value}").text
        assert f"{count} machine" in shown


def _set(house: Site, which: Mac, phase: Phase, *, flashing: bool, silent: int) -> None:
    def change(tx: Tx) -> None:
        if flashing:
            report = machines.Progress(AT, "writing", 1, 2, 1000, None)
            machines.set_progress(tx, which, report)
        tx.run(
            "UPDATE machines SET phase = ?, last_flashed_at = ?, silence_reported = ?"
            " WHERE mac = ?",
            *(phase.value, AT, silent, which),
        )

    house.database.write(change)


def test_failures_are_acknowledged_one_by_one_or_all(house: Site) -> None:
    visit = house.visit()
    for number in range(7):
        house.add_event(Kind.MACHINE_FLASH_FAILED, f"failure {number}")
    house.add_event(Kind.SCHEMA_RESET, "the database was set aside")
    text = visit.get(PATH).text
    assert "Acknowledge all 8" in text
    assert text.count('formaction="/ui/events/acknowledge"') == 5, "the newest"
    newest = re.search(r'name="up_to" value="(\d+)"', text)
    assert newest is not None

    visit.post("/ui/events/acknowledge", ids=newest[1], return_to=PATH)
    assert house.services.audit.open_failures() == 7
    house.add_event(Kind.MACHINE_FLASH_FAILED, "nobody has seen this one")
    back = visit.post("/ui/events/acknowledge-matching", open="1", up_to=newest[1], return_to=PATH)

    assert back.headers["location"] == PATH
    assert house.services.audit.open_failures() == 1


@pytest.mark.parametrize("kind", [Kind.MACHINES_IMPORTED, Kind.SCHEMA_RESET])
def test_who_brought_machines_along_is_shown_no_first_steps(house: Site, kind: Kind) -> None:
    house.add_event(kind, "they are known")

    assert "First steps" not in house.visit().get(PATH).text


def test_what_is_a_step_is_not_said_twice(house: Site) -> None:
    text = house.visit().get(PATH).text

    assert "No live environment is installed" not in text
    assert "The catalog is empty" not in text
    assert "There is no iPXE binary for machines with a BIOS." in text
    assert "To do: <bdi>apt install ipxe</bdi>" in text


def test_once_there_are_machines_what_is_missing_needs_somebody(house: Site) -> None:
    house.add_machine()

    text = house.visit().get(PATH).text

    assert "No live environment is installed." in text
    assert f"To do: <bdi>fetch the netboot artifacts of {__version__}, or build" in text
    assert '<a href="/ui/netboot">To netboot</a>' in text
    assert "The catalog is empty: nothing can be flashed." in text
    assert text.index("No live environment") < text.index("no iPXE binary"), "the worst first"


def test_where_all_is_well_it_says_so(house: Site, state_dir: Path) -> None:
    make_well(house, state_dir)
    house.add_machine()

    text = house.visit().get(PATH).text

    assert '<span class="tone good">Nothing</span>' in text
    assert "Under way" not in text


def test_open_failures_are_counted_at_once_and_lead_to_the_events(house: Site) -> None:
    visit = house.visit()
    visit.get(PATH)
    house.add_event(Kind.MACHINE_FLASH_FAILED, "it failed")
    house.add_event(Kind.SCHEMA_RESET, "it was reset")

    text = visit.get(PATH).text

    [needs_you] = re.findall(r"<h2>What needs you</h2>.*?</div>", text, re.DOTALL)
    assert "2 open failures" in needs_you
    assert 'href="/ui/events?open=1"' in needs_you


def test_machines_are_counted_by_state_and_lead_to_the_filtered_list(house: Site) -> None:
    house.add_image()
    flash = Assignment(BootMode.FLASH_ONCE, REF, Serial("S1"))
    nowhere = Assignment(BootMode.FLASH_ONCE, REF)
    for number, wanted in enumerate([flash, flash, nowhere, Assignment(), None]):
        house.add_machine(Mac(f"52:54:00:00:00:{number:02x}"), wanted)
    house.database.write(lambda tx: tx.run("UPDATE machines SET phase='held' WHERE mac LIKE '%00'"))
    visit = house.visit()

    text = visit.get(PATH).text
    link = re.search(r'<a href="([^"]+)"><strong>3</strong> Flash once', text)

    assert ">5 machines</a>" in text
    assert re.search(r'tone fault">2 in fault<', text)
    assert re.search(r'tone wait">1 flash at next boot<', text)
    assert link is not None
    assert "3 machines match" in visit.get(link[1]).text


def test_jobs_under_way_are_shown_and_can_be_ended(house: Site) -> None:
    def work(_teller: Teller) -> str:
        return ""

    job = house.services.jobs.submit("warm", "x", "warm <b>debian</b>", work)
    visit = house.visit()
    text = visit.get(PATH).text
    assert f"/ui/jobs/{job.id}/cancel" in text
    assert "warm &lt;b&gt;debian&lt;/b&gt;" in text

    answer = visit.post(f"/ui/jobs/{job.id}/cancel", return_to=PATH)

    assert answer.headers["location"] == PATH
    assert "Under way" not in visit.get(PATH).text


def test_the_last_ten_events_are_shown(house: Site) -> None:
    for number in range(12):
        house.add_event(Kind.MACHINE_DISCOVERED, f"event number {number}.")

    text = house.visit().get(PATH).text

    assert re.findall(r"event number (\d+)\.", text) == [str(n) for n in range(11, 2, -1)]


def test_a_poll_gets_nothing_until_something_changes_here_or_on_disk(
    house: Site, state_dir: Path
) -> None:
    visit = house.visit()
    poll = poll_of(visit.get(PATH).text)
    assert visit.get(poll).status_code == 204

    put(state_dir / "boot", made_set("7.0"))
    on_disk = visit.get(poll)
    poll = poll_of(visit.get(PATH).text)
    house.add_machine()
    machine = visit.get(poll)

    assert (on_disk.status_code, machine.status_code) == (200, 200)
    assert "csrf" not in machine.text
    assert 'id="failures"' in machine.text


def test_a_live_environment_without_its_initrd_is_not_here(house: Site, state_dir: Path) -> None:
    boot = put(state_dir / "boot", made_set(__version__))
    (boot / live_file(__version__, "initrd")).unlink()

    text = house.visit().get(PATH).text

    assert re.search(r"A live environment</strong> <span[^>]*>next", text)


@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", '"><img src=x onerror=y>'])
def test_what_others_say_is_shown_as_text(house: Site, state_dir: Path, hostile: str) -> None:
    house.add_event(Kind.MACHINE_FLASH_FAILED, hostile)
    house.add_machine()

    text = house.visit().get(PATH).text

    assert "<script>alert" not in text
    assert "<img src=x" not in text


def test_every_mode_and_state_has_its_words() -> None:
    counts = {(mode, state): 2 for mode in BootMode for state in State}

    found = {group.mode: group for group in fleet.groups(counts)}

    assert list(found) == list(BootMode)
    assert {group.count for group in found.values()} == {2 * len(State)}
    flash = {part.words: (part.tone, part.count) for part in found[BootMode.FLASH_ONCE].parts}
    assert flash["flashed"] == (Tone.GOOD, 2)
    assert flash["in fault"] == (Tone.FAULT, 2)
    assert flash["flashed, not up yet"] == (Tone.WAIT, 2)
    assert {share.count for share in fleet.shares(counts, 0)} == {2 * len(BootMode)}


def test_notes_need_nobody_and_faults_come_first() -> None:
    findings = [
        Finding(Level.OK, "fine"),
        Finding(Level.WARNING, "low", "make room", "directories"),
        Finding(Level.NOTE, "odd"),
        Finding(Level.FAULT, "gone", "", "live-environment"),
    ]
    done = Step(True, "", "", "/ui/netboot", "")

    found = needs(findings, [done])

    assert [(need.tone, need.what, need.place) for need in found] == [
        (Tone.FAULT, "Gone.", ("/ui/netboot", "To netboot")),
        (Tone.WAIT, "Low.", None),
    ]


def test_the_last_day_is_drawn_hour_by_hour() -> None:
    now = datetime(2026, 1, 31, 17, 20, tzinfo=UTC)

    day = activity(
        [("2026-01-31T17", False, 40), ("2026-01-31T17", True, 1), ("2026-01-30T18", False, 10)],
        now,
    )

    assert (day.flashed, day.failed, day.most) == (50, 1, 41)
    assert [bar.at.hour for bar in day.bars] == [*range(18, 24), *range(18)]
    assert (day.bars[-1].flashed_height, day.bars[-1].failed_height) == (59, 2)
    assert (day.bars[0].flashed, day.bars[0].flashed_height) == (10, 15)


def test_flashes_and_failures_of_the_last_day_are_shown_in_words_too(house: Site) -> None:
    house.add_event(Kind.MACHINE_FLASH_FAILED, "it failed")
    house.add_event(Kind.MACHINE_FLASHED, "it went well")
    house.add_event(Kind.MACHINE_INVENTORY, "not of these")

    text = house.visit().get(PATH).text

    assert "1 flashed</a>, 1 failed; 2 in the fullest hour" in text
    since = house.hands.now - timedelta(hours=2)
    assert [row[2] for row in house.services.audit.flashes_by_hour(since)] == [1, 1]
    assert house.services.audit.flashes_by_hour(house.hands.now) == []
