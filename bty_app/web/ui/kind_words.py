"""What kinds of events, and who made them, are called on pages."""

from __future__ import annotations

from bty_app.domain.events import Actor, Kind

KIND_NAMES = {
    Kind.MACHINE_DISCOVERED: "new machine",
    Kind.MACHINE_CREATED: "machine entered",
    Kind.MACHINE_UPSERTED: "machine changed",
    Kind.MACHINE_DELETED: "machine deleted",
    Kind.MACHINE_FLASHED: "flashed",
    Kind.MACHINE_BOOTED: "system is up",
    Kind.MACHINE_BOOTED_FAILED: "system never came up",
    Kind.MACHINE_HARDWARE_CHANGED: "hardware changed",
    Kind.MACHINE_FLASH_FAILED: "flash failed",
    Kind.MACHINE_REPORT_STALE: "report too late",
    Kind.MACHINE_INVENTORY: "hardware reported",
    Kind.MACHINE_HEARTBEAT_FAILED: "silence during a flash",
    Kind.MACHINE_ATTEMPTS_FAILED: "attempts used up",
    Kind.BULK_BEGUN: "act on many machines",
    Kind.BULK_UNDONE: "act on many undone",
    Kind.BULK_MACHINE: "part of an act on many",
    Kind.BULK_MACHINE_FAILED: "act on one of many failed",
    Kind.BULK_MACHINE_UNDONE: "undone on one of many",
    Kind.FLASH_HELD_BACK: "flash held back",
    Kind.MACHINES_IMPORTED: "machines imported",
    Kind.MACHINES_IMPORT_FAILED: "machines not imported",
    Kind.PXE_OFFERED: "boot script given",
    Kind.PXE_PLAN: "plan given",
    Kind.FLASHER_ARMED: "live environment fetched",
    Kind.CLIENT_ORPHAN: "report of an unknown machine",
    Kind.CATALOG_ENTRY_ADDED: "image added",
    Kind.CATALOG_ENTRY_ADD_FAILED: "image not added",
    Kind.CATALOG_ENTRY_EDITED: "image edited",
    Kind.CATALOG_ENTRY_DELETED: "image deleted",
    Kind.CATALOG_ENTRIES_IMPORTED: "catalog taken",
    Kind.CATALOG_IMPORT_FAILED: "catalog not taken",
    Kind.CATALOG_ENTRY_REFRESHED: "image has changed upstream",
    Kind.CATALOG_ENTRY_RESOLVE_FAILED: "image not found upstream",
    Kind.IMAGE_WARMED: "image in the cache",
    Kind.IMAGE_WARM_FAILED: "image not brought into the cache",
    Kind.WITHCACHE_FAILED: "cache does not answer",
    Kind.WITHCACHE_RECOVERED: "cache answers again",
    Kind.ARTIFACTS_REQUESTED: "artifacts asked for",
    Kind.ARTIFACTS_STARTED: "fetch of artifacts begun",
    Kind.ARTIFACTS_FETCHED: "artifacts installed",
    Kind.ARTIFACTS_FAILED: "artifacts not installed",
    Kind.ARTIFACTS_CANCELLED: "fetch of artifacts cancelled",
    Kind.ARTIFACTS_ROLLED_BACK: "artifacts put back",
    Kind.BACKUP_CREATED: "backup made",
    Kind.BACKUP_REQUESTED: "backup asked for",
    Kind.BACKUP_STARTED: "backup begun",
    Kind.BACKUP_UNCHANGED: "nothing to back up",
    Kind.BACKUP_FAILED: "backup failed",
    Kind.BACKUP_CANCELLED: "backup cancelled",
    Kind.BACKUP_PRUNED: "old backup removed",
    Kind.BACKUP_DELETED: "backup deleted",
    Kind.BACKUP_PINNED: "backup pinned",
    Kind.BACKUP_UNPINNED: "backup unpinned",
    Kind.BACKUP_PROOF_FAILED: "backup not sound",
    Kind.BACKUP_DRILLED: "restore tried out",
    Kind.BACKUP_DRILL_FAILED: "restore tried out in vain",
    Kind.BACKUP_OVERDUE: "backup overdue",
    Kind.BACKUP_UNPROVEN: "backup not proven lately",
    Kind.BACKUP_RECOVERED: "backups in order again",
    Kind.BACKUP_RESTORED: "backup restored",
    Kind.BACKUP_RESTORE_FAILED: "restore failed",
    Kind.STATE_RECOVERED: "old database carried over",
    Kind.STATE_RECOVER_FAILED: "old database not carried over",
    Kind.ARCHIVES_REMOVED: "old databases removed",
    Kind.OFFSITE_PUSHED: "backup copied elsewhere",
    Kind.OFFSITE_FAILED: "backup not copied elsewhere",
    Kind.OFFSITE_PRUNED: "old copies removed elsewhere",
    Kind.SETTINGS_UPDATED: "settings changed",
    Kind.LOGIN_SUCCEEDED: "login",
    Kind.LOGIN_FAILED: "login failed",
    Kind.LOGOUT: "logout",
    Kind.PASSWORD_CHANGED: "password changed",
    Kind.SESSIONS_REVOKED: "sessions ended",
    Kind.TOKEN_CREATED: "token created",
    Kind.TOKEN_REVOKED: "token revoked",
    Kind.TOKEN_FAILED: "token refused",
    Kind.WEBHOOK_FAILED: "receiver not told",
    Kind.WEBHOOK_RECOVERED: "receiver told again",
    Kind.AUDIT_FAILED: "events not recorded",
    Kind.SCHEMA_RESET: "database reset",
    Kind.SCHEMA_RETURNED: "older database in use again",
    Kind.MIGRATION_LEAVING: "move to another host begun",
    Kind.MIGRATION_GIVEN_UP: "move to another host given up",
    Kind.MIGRATION_MOVED: "moved to another host",
    Kind.MIGRATION_CANCELLED: "move taken back",
    Kind.MIGRATION_ARRIVED: "moved to this host",
    Kind.HOST_CHANGED: "started on another host",
    Kind.EVENTS_TRIMMED: "old events removed",
}
ACTOR_NAMES = {
    Actor.OPERATOR: "an operator",
    Actor.PXE_CLIENT: "a machine",
    Actor.SYSTEM: "this server",
}
_KINDS = {kind.value: words for kind, words in KIND_NAMES.items()}
_ACTORS = {actor.value: words for actor, words in ACTOR_NAMES.items()}


def kind_words(kind: str) -> str:
    """The name of a kind; one that another version wrote stays as it is."""
    return _KINDS.get(kind, kind)


def actor_words(actor: str) -> str:
    """Who it was."""
    return _ACTORS.get(actor, actor)
