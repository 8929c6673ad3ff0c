"""The move of an appliance to another host: its states, what travels, and what is written of it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from bty_app.domain import json_bounds
from bty_app.errors import InvalidInputError, ValidationError

BUSY_SECONDS: Final = 1800.0  # a backup of a large database and its drill take minutes
LEASE_SECONDS: Final = 120.0  # an old appliance whose successor says nothing for so long goes on
MAX_FILES: Final = 10_000
MAX_FILE_BYTES: Final = 64 * 2**30
MARK_FILE: Final = "moved-to.json"
ARRIVING: Final = ".arriving"
ADDRESS = re.compile(
    r"https?://(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?)"
    r"(?::[0-9]{1,5})?",
    re.ASCII,
)

_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)
_LINKED = re.compile(r"sets/[A-Za-z0-9][A-Za-z0-9._+-]{0,200}", re.ASCII)
_LINKS = ("current", "previous")
# What a directory may have in which nothing was ever served.
_NO_STATE = frozenset(
    {ARRIVING, "boot", "bty.toml", "native", "serve.lock", "state.lock", "lost+found"}
)


class State(StrEnum):
    """What an appliance does for its machines; `LEAVING` ends by itself."""

    SERVING = "serving"
    LEAVING = "leaving"
    MOVED = "moved"


@dataclass(frozen=True, slots=True)
class Mark:
    """Where an appliance has moved to; `copy` is the digest of the database that went there.

    An address that cannot be read is empty: it moved all the same.
    """

    to: str
    at: str = ""
    copy: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """A file that travels: its path below the place it is for, its bytes, its SHA-256."""

    name: str
    size: int
    sha256: str

    def as_data(self) -> dict[str, object]:
        """As others see it."""
        return {"name": self.name, "size_bytes": self.size, "sha256": self.sha256}


@dataclass(frozen=True, slots=True)
class Appliance:
    """What an appliance says of itself to the one that is to take its place.

    `busy`: what it does at present that ends by itself, and before which it cannot be left.
    """

    state: State
    to: str
    copy: str
    version: str
    instance_id: str
    machines: int
    flashing: int
    boot: tuple[Part, ...]
    links: Mapping[str, str]
    busy: str = ""


def parse_address(text: object) -> str:
    """`http://host[:port]` of an appliance, which goes into scripts of firmware.

    Raises:
        ValidationError: it is none.
    """
    given = text.rstrip("/") if isinstance(text, str) else ""
    if not ADDRESS.fullmatch(given):
        raise ValidationError("the address of the new host must be http://host[:port]")
    return given


def refusal(state: State, to: str) -> str:
    """Why nothing can be changed here; empty where it can."""
    match state:
        case State.SERVING:
            return ""
        case State.LEAVING:
            return f"this appliance is being moved to {to}: nothing can be changed for a moment"
        case State.MOVED:
            where = f"to {to}: use that one" if to else "to another host"
            return f"this appliance has moved {where}; `bty migrate --cancel` here takes it back"


def mark_text(mark: Mark) -> bytes:
    """The mark as its file has it."""
    return (json.dumps({"to": mark.to, "at": mark.at, "copy": mark.copy}) + "\n").encode()


def parse_mark(data: bytes) -> Mark:
    """The mark of a file; what cannot be read of it is empty."""
    try:
        found = json_bounds.object_of(data)
        return Mark(
            parse_address(found.get("to")), *(str(found.get(k, "")) for k in ("at", "copy"))
        )
    except InvalidInputError:
        return Mark("")


def parse_appliance(data: bytes) -> Appliance:
    """What another appliance says of itself.

    Raises:
        InvalidInputError: it is not what an appliance says.
    """
    found = json_bounds.object_of(data)
    try:
        return Appliance(
            state=State(found["state"]),
            to=str(found["to"]),
            copy=str(found["copy"]),
            version=str(found["version"]),
            instance_id=str(found["instance_id"]),
            machines=int(found["machines"]),
            flashing=int(found["flashing"]),
            boot=parse_parts(found["boot"]),
            links=_links(found["links"]),
            busy=str(found.get("busy", "")),
        )
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInputError(f"that is no appliance that can be moved: {error!r}") from error


def parse_parts(value: object) -> tuple[Part, ...]:
    """The files that another appliance offers.

    Raises:
        InvalidInputError: one of them has a name, size or digest that cannot be.
    """
    if not isinstance(value, list) or len(value) > MAX_FILES:
        raise InvalidInputError(f"the list of files is none, or has more than {MAX_FILES:,}")
    parts = tuple(map(_part, value))
    if len({part.name for part in parts}) != len(parts):
        raise InvalidInputError("the list of files names one of them twice")
    return parts


def check_name(name: object) -> str:
    """A path that stays below the place it is for.

    Raises:
        InvalidInputError: it does not, or is no path.
    """
    if not isinstance(name, str) or not 0 < len(name) <= 500 or not name.isprintable():
        raise InvalidInputError("the name of a file must be plain text")
    steps = name.split("/")
    if len(steps) > 8 or any(step in {"", ".", ".."} or len(step) > 200 for step in steps):
        raise InvalidInputError(f"{name!r} is no path below the boot directory")
    return name


def travels(name: str) -> bool:
    """Whether a file of the boot directory goes along: unfinished work and locks stay."""
    return not any(
        step.startswith((".fetching-", ".tmp-")) or step == ".lock" or step.endswith(".part")
        for step in name.split("/")
    )


def occupied(names: Iterable[str]) -> list[str]:
    """Those of the names in a state directory that are of an appliance."""
    return sorted(name for name in names if name not in _NO_STATE and not name.startswith(".tmp-"))


def _part(value: object) -> Part:
    if not isinstance(value, dict):
        raise InvalidInputError("a file of the list is no object")
    size, digest = value.get("size_bytes"), value.get("sha256")
    if type(size) is not int or not 0 <= size <= MAX_FILE_BYTES:
        raise InvalidInputError("a file of the list has a size that cannot be")
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise InvalidInputError("a file of the list has no SHA-256")
    return Part(check_name(value.get("name")), size, digest)


def _links(value: object) -> dict[str, str]:
    found = value if isinstance(value, dict) else {}
    links = {name: found[name] for name in _LINKS if name in found}
    for target in links.values():
        if not isinstance(target, str) or not _LINKED.fullmatch(target):
            raise InvalidInputError("a link of the boot directory leads to no set")
    return links
