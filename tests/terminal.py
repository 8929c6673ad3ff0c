"""A program at the other end of a terminal."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

REPOSITORY = Path(__file__).parents[1]


def _take_terminal() -> None:
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


class Terminal:
    """A program at the other end of a pty of 80 columns and 24 rows."""

    def __init__(self, *command: str, environment: dict[str, str]) -> None:
        master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (24, 80))
        self.process = subprocess.Popen(
            command,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            cwd=REPOSITORY,
            env=environment,
            start_new_session=True,
            preexec_fn=_take_terminal,  # noqa: PLW1509 - an ioctl and nothing else
        )
        os.close(slave)
        self.master = master
        self.text = ""

    def wait_for(self, words: str, seconds: float = 30.0) -> None:
        until = time.monotonic() + seconds
        while words not in self.text:
            left = until - time.monotonic()
            assert left > 0, f"never said {words!r}: {self.text}"
            assert self._read(left), f"ended without {words!r}: {self.text}"
        self.text = self.text.partition(words)[2]

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def end(self) -> int:
        while self._read(30.0):
            pass
        return self.process.wait(30)

    def _read(self, seconds: float) -> bool:
        if not select.select([self.master], [], [], seconds)[0]:
            return False
        try:
            part = os.read(self.master, 4096)
        except OSError:  # all of the other end is closed
            return False
        self.text += part.decode()
        return bool(part)

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.master)


@contextmanager
def terminal(tmp_path: Path, *command: str) -> Iterator[Terminal]:
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TERM": "dumb"}
    with closing(Terminal(sys.executable, *command, environment=environment)) as found:
        yield found
