"""Which directory holds the state, and making it safe to use.

Choosing is a pure function over probed facts. Only `serve` and `import` create the directory.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bty_app.errors import ConfigError, StorageError

DEFAULT: Final = Path("/var/lib/bty")

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH


@dataclass(frozen=True, slots=True)
class Candidate:
    """A directory that could be used; `problem` is why it cannot, or empty."""

    path: Path
    problem: str = ""


def choose(default: Candidate, fallback: Candidate | None) -> tuple[Path, str]:
    """Where state goes when nobody has said it, and the sentence to tell the operator, if any."""
    if not default.problem or fallback is None or fallback.problem:
        return default.path, ""
    return fallback.path, (
        f"the state directory is {fallback.path}, because {default.path} {default.problem}; "
        "paths.state_dir or --state-dir says where it should be"
    )


def unconfigured(environment: Mapping[str, str], default: Path = DEFAULT) -> tuple[Path, str]:
    """`choose` between `default` and the user's own state directory, as this host has them."""
    own = user_state_dir(environment)
    return choose(probe(default), probe(own) if own else None)


def user_state_dir(environment: Mapping[str, str]) -> Path | None:
    """$XDG_STATE_HOME/bty, or ~/.local/state/bty; None for a user without a home."""
    told = Path(environment.get("XDG_STATE_HOME", ""))
    if told.is_absolute():
        return told / "bty"
    home = Path(environment.get("HOME", ""))
    return home / ".local" / "state" / "bty" if home.is_absolute() else None


def probe(path: Path) -> Candidate:
    """Whether `path` is, or could be made, a directory that this process may write in."""
    try:
        standing = next(place for place in (path, *path.parents) if os.path.lexists(place))
        if not standing.is_dir():
            return Candidate(path, f"cannot be: {standing} is not a directory")
    except OSError as error:
        return Candidate(path, f"cannot be reached: {error.strerror}")
    if not os.access(standing, os.W_OK | os.X_OK):
        return Candidate(path, "cannot be written" if standing == path else "cannot be created")
    return Candidate(path)


def prepare_state_dir(path: Path) -> str:
    """Make `path` a private, writable directory; what comes back is a note, or empty.

    A directory of ours that others may write in is made 0700.

    Raises:
        ConfigError: it is not ours and others may write in it, or it is not a directory.
        StorageError: it cannot be created or written.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = path.stat()
    except FileExistsError as error:
        raise ConfigError(f"{path}: is not a directory: it cannot hold the state") from error
    except OSError as error:
        raise StorageError(f"{path}: cannot be created: {error.strerror}; {_REMEDY}") from error
    note = _tightened(path, found) if found.st_mode & _OTHERS_WRITE else ""
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        is_read_only = bool(os.statvfs(path).f_flag & os.ST_RDONLY)
        why = "is on a read-only file system" if is_read_only else f"cannot be written by {_us()}"
        raise StorageError(f"{path}: {why}; {_REMEDY}")
    return note


_REMEDY: Final = "make it writable, or name another directory with --state-dir"


def _us() -> str:
    return f"uid {os.geteuid()}"


def _tightened(path: Path, found: os.stat_result) -> str:
    mode = stat.S_IMODE(found.st_mode)
    if found.st_uid != os.geteuid():
        raise ConfigError(
            f"{path}: belongs to uid {found.st_uid} and others may write in it (mode {mode:04o}): "
            f"run 'chown {os.geteuid()} {path} && chmod 700 {path}'"
        )
    try:
        path.chmod(0o700)
    except OSError as error:
        raise StorageError(f"{path}: cannot be made private: {error.strerror}") from error
    return f"{path}: others could write in it (mode {mode:04o}); it is now 0700"
