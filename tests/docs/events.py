"""The audit vocabulary, from the functions that make its rows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import bty_app
from bty_app.domain import (
    archive_events,
    artifact_events,
    audit_events,
    auth_events,
    bulk_act,
    bulk_events,
    catalog_events,
    event_trimming,
    image_events,
    machine_events,
    migration_events,
    offsite_events,
    recovering,
    restoring,
    settings_events,
    upgrade_events,
    webhooks,
)
from bty_app.domain import bulk as bulk_acts
from bty_app.domain.artifact_set import SetFacts
from bty_app.domain.boot import Decision, LiveEnv, Purpose, Reason
from bty_app.domain.catalog import CatalogEntry, Change, Merge, NewImage
from bty_app.domain.events import Actor, Event, Kind, StoredEvent, Subject
from bty_app.domain.flash_rules import Hold, Rule
from bty_app.domain.image_source import ImageRef
from bty_app.domain.inventory import Inventory
from bty_app.domain.mac import Mac
from bty_app.domain.machine import Assignment, BootMode, Machine, Phase
from bty_app.domain.tokens import Scope, Token
from bty_app.domain.upgrade_events import Tale
from bty_app.domain.webhooks import Target
from bty_app.domain.withcache import Held
from bty_app.errors import InvalidInputError
from bty_app.store.events import OPEN_FAILURE
from tests.docs.backup_events import BACKUP_EXAMPLES
from tests.docs.tables import code, table

_IP = "192.0.2.7"
_STORED = StoredEvent(
    id=7,
    ts="2026-08-01T00:00:00.000000+00:00",
    kind=Kind.MACHINE_BOOTED.value,
    subject_kind=None,
    subject_id=None,
    actor=Actor.PXE_CLIENT.value,
    source_ip=_IP,
    summary="booted",
    details=None,
    acknowledged=False,
    chain="c" * 64,
)
_MAC = Mac("52:54:00:12:34:56")
_AT = "2026-11-22T19:07:18.000000+00:00"
_MACHINE = Machine(
    mac=_MAC,
    image_ref="a" * 64,
    discovered_at=_AT,
    last_seen_at=_AT,
    last_seen_ip=_IP,
    boot_mode=BootMode.FLASH_ONCE,
    sanboot_drive=None,
    last_flashed_at=None,
    known_disks_at=None,
    hw_lshw_at=None,
    target_disk_serial=None,
    created_at=_AT,
    updated_at=_AT,
    phase=Phase.BOOTED,
    phase_at=None,
    attempts=1,
    ordered_at=None,
    disk_suspect=False,
)
_OFFER = Decision(LiveEnv(Purpose.FLASH), Reason.RETRY, Phase.BOOTED)
_SRC = "https://example.com/debian.img.zst"
_HELD = Decision(
    LiveEnv(Purpose.FLASH),
    Reason.HOURLY_LIMIT,
    Phase.IDLE,
    Hold(Rule.HOURLY, "enough", _AT),
)
_ACT = bulk_act.Act(bulk_act.Kind.FLASH_AGAIN)
_STEP = bulk_acts.Step(bulk_acts.Outcome.WILL, "")
_ENTRY = CatalogEntry(ImageRef("a" * 64), _SRC, "debian", _AT)
_MERGE = Merge((), (), (), 0)
_BY = catalog_events.By(Actor.OPERATOR, _IP)
_WRONG = InvalidInputError("wrong")
_TOKEN = Token("0123456789", "a" * 64, "ci", Scope.READ, datetime.fromisoformat(_AT))
_HOOK = Target(("*failed",), "https://example.com/hook")
_FACTS = SetFacts("0.92.0", "https://example.com", _AT, None, {}, {})


def _operator(kind: Kind, *keys: str) -> Event:
    return Event(kind, Actor.OPERATOR, "", Subject("auth", "operator"), _IP, dict.fromkeys(keys))


EXAMPLES: Mapping[Kind, tuple[Event, str]] = {
    example.kind: (example, about)
    for example, about in (
        (machine_events.discovered(_MAC, _IP), "A machine asked that nobody knew."),
        (
            machine_events.saved(_MAC, Assignment(), created=True, ip=_IP),
            "An operator made a record before the machine was ever seen.",
        ),
        (
            machine_events.saved(_MAC, Assignment(), created=False, ip=_IP),
            "An operator saved a machine. It is armed anew, unless only its labels changed.",
        ),
        (machine_events.deleted(_MAC, _IP), "An operator forgot a machine."),
        (
            machine_events.flashed(_MAC, _IP, "everything was read back"),
            "A flash is complete. Once per cycle; `extras` is what was done besides.",
        ),
        (machine_events.booted(_MAC, _IP), "The system of a machine says that it is up."),
        (
            machine_events.never_up(_MACHINE),
            "Where a flash is done once its system is up: it has not said so within"
            " `boot.up_minutes`.",
        ),
        (
            machine_events.hardware_changed(_MAC, ["disk lost: …"], _IP),
            "An inventory differs from the one before: what was swapped, added, lost.",
        ),
        (
            machine_events.flash_failed(_MAC, "why", _IP),
            "The live environment reports that a flash failed, with its reason.",
        ),
        (
            machine_events.stale(_MAC, _IP),
            "A report of success that answers no order of this cycle. It changed nothing.",
        ),
        (
            machine_events.inventory(_MAC, Inventory("[]", 0, (), None, False), _IP),
            "The hardware was reported.",
        ),
        (
            machine_events.silent(_MACHINE, _AT),
            "Nobody has heard of a flash for too long. The sentence says what to do.",
        ),
        (
            machine_events.held(_MACHINE),
            "All attempts are used up: no further one is made until the machine is saved.",
        ),
        (
            machine_events.offered(_MACHINE, _OFFER, "debian", _IP),
            "Firmware asked what to boot. The details say what was offered, and why.",
        ),
        (
            machine_events.planned(_MACHINE, {"mode": "exit"}, "plan:exit:ipxe-exit", _IP),
            "A live environment asked for its plan.",
        ),
        (
            machine_events.held_back(_MACHINE, _HELD),
            "A rule of the site keeps a flash from beginning. Once, until that changes; the details"
            " say which rule, and until when.",
        ),
        (
            bulk_events.begun("id", _ACT, 2, _IP),
            "An operator confirmed an act on many machines. The subject is the act.",
        ),
        (
            bulk_events.done(_MAC, "id", _ACT, _STEP, _IP),
            "An act on many machines was done to this one. The details name the act.",
        ),
        (
            bulk_events.failed(_MAC, "id", _ACT, "why", _IP),
            "An act on many machines could not be done to this one.",
        ),
        (bulk_events.undo("id", _ACT, 2, _IP), "An operator took an act on many machines back."),
        (
            bulk_events.undone(_MAC, "id", _IP),
            "This machine is as it was before an act on many.",
        ),
        (machine_events.armed(_MAC), "Kernel or initrd is being fetched: an attempt begins."),
        (
            machine_events.orphan(_MAC, "inventory", _IP, {"disk_count": 1}),
            "A report from a machine without a record. None is made.",
        ),
        (catalog_events.added(_ENTRY, ip=_IP), "An image was added by its URL."),
        (
            catalog_events.add_failed(
                NewImage(ImageRef("a" * 64), _SRC, "debian", _SRC), _WRONG, ip=_IP
            ),
            "An image could not be added.",
        ),
        (
            catalog_events.edited(_ENTRY, (Change("name", "a", "b"),), ip=_IP),
            "An operator said otherwise what an image is.",
        ),
        (catalog_events.deleted(_ENTRY, ip=_IP), "An image was removed."),
        (
            catalog_events.imported(_SRC, _MERGE, _BY),
            "A catalog was taken in. The actor is `system` for the catalog file at a start.",
        ),
        (
            catalog_events.import_failed(_SRC, _WRONG, _BY),
            "A catalog could not be taken in. It changed nothing.",
        ),
        (
            migration_events.leaving(_SRC, _IP),
            "Another host fetches everything. No change is taken until it has, or gives up.",
        ),
        (migration_events.given_up(_SRC, "why"), "That move did not happen."),
        (
            migration_events.moved(_SRC, _IP),
            "Another host is the appliance now. Machines are sent there.",
        ),
        (migration_events.cancelled(_SRC), "An operator took a move back."),
        (migration_events.arrived(_SRC, 2), "The state of another appliance came here."),
        (
            migration_events.host_changed("a", "b"),
            "The state is served by another host than the last time.",
        ),
        (
            event_trimming.trimmed(_STORED, 7, 90),
            "Events older than `events.keep_days` were removed; the next row follows `chain`.",
        ),
        (_operator(Kind.LOGIN_SUCCEEDED), "An operator logged in."),
        (
            _operator(Kind.LOGIN_FAILED, "refused_before"),
            "A wrong password. Guesses that the throttle refused are counted, not listed.",
        ),
        (_operator(Kind.LOGOUT), "An operator logged out."),
        (
            Event(
                Kind.MACHINES_IMPORTED,
                Actor.OPERATOR,
                "",
                details=dict.fromkeys(
                    [
                        "source",
                        "exported_at",
                        "exported_by_bty_version",
                        "new",
                        "updated",
                        "unchanged",
                        "reset",
                        "rejected",
                    ]
                ),
            ),
            "A bundle was imported.",
        ),
        (
            Event(
                Kind.MACHINES_IMPORT_FAILED,
                Actor.OPERATOR,
                "",
                details=dict.fromkeys(["source", "problem"]),
            ),
            "A bundle could not be imported: the disk refused; nothing has changed.",
        ),
        *BACKUP_EXAMPLES,
        (
            restoring.restored(
                restoring.Origin("2026-11-22T19-07-18Z", "a" * 64),
                restoring.Wanted(),
                restoring.Effect({}, 0, 0, 0, 0, 0, "a" * 64),
                restoring.WayBack("2026-11-23T19-07-18Z"),
                _BY,
            ),
            "A backup was put back, or a restore undone (`undoes` is its event). `undo` is what was"
            " backed up before.",
        ),
        (
            restoring.restore_failed("2026-11-22T19-07-18Z", "the disk is full", _BY),
            "A backup could not be put back; nothing has changed.",
        ),
        (
            recovering.recovered(
                "state.db.0.91.0.20261122T190718Z.bak",
                recovering.Choice(frozenset(recovering.Part)),
                {part: recovering.PartCounts() for part in recovering.Part},
                dict.fromkeys(["database_version", "disarmed", "rejected", "losses", "by_shape"]),
                _BY,
            ),
            "Rows of an old database were carried over.",
        ),
        (
            recovering.recover_failed("state.db.0.91.0.20261122T190718Z.bak", "it is full", _BY),
            "Nothing of an old database came over: the disk refused.",
        ),
        (
            archive_events.removed(["state.db.0.91.0.20261122T190718Z.bak"], 4096, _BY),
            "Old databases were removed by hand.",
        ),
        (
            archive_events.remove_failed(["state.db.0.91.0.20261122T190718Z.bak"], [], "why", _BY),
            "The disk did not let old databases be removed. `gone` names those that it did.",
        ),
        (
            upgrade_events.event_of(Tale(_AT, "0.91.0", "0.92.0", "2026-11-22T19-07-18Z", 90)),
            "`bty upgrade` has brought a newer release, which is ready. The subject is when it"
            " began; `seconds` is how long it took, with the watch.",
        ),
        (
            upgrade_events.event_of(
                Tale(_AT, "0.91.0", "0.92.0", "2026-11-22T19-07-18Z", 90, "not ready")
            ),
            "`bty upgrade` has taken a newer release back, and the one before serves its data. This"
            " is in the log of the latter.",
        ),
        (
            Event(
                Kind.SCHEMA_RETURNED,
                Actor.SYSTEM,
                "",
                details=dict.fromkeys(
                    [
                        *("from_version", "to_version", "returned_from", "archived_at"),
                        *("archived_chain", "machines", "backup_id"),
                    ]
                ),
            ),
            "An older release was started, and has its own database back.",
        ),
        (
            image_events.refreshed(_ENTRY, _ENTRY),
            "The source of a rolling image serves other bytes than were known. Found out while a"
            " plan was made.",
        ),
        (
            image_events.resolve_failed(_ENTRY, _WRONG),
            "The source of a rolling image does not say what it serves: plans are made of what is"
            " stored. Once, until it answers again.",
        ),
        (
            image_events.warmed(_ENTRY, Held(_SRC, "a" * 64, 1), Actor.SYSTEM),
            "An image was fetched into withcache, because a machine was bound to it. The actor is"
            " `operator` for what somebody asked for.",
        ),
        (
            image_events.warm_failed(_ENTRY, _WRONG, Actor.SYSTEM),
            "withcache could not fetch an image, or has other bytes than the catalog says. Once,"
            " until it can, where nobody asked. The actor is `operator` where somebody did.",
        ),
        (
            image_events.cache_failed("http://192.0.2.1:8081", _WRONG),
            "withcache does not answer: images come from their origin. Once, until it answers.",
        ),
        (image_events.cache_recovered("http://192.0.2.1:8081"), "withcache answers again."),
        (
            settings_events.updated({"boot.max_attempts": settings_events.Change(None, "7")}, _BY),
            "An operator changed settings. The details have a row for each, with what was and what"
            " is; null stands for the default. The subject names them.",
        ),
        (
            settings_events.update_failed(["boot.max_attempts"], "the disk is full", _BY),
            "Settings could not be stored, and are as they were.",
        ),
        (auth_events.password_changed(2, _IP), "An operator changed the password."),
        (auth_events.sessions_revoked(1, _IP), "Sessions were ended from elsewhere."),
        (auth_events.token_created(_TOKEN, _IP), "A token was created. Its secret is not told."),
        (auth_events.token_revoked(_TOKEN, _IP), "A token was revoked."),
        (
            auth_events.token_refused("0123456789", "expired", 0, _IP),
            "A request came with a token that is unknown, revoked or expired; the details say how"
            " many were refused unheard since the last row.",
        ),
        (
            webhooks.failed(_HOOK, "it answers 500"),
            "A receiver of events cannot be told. At most once in an hour; the events wait.",
        ),
        (webhooks.recovered(_HOOK), "A receiver of events is told again."),
        (offsite_events.pushed("id", "s3://…", 1), "A backup was copied elsewhere, and compared."),
        (
            offsite_events.failed("s3://…", "why", ["id"]),
            "Backups cannot be copied elsewhere. Once, until it works again; it is tried again.",
        ),
        (
            offsite_events.pruned(["id"], "s3://…", 30),
            "Old copies elsewhere were removed, as offsite.keep says.",
        ),
        (
            Event(
                Kind.SCHEMA_RESET,
                Actor.SYSTEM,
                "",
                details=dict.fromkeys(
                    [
                        "from_version",
                        "to_version",
                        "archived_at",
                        "archived_inode",
                        "archived_bytes",
                        "archived_chain",
                        "quick_check",
                        "rows",
                        "carried",
                        "backup_id",
                        "left",
                    ]
                ),
            ),
            "The database of another version was archived, or a damaged one set aside (then the"
            " details are from_version, to_version, archived_at, reason, problem, files).",
        ),
        (
            audit_events.dropped(1, _AT, _AT, "the disk is full"),
            "Machines were answered while nothing could be recorded for so long that not all of it"
            " could be kept in memory.",
        ),
        (
            artifact_events.fetch_requested("v0.92.0", _BY),
            "An operator wants the netboot artifacts of a release; a job fetches them.",
        ),
        (
            artifact_events.fetch_started("v0.92.0", "https://example.com"),
            "The fetch of netboot artifacts has begun.",
        ),
        (
            artifact_events.installed("v0.92.0", _FACTS, _BY, again=False),
            "A set of netboot artifacts was installed, or it was there and every file was checked.",
        ),
        (
            artifact_events.fetch_failed("v0.92.0", _WRONG, _BY),
            "Netboot artifacts were not installed; what was there stays.",
        ),
        (
            artifact_events.fetch_cancelled("v0.92.0", _BY),
            "A fetch was cancelled. The next one goes on from there.",
        ),
        (
            artifact_events.rolled_back("0.90.0-0123456789ab", "0.92.0-0123456789ab", _BY),
            "Machines boot the set of netboot artifacts before the current one again.",
        ),
        (
            artifact_events.roll_back_failed("0.92.0-0123456789ab", _WRONG, _BY),
            "Machines go on booting the current set: the one before is missing or damaged, or the"
            " disk refused.",
        ),
    )
}
# They name every kind: the vocabulary, and its words on pages.
_SAYS_ALL = {("domain", "events.py"), ("ui", "kind_words.py")}
RESERVED = "Reserved: nothing records it yet."


def rows() -> list[tuple[str, ...]]:
    """A row for every kind."""
    recorded = _recorded()
    return [_row(kind) if kind in recorded else _reserved(kind) for kind in Kind]


def table_head() -> tuple[str, ...]:
    """The head of the table."""
    return ("kind", "subject", "actor", "waits", "what happened", "details")


def _row(kind: Kind) -> tuple[str, ...]:
    event, about = EXAMPLES[kind]
    return (
        code(kind.value),
        event.subject.kind if event.subject else "-",
        event.actor.value,
        _waits(kind),
        about,
        ", ".join(event.details) if event.details else "-",
    )


def _reserved(kind: Kind) -> tuple[str, ...]:
    return (code(kind.value), "-", "-", _waits(kind), RESERVED, "-")


def _waits(kind: Kind) -> str:
    assert "%failed" in OPEN_FAILURE
    assert Kind.SCHEMA_RESET.value in OPEN_FAILURE
    return "yes" if kind.endswith("failed") or kind is Kind.SCHEMA_RESET else ""


def _recorded() -> set[Kind]:
    """The kinds that code outside the vocabulary itself names."""
    source = "".join(
        path.read_text("utf-8")
        for path in Path(bty_app.__file__).parent.rglob("*.py")
        if (path.parent.name, path.name) not in _SAYS_ALL
    )
    return {kind for kind in Kind if f"Kind.{kind.name}" in source}


def vocabulary() -> str:
    """Every kind of event."""
    return table(table_head(), *rows())
