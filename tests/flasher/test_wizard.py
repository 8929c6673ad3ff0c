"""The wizard: its screens one after the other, what it takes as an answer, and a real terminal."""

from __future__ import annotations

import os
import pty
import re
import signal
import termios
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.errors import (
    BtyError,
    CancelledError,
    FlashError,
    FlashIntegrityError,
    FlashRefusedError,
    FlashWriteError,
    NotFoundError,
    UnavailableError,
)
from bty_app.flasher.console import WIDTH
from bty_app.flasher.describe import disk_row, erased, written
from bty_app.flasher.disks import Disk, Part
from bty_app.flasher.flashing import Acts, Flashing
from bty_app.flasher.keys import Keys
from bty_app.flasher.order import Order, Source
from bty_app.flasher.orders import Wanted
from bty_app.flasher.plan import Place
from bty_app.flasher.run import Ending, PlanChangedError
from bty_app.flasher.waiting import Waiting
from bty_app.flasher.wizard.dialog import PAGE, Dialog, QuitError
from bty_app.flasher.wizard.images import Choice, of_files
from bty_app.flasher.wizard.wizard import Tools, Wizard
from tests.flasher.fakes import DISK, OTHER, FakeFlash, Screen
from tests.flasher.machines import Captured
from tests.terminal import Terminal, terminal

CATALOG = b"""version = 1
[[images]]
name = "debian-13-x86_64.img.zst"
src = "http://h/debian.img.zst"
sha256 = "%s"
size_bytes = 1000000
[[images]]
name = "alpine.img.gz"
src = "oras://r.example.com/os/alpine:3"
description = "small\\nand quick"
""" % (b"ab" * 32)
BUSY = replace(OTHER, in_use=("sdb1 is mounted at /home",))


@dataclass
class Person:
    """Types these lines, and then leaves the terminal."""

    lines: list[str | Callable[[], str | None] | None] = field(default_factory=list)
    asked: list[float | None] = field(default_factory=list)

    def line(self, seconds: float | None) -> str | None:
        self.asked.append(seconds)
        if not self.lines:
            raise EOFError
        line = self.lines.pop(0)
        return line() if callable(line) else line


@dataclass
class Room:
    """A wizard with its surroundings."""

    person: Person
    screen: Screen = field(default_factory=Screen)
    flash: FakeFlash = field(default_factory=FakeFlash)
    disks: list[Disk] = field(default_factory=lambda: [DISK, BUSY])
    loaded: list[str] = field(default_factory=list)
    catalogs: dict[str, bytes | Exception] = field(default_factory=lambda: {"usual": CATALOG})
    reports: list[str | None] = field(default_factory=list)
    order_error: Exception | None = None
    files: list[Choice] = field(default_factory=list)
    idle: Callable[[], None] = lambda: None

    def run(self, catalog: str | None = "usual") -> Ending:
        dialog = Dialog(self.screen.console, self.line, self.idle)
        tools = Tools(
            load=self.load,
            order=self.order,
            probe=lambda: self.disks,
            flashing=Flashing(
                Acts(self.flash, self.flash.check), lambda: self.disks, self.screen.console
            ),
            report=self.reports.append,
            after_flash=lambda _disk: None,
            files=lambda: self.files,
        )
        return Wizard(dialog, tools, usual_catalog="usual").run(catalog)

    def line(self, seconds: float | None) -> str | None:
        try:
            return self.person.line(seconds)
        finally:
            self.screen.enter()

    def load(self, source: str) -> bytes:
        self.loaded.append(source)
        found = self.catalogs.get(source, UnavailableError(f"{source} does not answer"))
        if isinstance(found, Exception):
            raise found
        return found

    def order(self, wanted: Wanted) -> Order:
        if self.order_error:
            raise self.order_error
        sources = tuple(Source("http", place.url, place.label) for place in wanted.places)
        return Order(sources, wanted.format or "img", wanted.sha256, wanted.size_bytes)


def typing(*lines: str | Callable[[], str | None] | None) -> Room:
    return Room(Person(list(lines)))


# -- from the first screen to the last ---------------------------------------------------------


def test_an_image_and_a_disk_are_chosen_shown_confirmed_and_flashed() -> None:
    disk = replace(
        DISK, parts=(Part("sda1", 2**30, "ntfs", "Windows"), Part("sda2", 5, None, None))
    )
    place = typing("1", "1", "yes", "")
    place.disks = [disk]

    assert place.run() is Ending.REBOOT

    (order, path), *_ = place.flash.orders
    assert (path, order.sha256, order.format) == ("/dev/sda", "ab" * 32, "img.zst")
    assert place.reports == [None]
    before = place.screen.said.partition("Erase the disk")[0]
    for words in ("Disk One", "S1", "8.0 GiB", "sda1  1.0 GiB  ntfs Windows", "ab" * 32):
        assert words in before
    assert "sda2  5 B  unknown content" in before
    assert "== The disk is flashed" in place.screen.said
    assert all(len(line) <= WIDTH for line in place.screen.lines)


