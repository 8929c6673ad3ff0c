"""`machine wait`: until machines are done, for scripts that flash and go on."""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum

from bty_app.cli.reach.machines import Data, MachineReach
from bty_app.domain.mac import parse_mac
from bty_app.domain.machine import Phase, State
from bty_app.errors import BtyError, ConflictError, UnavailableError

ASK_SECONDS = 2.0
_DEFAULT_MINUTES = 60.0


class Verdict(Enum):
    """What there is to wait for."""

    GO_ON = "go on"
    DONE = "done"
    FAULT = "fault"


def configure(acts: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """The act's arguments."""
    wait = acts.add_parser(
        "wait", help="until machines are done: 0; 1 once one is in fault, 75 when the time is over"
    )
    wait.add_argument("macs", nargs="+", metavar="MAC", help="in any spelling")
    wait.add_argument(
        "--timeout",
        type=_minutes,
        default=_DEFAULT_MINUTES,
        metavar="MINUTES",
        help="no longer than this (%(default)g)",
    )
    wait.add_argument("--json", action="store_true", help="each machine as it is in the end")


def verdict(data: Mapping[str, object]) -> Verdict:
    """What a machine says, as the API shows it. A failed attempt that is followed by another by
    itself is no fault yet.
    """
    match data["state"]:
        case State.DONE | State.RESTS:
            return Verdict.DONE
        case State.FAULT if data["phase"] != Phase.FAILED:
            return Verdict.FAULT
        case _:
            return Verdict.GO_ON


@dataclass(slots=True)
class Wait:
    """Waits for machines; `now` and `sleep` are in seconds."""

    machines: MachineReach
    tell: Callable[[str], object]
    now: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep
    _seen: dict[str, Data] = field(default_factory=dict)

    def until(self, macs: list[str], minutes: float) -> dict[str, Data]:
        """Each machine as it is when it is done.

        Raises:
            BtyError: one is in fault, and nothing happens to it by itself.
            ConflictError: the time is over.
            NotFoundError: there is no record of one.
        """
        end = self.now() + minutes * 60
        waiting = list(dict.fromkeys(macs))
        while waiting := [mac for mac in waiting if not self._is_done(mac)]:
            if self.now() >= end:
                raise ConflictError(f"not done after {minutes:g} minutes: {self._words(waiting)}")
            self.sleep(ASK_SECONDS)
        return {mac: self._seen[mac] for mac in macs}

    def _is_done(self, mac: str) -> bool:
        try:
            data = self.machines.get(mac).data
        except UnavailableError as error:  # a server that starts anew meanwhile
            self.tell(f"{mac}: {error.message}")
            return False
        if "state" not in data:
            raise ConflictError("the server is older than this program and says no states")
        before, self._seen[mac] = self._seen.get(mac), data
        if before is None or before["state"] != data["state"]:
            self.tell(self._words([mac]))
        found = verdict(data)
        if found is Verdict.FAULT:
            raise BtyError(f"in fault: {self._words([mac])}; its page says why, and what to do")
        return found is Verdict.DONE

    def _words(self, macs: list[str]) -> str:
        known = {mac: self._seen.get(mac) for mac in macs}
        return ", ".join(
            f"{mac} {data['state']} ({data['phase']})" if data else f"{mac} not seen"
            for mac, data in known.items()
        )


def wait(machines: MachineReach, args: argparse.Namespace) -> None:
    """Wait for them all."""
    macs: list[str] = [parse_mac(text) for text in args.macs]
    found = Wait(machines, _say).until(macs, args.timeout)
    if args.json:
        sys.stdout.write(json.dumps(list(found.values())) + "\n")


def _say(words: str) -> None:
    sys.stderr.write(f"{words}\n")
    sys.stderr.flush()


def _minutes(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 60 * 24 * 7:
        raise argparse.ArgumentTypeError("a number of minutes, up to a week")
    return value
