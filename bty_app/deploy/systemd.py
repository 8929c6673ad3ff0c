"""A unit of systemd: stopped, started, and how it is."""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field

from bty_app.deploy.programs import Programs, last_lines
from bty_app.deploy.stack import Condition, Done
from bty_app.errors import UnavailableError

_LOG_LINES = 20
_LIVES = frozenset({"active", "activating", "reloading"})  # also while it waits for its next start


def _silent() -> Programs:
    return Programs(lambda _line: None)


@dataclass(frozen=True, slots=True)
class Unit:
    """One unit, by its name. Every method raises a BtyError where there is no systemd."""

    name: str
    programs: Programs = field(default_factory=_silent)

    def stop(self) -> None:
        """Stop it, and wait until it has ended.

        Raises:
            UnavailableError: systemd did not do it.
        """
        self._do("stop", self.name)

    def start(self) -> None:
        """Start it, and do not wait; failures before count no more.

        Raises:
            UnavailableError: systemd did not do it.
        """
        self._run("systemctl", "reset-failed", self.name)  # fails where there was no failure
        self._do("start", "--no-block", self.name)

    def condition(self) -> Condition:
        """How it is."""
        shown = self.shown("ActiveState", "NRestarts")
        restarts = shown.get("NRestarts", "")
        runs = shown.get("ActiveState") in _LIVES
        return Condition(runs, int(restarts) if restarts.isdigit() else 0)

    def journal(self) -> str:
        """The last lines of its log."""
        which = (f"--unit={self.name}", f"--lines={_LOG_LINES}", "--no-pager", "--output=cat")
        return self._run("journalctl", *which).stdout.strip()

    def environment(self) -> dict[str, str]:
        """The variables that it sets."""
        try:
            words = shlex.split(self.shown("Environment").get("Environment", ""))
        except ValueError:
            return {}
        return dict(pair for word in words if len(pair := word.split("=", 1)) == 2)

    def shown(self, *names: str) -> dict[str, str]:
        """Some of its properties."""
        done = self._run("systemctl", "show", self.name, *(f"--property={name}" for name in names))
        return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)

    def _do(self, *words: str) -> None:
        done = self._run("systemctl", *words)
        if done.status:
            said = last_lines(done.stderr)
            raise UnavailableError(f"systemctl {' '.join(words)} failed ({done.status}): {said}")

    def _run(self, *words: str) -> Done:
        return self.programs.ask(*words)
