"""Other programs: run, waited for, and named when they are missing or fail."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from bty_app.deploy.stack import Done
from bty_app.errors import NotFoundError, UnavailableError

ASK_SECONDS = 120.0
LAST_LINES = 12


@dataclass(frozen=True, slots=True)
class Programs:
    """The programs of this host. With `dry`, what would change something is only told."""

    say: Callable[[str], None]
    dry: bool = False
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def has(self, name: str) -> bool:
        """Whether it is installed."""
        return shutil.which(name, path=self.environment.get("PATH")) is not None

    def ask(self, *words: str, seconds: float | None = ASK_SECONDS) -> Done:
        """Run what changes nothing; its failure is the caller's to judge.

        Raises:
            NotFoundError: it is not installed.
            UnavailableError: it did not end in time.
        """
        try:
            done = subprocess.run(  # noqa: S603 - our own words
                words,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                env=self.environment,
                timeout=seconds,
                check=False,
            )
        except FileNotFoundError as error:
            raise NotFoundError(f"the program {words[0]} is missing: install it") from error
        except OSError as error:
            raise UnavailableError(f"{words[0]} cannot be run: {error.strerror}") from error
        except subprocess.TimeoutExpired as error:
            raise UnavailableError(f"`{_line(words)}` did not end in {seconds:.0f} s") from error
        return Done(done.returncode, _text(done.stdout), _text(done.stderr))

    def do(self, *words: str, shown: bool = False) -> None:
        """Run what changes something; with `shown`, a person sees what it says.

        Raises:
            NotFoundError: it is not installed.
            UnavailableError: it failed; the sentence has the last that it said.
        """
        if self.dry:
            self.say(f"would run: {_line(words)}")
            return
        if shown:
            self._shown(words)
            return
        done = self.ask(*words, seconds=None)
        if done.status:
            said = last_lines(done.stderr + done.stdout)
            raise UnavailableError(f"`{_line(words)}` failed ({done.status}): {said}")

    def _shown(self, words: Sequence[str]) -> None:
        try:
            done = subprocess.run(  # noqa: S603 - our own words
                words,
                stdin=subprocess.DEVNULL,
                stdout=sys.stderr,
                env=self.environment,
                check=False,
            )
        except OSError as error:
            raise NotFoundError(
                f"the program {words[0]} cannot be run: {error.strerror}"
            ) from error
        if done.returncode:
            raise UnavailableError(
                f"`{_line(words)}` failed ({done.returncode}); what it said stands above"
            )


def last_lines(text: str, count: int = LAST_LINES) -> str:
    """The end of a program's output, on one line."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return " | ".join(lines[-count:]) or "it said nothing"


def _text(raw: bytes) -> str:
    return raw.decode("utf-8", "replace")


def _line(words: Sequence[str]) -> str:
    return shlex.join(words)
