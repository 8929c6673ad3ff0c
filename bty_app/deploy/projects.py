"""The project of a compose deployment: the name that compose tells its containers by.

By itself compose takes the last name of the directory, which two deployments may share. So a new
one is given a name of its own, kept in its `envvars`; one from before keeps what it has.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bty_app.errors import ConflictError

VARIABLE = "COMPOSE_PROJECT_NAME"
_LONGEST_WORD = 40
_DIGITS = 8


@dataclass(frozen=True, slots=True)
class Seen:
    """What is there of a deployment: whether it was deployed `before`; the projects that its
    containers are in; and the directories of others by the projects of theirs.
    """

    before: bool
    ours: frozenset[str]
    others: Mapping[str, frozenset[str]]


def default(directory: Path) -> str:
    """What compose takes by itself."""
    return re.sub(r"[^a-z0-9_-]", "", directory.resolve().name.lower()).lstrip("_-")


def own(directory: Path) -> str:
    """A name that no other directory is given."""
    digest = hashlib.sha256(bytes(directory.resolve())).hexdigest()[:_DIGITS]
    return f"{default(directory)[:_LONGEST_WORD] or 'bty'}-{digest}"


def chosen(directory: Path, told: str, seen: Seen) -> str:
    """The project to deploy under: as `told`, as it is, or a new one.

    Raises:
        ConflictError: another deployment, or an older name of this one, is in the way.
    """
    usual = default(directory)
    name = told
    if not name and seen.ours:
        name = min(seen.ours)
    if not name:
        name = usual if seen.before and usual and not seen.others.get(usual) else own(directory)
    if seen.ours - {name}:
        raise ConflictError(
            f"{directory}: compose has its containers under {', '.join(sorted(seen.ours))}: put"
            f" {VARIABLE} back to that in envvars, or bty purge it first, which keeps the state"
        )
    check(directory, name, seen)
    return name


def check(directory: Path, name: str, seen: Seen) -> None:
    """Refuse a project that containers of another directory are in: compose would take them for
    ours.

    Raises:
        ConflictError: there are such.
    """
    if others := seen.others.get(name):
        raise ConflictError(
            f"compose has containers of {', '.join(sorted(others))} under the name {name}: write"
            f" {VARIABLE}={own(directory)} into {directory / 'envvars'}, a name of its own"
        )
