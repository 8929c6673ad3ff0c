"""The steps of an upgrade, carried out: each may be done twice."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any

from bty_app.deploy import readiness
from bty_app.deploy.readiness import Pace
from bty_app.deploy.stack import Done, Release, Stack
from bty_app.deploy.upgrade_journal import Going
from bty_app.domain.upgrade_events import Tale
from bty_app.domain.upgrading import Step, facts_of, hindrance
from bty_app.errors import BtyError

LOOK = ("upgrade", "--look", "--json")
TELL = ("upgrade", "--tell")
_USAGE = 2  # a release that does not know the command, or the option
_BUSY = 75
_TURN_SECONDS = 600.0  # for a backup that is under way; releases up to 0.91 do not wait for it
_DOWN_SECONDS = 60.0  # where nothing serves meanwhile
_EVERY_SECONDS = 1.0
_BACKUPS: tuple[tuple[bool, tuple[str, ...]], ...] = (  # by the new release?, and how
    (False, ("backup", "--json", "--trigger", "pre-upgrade")),
    (False, ("backup", "--json")),
    (True, ("backup", "--json", "--trigger", "pre-upgrade")),
)

Tell = Callable[[str], None]


class StepFailedError(BtyError):
    """A step of an upgrade did not succeed."""


@dataclass(slots=True)
class Steps:
    """What each step does to `stack`. `acts`: how many acts of operators stayed behind in the
    database of the new release.
    """

    stack: Stack
    tell: Tell
    pace: Pace
    watch_seconds: float
    wait_seconds: float | None = None  # None: by the size of the database
    acts: int = 0

    def do(self, step: Step, going: Going) -> Going:
        """Carry one out; what is known then.

        Raises:
            BtyError: it failed, and why.
        """
        by_step: dict[Step, Callable[[Going], Going | None]] = {
            Step.FETCH: self._fetch,
            Step.LOOK: self._look,
            Step.BACK_UP: self._back_up,
            Step.DRILL: self._drill,
            Step.STOP: lambda going: self._stop(going.old),
            Step.INSTALL: lambda going: self.stack.install(going.new),
            Step.START: lambda going: self._start(going.new),
            Step.WAIT: self._wait,
            Step.WATCH: self._watch,
            Step.TELL: self._tell_new,
            Step.STOP_NEW: lambda going: self._stop(going.new),
            Step.PUT_BACK_DATA: self._put_back,
            Step.PUT_BACK_PROGRAM: lambda going: self.stack.install(going.old),
            Step.START_OLD: lambda going: self._start(going.old),
            Step.WAIT_OLD: self._wait_old,
            Step.TELL_OLD: self._tell_old,
        }
        return by_step[step](going) or going

    def _fetch(self, going: Going) -> Going:
        self.tell(f"fetching bty {going.new.version}")
        return replace(going, new=self.stack.fetch(going.new.version))

    def _look(self, going: Going) -> Going:
        done = self.stack.run(going.new, LOOK)
        _require(_failure(done))
        try:
            facts = facts_of(json_of(done))
        except ValueError as error:
            sentence = f"bty {going.new.version} does not say how the state is"
            raise StepFailedError(sentence) from error
        _require(hindrance(facts))
        return replace(going, facts=facts)

    def _back_up(self, going: Going) -> Going:
        """The old release's own command comes first: it serves, and tells of it."""
        self.tell("taking a backup, and reading it back")
        for by_new, words in _BACKUPS:
            done = self._in_turn(going.new if by_new else going.old, words, _TURN_SECONDS)
            if done.status == _USAGE:
                continue
            _require(_failure(done))
            try:
                backup = str(json_of(done)["path"])
            except (ValueError, KeyError) as error:
                raise StepFailedError("the backup does not say where it is") from error
            self.tell(f"the backup is {backup}")
            return replace(going, backup=backup)
        raise StepFailedError("neither release can take a backup")

    def _drill(self, going: Going) -> None:
        self.tell(f"rehearsing with bty {going.new.version} on that backup")
        done = self._in_turn(going.new, ("verify", "--drill", going.backup), _TURN_SECONDS)
        if done.status:
            problem = done.stdout.strip() or f"{_failure(done)} (status {done.status})"
            raise StepFailedError(f"bty {going.new.version} cannot live on that backup: {problem}")

    def _in_turn(self, release: Release, words: Sequence[str], seconds: float) -> Done:
        """Run a command; what has the backups or the state now is waited for, for so long."""
        until, told = self.pace.now() + seconds, False
        while (done := self.stack.run(release, words)).status == _BUSY:
            if self.pace.now() >= until:
                break
            if not told:
                self.tell(f"waiting: {_failure(done)}")
                told = True
            self.pace.wait(_EVERY_SECONDS)
        return done

    def _stop(self, release: Release) -> None:
        self.tell(f"stopping bty {release.version}")
        self.stack.stop()

    def _start(self, release: Release) -> None:
        self.tell(f"starting bty {release.version}")
        self.stack.start()

    def _wait(self, going: Going) -> None:
        limit = going.facts.ready_seconds if self.wait_seconds is None else self.wait_seconds
        _require(readiness.wait_until_ready(self.stack, self.pace, limit))

    def _wait_old(self, going: Going) -> None:
        """A short patience with the new release is none with the way back."""
        limit = max(going.facts.ready_seconds, self.wait_seconds or 0.0)
        _require(readiness.wait_until_ready(self.stack, self.pace, limit))

    def _watch(self, going: Going) -> None:
        words = (
            f"bty {going.new.version} is ready; watching it for {self.watch_seconds:.0f} seconds"
        )
        self.tell(words)
        _require(readiness.watch(self.stack, self.pace, self.watch_seconds))

    def _put_back(self, going: Going) -> None:
        wanted = going.facts.version
        self.tell(f"putting the database of {wanted} back")
        words = ("rollback", "--to", wanted, "--yes", "--json")
        done = self._in_turn(going.new, words, _DOWN_SECONDS)
        _require(_failure(done))
        with contextlib.suppress(ValueError):
            acts = json_of(done).get("acts")
            self.acts = acts if isinstance(acts, int) else 0

    def _tell_new(self, going: Going) -> None:
        _require(_failure(self._told(going.new, going, why="")))

    def _tell_old(self, going: Going) -> None:
        """The old release knows its own log best, where it knows the command."""
        done = self._told(going.old, going, why=going.state.why)
        if done.status:
            done = self._told(going.new, going, why=going.state.why)
        _require(_failure(done))

    def _told(self, release: Release, going: Going, *, why: str) -> Done:
        tale = Tale(
            begun_at=going.begun_at,
            from_version=going.old.version,
            to_version=going.new.version,
            backup_id=PurePosixPath(going.backup).name,
            seconds=_seconds_since(going.begun_at, self.pace.moment()),
            why=why,
        )
        return self.stack.run(release, (*TELL, tale.text))


def _seconds_since(begun_at: str, now: datetime) -> int:
    """By the clock of the host: an upgrade may outlive the program."""
    return max(0, round((now - datetime.fromisoformat(begun_at)).total_seconds()))


def json_of(done: Done) -> dict[str, Any]:
    """The JSON object that a command printed; raises ValueError where it is none."""
    found = json.loads(done.stdout)
    if isinstance(found, dict):
        return found
    raise ValueError("no object")


def _require(problem: str) -> None:
    if problem:
        raise StepFailedError(problem)


def _failure(done: Done) -> str:
    if done.status == 0:
        return ""
    said = done.stderr.strip().splitlines()
    return said[-1].removeprefix("bty: ") if said else f"it ended with status {done.status}"
