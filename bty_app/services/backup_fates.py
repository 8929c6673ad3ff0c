"""What becomes of each backup on the shelf, as `domain/retention.py` decides."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from bty_app.domain import retention
from bty_app.domain.backups import PRE_RESTORE, PRE_UPGRADE, Backup, moment_of

_NEVER = datetime.min.replace(tzinfo=UTC)
_BEFORE = {PRE_UPGRADE: "an upgrade", PRE_RESTORE: "a restore"}


def fates(
    items: Iterable[Backup], policy: retention.Policy, instance_id: str, now: datetime
) -> tuple[retention.Fate, ...]:
    """What becomes of each, the newest first; `instance_id` is that of this installation."""
    return retention.plan((_as_kept(item, instance_id) for item in items), policy, now)


def _as_kept(item: Backup, instance_id: str) -> retention.Kept:
    return retention.Kept(
        id=item.id,
        taken_at=item.taken_at or _NEVER,
        scheduled=item.taken_at is not None and item.is_scheduled_by(instance_id),
        sound=not item.marks.problems,
        proven=item.marks.proven_at is not None,
        pinned=item.marks.pinned_at is not None,
        before=_before(item, instance_id),
        machines=item.manifest.machines,
    )


def _before(item: Backup, instance_id: str) -> str:
    """What this installation took it before, if it did."""
    is_ours = bool(instance_id) and item.manifest.instance_id == instance_id
    named_by_us = moment_of(item.id) is not None
    return _BEFORE.get(item.manifest.trigger, "") if is_ours and named_by_us else ""
