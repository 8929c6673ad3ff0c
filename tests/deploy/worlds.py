"""A host on paper: which program is installed, whose data there are, and what may go wrong."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from bty_app.deploy.stack import Condition, Done, Release
from bty_app.deploy.upgrade_steps import TELL
from bty_app.domain.upgrade_events import Tale, tale_of
from bty_app.errors import UnavailableError

OLD, NEW = "0.93.0", "0.94.0"


class KilledError(BaseException):
    """The upgrade is killed."""


@dataclass(slots=True)
class PaperPace:
    """Time passes when somebody waits."""

    seconds: float = 0.0

    def now(self) -> float:
        return self.seconds

    def wait(self, seconds: float) -> None:
        self.seconds += seconds

    def moment(self) -> datetime:
        return datetime(2026, 11, 22, tzinfo=UTC) + timedelta(seconds=self.seconds)


@dataclass(slots=True)
class World:
    """A stack. `fates`: what becomes of each call, one after the other: "ok", "fails", "killed
    before", "killed after", and with "reboot" behind the latter the host starts what is installed.
    """

    fates: Iterator[str] = field(default_factory=lambda: iter(()))
    new_is_good: bool = True
    old_rotates_again: bool = False
    dies_after: int = 10**9  # looks at it that the new release stands
    old_starts_in: int = 0  # looks, one a second, that the old release is not ready yet
    busy: dict[str, int] = field(default_factory=dict)  # how often a command finds others at work
    program: str = OLD
    data: str = OLD  # of which release the database is
    has_old_data: bool = True  # or an archive of it can be put back
    running: str = OLD
    calls: list[str] = field(default_factory=list)
    looks: int = 0
    told: set[tuple[str, str, str]] = field(default_factory=set)  # whose log, which upgrade, what

    def current(self) -> Release:
        return Release(self.program, f"bty-{self.program}")

    def changes(self, version: str) -> str:
        return f"bty.pyz -> {version}"

    def fetch(self, version: str) -> Release:
        self._act(f"fetch {version}", lambda: None)
        return Release(version, f"bty-{version}")

    def run(self, release: Release, words: Sequence[str]) -> Done:
        said: dict[str, object] = {}
        if left := self.busy.get(words[0], 0):
            self.busy[words[0]] = left - 1
            return Done(75, "", "bty: a backup is being made")
        if words[0] == "upgrade":
            said = {"database_version": self.data, "database_bytes": 1 << 20, "machines": 1}
            said |= {"free_bytes": 1 << 30, "problems": []}
        if words[0] == "backup":
            said = {"path": "/b"}
        if words[0] == "rollback":
            self._act("rollback", self._roll_back)
        elif words[:2] == TELL:
            return self._told(release, tale_of(words[2]))
        else:
            self._act(words[0], lambda: None)
        assert release.version in {OLD, NEW}
        return Done(0, json.dumps(said), "")

    def install(self, release: Release) -> None:
        self._act(f"install {release.version}", lambda: self._install(release.version))

    def stop(self) -> None:
        self._act("stop", lambda: self._run(""))

    def start(self) -> None:
        self._act("start", lambda: self._run(self.program))

    def condition(self) -> Condition:
        if self.running == NEW:
            self.looks += 1
            if self.looks > self.dies_after:
                self.running = ""
        return Condition(bool(self.running), 0)

    def said(self) -> str:
        return "the last line\n"

    def ready(self) -> str:
        if not self.running:
            return "nobody listens"
        if self.running == OLD and self.old_starts_in:
            self.old_starts_in -= 1
            return "it starts"
        return "" if self.running == OLD or self.new_is_good else "503"

    # -- how it goes on ------------------------------------------------------------------------

    def _act(self, name: str, effect: object) -> None:
        fate = next(self.fates, "ok")
        self.calls.append(name)
        if fate == "killed before":
            raise KilledError
        if fate == "fails":
            raise UnavailableError(f"{name} failed")
        effect()  # type: ignore[operator]
        if fate == "killed after reboot":
            self._run(self.program)
        if fate.startswith("killed after"):
            raise KilledError

    def _install(self, version: str) -> None:
        assert not self.running, "a program is replaced under a server"
        self.program = version

    def _run(self, version: str) -> None:
        self.running = version
        if version == NEW and self.data == OLD:
            self.data = NEW
        if version == OLD and self.data == NEW:
            self.data = OLD
            self.has_old_data = self.has_old_data and not self.old_rotates_again

    def _told(self, release: Release, tale: Tale) -> Done:
        if release.version == OLD:
            return Done(2, "", "no such option")
        row = (self.data, tale.begun_at, "failed" if tale.why else "upgraded")
        self._act("tell", lambda: self.told.add(row))
        return Done(0, "", "")

    def _roll_back(self) -> None:
        assert not self.running, "data are replaced under a server"
        self.data = OLD
