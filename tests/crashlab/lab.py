"""Cut an action off at each of its system calls, and look at what it leaves.

strace lists the calls of one undisturbed run between two marks, and then repeats the run, each time
with a fault at one of them. Its counters are per call name and begin with the process: so that
every run begins alike, the program has bytecode files of its own, and a fixed hash seed.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import apsw

from tests.crashlab import checks
from tests.crashlab.program import BEGIN, END
from tests.crashlab.scenarios import Scenario

PROGRAM = Path(__file__).with_name("program.py")
CHANGING = (
    *("openat", "write", "pwrite64", "fsync", "fdatasync", "ftruncate", "fallocate"),
    *("rename", "renameat", "renameat2", "link", "linkat", "unlink", "unlinkat"),
    *("symlink", "symlinkat", "mkdir", "mkdirat", "chmod", "fchmod"),
)
READING = ("pread64",)
NAMING = frozenset(CHANGING) - {"write", "pwrite64", "fsync", "fdatasync", "ftruncate", "fallocate"}
MARK = "rmdir"
FAULTS = ("KILL", "EIO", "ENOSPC", "EINTR", "EACCES", "EROFS")
NAMING_FAULTS = ("EACCES", "EROFS")  # what has been opened is not refused any more
TALKING_FAULTS = ("KILL", "ECONNRESET", "ETIMEDOUT")
READING_FAULTS = ("EIO",)  # to die before a read is to die before the next change
WORKERS = 2
_ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONHASHSEED": "0"}
_CALL = re.compile(r"^(?:\d+ +)?(\w+)\((.*)$")
_OPENS_TO_CHANGE = re.compile(r"O_(CREAT|RDWR|WRONLY|DIRECTORY)")


@dataclass(frozen=True)
class Point:
    """The `ordinal`-th call of this name in the life of the process."""

    call: str
    ordinal: int
    text: str


@dataclass
class Tally:
    """What came of the points of one scenario and fault."""

    scenario: str
    fault: str
    points: int = 0
    done: int = 0
    refused: int = 0
    killed: int = 0
    violations: list[str] = field(default_factory=list)

    def line(self) -> str:
        """One line for people."""
        verdict = f"{len(self.violations)} VIOLATIONS" if self.violations else "no violation"
        return (
            f"{self.scenario}: {self.fault}: {self.points} points"
            f" ({self.done} done, {self.refused} refused, {self.killed} killed): {verdict}"
        )


class Lab:
    """One scenario in a directory of its own."""

    def __init__(self, scenario: Scenario, place: Path) -> None:
        self.scenario = scenario
        self.place = place
        self.template = place / "template"
        self.template.mkdir(parents=True)
        scenario.prepare(self.template)
        self._warm_up()
        self.points = self._points()

    def faults(self, fault: str) -> list[Point]:
        """The points at which this fault makes sense."""
        talks = self.scenario.talks
        if talks and fault in TALKING_FAULTS:
            # Of a connection that is not really lost, an answer would be waited for.
            never = set() if fault == "KILL" else {"sendto"}
            return [point for point in self.points if point.call in set(talks) - never]
        if fault in READING_FAULTS:
            return self.points
        if fault in NAMING_FAULTS:
            return [point for point in self.points if point.call in NAMING]
        return [point for point in self.points if point.call not in READING]

    def undisturbed(self) -> Tally:
        """One run without a fault: the invariants hold at all."""
        return self._tally("none", [None])

    def run(self, fault: str, *, stride: int = 1, offset: int = 0) -> Tally:
        """Try the fault at every `stride`-th point."""
        return self._tally(fault, self.faults(fault)[offset::stride])

    def run_reads(self, *, stride: int) -> Tally:
        """Let the disk refuse every `stride`-th read."""
        reads = [point for point in self.points if point.call in READING]
        return self._tally("EIO", reads[::stride])

    def disturbed(
        self, state_dir: Path, fault: str, point: Point | None, trace: Path
    ) -> subprocess.CompletedProcess[str]:
        """Run the action on `state_dir` with the fault at the point."""
        inject = [*self.scenario.standing, *([_injection(fault, point)] if point else [])]
        return self._trace(state_dir, inject, trace)

    def _tally(self, fault: str, points: Sequence[Point | None]) -> Tally:
        tally = Tally(self.scenario.name, fault)
        with ThreadPoolExecutor(WORKERS) as pool:
            results = pool.map(lambda point: self._try(fault, point), points)
            for point, (status, violation) in zip(points, results, strict=True):
                tally.points += 1
                tally.done += status == 0
                tally.refused += status == 75
                tally.killed += status == -9
                if violation:
                    where = f"{point.call} #{point.ordinal} {point.text}" if point else "no fault"
                    tally.violations.append(f"{where}: {violation}")
        return tally

    def _try(self, fault: str, point: Point | None) -> tuple[int, str]:
        name = f"{fault}-{point.call}-{point.ordinal}" if point else "undisturbed"
        folder = self.place / name
        state_dir = folder / "state"
        shutil.copytree(self.template, state_dir, symlinks=True)
        done = self.disturbed(state_dir, fault, point, folder / "trace")
        violation = ""
        try:
            if not self.scenario.talks:  # how an answer comes in pieces is not always the same
                _require_hit((folder / "trace").read_text(errors="replace"), point)
            self._check(done, fault, state_dir, folder)
        except checks.ViolationError as error:
            violation = f"{error} [{done.stderr.strip()[-300:]}]"
        shutil.rmtree(folder)
        return done.returncode, violation

    def _check(
        self, done: subprocess.CompletedProcess[str], fault: str, state_dir: Path, folder: Path
    ) -> None:
        expected = {-9} if fault == "KILL" else {0, 75}
        expected |= {0} if self.scenario.talks else set()
        checks.require(done.returncode in expected, f"exit status {done.returncode}")
        refusal = done.stderr.strip()
        checks.require("\n" not in refusal, "more than one line is said")
        checks.require(done.returncode != 75 or bool(refusal), "refused without a word")
        if self.scenario.always_whole:
            checks.names_are_whole(state_dir, folder / "copy")
        self.scenario.check(state_dir)

    def _warm_up(self) -> None:
        """Write the bytecode files, so that no later run has to."""
        state_dir = self.place / "warm" / "state"
        shutil.copytree(self.template, state_dir, symlinks=True)
        command = [part for part in self._program(state_dir) if part != "-B"]
        subprocess.run(command, capture_output=True, text=True, check=True, env=_ENVIRONMENT)
        shutil.rmtree(state_dir.parent)

    def _points(self) -> list[Point]:
        state_dir = self.place / "traced" / "state"
        shutil.copytree(self.template, state_dir, symlinks=True)
        trace = state_dir.parent / "trace"
        done = self._trace(state_dir, self.scenario.standing, trace)
        assert done.returncode == 0, done.stderr
        found = list(_between_marks(trace.read_text(errors="replace").splitlines(), str(state_dir)))
        shutil.rmtree(state_dir.parent)
        standing = {name for text in self.scenario.standing for name in _injected(text)}
        return [point for point in found if point.call not in standing]

    def _trace(
        self, state_dir: Path, inject: Iterable[str], trace: Path
    ) -> subprocess.CompletedProcess[str]:
        traced = ",".join((*CHANGING, *READING, *self.scenario.talks, MARK))
        command = ["strace", "-f", "-qqq", "-o", str(trace), "-s", "64"]
        command += ["-e", f"trace={traced}", *(part for one in inject for part in ("-e", one))]
        command += self._program(state_dir)
        return subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=60, env=_ENVIRONMENT
        )

    def _program(self, state_dir: Path) -> list[str]:
        bytecode = f"pycache_prefix={self.place / 'bytecode'}"
        options = ["-s", "-P", "-S", "-B", "-X", bytecode]
        arguments = [_site_packages(), self.scenario.action, str(state_dir)]
        return [sys.executable, *options, str(PROGRAM), *arguments]


def _injection(fault: str, point: Point) -> str:
    what = "signal=KILL" if fault == "KILL" else f"error={fault}"
    return f"inject={point.call}:{what}:when={point.ordinal}"


def _require_hit(trace: str, point: Point | None) -> None:
    """The fault was within the action, and at the call that was meant."""
    if point is None:
        return
    _begun, found, action = trace.partition(BEGIN)
    hit = [line for line in action.splitlines() if "(INJECTED)" in line or "+++ killed" in line]
    checks.require(bool(found) and bool(hit), "the fault was not where it was meant to be")
    checks.require(f"{point.call}(" in action, f"{point.call} was never called")


def _injected(text: str) -> list[str]:
    return text.removeprefix("inject=").split(":")[0].split(",")


def _between_marks(lines: Iterable[str], place: str) -> Iterator[Point]:
    """The calls between the marks; of `openat` those under `place`."""
    ordinals: dict[str, int] = {}
    inside = ended = False
    for line in lines:
        match = _CALL.match(line)
        if not match:
            continue
        call, text = match[1], match[2]
        if call == MARK:
            inside, ended = BEGIN in text, ended or END in text
            continue
        ordinals[call] = ordinals.get(call, 0) + 1
        if inside and (call != "openat" or (place in text and _OPENS_TO_CHANGE.search(text))):
            yield Point(call, ordinals[call], text[:100])
    assert ended, "the end mark was not reached"


def _site_packages() -> str:
    return str(Path(apsw.__file__).parents[1])
