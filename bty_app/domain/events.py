"""The audit vocabulary: who did what to whom, and how each row vouches for the one before."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

CHAIN_START = "0" * 64


class Actor(StrEnum):
    """Who acted."""

    OPERATOR = "operator"
    PXE_CLIENT = "pxe-client"
    SYSTEM = "system"


class Kind(StrEnum):
    """Every event there is. A kind that ends in "failed" waits for an acknowledgement."""

    MACHINE_DISCOVERED = "machine.discovered"
    MACHINE_CREATED = "machine.created"
    MACHINE_UPSERTED = "machine.upserted"
    MACHINE_DELETED = "machine.deleted"
    MACHINE_FLASHED = "machine.flashed"
    MACHINE_BOOTED = "machine.booted"
    MACHINE_BOOTED_FAILED = "machine.booted.failed"
    MACHINE_HARDWARE_CHANGED = "machine.hardware.changed"
    MACHINE_FLASH_FAILED = "machine.flash_failed"
    MACHINE_REPORT_STALE = "machine.report.stale"
    MACHINE_INVENTORY = "machine.inventory"
    MACHINE_HEARTBEAT_FAILED = "machine.heartbeat.failed"
    MACHINE_ATTEMPTS_FAILED = "machine.attempts.failed"
    BULK_BEGUN = "machines.bulk.begun"
    BULK_UNDONE = "machines.bulk.undone"
    BULK_MACHINE = "machine.bulk"
    BULK_MACHINE_FAILED = "machine.bulk.failed"
    BULK_MACHINE_UNDONE = "machine.bulk.undone"
    FLASH_HELD_BACK = "machine.flash.held_back"
    MACHINES_IMPORTED = "machines.imported"
    MACHINES_IMPORT_FAILED = "machines.import.failed"
    PXE_OFFERED = "netboot.pxe.offered"
    PXE_PLAN = "netboot.pxe.plan"
    FLASHER_ARMED = "netboot.flasher.armed"
    CLIENT_ORPHAN = "pxe.client.orphan"
    CATALOG_ENTRY_ADDED = "catalog.entry.added"
    CATALOG_ENTRY_ADD_FAILED = "catalog.entry.add.failed"
    CATALOG_ENTRY_EDITED = "catalog.entry.edited"
    CATALOG_ENTRY_DELETED = "catalog.entry.deleted"
    CATALOG_ENTRIES_IMPORTED = "catalog.entries.imported"
    CATALOG_IMPORT_FAILED = "catalog.import.failed"
    CATALOG_ENTRY_REFRESHED = "catalog.entry.refreshed"
    CATALOG_ENTRY_RESOLVE_FAILED = "catalog.entry.resolve.failed"
    IMAGE_WARMED = "catalog.warmed"
    IMAGE_WARM_FAILED = "catalog.warm.failed"
    WITHCACHE_FAILED = "withcache.lookup.failed"
    WITHCACHE_RECOVERED = "withcache.recovered"
    ARTIFACTS_REQUESTED = "netboot.artifacts.fetch.requested"
    ARTIFACTS_STARTED = "netboot.artifacts.fetch.started"
    ARTIFACTS_FETCHED = "netboot.artifacts.fetched"
    ARTIFACTS_FAILED = "netboot.artifacts.fetch.failed"
    ARTIFACTS_CANCELLED = "netboot.artifacts.fetch.cancelled"
    ARTIFACTS_ROLLED_BACK = "netboot.artifacts.rolled_back"
    ARTIFACTS_ROLL_BACK_FAILED = "netboot.artifacts.roll_back.failed"
    BACKUP_REQUESTED = "backup.create.requested"
    BACKUP_STARTED = "backup.create.started"
    BACKUP_CREATED = "backup.created"
    BACKUP_UNCHANGED = "backup.unchanged"
    BACKUP_FAILED = "backup.failed"
    BACKUP_CANCELLED = "backup.create.cancelled"
    BACKUP_PRUNED = "backup.pruned"
    BACKUP_DELETED = "backup.deleted"
    BACKUP_DELETE_FAILED = "backup.delete.failed"
    BACKUP_PINNED = "backup.pinned"
    BACKUP_UNPINNED = "backup.unpinned"
    BACKUP_PROOF_FAILED = "backup.proof.failed"
    BACKUP_DRILLED = "backup.drilled"
    BACKUP_DRILL_FAILED = "backup.drill.failed"
    BACKUP_OVERDUE = "backup.overdue"
    BACKUP_UNPROVEN = "backup.unproven"
    BACKUP_RECOVERED = "backup.recovered"
    BACKUP_RESTORED = "backup.restored"
    BACKUP_RESTORE_FAILED = "backup.restore.failed"
    STATE_RECOVERED = "state.recovered"
    STATE_RECOVER_FAILED = "state.recover.failed"
    ARCHIVES_REMOVED = "state.archives.removed"
    ARCHIVES_REMOVE_FAILED = "state.archives.remove.failed"
    OFFSITE_PUSHED = "offsite.pushed"
    OFFSITE_FAILED = "offsite.failed"
    OFFSITE_PRUNED = "offsite.pruned"
    SETTINGS_UPDATED = "settings.updated"
    SETTINGS_UPDATE_FAILED = "settings.update.failed"
    LOGIN_SUCCEEDED = "auth.login.succeeded"
    LOGIN_FAILED = "auth.login.failed"
    LOGOUT = "auth.logout"
    PASSWORD_CHANGED = "auth.password.changed"  # noqa: S105  a kind of event
    SESSIONS_REVOKED = "auth.sessions.revoked"
    TOKEN_CREATED = "auth.token.created"  # noqa: S105
    TOKEN_REVOKED = "auth.token.revoked"  # noqa: S105
    TOKEN_FAILED = "auth.token.failed"  # noqa: S105
    WEBHOOK_FAILED = "webhook.delivery.failed"
    WEBHOOK_RECOVERED = "webhook.recovered"
    AUDIT_FAILED = "system.audit.failed"
    SCHEMA_RESET = "system.schema.reset"
    MIGRATION_LEAVING = "system.migration.leaving"
    MIGRATION_GIVEN_UP = "system.migration.given_up"
    MIGRATION_MOVED = "system.migration.moved"
    MIGRATION_CANCELLED = "system.migration.cancelled"
    MIGRATION_ARRIVED = "system.migration.arrived"
    HOST_CHANGED = "system.host.changed"
    EVENTS_TRIMMED = "system.events.trimmed"
    SCHEMA_RETURNED = "system.schema.returned"
    UPGRADED = "system.upgraded"
    UPGRADE_FAILED = "system.upgrade.failed"


@dataclass(frozen=True, slots=True)
class Subject:
    """What an event is about: ("machine", its MAC), ("catalog", a src) ..."""

    kind: str
    id: str


@dataclass(frozen=True, slots=True)
class Event:
    """An audit row before it has a place: `details` must be plain JSON data."""

    kind: Kind
    actor: Actor
    summary: str
    subject: Subject | None = None
    source_ip: str | None = None
    details: Mapping[str, object] | None = None


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An audit row as it is kept. `details` is JSON text."""

    id: int
    ts: str
    kind: str
    subject_kind: str | None
    subject_id: str | None
    actor: str
    source_ip: str | None
    summary: str
    details: str | None
    acknowledged: bool
    chain: str

    def as_data(self) -> dict[str, object]:
        """The row as others see it; `details` is inlined."""
        return {
            "id": self.id,
            "ts": self.ts,
            "kind": self.kind,
            "subject_kind": self.subject_kind,
            "subject_id": self.subject_id,
            "actor": self.actor,
            "source_ip": self.source_ip,
            "summary": self.summary,
            "details": json.loads(self.details) if self.details else None,
            "acknowledged": self.acknowledged,
        }


