"""The terminal that a person may look at, often a serial line of 80 columns and 24 rows."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from bty_app.logs import one_line

WIDTH = 79  # the last column would wrap on some terminals
MARK_FILES = (Path("/dev/kmsg"), Path("/dev/console"))


class Console:
    """Lines of text, and below them one line that is renewed where the terminal can do that.

    Nothing that a server or a disk says of itself can move the cursor. Threads: any may write.
    """

    def __init__(self, out: TextIO, *, renews: bool, marks: Sequence[Path] = ()) -> None:
        """`marks` are the files, beside `out`, that a mark is written to."""
        self.renews = renews
        self._out = out
        self._marks = tuple(marks)
        self._lock = threading.Lock()
        self._shown = 0

    def say(self, text: str = "") -> None:
        """A line that stays; a longer one wraps between words."""
        with self._lock:
            self._write(f"{self._cleared()}{wrapped(one_line(text))}\n")

    def renew(self, text: str) -> None:
        """The line below all others; nothing on a terminal that cannot go back."""
        if not self.renews:
            return
        line = one_line(text)[:WIDTH]
        with self._lock:
            blank = " " * (self._shown - len(line))
            self._write(f"\r{line}{blank}")
            self._shown = len(line)

    def clear(self) -> None:
        """Take the renewed line away."""
        with self._lock:
            self._write(self._cleared())

    def prompt(self, text: str) -> None:
        """A question, behind which the answer is typed."""
        with self._lock:
            self._write(f"{self._cleared()}{one_line(text)} ")

    def mark(self, text: str) -> None:
        """A line for programs that watch a console or the kernel's log: never told differently."""
        self.say(text)
        for path in self._marks:
            with contextlib.suppress(OSError):  # a container or a user has neither
                path.write_text(f"{one_line(text)}\n")

    def _cleared(self) -> str:
        shown, self._shown = self._shown, 0
        return f"\r{' ' * shown}\r" if shown else ""

    def _write(self, text: str) -> None:
        encoding = getattr(self._out, "encoding", None) or "utf-8"
        # A line that hung up, and one that only takes ASCII, are no reason to stop a flash.
        with contextlib.suppress(OSError, ValueError):
            self._out.write(text.encode(encoding, "replace").decode(encoding))
            self._out.flush()


def wrapped(text: str) -> str:
    """`text` in lines that fit, broken between words where there are any."""
    lines, indent = [], text[: len(text) - len(text.lstrip())]
    while len(text) > WIDTH:
        cut = text.rfind(" ", len(indent) + 1, WIDTH + 1)
        cut = cut if cut > 0 else WIDTH
        lines.append(text[:cut].rstrip())
        text = indent + text[cut:].lstrip()
    return "\n".join([*lines, text])
