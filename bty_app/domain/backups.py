"""A backup as it is described: what its manifest says of it, and what was found out since."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

SCHEDULED = "scheduled"
JOB_KIND = "backup"
MANUAL = "manual"
PRE_RESTORE = "pre-restore"
PRE_UPGRADE = "pre-upgrade"
TRIGGERS = {
    MANUAL: "by hand",
    SCHEDULED: "schedule",
    PRE_UPGRADE: "before an upgrade",
    PRE_RESTORE: "before a restore",
}
_LONGEST_TEXT = 200
_NAME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ)(?:-[1-9]\d{0,2})?", re.ASCII)
_MOST_PROBLEMS = 20


@dataclass(frozen=True, slots=True)
class Manifest:
    """`manifest.json`; what it does not say, or says wrongly, is None or empty.

    `rows`: how many each table has; `digests`: what they were where they were copied from.
    """

    created_at: datetime | None = None
    trigger: str = ""
    bty_version: str = ""
    database_version: str = ""
    instance_id: str = ""
    machines: int | None = None
    rows: Mapping[str, int] = field(default_factory=dict)
    digests: Mapping[str, str] = field(default_factory=dict)
    includes_state: bool = False


@dataclass(frozen=True, slots=True)
class Marks:
    """What was found out and decided since a backup was written; moments are stamps.

    `checked_at`: when all of it was read and compared; `drilled_at`: when it was last restored in a
    drill; `problems`: what the latest look has found.
    """

    pinned_at: str | None = None
    checked_at: str | None = None
    drilled_at: str | None = None
    problems: tuple[str, ...] = ()

    @property
    def proven_at(self) -> str | None:
        """When it was last proven, unless it is known to be damaged."""
        if self.problems:
            return None
        return max(filter(None, (self.checked_at, self.drilled_at)), default=None)


@dataclass(frozen=True, slots=True)
class Backup:
    """A backup on the shelf; `size` is in bytes, `taken_at` None where nothing says when."""

    id: str
    manifest: Manifest
    marks: Marks
    size: int
    taken_at: datetime | None
    is_full: bool

    def is_scheduled_by(self, instance_id: str) -> bool:
        """Whether this installation wrote it on schedule: what retention has a say over."""
        known = self.manifest
        return (
            moment_of(self.id) is not None
            and known.trigger == SCHEDULED
            and bool(instance_id)
            and known.instance_id == instance_id
        )


def name_of(moment: datetime) -> str:
    """The name of a backup of this moment: `2026-05-24T08-00-00Z` (CONTRACT 7.3)."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H-%M-%SZ")


def moment_of(name: str) -> datetime | None:
    """The moment that the whole of a backup's name spells, if it is such a name."""
    found = _NAME.fullmatch(name)
    if found is None:
        return None
    try:
        return datetime.strptime(found[1], "%Y-%m-%dT%H-%M-%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


def manifest_of(data: object) -> Manifest:
    """What the JSON data of a manifest say; anything may be in them."""
    known = data if isinstance(data, dict) else {}
    rows, digests = known.get("rows"), known.get("digests")
    counts = rows if isinstance(rows, dict) else {}
    found = digests if isinstance(digests, dict) else {}
    return Manifest(
        created_at=_moment(known.get("created_at")),
        trigger=_text(known.get("trigger")),
        bty_version=_text(known.get("bty_version")),
        database_version=_text(known.get("database_version")),
        instance_id=_text(known.get("instance_id")),
        machines=_count(known.get("machines")),
        rows={str(name): count for name, value in counts.items() if (count := _count(value))},
        digests={str(name): digest for name, value in found.items() if (digest := _text(value))},
        includes_state=known.get("includes_state") is True,
    )


def marks_of(data: object) -> Marks:
    """What the JSON data of `marks.json` say; anything may be in them."""
    known = data if isinstance(data, dict) else {}
    problems = known.get("problems")
    found = problems if isinstance(problems, list) else []
    return Marks(
        pinned_at=_stamp(known.get("pinned_at")),
        checked_at=_stamp(known.get("checked_at")),
        drilled_at=_stamp(known.get("drilled_at")),
        problems=tuple(_text(problem) for problem in found[:_MOST_PROBLEMS]),
    )


def marks_data(marks: Marks) -> dict[str, object]:
    """`marks` as they are kept."""
    return {
        "pinned_at": marks.pinned_at,
        "checked_at": marks.checked_at,
        "drilled_at": marks.drilled_at,
        "problems": list(marks.problems[:_MOST_PROBLEMS]),
    }


def _text(value: object) -> str:
    return value[:_LONGEST_TEXT] if isinstance(value, str) else ""


def _count(value: object) -> int | None:
    good = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53
    return value if good and isinstance(value, int) else None


def _stamp(value: object) -> str | None:
    return value[:40] if isinstance(value, str) and _moment(value) else None


def _moment(value: object) -> datetime | None:
    if not isinstance(value, str) or len(value) > 40:
        return None
    try:
        found = datetime.fromisoformat(value)
        return found.astimezone(UTC) if found.tzinfo else None
    except (ValueError, OverflowError):
        return None