@dataclass(frozen=True, slots=True)
class Query:
    """What to list, newest first. `search` is a substring of any column a person reads,
    `kind_pattern` has `*` for any characters, `since` and `until` are stamps, the latter left out.
    """

    kind: str | None = None
    subject_kind: str | None = None
    subject_id: str | None = None
    actor: str | None = None
    source_ip: str | None = None
    failed: bool = False
    open_failures: bool = False
    search: str | None = None
    kind_pattern: str | None = None
    since: str | None = None
    until: str | None = None
    before_id: int | None = None
    after_id: int = 0
    limit: int = 50


def machine_subject(mac: str) -> Subject:
    """The subject of everything that happens to one machine."""
    return Subject("machine", mac)


def by_token(event: Event, token_id: str, name: str) -> Event:
    """What an operator's script did, or a job that it asked for, with the token that it came with.
    What a box reports is the box's.
    """
    if event.actor not in {Actor.OPERATOR, Actor.SYSTEM}:
        return event
    details = {**(event.details or {}), "token": {"id": token_id, "name": name}}
    return replace(event, summary=f"{event.summary} (token {name})", details=details)


def details_text(details: Mapping[str, object] | None) -> str | None:
    """`details` as they are stored: ASCII JSON without NaN."""
    if details is None:
        return None
    return json.dumps(details, allow_nan=False)


def chain_value(before: str, fields: Iterable[str | None]) -> str:
    """The chain value of a row: SHA-256 over that of the row before and this row's fields.

    Args:
        before: the chain value of the row before, or `CHAIN_START`.
        fields: ts, kind, subject_kind, subject_id, actor, source_ip, summary, details.
            `acknowledged` is left out, since it may change.
    """
    text = json.dumps([before, *fields])
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def asks_for_acknowledgement(kind: str) -> bool:
    """Whether a row of this kind waits until somebody has seen it."""
    return kind.endswith("failed") or kind == Kind.SCHEMA_RESET.value


def chained_fields(event: StoredEvent) -> tuple[str | None, ...]:
    """The fields of a stored row that its chain value covers, in order."""
    return (
        event.ts,
        event.kind,
        event.subject_kind,
        event.subject_id,
        event.actor,
        event.source_ip,
        event.summary,
        event.details,
    )


def first_broken(start: str, events: Iterable[StoredEvent]) -> int | None:
    """The id of the first row whose chain value does not follow from the one before, or None."""
    before = start
    for event in events:
        if chain_value(before, chained_fields(event)) != event.chain:
            return event.id
        before = event.chain
    return None
