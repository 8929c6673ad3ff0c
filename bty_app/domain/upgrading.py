"""The steps of an upgrade, and what follows each, whatever becomes of it.

Up to the stop nothing is changed. From then on a failure leads all the way back: old data first,
then the old program, so that a host that restarts in between finds data that some release knows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

_MIB: Final = 1024 * 1024
_ROOM: Final = 64 * _MIB
_COPIES: Final = 6  # the backup, a drill with a rotation of its own, and the rotation itself
_LEAST_READY_SECONDS: Final = 60.0
_BYTES_A_SECOND: Final = 4 * _MIB  # of a database that is backed up and archived at the start


class Step(StrEnum):
    """What is done next."""

    FETCH = "fetch"
    LOOK = "look"
    BACK_UP = "back-up"
    DRILL = "drill"
    STOP = "stop"
    INSTALL = "install"
    START = "start"
    WAIT = "wait"
    WATCH = "watch"
    TELL = "tell"
    STOP_NEW = "stop-new"
    PUT_BACK_DATA = "put-back-data"
    PUT_BACK_PROGRAM = "put-back-program"
    START_OLD = "start-old"
    WAIT_OLD = "wait-old"
    TELL_OLD = "tell-old"


class End(StrEnum):
    """How it came out."""

    DONE = "done"  # the new release is ready
    UNCHANGED = "unchanged"  # nothing was begun that could be seen
    WENT_BACK = "went back"  # the old release is ready, with its data
    STRANDED = "stranded"  # a step of the way back failed: somebody must look


AHEAD: Final = (
    *(Step.FETCH, Step.LOOK, Step.BACK_UP, Step.DRILL),
    *(Step.STOP, Step.INSTALL, Step.START, Step.WAIT, Step.WATCH, Step.TELL),
)
HARMLESS: Final = AHEAD[:4]
BACK: Final = (
    *(Step.STOP_NEW, Step.PUT_BACK_DATA, Step.PUT_BACK_PROGRAM),
    *(Step.START_OLD, Step.WAIT_OLD, Step.TELL_OLD),
)
TELLING: Final = (Step.TELL, Step.TELL_OLD)  # all is done; the audit log is not told of it yet


@dataclass(frozen=True, slots=True)
class State:
    """Where an upgrade is: `at` what is done next, or its end; `why` it goes back or failed;
    `problem` is what failed on the way back, or why the audit log could not be told.
    """

    at: Step | End = Step.FETCH
    why: str = ""
    problem: str = ""


def after(state: State, failure: str = "") -> State:
    """What follows the step of `state`, which succeeded, or failed with a sentence."""
    at = state.at
    if isinstance(at, End):
        return state
    if not failure:
        return replace(state, at=_next(at))
    if at in TELLING:  # no reason to undo anything
        return replace(state, at=_next(at), problem=failure)
    if at in HARMLESS:
        return State(End.UNCHANGED, failure)
    if at is Step.STOP:  # nothing was replaced: it need only be started
        return State(Step.START_OLD, failure)
    if at in AHEAD:
        return State(Step.STOP_NEW, failure)
    return replace(state, at=End.STRANDED, problem=failure)


def resumed(state: State) -> State:
    """Where an upgrade goes on that was killed: steps may be done twice, and the host may have
    started whatever was installed meanwhile.
    """
    if state.at in HARMLESS:
        return State()
    if state.at is Step.INSTALL:  # either may be installed, and run
        return State(Step.STOP_NEW, "it was cut off while the new release was installed")
    if state.at in {Step.WAIT, Step.WATCH}:
        return replace(state, at=Step.START)
    if state.at in TELLING:
        return state
    if state.at in BACK or state.at is End.STRANDED:
        return State(Step.STOP_NEW, state.why)
    return state


def _next(at: Step) -> Step | End:
    for row, end in ((AHEAD, End.DONE), (BACK, End.WENT_BACK)):
        if at in row:
            place = row.index(at) + 1
            return row[place] if place < len(row) else end
    raise AssertionError(at)


@dataclass(frozen=True, slots=True)
class Facts:
    """What the new release says of the state directory; sizes in bytes, `version` that of the
    database. `problems` keep an upgrade from being begun.
    """

    version: str
    database_bytes: int
    free_bytes: int
    machines: int
    problems: tuple[str, ...] = ()

    @property
    def needed_bytes(self) -> int:
        """What a backup, its drill and the start of the new release may take at once."""
        return _COPIES * self.database_bytes + _ROOM

    @property
    def ready_seconds(self) -> float:
        """How long the new release may take until it is ready."""
        return _LEAST_READY_SECONDS + self.database_bytes / _BYTES_A_SECOND

    def as_data(self) -> dict[str, object]:
        """As others read it."""
        return {
            "database_version": self.version,
            "database_bytes": self.database_bytes,
            "free_bytes": self.free_bytes,
            "machines": self.machines,
            "problems": list(self.problems),
        }


def facts_of(data: Mapping[str, object]) -> Facts:
    """The facts that a program has told; raises ValueError where they are none."""
    size, free, machines = (data.get(k) for k in ("database_bytes", "free_bytes", "machines"))
    version, problems = data.get("database_version"), data.get("problems")
    if (
        isinstance(version, str)
        and isinstance(problems, list)
        and isinstance(size, int)
        and isinstance(free, int)
        and isinstance(machines, int)
    ):
        return Facts(version, size, free, machines, tuple(map(str, problems)))
    raise ValueError("no facts")


def hindrance(facts: Facts) -> str:
    """Why the upgrade is not begun; empty where nothing is in its way."""
    if facts.problems:
        return "; ".join(facts.problems)
    if facts.free_bytes < facts.needed_bytes:
        return (
            f"the disk of the state has {facts.free_bytes // _MIB} MiB free, and a backup,"
            f" its drill and the first start need {facts.needed_bytes // _MIB + 1} MiB: make room"
        )
    return ""
