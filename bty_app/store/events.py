"""The audit log: append-only, each row chained to the one before."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from bty_app.domain.events import (
    CHAIN_START,
    Event,
    Kind,
    Query,
    StoredEvent,
    chain_value,
    details_text,
    first_broken,
)
from bty_app.store.database import Row, Tx

_COLUMNS = (
    "id, ts, kind, subject_kind, subject_id, actor, source_ip, summary, details, "
    "acknowledged, chain"
)
_LAST_CHAIN = "events.last_chain"
OPEN_FAILURE = "acknowledged = 0 AND (kind LIKE '%failed' OR kind = 'system.schema.reset')"


def record(tx: Tx, event: Event, *, at: str) -> int:
    """Append `event`; return its id. Call it in the transaction of the fact itself."""
    subject = event.subject
    fields = (
        at,
        event.kind.value,
        subject.kind if subject else None,
        subject.id if subject else None,
        event.actor.value,
        event.source_ip,
        event.summary,
        details_text(event.details),
    )
    chain = chain_value(last_chain(tx), fields)
    tx.run(
        "INSERT INTO events (ts, kind, subject_kind, subject_id, actor, source_ip, summary,"
        " details, chain) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        *fields,
        chain,
    )
    tx.touch("events")
    tx.told.append(event)
    tx.memo[_LAST_CHAIN] = chain
    return tx.last_id()


def last_chain(tx: Tx) -> str:
    """The chain value that the next row follows."""
    known = tx.memo.get(_LAST_CHAIN)
    if known is not None:
        return known
    found = tx.value("SELECT chain FROM events ORDER BY id DESC LIMIT 1")
    return str(found) if found else chain_start(tx)


def chain_start(tx: Tx) -> str:
    """Where this database's chain begins: the last value of its predecessor, if it had one."""
    found = tx.value("SELECT value FROM bty_instance WHERE key = 'chain_start'")
    return str(found) if found else CHAIN_START


def broken_at(tx: Tx) -> int | None:
    """The id of the first row that does not follow from the one before, or None."""
    return first_broken(chain_start(tx), every(tx))


def every(tx: Tx) -> Iterator[StoredEvent]:
    """All rows, oldest first, streamed."""
    for row in tx.rows(f"SELECT {_COLUMNS} FROM events ORDER BY id"):
        yield _stored(row)


def listed(tx: Tx, query: Query) -> list[StoredEvent]:
    """The rows that match, newest first."""
    where, values = _conditions(query)
    sql = f"SELECT {_COLUMNS} FROM events {where} ORDER BY id DESC LIMIT ?"
    return [_stored(row) for row in tx.rows(sql, *values, query.limit)]


def open_failures(tx: Tx) -> int:
    """How many rows wait for an acknowledgement."""
    return int(tx.value(f"SELECT count(*) FROM events WHERE {OPEN_FAILURE}"))


def has_any(tx: Tx, kinds: Iterable[Kind]) -> bool:
    """Whether there is a row of one of these kinds."""
    sql = "SELECT EXISTS (SELECT 1 FROM events WHERE kind = ?)"
    return any(tx.value(sql, kind.value) for kind in kinds)


def flashes_by_hour(tx: Tx, since: str) -> list[tuple[str, bool, int]]:
    """Since that moment: hour such as "2026-01-31T17", whether flashes failed, how many."""
    # The plus keeps SQLite from the index of kinds: it has all that ever happened.
    rows = tx.rows(
        "SELECT substr(ts, 1, 13), +kind <> ?, count(*) FROM events"
        " WHERE ts >= ? AND +kind IN (?, ?, ?) GROUP BY 1, 2",
        Kind.MACHINE_FLASHED.value,
        since,
        Kind.MACHINE_FLASHED.value,
        Kind.MACHINE_FLASH_FAILED.value,
        Kind.MACHINE_HEARTBEAT_FAILED.value,
    )
    return [(str(hour), bool(failed), int(count)) for hour, failed, count in rows]


def acknowledge(tx: Tx, event_id: int, *, acknowledged: bool = True) -> bool:
    """Set the mark; False when there is no such row."""
    changed = tx.run("UPDATE events SET acknowledged = ? WHERE id = ?", int(acknowledged), event_id)
    tx.touch("events")
    return changed > 0


def _conditions(query: Query) -> tuple[str, list[object]]:
    exact = {
        "kind": query.kind,
        "subject_kind": query.subject_kind,
        "subject_id": query.subject_id,
        "actor": query.actor,
        "source_ip": query.source_ip,
    }
    parts = [f"{column} = ?" for column, value in exact.items() if value is not None]
    values: list[object] = [value for value in exact.values() if value is not None]
    if query.failed:
        parts.append("kind LIKE '%failed'")
    if query.open_failures:
        parts.append(OPEN_FAILURE)
    if query.before_id is not None:
        parts.append("id < ?")
        values.append(query.before_id)
    if query.search:
        columns = ("kind", "subject_kind", "subject_id", "actor", "source_ip", "summary")
        parts.append("(" + " OR ".join(f"instr(lower({c}), ?)" for c in columns) + ")")
        values.extend([query.search.lower()] * len(columns))
    return (f"WHERE {' AND '.join(parts)}" if parts else ""), values


def _stored(row: Row) -> StoredEvent:

    return StoredEvent(*(*row[:9], bool(row[9]), row[10]))
