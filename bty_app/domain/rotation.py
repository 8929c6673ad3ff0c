"""What a start does with the database that it finds, and how it names what it sets aside."""

from __future__ import annotations

import re
from collections.abc import Container
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

UNKNOWN = "unknown"
ARCHIVE = re.compile(r"state\.db\.[0-9A-Za-z_.-]{1,64}\.\d{8}T\d{6}Z(\.\d+)?\.bak", re.ASCII)
_LONGEST_VERSION = 64
_VERSION = re.compile(r"[ -.0-\[\]-~]{1,64}", re.ASCII)  # printable, no path separator
_RELEASE = re.compile(r"\d{1,9}(\.\d{1,9}){0,5}", re.ASCII)
_MOMENT = re.compile(r"\.(\d{8}T\d{6}Z(?:\.\d+)?)\.bak$", re.ASCII)
_ASIDE = re.compile(r"\d{8}T\d{6}Z(?:\.\d+)?", re.ASCII)

# Settings that configure how bty is run, and say nothing of any machine.
_CARRIED_KEYS = frozenset({"display.timezone", "withcache.url", "server.public_url"})
_CARRIED_PREFIXES = ("backup.", "upstream.", "boot.", "webhook.")


@dataclass(frozen=True, slots=True)
class Stamp:
    """What a database says of itself. `version` is None for one without any table."""

    version: str | None
    application_id: int
    schema_number: int


class Verdict(StrEnum):
    """What to do with a readable database."""

    KEEP = "keep"
    REPLACE = "replace"  # it holds nothing
    ROTATE = "rotate"


def verdict(found: Stamp, running: Stamp) -> Verdict:
    """Keep the database only when release, kind and schema all agree: a number alone may lie."""
    if found.version is None:
        return Verdict.REPLACE
    return Verdict.KEEP if found == running else Verdict.ROTATE


def is_newer(found: str, running: str) -> bool:
    """Is `found` a later release than `running`? Only what is numbers and dots can be compared."""
    if not (_RELEASE.fullmatch(found) and _RELEASE.fullmatch(running)):
        return False
    one, other = ([int(part) for part in text.split(".")] for text in (found, running))
    return one > other


def sane_version(text: str) -> str:
    """`text` when it can be a release, else "unknown"."""
    return text if _VERSION.fullmatch(text) and text.strip() else UNKNOWN


def in_file_name(version: str) -> str:
    """`version` as a part of a file name: nothing but letters, digits, dot and hyphen."""
    return re.sub(r"[^0-9A-Za-z.-]", "_", version)[:_LONGEST_VERSION].strip(".") or UNKNOWN


def archive_name(from_version: str, now: datetime, taken: Container[str]) -> str:
    """A free name for the database of `from_version` (CONTRACT 6)."""
    return _free(f"state.db.{in_file_name(from_version)}.{_compact(now)}", ".bak", taken)


def counted(machines: int) -> str:
    """ "1 machine", "2 machines"."""
    return f"{machines} machine{'' if machines == 1 else 's'}"


def is_archive_name(name: str) -> bool:
    """Is this a name that `archive_name` gives?"""
    return ARCHIVE.fullmatch(name) is not None


def moment_in(name: str) -> str:
    """The moment in the name of an archive, so that names sort by it."""
    found = _MOMENT.search(name)
    return found[1] if found else ""


def quarantine_name(now: datetime, taken: Container[str]) -> str:
    """A free name for a directory of evidence."""
    return _free(_compact(now), "", taken)


def is_quarantine_name(name: str) -> bool:
    """Is this a name that `quarantine_name` gives?"""
    return _ASIDE.fullmatch(name) is not None


def is_carried(key: str) -> bool:
    """Does this setting outlive a rotation?"""
    return key in _CARRIED_KEYS or key.startswith(_CARRIED_PREFIXES)


def _compact(now: datetime) -> str:
    return now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def _free(stem: str, suffix: str, taken: Container[str]) -> str:
    name, number = stem + suffix, 0
    while name in taken:
        number += 1
        name = f"{stem}.{number}{suffix}"
    return name
