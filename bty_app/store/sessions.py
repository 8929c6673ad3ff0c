"""Logins that are open, by the hash of their token."""

from __future__ import annotations

from datetime import datetime

from bty_app.domain.moments import stamp
from bty_app.domain.sessions import Session
from bty_app.store.database import Row, Tx

_COLUMNS = "token_hash, created_at, seen_at, expires_at, source_ip, user_agent"
CAPACITY = 10_000  # a script that logs in for every call must not fill the disk


def get(tx: Tx, token_hash: str) -> Session | None:
    """The session, valid or not, or None."""
    row = tx.row(f"SELECT {_COLUMNS} FROM sessions WHERE token_hash = ?", token_hash)
    return _session(row) if row else None


def every(tx: Tx) -> list[Session]:
    """All sessions, the last used first."""
    return [
        _session(row) for row in tx.rows(f"SELECT {_COLUMNS} FROM sessions ORDER BY seen_at DESC")
    ]


def insert(tx: Tx, session: Session) -> None:
    """Open a session; the expired ones, and those beyond the capacity, go."""
    tx.run("DELETE FROM sessions WHERE expires_at <= ?", stamp(session.created_at))
    tx.run(
        "DELETE FROM sessions WHERE token_hash IN"
        " (SELECT token_hash FROM sessions ORDER BY seen_at DESC LIMIT -1 OFFSET ?)",
        CAPACITY - 1,
    )
    tx.run(
        f"INSERT INTO sessions ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",
        *(session.token_hash, stamp(session.created_at), stamp(session.seen_at)),
        *(stamp(session.expires_at), session.source_ip, session.user_agent),
    )
    tx.touch("sessions")


def note_use(tx: Tx, token_hash: str, *, seen_at: datetime, expires_at: datetime) -> None:
    """A session was used: it lasts longer. One that was closed meanwhile stays closed."""
    tx.run(
        "UPDATE sessions SET seen_at = ?, expires_at = ? WHERE token_hash = ?",
        *(stamp(seen_at), stamp(expires_at), token_hash),
    )
    tx.touch("sessions")


def delete(tx: Tx, token_hash: str) -> bool:
    """Close a session; False when there is none."""
    tx.touch("sessions")
    return tx.run("DELETE FROM sessions WHERE token_hash = ?", token_hash) > 0


def delete_others(tx: Tx, token_hash: str | None) -> int:
    """Close every session but this one; return how many there were."""
    tx.touch("sessions")
    return tx.run("DELETE FROM sessions WHERE token_hash IS NOT ?", token_hash)


def delete_all(tx: Tx) -> int:
    """Close every session; return how many there were."""
    tx.touch("sessions")
    return tx.run("DELETE FROM sessions")


def _session(row: Row) -> Session:
    created_at, seen_at, expires_at = (datetime.fromisoformat(text) for text in row[1:4])
    return Session(row[0], created_at, seen_at, expires_at, row[4], row[5])
