"""One row in the audit log of whatever release a database is of."""

from __future__ import annotations

from bty_app.domain.events import Event, Subject, details_text
from bty_app.errors import StorageError
from bty_app.store import events, sqlite
from bty_app.store.database import Tx

# CONTRACT 6: of the original, which numbers the rows and leaves them unacknowledged by itself.
_PLAIN = {"ts", "kind", "subject_kind", "subject_id", "actor", "source_ip", "summary", "details"}
_OURS = _PLAIN | {"id", "acknowledged", "chain"}


def record_once(tx: Tx, event: Event, subject: Subject, *, at: str) -> bool:
    """Append `event`, unless there is a row of its kind about its `subject` (False).

    Raises:
        StorageError: the log is of a form that nobody but its own release may write.
        apsw.Error: it cannot be written.
    """
    columns = {str(name) for (name,) in tx.rows("SELECT name FROM pragma_table_info('events')")}
    is_ours = columns == _OURS and _is_known(tx)
    if not is_ours and ("chain" in columns or not columns >= _PLAIN):
        raise StorageError("its audit log is of a form that this release does not write")
    sql = "SELECT 1 FROM events WHERE kind = ? AND subject_kind = ? AND subject_id = ?"
    if tx.value(sql, event.kind.value, subject.kind, subject.id):
        return False
    if is_ours:
        events.record(tx, event, at=at)
        return True
    tx.run(
        "INSERT INTO events (ts, kind, subject_kind, subject_id, actor, source_ip, summary,"
        " details) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        *(at, event.kind.value, subject.kind, subject.id),
        *(event.actor.value, event.source_ip, event.summary, details_text(event.details)),
    )
    return True


def _is_known(tx: Tx) -> bool:
    """Whether the chain is made as we make it: of this release or of an older one of ours."""
    application_id = tx.value("SELECT application_id FROM pragma_application_id")
    schema_number = int(tx.value("SELECT user_version FROM pragma_user_version"))
    return application_id == sqlite.APPLICATION_ID and schema_number <= sqlite.SCHEMA_NUMBER
