"""An upgrade that costs nothing: proven before it is begun, and taken back where it fails.

What follows what is in `domain/upgrading.py`; here each step is carried out. Before each of those
that change something the journal says so, and every step may be done twice.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from pathlib import Path

from bty_app.deploy import upgrade_journal
from bty_app.deploy.readiness import Pace, RealPace
from bty_app.deploy.stack import Release, Stack
from bty_app.deploy.upgrade_journal import Going
from bty_app.deploy.upgrade_steps import Steps, Tell
from bty_app.domain.moments import stamp
from bty_app.domain.upgrading import (
    HARMLESS,
    End,
    Facts,
    State,
    Step,
    after,
    resumed,
)
from bty_app.errors import BtyError, StorageError

WATCH_SECONDS = 120.0
_LAST_LINES = 12


@dataclass(frozen=True, slots=True)
class Report:
    """How an upgrade came out. `said`: the last lines of the log of what failed; `acts`: how many
    acts of operators stay behind in the database of the new release; `problem`: what failed on the
    way back, or why the audit log could not be told of all this.
    """

    end: End
    old: Release
    new: Release
    why: str = ""
    problem: str = ""
    backup: str = ""
    said: str = ""
    acts: int = 0
    is_same: bool = False


class Upgrade:
    """One upgrade of `stack`, whose journal is in `folder`."""

    def __init__(
        self,
        stack: Stack,
        folder: Path,
        tell: Tell,
        *,
        pace: Pace | None = None,
        watch_seconds: float = WATCH_SECONDS,
        wait_seconds: float | None = None,
    ) -> None:
        """Where `wait_seconds` is None, the size of the database says how long a start may take."""
        self._stack = stack
        self._folder = folder
        self._tell = tell
        self._pace = pace or RealPace()
        self._steps = Steps(stack, tell, self._pace, watch_seconds, wait_seconds)
        self._said = ""

    def run(self, version: str) -> Report:
        """Bring what runs here to `version`, or finish what a killed run has begun.

        Raises:
            ConflictError: another upgrade is going on.
            BtyError: it cannot even be looked at; nothing was changed.
        """
        with upgrade_journal.alone(self._folder):
            going = upgrade_journal.read(self._folder)
            if going is not None:
                return self._resumed(going)
            old = self._stack.current()
            if old.version == version:
                return Report(End.UNCHANGED, old, old, is_same=True)
            begun_at = stamp(self._pace.moment())
            going = Going(State(), old, Release(version, ""), Facts("", 0, 0, 0), "", begun_at)
            return self._through(going)

    def _resumed(self, going: Going) -> Report:
        both = f"from {going.old.version} to {going.new.version}"
        self._tell(f"an upgrade {both} was cut off: it is gone on with")
        return self._through(replace(going, state=resumed(going.state)))

    def _through(self, going: Going) -> Report:
        while isinstance(going.state.at, Step):
            step = going.state.at
            failure = ""
            try:
                self._keep(going)
                going = self._steps.do(step, going)
            except BtyError as error:
                failure = error.message
                self._note_log(step)
            going = replace(going, state=after(going.state, failure))
        self._finish(going)
        return self._report(going)

    def _keep(self, going: Going) -> None:
        """The way back does not depend on the journal."""
        if going.state.at in HARMLESS:
            return
        try:
            upgrade_journal.write(self._folder, going)
        except StorageError:
            if not going.state.why:
                raise

    def _finish(self, going: Going) -> None:
        if going.state.at is End.STRANDED:
            with contextlib.suppress(StorageError):  # then the step before it is what is known
                upgrade_journal.write(self._folder, going)
            return
        upgrade_journal.remove(self._folder)

    def _report(self, going: Going) -> Report:
        state = going.state
        assert isinstance(state.at, End)  # noqa: S101 - the loop ended
        return Report(
            state.at,
            going.old,
            going.new,
            why=state.why,
            problem=state.problem,
            backup=going.backup,
            said=self._said,
            acts=self._steps.acts,
        )

    def _note_log(self, step: Step) -> None:
        """What the one that failed said last; looked at before it is stopped."""
        if step in {Step.START, Step.WAIT, Step.WATCH, Step.START_OLD, Step.WAIT_OLD}:
            with contextlib.suppress(BtyError):
                lines = self._stack.said().splitlines()
                self._said = "\n".join(lines[-_LAST_LINES:])


def by_hand(report: Report) -> str:
    """What a person does where the way back failed, too."""
    return (
        f"bty {report.old.version} is not back. Run the same command again: it tries the way back"
        f" once more. By hand: stop bty; `bty rollback`; install {report.old.version}"
        f" ({report.old.reference}); start it. The backup from before is {report.backup}"
    )