def test_without_a_catalog_the_first_screen_asks_for_it() -> None:
    place = typing("d", "q")

    assert place.run(None) is Ending.QUIT

    assert place.loaded == ["usual"]
    assert "left the wizard; no disk was written" in place.screen.text


def test_a_catalog_that_cannot_be_read_leads_to_the_first_screen() -> None:
    place = typing("", "b", "http://no", "bad", "empty", "l", "d", "q")
    place.catalogs |= {"bad": b"version = 2", "empty": b"version = 1"}

    assert place.run("http://gone") is Ending.QUIT

    assert place.loaded == ["http://gone", "http://no", "bad", "empty", "usual"]
    for words in ("http://gone does not answer", "only 1 can be read", "that catalog is empty"):
        assert words in place.screen.said
    assert "no image file in the usual places" in place.screen.said


def test_bad_answers_are_asked_again() -> None:
    place = typing("0", "3", "99999999999", "x", "", "-1", "²", "\x1b[A", "1", "7", "1", "perhaps")
    place.person.lines += ["q"]

    assert place.run() is Ending.QUIT

    assert place.flash.orders == []
    assert "there is no number 3" in place.screen.text
    assert "not confirmed; no disk was written" in place.screen.text
    assert "\x1b" not in place.screen.text


def test_a_disk_in_use_is_shown_and_refused_and_the_list_can_be_renewed() -> None:
    place = typing("1", "2", "r", "b", "b", "d", "q")

    place.run()

    assert re.search("  2  sdb +1.0 TiB  IN USE  ", place.screen.text)
    assert "is in use: sdb1 is mounted at /home" in place.screen.said
    assert place.loaded == ["usual", "usual"]
    assert place.flash.orders == []


def test_a_machine_without_disks_says_so() -> None:
    place = typing("1", "1", "q")
    place.disks = []

    place.run()

    assert "no disk that could be written" in place.screen.text


def test_an_image_that_cannot_be_had_leads_back_to_the_images() -> None:
    place = typing("2", "1", "q")
    place.order_error = UnavailableError("r.example.com does not answer")

    place.run()

    assert "that image cannot be had: r.example.com does not answer" in place.screen.text
    assert place.screen.text.count("Which image?") == 2


