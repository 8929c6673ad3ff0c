"""Backups as they stand in a directory, and who watches them go."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bty_app.domain.jobs import Step
from bty_app.domain.moments import stamp
from bty_app.domain.sealing import Key
from bty_app.errors import CancelledError

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
KEY = Key(b"k" * 32)
INSTANCE = "instance-1"


class Watcher:
    """A teller that remembers, and stops the work where it is told to."""

    def __init__(self, stop: Callable[[Step], bool] = lambda _step: False) -> None:
        self.steps: list[Step] = []
        self._stop = stop
        self._stopped = False

    def tell(self, step: Step) -> None:
        self.steps.append(step)
        if self._stopped or self._stop(step):
            self._stopped = True
            raise CancelledError("it was cancelled")

    def is_wanted(self) -> bool:
        return not self._stopped

    def wait(self, seconds: float) -> None: ...


def backup(
    backups: Path,
    days_ago: int = 0,
    *,
    size: int = 100_000,
    trigger: str = "scheduled",
    instance: str = INSTANCE,
) -> str:
    """A directory as a backup has; `state.db` is noise of `size` bytes. Its id."""
    taken = NOW - timedelta(days=days_ago)
    backup_id = taken.strftime("%Y-%m-%dT%H-%M-%SZ")
    folder = backups / backup_id
    folder.mkdir(parents=True)
    manifest = {"created_at": stamp(taken), "trigger": trigger, "instance_id": instance}
    files = {
        "inventory.json": b'{"machines": []}',
        "state.db": os.urandom(size),
        "manifest.json": json.dumps(manifest).encode(),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
    sums = (f"{hashlib.sha256(data).hexdigest()}  {name}\n" for name, data in files.items())
    (folder / "SHA256SUMS").write_text("".join(sums))
    return backup_id


def content(folder: Path) -> dict[str, bytes]:
    """Every file of a directory."""
    return {path.name: path.read_bytes() for path in folder.iterdir()}
