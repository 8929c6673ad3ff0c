"""How far a flash is: readings, lines of 80 columns, a file, the server; and the console itself."""

from __future__ import annotations

import io
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain.jobs import Step
from bty_app.domain.progress import ProgressReport, parse_progress
from bty_app.errors import CancelledError
from bty_app.flasher import words
from bty_app.flasher.clock import ClockSetter, correct_time
from bty_app.flasher.console import WIDTH, Console
from bty_app.flasher.meter import Meter, Reading, phase_name, progress_line
from bty_app.flasher.order import FlashStep
from bty_app.flasher.progress import ConsoleOutput, Progress, ServerOutput, StatusFile

GIB = 2**30
ESCAPES = "\x1b]0;x\x07\x9b2J\r\n\u202e"


@dataclass
class Time:
    now: float = 0.0
    pauses: list[float] = field(default_factory=list)

    def __call__(self) -> float:
        return self.now

    def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds


def screen(*, renews: bool) -> tuple[Console, io.StringIO]:
    out = io.StringIO()
    return Console(out, renews=renews), out


# -- readings ----------------------------------------------------------------------------------


def test_a_rate_is_of_the_last_seconds_and_says_how_long_it_will_take() -> None:
    meter = Meter()
    reading = Reading("")
    for second in range(60):  # slow at first
        reading = meter.take(Step("writing", second * 10, 10_000), float(second))
    for second in range(60, 90):
        reading = meter.take(Step("writing", 600 + (second - 60) * 100, 10_000), float(second))

    assert reading.rate is not None
    assert 95 <= reading.rate <= 100
    assert reading.seconds_left == (10_000 - reading.done) // reading.rate
    assert reading.in_phase == 89


def test_each_phase_is_measured_by_itself_and_so_is_what_starts_again() -> None:
    meter = Meter()
    meter.take(Step("writing", 0, 100), 0)
    assert meter.take(Step("writing", 100, 100), 10).rate == 10

    assert meter.take(Step("checking", 50, 100), 11).rate is None
    assert meter.take(Step("checking", 70, 100), 13).rate == 10
    assert meter.take(Step("checking", 5, 100), 14).rate is None
    assert meter.take(Step("flushing"), 20) == Reading("flushing")


@pytest.mark.parametrize(
    ("reading", "line"),
    [
        (Reading("flushing"), "flushing"),
        (Reading("opening", written=0), "opening"),
        (Reading("flushing", in_phase=75), "flushing  for 1 min 15 s"),
        (
            Reading("writing", GIB, 4 * GIB, 3 * GIB, 118 * 2**20, 26),
            "writing  25 %  1.0 GiB of 4.0 GiB  118 MiB/s  26 s left  3.0 GiB written",
        ),
        (Reading("writing", 5 * 2**20, None, None, 2**20), "writing  5.0 MiB  1.0 MiB/s"),
        (Reading("writing", 9, 3), "writing 100 %  9 B of 3 B"),
        (Reading("writing", 0, 0), "writing"),
    ],
)
def test_a_reading_is_one_line(reading: Reading, line: str) -> None:
    assert progress_line(reading) == line


@given(
    st.text(max_size=60),
    st.integers(0, 2**62),
    st.none() | st.integers(0, 2**62),
    st.none() | st.integers(0, 2**62),
    st.none() | st.integers(0, 2**40),
)
def test_any_reading_fits_on_a_line_and_on_the_wire(
    phase: str, done: int, total: int | None, rate: int | None, left: int | None
) -> None:
    reading = Reading(phase, done, total, done, rate, left)
    sent: list[ProgressReport] = []
    ServerOutput(sent.append)(reading, 0.0)

    assert len(progress_line(reading)) <= WIDTH
    (report,) = sent
    fields = {"phase": report.phase, "bytes": report.bytes_done, "rate": report.rate}
    assert parse_progress(fields) == ProgressReport(report.phase, done, None, report.rate)


@pytest.mark.parametrize(
    ("phase", "name"),
    [("writing", "writing"), ("Reading back", "reading-back"), ("7 %", "working"), ("", "working")],
)
def test_a_phase_has_a_name_for_the_wire(phase: str, name: str) -> None:
    assert phase_name(phase) == name


# -- telling -----------------------------------------------------------------------------------


