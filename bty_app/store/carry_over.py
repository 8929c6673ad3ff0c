"""What a fresh database takes over from the one that it replaces: hardware, and how bty is run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import apsw

from bty_app.domain.inventory import MAX_LSHW_BYTES
from bty_app.domain.mac import parse_mac
from bty_app.domain.machine import BootMode
from bty_app.domain.moments import stamp
from bty_app.domain.rotation import is_carried
from bty_app.errors import InvalidInputError
from bty_app.store.old_rows import Value, bytes_of
from bty_app.store.old_rows import columns as columns_of
from bty_app.store.old_rows import text as text_of
from bty_app.store.version import has_table

TABLES = ("machines", "machine_labels", "catalog_entries", "events", "settings")
_HARDWARE = ("known_disks", "known_disks_at", "hw_lshw", "hw_lshw_at")
_LONGEST_SETTING = 4096
_LONGEST_NAME = 128


@dataclass(frozen=True, slots=True)
class Carried:
    """What was taken over. `skipped` rows have no valid MAC, or one that stands there twice."""

    machines: int
    skipped: int
    settings: tuple[str, ...]


def carry_over(old: apsw.Connection, new: apsw.Connection, *, at: str) -> Carried:
    """Copy hardware and operations settings into the open transaction of `new`, row by row.

    Args:
        old: a sound database of any schema.
        new: one of ours, without machines and settings.
        at: when, as the database spells moments.

    Raises:
        apsw.Error: the one cannot be read or the other not written.
    """
    machines, skipped = _machines(old, new, at=at)
    return Carried(machines, skipped, _settings(old, new, at=at))


def row_counts(old: apsw.Connection) -> dict[str, int]:
    """How many rows each table of the contract has in `old`.

    Raises:
        apsw.Error: it cannot be read.
    """
    present = [name for name in TABLES if has_table(old, name)]
    return {name: _count(old, f"SELECT count(*) FROM {name}") for name in present}


def last_chain_value(old: apsw.Connection) -> str | None:
    """The last value of the audit chain in `old`; None for a schema without one.

    Raises:
        apsw.Error: it cannot be read.
    """
    if "chain" not in columns_of(old, "events"):
        return instance_value(old, "chain_start")
    for (value,) in old.execute("SELECT chain FROM events ORDER BY rowid DESC LIMIT 1"):
        return value if isinstance(value, str) and len(value) == 64 else None
    return instance_value(old, "chain_start")


def identity(old: apsw.Connection) -> tuple[str | None, int]:
    """The instance id of `old`, if it has one, and how many rotations lie behind it.

    Raises:
        apsw.Error: it cannot be read.
    """
    rotations = instance_value(old, "rotations") or ""
    known = rotations.isascii() and rotations.isdigit() and len(rotations) <= 9
    return instance_value(old, "instance_id"), int(rotations) if known else 0


def _machines(old: apsw.Connection, new: apsw.Connection, *, at: str) -> tuple[int, int]:
    columns = columns_of(old, "machines")
    if "mac" not in columns or not columns & set(_HARDWARE):
        return 0, 0
    carried = seen = 0
    sql = (
        "INSERT OR IGNORE INTO machines (mac, known_disks, known_disks_at, hw_lshw, hw_lshw_at,"
        " boot_mode, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
    )
    for row in old.execute(_hardware_query(columns)):
        seen += 1
        mac = _mac(row[0])
        if mac is None:
            continue
        disks, disks_at, lshw, lshw_at = row[1:3], row[3], row[4:6], row[6]
        values = (_json(*disks), _moment(disks_at), _json(*lshw), _moment(lshw_at))
        new.execute(sql, (mac, *values, BootMode.INVENTORY.value, at, at))
        carried += new.changes()
    return carried, seen - carried


def _hardware_query(columns: set[str]) -> str:
    """Bytes, since text of a stranger need not be UTF-8; JSON with SQLite's own verdict on it."""
    selected = [bytes_of("mac", _LONGEST_NAME)]
    for name in _HARDWARE:
        if name not in columns:
            selected += ["NULL"] if name.endswith("_at") else ["NULL", "0"]
        elif name.endswith("_at"):
            selected.append(bytes_of(name, _LONGEST_NAME))
        else:
            content = bytes_of(name, MAX_LSHW_BYTES)
            selected += [content, f"{content} IS NOT NULL AND json_valid({name})"]
    return f"SELECT {', '.join(selected)} FROM machines"


def _mac(content: Value) -> str | None:
    try:
        return parse_mac(text_of(content) or "")
    except InvalidInputError:
        return None


def _json(content: Value, is_valid: Value) -> str | None:
    """An object or array as its text stands there; what nobody could read is left behind."""
    text = text_of(content)
    if text is None or text.lstrip()[:1] not in {"{", "["}:
        return None
    if is_valid:
        return text
    try:  # Python's own writer lets NaN and Infinity through
        return json.dumps(json.loads(text, parse_constant=lambda _name: None), allow_nan=False)
    except (ValueError, RecursionError):
        return None


def _moment(content: Value) -> str | None:
    try:
        moment = datetime.fromisoformat(text_of(content) or "")
    except ValueError:
        return None
    try:
        return stamp(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except OverflowError:  # year 1 or 9999 in another zone
        return None


def _settings(old: apsw.Connection, new: apsw.Connection, *, at: str) -> tuple[str, ...]:
    if not {"key", "value"} <= columns_of(old, "settings"):
        return ()
    rows = old.execute(
        f"SELECT {bytes_of('key', _LONGEST_NAME)}, {bytes_of('value', _LONGEST_SETTING)}"
        " FROM settings"
    )
    carried = dict(_carried(rows))
    new.executemany(
        "INSERT INTO settings (key, value, updated_at) VALUES (?, ?, ?)",
        ((key, value, at) for key, value in carried.items()),
    )
    return tuple(sorted(carried))


def _carried(rows: apsw.Cursor) -> Iterator[tuple[str, str]]:
    for row in rows:
        key, value = text_of(row[0]), text_of(row[1])
        if key is not None and value is not None and is_carried(key):
            yield key, value


def instance_value(connection: apsw.Connection, key: str) -> str | None:
    """What a database says of itself under `key`, if its schema has that.

    Raises:
        apsw.Error: it cannot be read.
    """
    if not {"key", "value"} <= columns_of(connection, "bty_instance"):
        return None
    sql = "SELECT value FROM bty_instance WHERE key = ?"
    for (value,) in connection.execute(sql, (key,)):
        return value if isinstance(value, str) and len(value) <= _LONGEST_NAME else None
    return None


def _count(connection: apsw.Connection, sql: str) -> int:
    for (number,) in connection.execute(sql):
        return int(str(number))
    return 0
