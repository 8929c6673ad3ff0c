"""API tokens, by their id."""

from __future__ import annotations

from datetime import datetime

from bty_app.domain.moments import stamp
from bty_app.domain.tokens import Scope, Token
from bty_app.store.database import Row, Tx

_COLUMNS = "id, token_hash, name, scope, created_at, expires_at, last_used_at, last_used_ip"
CAPACITY = 1_000


def get(tx: Tx, token_id: str) -> Token | None:
    """The token, valid or not, or None."""
    row = tx.row(f"SELECT {_COLUMNS} FROM api_tokens WHERE id = ?", token_id)
    return _token(row) if row else None


def named(tx: Tx, name: str) -> Token | None:
    """The token of this name, or None."""
    row = tx.row(f"SELECT {_COLUMNS} FROM api_tokens WHERE name = ?", name)
    return _token(row) if row else None


def every(tx: Tx) -> list[Token]:
    """All tokens, the newest first."""
    sql = f"SELECT {_COLUMNS} FROM api_tokens ORDER BY created_at DESC, id"
    return [_token(row) for row in tx.rows(sql)]


def count(tx: Tx) -> int:
    """How many there are."""
    return int(tx.value("SELECT count(*) FROM api_tokens"))


def insert(tx: Tx, token: Token) -> None:
    """Keep a new one."""
    tx.run(
        f"INSERT INTO api_tokens ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        *(token.id, token.token_hash, token.name, token.scope.value, stamp(token.created_at)),
        *(_stamped(token.expires_at), _stamped(token.last_used_at), token.last_used_ip),
    )
    tx.touch("tokens")


def note_use(tx: Tx, token_id: str, *, at: datetime, ip: str | None) -> None:
    """It was used. One that was revoked meanwhile stays so."""
    tx.run(
        "UPDATE api_tokens SET last_used_at = ?, last_used_ip = ? WHERE id = ?",
        *(stamp(at), ip, token_id),
    )
    tx.touch("tokens")


def delete(tx: Tx, token_id: str) -> None:
    """Forget it."""
    tx.run("DELETE FROM api_tokens WHERE id = ?", token_id)
    tx.touch("tokens")


def _stamped(moment: datetime | None) -> str | None:
    return stamp(moment) if moment else None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _token(row: Row) -> Token:
    created_at, expires_at, used_at = (
        datetime.fromisoformat(row[4]),
        _moment(row[5]),
        _moment(row[6]),
    )
    return Token(row[0], row[1], row[2], Scope(row[3]), created_at, expires_at, used_at, row[7])