def test_it_is_told_at_most_once_a_second_but_each_phase_at_once() -> None:
    time = Time()
    told: list[tuple[float, str, int]] = []
    progress = Progress(
        [lambda reading, now: told.append((now, reading.phase, reading.done))], steady=time
    )

    for tenth in range(25):
        time.now = tenth / 10
        progress.tell(Step("writing" if tenth < 22 else "flushing", tenth))

    assert told == [
        *((0.0, "writing", 0), (1.0, "writing", 10), (2.0, "writing", 20)),
        (2.2, "flushing", 22),
    ]


def test_the_server_hears_the_last_word_once_a_tick_and_again_when_all_is_quiet() -> None:
    time = Time()
    near: list[float] = []
    far: list[tuple[float, int]] = []
    progress = Progress(
        [lambda reading, now: near.append(reading.in_phase)],
        [lambda reading, now: far.append((now, reading.done))],
        steady=time,
    )
    progress.tick()  # nothing has begun

    for done in range(10):
        progress.tell(Step("writing", done))
    for second in range(1, 26):
        time.now = float(second)
        progress.tick()

    assert far == [(1.0, 9), (11.0, 9), (21.0, 9)]
    assert near == [0.0, 5.0, 10.0, 15.0, 20.0, 25.0]


def test_what_is_not_wanted_any_more_ends_where_it_tells_or_waits() -> None:
    time = Time()
    wanted = [True]
    progress = Progress([], is_wanted=lambda: wanted[0], steady=time, pause=time.pause)

    progress.tell(Step("writing"))
    progress.wait(2.5)
    wanted[0] = False

    assert time.pauses == [1.0, 1.0, 0.5]
    assert not progress.is_wanted()
    with pytest.raises(CancelledError, match="stopped at the console"):
        progress.tell(Step("writing"))
    with pytest.raises(CancelledError):
        progress.wait(1)


def test_a_terminal_has_one_line_that_is_renewed() -> None:
    console, out = screen(renews=True)
    output = ConsoleOutput(console)

    output(Reading("writing", 1000, 2000), 0.0)
    output(Reading("flushing"), 1.0)
    console.say("done")

    first = "writing  50 %  1.0 KiB of 2.0 KiB"
    blank = " " * (len(first) - len("flushing"))
    assert out.getvalue() == f"\r{first}\rflushing{blank}\r        \rdone\n"


def test_what_hinders_a_flash_is_said_once_and_the_server_hears_of_it() -> None:
    console, out = screen(renews=False)
    meter, sent = Meter(), list[ProgressReport]()
    outputs = (ConsoleOutput(console), ServerOutput(sent.append))

    for second, said in enumerate(["writing", "writing; h is away", "writing; h is away"]):
        for output in outputs:
            output(meter.take(Step(said, 5 * second, 100), float(second)), float(second))

    assert sent[-1].rate == 5  # it is one phase
    assert out.getvalue().splitlines() == ["writing   0 %  0 B of 100 B", "h is away"]
    assert [(report.phase, report.error) for report in sent] == [
        ("writing", None),
        ("writing", "h is away"),
        ("writing", "h is away"),
    ]


def test_without_a_terminal_there_is_a_line_now_and_then() -> None:
    console, out = screen(renews=False)
    output = ConsoleOutput(console)

    for second in range(25):
        output(Reading("writing", second), float(second))
    output(Reading("flushing"), 25.0)

    lines = ["writing", "writing  10 B", "writing  20 B", "flushing"]
    assert out.getvalue().splitlines() == lines


def test_other_programs_read_a_line_of_words(tmp_path: Path) -> None:
    path = tmp_path / "bty.status"

    StatusFile(path)(Reading("reading back", 1, 2, 3, 4, 5), 0.0)

    assert (
        path.read_text() == "phase=reading-back bytes=1 total=2 written=3 rate=4 seconds_left=5\n"
    )
    assert list(tmp_path.iterdir()) == [path]
    StatusFile(tmp_path / "none" / "x")(Reading("writing"), 0.0)


def test_bytes_on_the_disk_are_told_where_a_step_knows_them() -> None:
    reading = Meter().take(FlashStep("writing", 1, 2, bytes_image=2 * GIB, bytes_written=7), 0.0)

    assert reading.written == 2 * GIB


