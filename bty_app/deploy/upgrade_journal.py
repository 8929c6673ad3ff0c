"""How far an upgrade is: a file beside what is upgraded, so that a killed one is gone on with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from bty_app.deploy import writing
from bty_app.deploy.stack import Release
from bty_app.domain import moments
from bty_app.domain.upgrading import End, Facts, State, Step, facts_of
from bty_app.errors import ConfigError, ConflictError, StorageError
from bty_app.store import locks
from bty_app.store.publish import publish_file, sweep

FILE = "upgrade.json"
LOCK = "upgrade.lock"
_FORMAT = 1
_LONGEST = 64 * 1024


@dataclass(frozen=True, slots=True)
class Going:
    """An upgrade on its way from `old` to `new`; `backup` is where the one taken before is, and
    `begun_at` the stamp of its beginning.
    """

    state: State
    old: Release
    new: Release
    facts: Facts
    backup: str
    begun_at: str


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Be the one upgrade of what is in `folder`.

    Raises:
        ConflictError: another one is going on.
        StorageError: the directory cannot be written.
    """
    with ExitStack() as stack:
        try:
            stack.enter_context(locks.alone(folder / LOCK))
        except ConflictError as error:
            sentence = f"{folder}: another upgrade is going on here: wait for it"
            raise ConflictError(sentence) from error
        sweep(folder, FILE)
        yield


def read(folder: Path) -> Going | None:
    """The upgrade that was begun here and not finished, if there is one.

    Raises:
        ConfigError: the journal is none of ours.
        StorageError: it cannot be read.
    """
    path = folder / FILE
    try:
        with path.open("rb") as file:
            text = file.read(_LONGEST)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        return _going(json.loads(text))
    except (ValueError, TypeError, KeyError) as error:
        raise ConfigError(
            f"{path}: is not the journal of an upgrade: look at it, then move it away"
        ) from error


def write(folder: Path, going: Going) -> None:
    """Keep it, durably.

    Raises:
        StorageError: it cannot be written; what was known before stands there.
    """
    state = going.state
    data = {
        "format": _FORMAT,
        "at": state.at.value,
        "why": state.why,
        "old": asdict(going.old),
        "new": asdict(going.new),
        "facts": going.facts.as_data(),
        "backup": going.backup,
        "begun_at": going.begun_at,
    }
    publish_file(folder / FILE, (json.dumps(data, indent=2) + "\n").encode())


def remove(folder: Path) -> None:
    """It is finished.

    Raises:
        StorageError: the journal cannot be removed.
    """
    writing.remove(folder / FILE)


def _going(data: Mapping[str, Any]) -> Going:
    if data["format"] != _FORMAT:
        raise ValueError(data["format"])
    return Going(
        State(_at(data["at"]), str(data["why"])),
        _release(data["old"]),
        _release(data["new"]),
        facts_of(data["facts"]),
        str(data["backup"]),
        moments.stamp(datetime.fromisoformat(data["begun_at"])),
    )


def _at(text: str) -> Step | End:
    return End.STRANDED if text == End.STRANDED.value else Step(text)


def _release(data: Mapping[str, Any]) -> Release:
    return Release(str(data["version"]), str(data["reference"]))
