"""How far long work is, on a terminal or in a log."""

from __future__ import annotations

import sys
import time

from bty_app.domain.jobs import Step

EVERY_SECONDS = 0.2  # on a terminal; into a file, a line in ten seconds
LINE_SECONDS = 10.0
WIDTH = 79


class Terminal:
    """A teller that writes to standard error: one line that is renewed, or a line now and then."""

    def __init__(self) -> None:
        self._renews = sys.stderr.isatty()
        self._words = ""
        self._written_at = float("-inf")

    def tell(self, step: Step) -> None:
        """Write it, unless that was done just now."""
        now = time.monotonic()
        every = EVERY_SECONDS if self._renews else LINE_SECONDS
        if step.words == self._words and now - self._written_at < every:
            return
        self._words, self._written_at = step.words, now
        line = _line(step)
        sys.stderr.write(f"\r{line[:WIDTH]:{WIDTH}}" if self._renews else f"{line}\n")
        sys.stderr.flush()

    def is_wanted(self) -> bool:
        """Until ^C ends the program."""
        return True

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        time.sleep(seconds)

    def done(self) -> None:
        """End the line that was renewed."""
        if self._renews and self._words:
            sys.stderr.write(f"\r{'':{WIDTH}}\r")
            sys.stderr.flush()


def _line(step: Step) -> str:
    words = "".join(c if c.isprintable() else "?" for c in step.words)
    if step.total:
        return f"{step.done * 100 // step.total:3d} %  {words}"
    return f"{step.done / 2**20:.1f} MiB  {words}" if step.done else words