# -- the console -------------------------------------------------------------------------------


@given(st.text(max_size=300))
def test_no_text_moves_the_cursor(text: str) -> None:
    console, out = screen(renews=True)

    for write in (console.say, console.renew, console.prompt, console.mark):
        out.seek(0)
        out.truncate()
        console.clear()
        write(text + ESCAPES)
        shown = out.getvalue().replace("\r", "").replace("\n", "")
        assert not set(shown) & set("\x1b\x07\x9b\u202e\x00\x08")


def test_what_a_terminal_would_obey_is_shown() -> None:
    console, out = screen(renews=True)

    console.say("a\x1b[2Jb")

    assert out.getvalue() == "a\\u001b[2Jb\n"


def test_a_long_line_wraps_between_words_and_keeps_its_place() -> None:
    console, out = screen(renews=False)

    console.say("  " + "word " * 30)
    console.say("x" * 200)

    lines = out.getvalue().splitlines()
    assert all(len(line) <= WIDTH for line in lines)
    assert all(line.startswith("  word") for line in lines[:2])
    assert "".join(lines[2:]) == "x" * 200


def test_a_console_that_takes_only_ascii_gets_only_that() -> None:
    raw = io.BytesIO()
    console = Console(io.TextIOWrapper(raw, encoding="ascii"), renews=False)

    console.say("é 日本")

    assert raw.getvalue() == b"? ??\n"


def test_a_console_that_hung_up_stops_nothing() -> None:
    out = io.StringIO()
    out.close()

    Console(out, renews=True).say("x")


def test_a_mark_is_written_wherever_somebody_may_watch(tmp_path: Path) -> None:
    out = io.StringIO()
    kmsg = tmp_path / "kmsg"

    Console(out, renews=False, marks=[kmsg, tmp_path / "no" / "console"]).mark("bty: entered v1")

    assert kmsg.read_text() == out.getvalue() == "bty: entered v1\n"


@pytest.mark.parametrize(
    ("count", "text"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.0 KiB"), (1023 * 1024, "1.0 MiB"), (2**62, "4.0 EiB")],
)
def test_a_size_is_short(count: int, text: str) -> None:
    assert words.size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (59.9, "59 s"), (200, "3 min 20 s"), (7500, "2 h 5 min"), (1e7, "115 days")],
)
def test_a_duration_is_short(seconds: float, text: str) -> None:
    assert words.duration(seconds) == text


# -- the clock ---------------------------------------------------------------------------------

AT = 1795647600.0  # Wed, 25 Nov 2026 23:00:00 GMT


@pytest.mark.parametrize(
    ("date", "now", "told"),
    [
        ("Wed, 25 Nov 2026 23:00:00 GMT", 0.0, AT),
        ("Wed, 25 Nov 2026 23:00:00 GMT", AT - 61, AT),
        ("Wed, 25 Nov 2026 23:00:00 GMT", AT - 60, None),
        ("Wed, 25 Nov 2026 23:00:00 GMT", AT + 10**6, None),
        ("Wed, 25 Nov 2026 23:00:00", 0.0, AT),
        ("yesterday", 0.0, None),
        ("", 0.0, None),
        ("Wed, 99 Nov 2026 23:00:00 GMT", 0.0, None),
        ("Wed, 25 Nov 99999 23:00:00 GMT", 0.0, None),
    ],
)
def test_the_clock_is_only_set_forward_and_only_when_it_is_far_behind(
    date: str, now: float, told: float | None
) -> None:
    assert correct_time(date, now) == told


@given(st.text(max_size=40), st.floats(0, 4e9))
def test_any_date_is_read(date: str, now: float) -> None:
    told = correct_time(date, now)

    assert told is None or told > now


def test_a_clock_that_may_not_be_set_stops_nothing() -> None:
    asked: list[float] = []

    def refuse(seconds: float) -> None:
        asked.append(seconds)
        raise PermissionError

    ClockSetter(now=lambda: 0.0, set_clock=refuse)("Wed, 25 Nov 2026 23:00:00 GMT")
    ClockSetter(now=lambda: AT, set_clock=refuse)("Wed, 25 Nov 2026 23:00:00 GMT")

    assert asked == [AT]
