"""What is typed at the console, if anybody is there."""

from __future__ import annotations

import contextlib
import os
import select
import termios
import time
import tty
from collections.abc import Iterator
from contextlib import contextmanager


class Keys:
    """The keyboard, or nobody where standard input is no terminal. For one thread."""

    def __init__(self, descriptor: int = 0) -> None:
        self._descriptor = descriptor
        with contextlib.suppress(OSError):
            self.attended = os.isatty(descriptor)

    attended = False

    def pressed(self, seconds: float) -> bool:
        """Wait, but not beyond the press of a key."""
        if not self.attended:
            time.sleep(seconds)
            return False
        with self._unbuffered():
            if not self._readable(seconds):
                return False
            # Some terminals answer questions that nobody asked; all that is there is one press.
            return bool(self._read())

    def line(self, seconds: float | None = None) -> str | None:
        """A line that is typed, without its end; None when `seconds` pass before any of it.

        Raises:
            EOFError: nobody will ever type one.
        """
        if seconds is not None and not self._readable(seconds):
            return None
        typed = bytearray()
        while not typed.endswith(b"\n"):
            part = self._read(1 if not self.attended else 1024)
            if not part:
                if typed:
                    break
                raise EOFError
            typed += part
        return typed.decode("utf-8", "replace").rstrip("\r\n")

    def _read(self, most: int = 1024) -> bytes:
        try:
            return os.read(self._descriptor, most)
        except OSError:  # the line hung up
            self.attended = False
            return b""

    def _readable(self, seconds: float) -> bool:
        with contextlib.suppress(OSError, ValueError):
            return bool(select.select([self._descriptor], [], [], seconds)[0])
        return False

    @contextmanager
    def _unbuffered(self) -> Iterator[None]:
        """A key counts without the line's end; ^C stays what it is."""
        try:
            before = termios.tcgetattr(self._descriptor)
            tty.setcbreak(self._descriptor, termios.TCSANOW)
        except termios.error:
            self.attended = False
            yield
            return
        try:
            yield
        finally:
            with contextlib.suppress(termios.error):
                termios.tcsetattr(self._descriptor, termios.TCSANOW, before)
