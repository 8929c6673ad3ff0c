"""The audit log: append-only, each row chained to the one before."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from bty_app.domain.events import (
    CHAIN_START,
    Event,
    Kind,
    Query,
    StoredEvent,
    asks_for_acknowledgement,
    by_token,
    chain_value,
    details_text,
    first_broken,
)
from bty_app.store import instance
from bty_app.store.database import Row, Tx

_COLUMNS = (
    "id, ts, kind, subject_kind, subject_id, actor, source_ip, summary, details, "
    "acknowledged, chain"
)
_LAST_CHAIN = "events.last_chain"
_ROOM = 1_000
OPEN_FAILURE = "acknowledged = 0 AND (kind LIKE '%failed' OR kind = 'system.schema.reset')"


@dataclass(frozen=True, slots=True)
class Found:
    """Rows of a search; `stopped_at` is the id at which it stopped although older rows exist."""

    rows: list[StoredEvent]
    stopped_at: int | None = None


def record(tx: Tx, event: Event, *, at: str) -> int:
    """Append `event`; return its id. Call it in the transaction of the fact itself."""
    if tx.token is not None:
        event = by_token(event, tx.token.id, tx.token.name)
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


def search(tx: Tx, query: Query, *, span: int) -> Found:
    """The rows that match, newest first, among at most `span` rows that must be looked at."""
    low, high = _window(tx, query)
    begin = low if _is_indexed(query) else max(low, high - span + 1)
    where, values = _conditions(query)
    sql = f"SELECT {_COLUMNS} FROM events {_with(where, 'id BETWEEN ? AND ?')} ORDER BY id DESC"
    rows = tx.rows(f"{sql} LIMIT ?", *values, begin, high, query.limit)
    found = [_stored(row) for row in rows]
    oldest = int(tx.value("SELECT min(id) FROM events") or 0)
    is_cut = len(found) < query.limit and begin > max(low, oldest)
    return Found(found, begin if is_cut else None)


def between(tx: Tx, query: Query, low: int, high: int) -> list[StoredEvent]:
    """The rows that match, oldest first, with ids between these, both included."""
    where, values = _conditions(query)
    sql = f"SELECT {_COLUMNS} FROM events {_with(where, 'id BETWEEN ? AND ?')} ORDER BY id"
    return [_stored(row) for row in tx.rows(sql, *values, low, high)]


def after(tx: Tx, event_id: int, *, limit: int) -> list[StoredEvent]:
    """The rows behind this id, oldest first."""
    sql = f"SELECT {_COLUMNS} FROM events WHERE id > ? ORDER BY id LIMIT ?"
    return [_stored(row) for row in tx.rows(sql, event_id, limit)]


def newest_id(tx: Tx) -> int:
    """The id of the last row; 0 when there is none."""
    return int(tx.value("SELECT max(id) FROM events") or 0)


def newest_ts(tx: Tx) -> str | None:
    """When the last row was written."""
    found = tx.value("SELECT ts FROM events ORDER BY id DESC LIMIT 1")
    return None if found is None else str(found)


def newest_of_facts(tx: Tx) -> int:
    """The id of the newest row that is not of a login or a credential; 0 when there is none."""
    sql = "SELECT id FROM events WHERE kind NOT LIKE 'auth.%' ORDER BY id DESC LIMIT 1"
    return int(tx.value(sql) or 0)


def bounds(tx: Tx, query: Query) -> tuple[int, int]:
    """Between which ids the rows that match can be, both included."""
    low, high = _window(tx, query)
    return max(low, int(tx.value("SELECT min(id) FROM events") or 0)), high


def waiting(tx: Tx, query: Query, *, up_to: int) -> int:
    """How many rows that match wait for an acknowledgement, up to this id."""
    where, values = _conditions(query)
    where = _with(where, f"{OPEN_FAILURE} AND id <= ?")
    return int(tx.value(f"SELECT count(*) FROM events {where}", *values, up_to))


def acknowledge_matching(tx: Tx, query: Query, *, up_to: int) -> int:
    """Acknowledge the rows that match and wait, up to this id; return how many they were."""
    where, values = _conditions(query)
    where = _with(where, f"{OPEN_FAILURE} AND id <= ?")
    tx.touch("events")
    return tx.run(f"UPDATE events SET acknowledged = 1 {where}", *values, up_to)


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


def oldest_ts(tx: Tx) -> str | None:
    """When the first row that is left was written."""
    found = tx.value("SELECT ts FROM events ORDER BY id LIMIT 1")
    return None if found is None else str(found)


def trim(tx: Tx, *, before: str, limit: int) -> tuple[StoredEvent, int] | None:
    """Remove rows from the start on, at most `limit` and all older than `before`.

    It stops at a failure that waits for an acknowledgement. The chain begins behind them then.

    Returns:
        The last one, and how many they were; None where there is none.
    """
    last = None
    for row in tx.rows(f"SELECT {_COLUMNS} FROM events ORDER BY id LIMIT ?", limit):
        event = _stored(row)
        if event.ts >= before or (not event.acknowledged and asks_for_acknowledgement(event.kind)):
            break
        last = event
    if last is None:
        return None
    count = tx.run("DELETE FROM events WHERE id <= ?", last.id)
    instance.put(tx, "chain_start", last.chain)
    tx.touch("events")
    return last, count


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
    if query.kind_pattern is not None:
        parts.append("kind GLOB ?")
        values.append(re.sub(r"[][?]", "?", query.kind_pattern))
    if query.since is not None:
        parts.append("+ts >= ?")  # by id: see `_window`
        values.append(query.since)
    if query.until is not None:
        parts.append("+ts < ?")
        values.append(query.until)
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


def _is_indexed(query: Query) -> bool:
    """Whether an index leads to the rows, so that all may be looked at."""
    if query.open_failures:  # few, and an index of their own
        return True
    alone = query.subject_kind and not query.subject_id
    scanned = (query.search, query.kind_pattern, query.actor, query.since, query.until, alone)
    return not any(scanned)


def _window(tx: Tx, query: Query) -> tuple[int, int]:
    """Between which ids the rows of a span of time are, both included.

    Ids grow with time; a clock that was set back puts some out of order, so some room is left.
    """
    low, high = 1, int(tx.value("SELECT max(id) FROM events") or 0)
    if query.since is not None:
        sql = "SELECT id FROM events WHERE ts >= ? ORDER BY ts LIMIT ?"
        low = int(tx.value(f"SELECT min(id) FROM ({sql})", query.since, _ROOM) or high + 1)
    if query.until is not None:
        sql = "SELECT id FROM events WHERE ts < ? ORDER BY ts DESC LIMIT ?"
        high = int(tx.value(f"SELECT max(id) FROM ({sql})", query.until, _ROOM) or 0)
    if query.before_id is not None:
        high = min(high, query.before_id - 1)
    return max(low, query.after_id + 1), high


def _with(where: str, condition: str) -> str:
    return f"{where} AND {condition}" if where else f"WHERE {condition}"


def _stored(row: Row) -> StoredEvent:
    return StoredEvent(*(*row[:9], bool(row[9]), row[10]))
