"""The systemd service of a host: stopped, started, and how it is."""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from bty_app.deploy.stack import Condition
from bty_app.errors import ConfigError, UnavailableError

_LOG_LINES = 20
_SECONDS = 120.0  # TimeoutStopSec is 30
LIVES = frozenset({"active", "activating", "reloading"})  # also while it waits to be started again


@dataclass(frozen=True, slots=True)
class HostService:
    """One unit."""

    unit: str

    def stop(self) -> None:
        """Stop it, and wait until it has ended.

        Raises:
            UnavailableError: systemd did not do it.
        """
        self._do("stop", self.unit)

    def start(self) -> None:
        """Start it, and do not wait; failures before count no more.

        Raises:
            UnavailableError: systemd did not do it.
        """
        self._run("systemctl", "reset-failed", self.unit)  # fails where there was no failure
        self._do("start", "--no-block", self.unit)

    def condition(self) -> Condition:
        """How it is, and what it said last."""
        shown = self._shown("ActiveState", "NRestarts")
        restarts = shown.get("NRestarts", "")
        log = self._run("journalctl", "-u", self.unit, "-n", str(_LOG_LINES), "-o", "cat")
        return Condition(
            shown.get("ActiveState") in LIVES,
            int(restarts) if restarts.isdigit() else 0,
            log.stdout,
        )

    def environment(self) -> dict[str, str]:
        """The variables that its unit sets."""
        try:
            words = shlex.split(self._shown("Environment").get("Environment", ""))
        except ValueError:
            return {}
        return dict(pair for word in words if len(pair := word.split("=", 1)) == 2)

    def _shown(self, *names: str) -> dict[str, str]:
        done = self._run("systemctl", "show", self.unit, *(f"--property={name}" for name in names))
        return dict(line.split("=", 1) for line in done.stdout.splitlines() if "=" in line)

    def _do(self, *words: str) -> None:
        done = self._run("systemctl", *words)
        if done.returncode:
            said = " ".join(done.stderr.split()) or f"status {done.returncode}"
            raise UnavailableError(f"systemctl {' '.join(words)} failed: {said}")

    @staticmethod
    def _run(*words: str) -> subprocess.CompletedProcess[str]:
        return run_program(words)


def run_program(words: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a program of the host.

    Raises:
        ConfigError: it is not there.
        UnavailableError: it does not end.
    """
    try:
        return subprocess.run(  # noqa: S603 - systemctl and journalctl
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
            check=False,
        )
    except FileNotFoundError as error:
        raise ConfigError(f"{words[0]} is not here: this host has no systemd") from error
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"{' '.join(words)} does not end") from error
