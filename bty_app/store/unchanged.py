"""Does the live database still hold what its copy holds? What is kept of backups does not count."""

from __future__ import annotations

from pathlib import Path

from bty_app.store import restoration
from bty_app.store.backup_state import HISTORY_KEYS, INTENTION
from bty_app.store.database import Tx
from bty_app.store.table_digests import TABLES

_KEYS = ", ".join(f"'{key}'" for key in HISTORY_KEYS)
# Rows that a backup, its proof or its copies elsewhere leave themselves.
_OWN = {
    "events": "subject_kind IN ('backup', 'offsite')",
    "settings": f"key IN ({_KEYS})",
    "bty_instance": f"key = '{INTENTION}'",
}


def same(state_db: Path, copy: Path) -> bool:
    """Whether the two hold the same, but for what is kept of backups.

    Raises:
        StorageError: one of them cannot be read.
    """
    with restoration.looking(state_db, copy) as tx:
        tables = _tables(tx, "main")
        return tables == _tables(tx, "backup") and not any(_differs(tx, name) for name in tables)


def _tables(tx: Tx, schema: str) -> list[str]:
    """Their names; the audit log, which tells of nearly every change, comes first."""
    found = tx.rows(TABLES.format(schema=schema))
    return sorted((str(name) for (name,) in found), key=lambda name: (name != "events", name))


def _differs(tx: Tx, table: str) -> bool:
    own = _OWN.get(table, "0")
    counts = [
        tx.value(f"SELECT count(*) FROM {schema}.{table} WHERE NOT ({own})")
        for schema in ("main", "backup")
    ]
    if counts[0] != counts[1]:
        return True
    columns = list(tx.rows(f"SELECT name, pk FROM main.pragma_table_info('{table}')"))
    keys = [str(name) for name, pk in columns if pk] or ["rowid"]
    known = " AND ".join(f"a.{key} = b.{key}" for key in keys)
    other = " OR ".join(f"a.{name} IS NOT b.{name}" for name, _pk in columns)
    sql = (
        f"SELECT 1 FROM (SELECT rowid, * FROM main.{table} WHERE NOT ({own})) AS a"
        f" LEFT JOIN backup.{table} AS b ON {known} WHERE {other} LIMIT 1"
    )
    if keys != ["rowid"]:
        sql = sql.replace("SELECT rowid, *", "SELECT *")
    return bool(tx.value(sql))
