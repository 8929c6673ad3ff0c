"""Several terminals as one, with real pseudo-terminals."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bty_app.flasher.terminals import on_all

PROGRAM = """
import sys
from pathlib import Path
from bty_app.flasher.terminals import on_all

def work():
    print("who is there?", flush=True)
    print(f"it is {input()}, at a terminal: {sys.stdout.isatty()}", flush=True)
    return 7

sys.exit(on_all([Path(p) for p in sys.argv[1:]], work))
"""


class Screen:
    """A terminal that somebody may sit at."""

    def __init__(self) -> None:
        self.master, slave = pty.openpty()
        self.path = os.ttyname(slave)
        self.slave = slave
        self.text = ""

    def wait_for(self, words: str) -> None:
        until = time.monotonic() + 20
        while words not in self.text:
            assert time.monotonic() < until, self.text
            if select.select([self.master], [], [], 0.1)[0]:
                self.text += os.read(self.master, 4096).decode()

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())


@contextmanager
def running(code: str, *paths: str) -> Iterator[subprocess.Popen[bytes]]:
    program = subprocess.Popen([sys.executable, "-c", code, *paths])
    try:
        yield program
    finally:
        program.kill()
        program.wait()


@pytest.mark.parametrize("typist", [0, 1])
def test_all_see_the_same_and_any_may_answer(typist: int) -> None:
    screens = [Screen(), Screen()]
    paths = [screen.path for screen in screens]

    with running(PROGRAM, *paths, "/dev/no-such-line") as program:
        for screen in screens:
            screen.wait_for("who is there?")
        screens[typist].type("somebody\r")
        for screen in screens:
            screen.wait_for("it is somebody, at a terminal: True\r\n")
        status = program.wait(10)

    assert status == 7


def test_a_line_that_hangs_up_or_that_nobody_reads_holds_nothing_up() -> None:
    lost, deaf, seen = Screen(), Screen(), Screen()
    paths = [screen.path for screen in (lost, deaf, seen)]
    chatty = PROGRAM.replace("def work():", "def work():\n    print('x' * 100_000)")

    with running(chatty, *paths) as program:
        os.close(lost.slave)
        os.close(lost.master)
        seen.wait_for("who is there?")
        seen.type("me\r")
        seen.wait_for("it is me")
        assert program.wait(10) == 7


def test_without_a_terminal_the_work_is_done_here() -> None:
    assert on_all([Path("/dev/no-such-line")], lambda: 3) == 3
    assert on_all([], lambda: 4) == 4
