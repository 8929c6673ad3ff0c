"""Waiting at the console: never without saying for what, and a key may end it."""

from __future__ import annotations

import math
from collections.abc import Callable

from bty_app.flasher import words
from bty_app.flasher.console import Console

REMIND_SECONDS = 300.0  # of the same reason, on a terminal where nothing is renewed


class KeyPressedError(Exception):
    """Somebody is there, and wants something else."""


class Waiting:
    """Waits for servers and for time; `pressed` waits for a key."""

    def __init__(self, console: Console, pressed: Callable[[float], bool]) -> None:
        self._console = console
        self._pressed = pressed
        self._told = ""
        self._since_told = 0.0

    def __call__(self, seconds: float, why: str) -> None:
        """Let time pass; keys do not count."""
        for left in self._seconds(seconds, why):
            self._console.renew(f"trying again in {words.duration(left)}")
            self._pressed(min(1.0, left))
        self._console.clear()

    def or_key(self, seconds: float, why: str, *, leads_to: str = "for the wizard") -> None:
        """Let time pass.

        Raises:
            KeyPressedError: a key ended it.
        """
        for left in self._seconds(seconds, f"{why} Press a key {leads_to}."):
            hint = f"press a key {leads_to}"
            self._console.renew(f"trying again in {words.duration(left)}; {hint}")
            if self._pressed(min(1.0, left)):
                self._console.clear()
                raise KeyPressedError
        self._console.clear()

    def _seconds(self, seconds: float, why: str) -> list[float]:
        """What is left at each second; the reason is said, unless that was done just now."""
        self._since_told += seconds
        if why != self._told or self._since_told >= REMIND_SECONDS:
            self._told, self._since_told = why, 0.0
            self._console.say(f"{why}")
        return [seconds - second for second in range(math.ceil(seconds))]
