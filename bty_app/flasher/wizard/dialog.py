"""Questions and answers on a plain terminal of 80 columns and 24 rows, without colours."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from bty_app.flasher.console import WIDTH, Console

PAGE = 14  # rows of a list: with its head, its help and the question it fits on 24 lines
IDLE_SECONDS = 60.0

T = TypeVar("T")


class BackError(Exception):
    """The person wants the screen before this one."""


class QuitError(Exception):
    """The person leaves, or there is none."""


class Dialog:
    """Asks until an answer makes sense. `line` reads one, or returns None after some seconds."""

    def __init__(
        self,
        console: Console,
        line: Callable[[float | None], str | None],
        idle: Callable[[], None] = lambda: None,
    ) -> None:
        """`idle` is called now and then until the first answer: nobody may be there."""
        self.console = console
        self._line = line
        self._idle = idle
        self._answered = False

    def title(self, text: str) -> None:
        """The head of a screen."""
        self.console.say()
        self.console.say(f"== {text} ".ljust(WIDTH, "="))

    def say(self, text: str) -> None:
        """A line."""
        self.console.say(text)

    def ask(self, question: str) -> str:
        """What is typed, without the spaces around it.

        Raises:
            QuitError: q, or nobody is there.
        """
        self.console.prompt(question)
        try:
            typed = self._typed()
        except EOFError as error:
            self.console.say()
            raise QuitError from error
        if typed.lower() in ("q", "quit"):
            raise QuitError
        return typed

    def confirm(self, question: str) -> bool:
        """Yes, or anything else."""
        return self.ask(f"{question} [yes/no]").lower() in ("y", "yes")

    def choose(self, rows: Sequence[str], items: Sequence[T], more: str) -> T:
        """One of `items`, by its number; a long list has pages, and `/word` shows fewer.

        `more` is said of other answers. `r` ends with LookupError: show it anew.

        Raises:
            BackError: b.
            QuitError: q, or nobody is there.
            LookupError: r.
        """
        shown = list(range(len(rows)))
        first = 0
        while True:
            self._page(rows, shown, first)
            answer = self.ask(f"Number, {more}:")
            match answer.lower():
                case "b":
                    raise BackError
                case "r":
                    raise LookupError
                case "n" if first + PAGE < len(shown):
                    first += PAGE
                case "p" if first:
                    first -= PAGE
                case word if word.startswith("/"):
                    found = [n for n in range(len(rows)) if word[1:] in rows[n].lower()]
                    shown, first = found or shown, 0
                    if not found:
                        self.say(f"nothing has {word[1:40]!r} in it")
                case number if number.isascii() and number.isdigit() and len(number) < 6:
                    if 1 <= int(number) <= len(items):
                        return items[int(number) - 1]
                    self.say(f"there is no number {number}")
                case _:
                    self.say(f"{answer[:40]!r} is not one of the answers")

    def _page(self, rows: Sequence[str], shown: Sequence[int], first: int) -> None:
        for number in shown[first : first + PAGE]:
            self.say(f"{number + 1:4}  {rows[number]}"[:WIDTH])
        if len(shown) > PAGE:
            last = min(first + PAGE, len(shown))
            self.say(
                f"      {first + 1} to {last} of {len(shown)}: n next page, p page before,"
                " /word finds"
            )

    def _typed(self) -> str:
        while not self._answered:
            typed = self._line(IDLE_SECONDS)
            if typed is not None:
                self._answered = True
                return typed.strip()
            self._idle()
        return (self._line(None) or "").strip()