def failing(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


def test_a_failed_flash_is_reported_at_once_and_another_disk_can_be_chosen() -> None:
    place = typing("1", "1", "y", lambda: str(len(place.reports)), "y", "n")
    place.flash.acts = [failing(FlashWriteError("/dev/sda failed at byte 5"))]

    assert place.run() is Ending.QUIT

    assert place.reports == ["/dev/sda failed at byte 5", None]
    assert "FAILED: /dev/sda failed at byte 5" in place.screen.text
    assert "left the wizard; Disk One (serial S1, /dev/sda) is flashed" in place.screen.said


def test_what_was_refused_before_the_first_byte_is_no_failure_of_the_disk() -> None:
    place = typing("1", "1", "y", "q")
    place.flash.acts = [failing(FlashRefusedError("the image is larger than the disk"))]

    place.run()

    assert place.reports == []
    assert "left the wizard; no disk was written" in place.screen.text


@pytest.mark.parametrize("kind", [CancelledError, UnavailableError, NotFoundError, FlashError])
def test_what_ended_before_the_first_byte_is_not_told_to_the_server(kind: type[BtyError]) -> None:
    place = typing("1", "1", "y", "q")
    place.flash.acts = [failing(kind("it stopped; nothing was written"))]

    place.run()

    assert place.reports == []
    assert "it stopped; nothing was written" in place.screen.said
    assert "left the wizard; no disk was written" in place.screen.text


@pytest.mark.parametrize("kind", [CancelledError, UnavailableError, FlashIntegrityError])
def test_what_ended_after_the_first_byte_is_told_to_the_server(kind: type[BtyError]) -> None:
    place = typing("1", "1", "y", "q")
    place.flash.acts = [failing(kind("it stopped; the disk does not boot: flash it again"))]

    place.run()

    assert len(place.reports) == 1
    assert "the disk does not boot" in (place.reports[0] or "")


def test_a_disk_that_does_not_boot_is_not_forgotten_over_the_next_try() -> None:
    place = typing("1", "1", "y", "1", "y", "q")
    place.flash.acts = [
        failing(FlashWriteError("it failed; the disk does not boot: flash it again")),
        failing(UnavailableError("it is away; nothing was written")),
    ]

    place.run()

    assert len(place.reports) == 1
    assert "left the wizard; Disk One (serial S1, /dev/sda): it failed" in place.screen.said


def test_a_flash_that_is_broken_off_by_force_is_told_to_the_server() -> None:
    place = typing("1", "1", "y", "q")
    place.flash.acts = [failing(KeyboardInterrupt())]

    assert place.run() is Ending.QUIT

    assert "may be half written" in (place.reports[0] or "")


def test_ctrl_c_leaves_and_says_what_state_the_disk_is_in() -> None:
    def interrupt() -> str:
        raise KeyboardInterrupt

    place = typing("1", "1", "y", interrupt)
    place.flash.acts = [failing(CancelledError("stopped at the console; it does not boot"))]

    assert place.run() is Ending.QUIT

    assert (
        "stopped; Disk One (serial S1, /dev/sda): stopped at the console; it does not boot"
        in place.screen.said
    )
    place = typing("1", interrupt)
    assert place.run() is Ending.QUIT
    assert "stopped; no disk was written" in place.screen.text


def test_nobody_at_the_terminal_is_a_reason_to_leave() -> None:
    place = typing()

    assert place.run(None) is Ending.QUIT
    assert place.person.asked == [60.0]


def test_until_the_first_answer_the_server_is_looked_after() -> None:
    looks: list[int] = []
    place = typing(None, None, "1", "1", "q")
    place.idle = lambda: looks.append(1)

    place.run()

    assert len(looks) == 2
    assert place.person.asked == [60.0, 60.0, 60.0, None, None]


def test_an_order_of_the_server_ends_the_wizard() -> None:
    def changed() -> None:
        raise PlanChangedError

    place = typing(None)
    place.idle = changed

    with pytest.raises(PlanChangedError):
        place.run()


# -- lists -------------------------------------------------------------------------------------


def picked(count: int, *answers: str) -> tuple[int | None, Screen]:
    screen = Screen()
    rows = [f"image-{number}" for number in range(count)]
    dialog = Dialog(screen.console, Person(list(answers)).line)
    try:
        return dialog.choose(rows, list(range(count)), "q"), screen
    except QuitError:
        return None, screen


def test_a_long_list_has_pages() -> None:
    number, screen = picked(40, "n", "n", "n", "p", "20")

    assert number == 19
    assert "29 to 40 of 40" in screen.text
    pages = screen.text.split("Number")
    assert all(len(page.splitlines()) <= PAGE + 4 for page in pages)


def test_a_long_list_can_be_searched_and_numbers_stay() -> None:
    number, screen = picked(40, "/IMAGE-39", "/nothing", "40")

    assert number == 39
    assert "  40  image-39" in screen.text
    assert "nothing has 'nothing' in it" in screen.text


@given(st.lists(st.text(max_size=10), max_size=8), st.integers(0, 50))
def test_any_answers_lead_to_a_choice_or_out(answers: list[str], count: int) -> None:
    plain = [answer for answer in answers if answer.strip().lower() not in ("b", "r")]

    number, _screen = picked(count, *plain)

    assert number is None or 0 <= number < count


def test_local_image_files_are_found_and_links_are_not(tmp_path: Path) -> None:
    (tmp_path / "a.img.zst").write_bytes(b"12345")
    (tmp_path / "b.iso").touch()
    (tmp_path / "c.img").symlink_to("a.img.zst")
    (tmp_path / "d.img").mkdir()

    (choice,) = of_files((tmp_path, tmp_path, tmp_path / "none"), tmp_path / "none")

    assert choice.wanted == Wanted(
        places=(Place(str(tmp_path / "a.img.zst"), "file"),), format="img.zst", size_bytes=5
    )


def test_each_medium_that_is_mounted_is_looked_into(tmp_path: Path) -> None:
    for name in ("sda1/a.img.zst", "sdb/b.img", "sdb/readme.txt", "sdb/deeper/c.img"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")

    names = [Path(choice.name).name for choice in of_files((), tmp_path)]

    assert names == ["a.img.zst", "b.img"]


def test_rows_fit_and_hostile_words_of_a_disk_do_not_move_the_cursor(tmp_path: Path) -> None:
    disks = [*Captured(tmp_path, "laptop").disks().values()]
    disks.append(replace(DISK, model="\x1b[2J" * 20, serial="\x07" * 99, parts=DISK.parts * 99))
    place = typing("1", str(len(disks)), "q")
    place.disks = disks

    place.run()

    assert not set(place.screen.text) & {"\x1b", "\x07"}
    assert all(len(line) <= WIDTH for line in place.screen.lines)
    assert "READ-ONLY" in "".join(map(disk_row, disks))


def test_what_is_written_says_how_sure_its_bytes_are() -> None:
    http, registry = Source("http", "http://h/a"), Source("registry", "oras://h/a")

    assert "NOT KNOWN" in written("a", Order((http,), "img"))[-1]
    assert "as the registry says" in written("a", Order((registry,), "img"))[-1]
    assert "read back" in written("a", Order((http,), "img", "ab", 5, verify=True))[-1]


def test_a_disk_of_many_partitions_is_told_in_a_screen() -> None:
    many = tuple(Part(f"sda{number}", 1, None, None) for number in range(128))

    lines = erased(replace(DISK, parts=many))

    assert len(lines) <= 14
    assert "118 more" in lines[-1]
    assert "no partitions" in erased(DISK)[-1]


# -- a real terminal ---------------------------------------------------------------------------


def test_the_command_runs_on_a_serial_line_and_ctrl_c_leaves_it(tmp_path: Path) -> None:
    (tmp_path / "catalog.toml").write_bytes(CATALOG)
    arguments = ("-m", "bty_app", "wizard", "--catalog", str(tmp_path / "catalog.toml"))

    with terminal(tmp_path, *arguments) as at:
        at.wait_for("Which image?")
        at.type("1\r")
        at.wait_for("Onto which disk")
        at.type("nonsense\r")
        at.wait_for("is not one of the answers")
        at.type("\x03")
        at.wait_for("stopped; no disk was written")
        assert at.end() == 0


def confirm(at: Terminal) -> None:
    """The first image onto the first disk; it is being written."""
    at.wait_for("Which image?")
    at.type("1\r")
    at.wait_for("Onto which disk")
    at.type("1\r")
    at.wait_for("Erase the disk and write the image?")
    at.type("yes\r")
    at.wait_for("writing  50 %")


def test_a_whole_flash_at_a_terminal(tmp_path: Path) -> None:
    with terminal(tmp_path, "-m", "tests.flasher.wizard_at_terminal") as at:
        confirm(at)
        at.wait_for("The disk is flashed")
        at.type("\r")
        at.wait_for("ending: reboot")
        assert at.end() == 0


def test_ctrl_c_in_a_flash_at_a_terminal(tmp_path: Path) -> None:
    with terminal(tmp_path, "-m", "tests.flasher.wizard_at_terminal", "slow") as at:
        confirm(at)
        at.type("\x03")
        at.wait_for("FAILED: Disk One (serial S1, /dev/sda): stopped at the console")
        at.type("q\r")
        at.wait_for("left the wizard; Disk One (serial S1, /dev/sda): stopped at the console")
        assert at.end() == 0


# -- keys --------------------------------------------------------------------------------------


def test_keys_of_a_terminal_count_without_the_end_of_a_line() -> None:
    master, slave = pty.openpty()
    try:
        keys = Keys(slave)
        before = termios.tcgetattr(slave)
        os.write(master, b"x")

        assert keys.attended
        assert keys.pressed(5.0)
        assert not keys.pressed(0.0)
        os.write(master, b"word\n")
        assert keys.line(5.0) == "word"
        assert keys.line(0.0) is None
        assert termios.tcgetattr(slave) == before
    finally:
        os.close(master)
        os.close(slave)


def test_a_terminal_that_hung_up_is_nobody() -> None:
    master, slave = pty.openpty()
    keys = Keys(slave)
    os.close(master)

    assert not keys.pressed(5.0)
    assert not keys.attended
    with pytest.raises(EOFError):
        keys.line()
    os.close(slave)


def test_lines_come_from_a_pipe_as_well() -> None:
    out, into = os.pipe()
    os.write(into, b"one\r\ntwo\nlast")
    os.close(into)
    keys = Keys(out)

    assert [keys.line(), keys.line(1.0), keys.line()] == ["one", "two", "last"]
    assert not keys.attended
    with pytest.raises(EOFError):
        keys.line()
    os.close(out)


def test_a_wait_reminds_of_its_reason_after_a_while() -> None:
    screen = Screen()
    waiting = Waiting(screen.console, lambda _seconds: False)

    for _ in range(25):
        waiting(30.0, "the server is away")
    waiting(1.0, "something else")

    assert screen.lines == ["the server is away"] * 3 + ["something else"]


def test_the_interrupt_is_what_it_was() -> None:
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
