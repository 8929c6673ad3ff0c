"""The audit rows of the catalog: what they say, bounded, and never with a password of a URL."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import islice

from bty_app.domain.catalog import CatalogEntry, Change, Merge, NewImage
from bty_app.domain.catalog_diff import CatalogDiff
from bty_app.domain.events import Actor, Event, Kind, Subject
from bty_app.domain.image_source import without_credentials
from bty_app.errors import BtyError

MAX_TEXT_CHARS = 300
MAX_LISTED = 50  # of the rows that an import changed or refused; the counts are exact


@dataclass(frozen=True, slots=True)
class By:
    """Who acts, and from where."""

    actor: Actor
    ip: str | None


def added(entry: CatalogEntry, *, ip: str | None) -> Event:
    """An operator has added an image."""
    return Event(
        Kind.CATALOG_ENTRY_ADDED,
        Actor.OPERATOR,
        f"catalog entry added: {plain(entry.name)}",
        _subject(entry.src),
        ip,
        {
            "name": entry.name,
            "bty_image_ref": entry.bty_image_ref,
            "disk_image_sha": entry.disk_image_sha,
            "format": entry.format,
            "size_bytes": entry.size_bytes,
        },
    )


def add_failed(image: NewImage, error: BtyError, *, ip: str | None) -> Event:
    """An image could not be added."""
    return Event(
        Kind.CATALOG_ENTRY_ADD_FAILED,
        Actor.OPERATOR,
        f"catalog entry not added: {plain(error.message)}",
        _subject(image.src),
        ip,
        {
            "image_url": plain(image.src),
            **({"sha_url": plain(image.sha_url)} if image.sha_url else {}),
            "error": plain(error.message),
        },
    )


def edited(entry: CatalogEntry, changes: Iterable[Change], *, ip: str | None) -> Event:
    """An operator has said otherwise what an image is; `entry` is as it is now."""
    changed = tuple(changes)
    return Event(
        Kind.CATALOG_ENTRY_EDITED,
        Actor.OPERATOR,
        f"catalog entry edited: {plain(entry.name)}: {', '.join(c.field for c in changed)}",
        _subject(entry.src),
        ip,
        {"name": entry.name, "changed": {c.field: {"old": c.old, "new": c.new} for c in changed}},
    )


def deleted(entry: CatalogEntry, *, ip: str | None) -> Event:
    """An operator has removed an image."""
    return Event(
        Kind.CATALOG_ENTRY_DELETED,
        Actor.OPERATOR,
        f"catalog entry removed: {plain(entry.name)}",
        _subject(entry.src),
        ip,
    )


def imported(source: str, merge: Merge, by: By) -> Event:
    """A manifest has been taken in."""
    return Event(
        Kind.CATALOG_ENTRIES_IMPORTED,
        by.actor,
        f"catalog imported from {plain(source)}: {len(merge.added)} new, "
        f"{len(merge.updated)} changed, {merge.kept} unchanged",
        _subject(source),
        by.ip,
        {**import_report(source, merge, limit=MAX_LISTED), "source": plain(source)},
    )


def import_failed(source: str, error: BtyError, by: By) -> Event:
    """A manifest could not be taken in, and changed nothing."""
    return Event(
        Kind.CATALOG_IMPORT_FAILED,
        by.actor,
        f"catalog not imported: {plain(error.message)}",
        _subject(source),
        by.ip,
        {"source": plain(source), "error": plain(error.message)},
    )


def import_report(source: str, merge: Merge, *, limit: int | None = None) -> Mapping[str, object]:
    """What an import did as plain JSON data: the answer of the API, and the event's details."""
    return {
        "source": source,
        "imported": len(merge.added),
        "skipped": merge.kept + len(merge.repeated),
        "errors": _repeated(merge, limit),
        "updated": len(merge.updated),
        "changes": _changes(merge, limit),
    }


def plain(text: str) -> str:
    """`text` of a stranger for an audit row: short, printable, without credentials."""
    return "".join(map(_plain_char, without_credentials(text)[:MAX_TEXT_CHARS]))


def _plain_char(char: str) -> str:
    """The character, unless it is unseen or turns the direction of others (UAX 9, UAX 44)."""
    is_seen = char.isprintable() or unicodedata.category(char) == "Zs"
    return char if is_seen else "\N{REPLACEMENT CHARACTER}"


def shown(value: str | int | tuple[str, ...] | None) -> str:
    """A value of a stranger's file, on one line."""
    if value is None or value == ():
        return "nothing"
    return plain(", ".join(value) if isinstance(value, tuple) else str(value))


def _subject(src: str) -> Subject:
    return Subject("catalog", plain(src))


def _repeated(merge: Merge, limit: int | None) -> list[object]:
    return [
        {"name": item.name, "error": f"the same image as {item.first_name!r} in this catalog"}
        for item in islice(merge.repeated, limit)
    ]


def _changes(merge: Merge, limit: int | None) -> list[object]:
    updated: Iterable[object] = (
        {
            "name": update.entry.name,
            "src": without_credentials(update.entry.src),
            "changed": {c.field: {"old": c.old, "new": c.new} for c in update.changes},
        }
        for update in merge.updated
    )
    return list(islice(updated, limit))


def followed(found: CatalogDiff, by: By) -> Event:
    """The upstream catalog has been taken."""
    return Event(
        Kind.CATALOG_ENTRIES_IMPORTED,
        by.actor,
        f"catalog fetched from {plain(found.source)}: {counted(found)}",
        _subject(found.source),
        by.ip,
        {**diff_report(found, limit=MAX_LISTED), "source": plain(found.source)},
    )


def counted(found: CatalogDiff) -> str:
    """What following a catalog changes, in numbers."""
    return (
        f"{len(found.merge.added)} new, {len(found.merge.updated)} changed,"
        f" {len(found.removed)} removed, {len(found.kept)} gone but needed"
    )


def diff_report(found: CatalogDiff, *, limit: int | None = None) -> Mapping[str, object]:
    """What following a catalog changes, as plain JSON data."""
    return {
        **import_report(found.source, found.merge, limit=limit),
        "digest": found.digest,
        "shrinks": found.shrinks,
        "added": [plain(entry.name) for entry in islice(found.merge.added, limit)],
        "removed": [plain(entry.name) for entry in islice(found.removed, limit)],
        "kept": [
            {
                "name": plain(gone.entry.name),
                "machines": gone.bound,
                "macs": list(gone.machines),
            }
            for gone in islice(found.kept, limit)
        ],
        "returned": [plain(entry.name) for entry in islice(found.returned, limit)],
    }
