"""A flash in a test: quick to try again, and watched."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from bty_app.domain.jobs import Step
from bty_app.errors import CancelledError
from bty_app.flasher.flash import Tools
from bty_app.flasher.order import Order, Source
from bty_app.upstream.http import Pace
from tests.file_host import FileHost
from tests.flasher.images import GARBAGE, MIB

QUICK = Tools(pauses=(0.0, 0.01), pace=Pace(1, 20.0))


@dataclass
class Canceller:
    """A teller that wants no more from the first step on that `when` says yes to."""

    when: Callable[[Step], bool]
    steps: list[Step] = field(default_factory=list)

    def tell(self, step: Step) -> None:
        self.steps.append(step)
        if self.when(step):
            raise CancelledError("it was cancelled")

    def is_wanted(self) -> bool:
        return True

    def wait(self, seconds: float) -> None:
        raise AssertionError(f"nobody waits by the teller: {seconds}")


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def order(kind: str, *sources: Source, of: bytes | None = None, verify: bool = False) -> Order:
    """An order; `of` is the file whose digest is known."""
    return Order(sources, kind, None if of is None else sha256(of), verify=verify)


def http(host: FileHost, name: str = "image", label: str = "origin") -> Source:
    return Source("http", host.url(f"/{name}"), label)


@contextmanager
def leaves_nothing_running() -> Iterator[None]:
    """No child process and no thread of a flash is there after the block."""
    before = _children()  # what other tests keep for their whole session
    yield
    assert [name for pid, name in _children().items() if pid not in before] == []
    assert [t.name for t in threading.enumerate() if t.name.startswith("flash-")] == []


def _children() -> dict[str, str]:
    """The names of the children of this process, by their ids."""
    found = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            name, _, rest = stat.read_text("ascii", "replace").rpartition(")")
        except OSError:
            continue
        if int(rest.split()[1]) == os.getpid():
            found[stat.parent.name] = name.partition("(")[2]
    return found


def is_untouched(disk: Path) -> bool:
    return not disk.read_bytes().strip(GARBAGE)


def does_not_boot(disk: Path) -> bool:
    data = disk.read_bytes()
    return data[:MIB] == bytes(min(MIB, len(data)))


def is_as_said(disk: Path, sentence: str) -> bool:
    """Whether the disk is in the state that the sentence of a failure says."""
    if sentence.endswith("nothing was written"):
        return is_untouched(disk)
    return "the disk does not boot" in sentence and does_not_boot(disk)
