"""The live database: readers for each thread, and one writer thread that commits in groups.

Threads: `store-writer` owns the only connection that writes. Every other thread has a
read-only connection of its own, made at its first read.
"""

from __future__ import annotations

import contextlib
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import apsw

from bty_app.domain.events import Event
from bty_app.domain.tokens import Asker
from bty_app.errors import ConflictError, MovedError, StorageError
from bty_app.store.acting import acting
from bty_app.store.in_place import InPlace
from bty_app.store.replicated import is_replicated, mind_log
from bty_app.store.sqlite import Journal, readable, translated, writable

T = TypeVar("T")

GROUP_LIMIT = 256  # changes in one commit: bounds how long the first of them waits
FOREIGN_CHECK_SECONDS = 2.0
ALL_TOPICS = frozenset(
    {"machines", "catalog", "events", "settings", "sessions", "tokens", "stages", "bulk"}
)

# Errors that say something of one statement, and nothing of the database.
_OF_THE_STATEMENT = (
    *(apsw.SQLError, apsw.TooBigError, apsw.MismatchError, apsw.RangeError),
    *(apsw.BindingsError, apsw.AuthError),
)

Row = tuple[Any, ...]


class Tx:
    """One open transaction: statements, and the topics that they touch.

    `told` are the audit events it records, `token` is that of the script that wants it. `memo`
    holds what was read or written in this transaction and need not be read again.
    """

    def __init__(
        self,
        connection: apsw.Connection,
        memo: dict[str, str] | None = None,
        token: Asker | None = None,
    ) -> None:
        self._connection = connection
        self.topics: set[str] = set()
        self.told: list[Event] = []
        self.token = token
        self.memo = {} if memo is None else memo

    def run(self, sql: str, *values: object) -> int:
        """Execute one statement; return how many rows it changed."""
        self._connection.execute(sql, values)
        return self._connection.changes()

    def rows(self, sql: str, *values: object) -> Iterator[Row]:
        """Rows of a query, streamed."""
        return self._connection.execute(sql, values)

    def row(self, sql: str, *values: object) -> Row | None:
        """The first row of a query, or None."""
        cursor = self._connection.execute(sql, values)
        found: Row | None = cursor.fetchone()
        cursor.close()
        return found

    def value(self, sql: str, *values: object) -> Any:
        """The first column of the first row, or None."""
        found = self.row(sql, *values)
        return found[0] if found else None

    def last_id(self) -> int:
        """The row id of the last insert."""
        return self._connection.last_insert_rowid()

    def touch(self, topic: str) -> None:
        """Say that what the pages show under `topic` has changed."""
        self.topics.add(topic)


def _held() -> threading.Lock:
    lock = threading.Lock()
    lock.acquire()
    return lock


@dataclass(slots=True)
class _Job:
    """A change and its outcome; `waiting` is held until that is final.

    A bare lock: the condition inside a Future wakes a thread twice for each change.
    """

    change: Callable[[Tx], Any]
    token: Asker | None = None
    waiting: threading.Lock = field(default_factory=_held)
    result: Any = None
    error: Exception | None = None


class Database:
    """`state.db`, open. Call `close()` at the end, or use it as a context manager."""

    def __init__(
        self,
        path: Path,
        *,
        on_commit: Callable[[frozenset[str]], None] = lambda _topics: None,
        on_events: Callable[[Sequence[Event]], None] = lambda _events: None,
        journal: Journal | None = None,
    ) -> None:
        """Open an existing database of this version.

        Args:
            path: the file; it must exist and hold our schema.
            journal: what it has to have from now on; the owner of the state directory says so.
            on_commit: called in the writer thread after each durable commit with the topics.
            on_events: called likewise with the audit events of the commit.

        Raises:
            StorageError: the file cannot be opened or written.
        """
        self.path = path
        self._on_commit = on_commit
        self._on_events = on_events
        self._local = threading.local()
        self._readers: list[apsw.Connection] = []
        self._readers_lock = threading.Lock()
        self._queue: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._closing = threading.Lock()
        self._closed = False
        self._refusal: Callable[[], str] = lambda: ""
        try:
            self._writer = writable(path, journal)
            self._in_place = InPlace(path)
            self._seen_version = self._writer.pragma("data_version")
        except apsw.Error as error:
            raise translated(error) from error
        self._thread = threading.Thread(target=self._run, name="store-writer", daemon=True)
        self._thread.start()

    def __enter__(self) -> Database:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()

    def refuse_when(self, refusal: Callable[[], str]) -> None:
        """Ask `refusal` before each change: what it says, where it says something, refuses it."""
        self._refusal = refusal

    def check_taken(self) -> None:
        """See that changes are taken: for what would be done for nothing without them.

        Raises:
            MovedError: changes are refused, as `refuse_when` said.
        """
        if why := self._refusal():
            raise MovedError(why)

    def write(self, change: Callable[[Tx], T], *, always: bool = False) -> T:
        """Run `change` in the writer thread; return its result once it is durable.

        Args:
            change: what to do.
            always: also where changes are refused.

        Raises:
            MovedError: changes are refused, as `refuse_when` said.
            StorageError: the change could not be made durable; nothing of it stays.
            ConflictError: another process held the database for longer than the time-out.
            BtyError: whatever `change` itself raised; nothing of it stays.
        """
        job = _Job(change, acting())
        with self._closing:
            if self._closed:
                raise StorageError("the database is closed: the server is stopping")
            # Asked under the lock: a change that passed is in the queue before the next write is.
            if not always:
                self.check_taken()
            self._queue.put(job)
        job.waiting.acquire()
        if job.error is not None:
            raise job.error
        result: T = job.result
        return result

    def read(self, query: Callable[[Tx], T]) -> T:
        """Run `query` on one consistent view, in the calling thread."""
        connection = self._reader()
        try:
            connection.execute("BEGIN")
            try:
                return query(Tx(connection))
            finally:
                if connection.in_transaction:  # SQLite ends it by itself on some errors
                    connection.execute("ROLLBACK")
        except apsw.Error as error:
            raise translated(error) from error

    def close(self) -> None:
        """Finish the queued changes, empty the write-ahead log (unless that is Litestream's to do),
        close every connection.
        """
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._queue.put(None)
        self._thread.join()
        with self._readers_lock:
            for reader in self._readers:
                reader.close()
            self._readers.clear()
        with contextlib.suppress(apsw.Error):  # the log stays and is replayed at the next start
            self._writer.pragma("optimize")
            if not is_replicated(self.path):
                self._writer.wal_checkpoint("main", apsw.SQLITE_CHECKPOINT_TRUNCATE)
        self._writer.close()

    def _reader(self) -> apsw.Connection:
        connection: apsw.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            self._in_place.check()  # SQLite would read another file with the log of this one
            try:
                connection = readable(self.path)
            except apsw.Error as error:
                raise translated(error) from error
            self._local.connection = connection
            with self._readers_lock:
                self._readers.append(connection)
        return connection

    # -- the writer thread ---------------------------------------------------------------------

    def _run(self) -> None:
        looked = time.monotonic()
        while True:
            if time.monotonic() - looked >= FOREIGN_CHECK_SECONDS:  # also when it is never idle
                self._notice_other_writers()
                looked = time.monotonic()
            try:
                first = self._queue.get(timeout=FOREIGN_CHECK_SECONDS)
            except queue.Empty:
                continue
            if first is None:
                return
            batch, stopping = self._gather(first)
            self._commit(batch)
            if stopping:
                return

    def _gather(self, first: _Job) -> tuple[list[_Job], bool]:
        """All that waits already, to be made durable by one fsync."""
        batch = [first]
        while len(batch) < GROUP_LIMIT:
            try:
                job = self._queue.get_nowait()
            except queue.Empty:
                break
            if job is None:
                return batch, True
            batch.append(job)
        return batch, False

    def _commit(self, batch: list[_Job]) -> None:
        topics: set[str] = set()
        told: list[Event] = []
        try:
            self._writer.execute("BEGIN IMMEDIATE")
            memo: dict[str, str] = {}
            for job in batch:
                tx = Tx(self._writer, memo, job.token)
                if self._apply(job, tx):
                    topics |= tx.topics
                    told += tx.told
            self._in_place.check()
            self._writer.execute("COMMIT")
        except (apsw.Error, StorageError) as error:
            self._roll_back()
            topics.clear()
            told.clear()
            said = self._in_place.meaning(error) if isinstance(error, apsw.Error) else error
            for job in batch:
                job.error = job.error or said
        try:
            if topics:
                self._on_commit(frozenset(topics))
            if told:
                self._on_events(told)
        finally:  # durable already, whatever the listener makes of it
            for job in batch:
                job.waiting.release()

    def _apply(self, job: _Job, tx: Tx) -> bool:
        """Run one change in a savepoint: its own failure undoes it alone (False).

        A failure of the disk or the file ends the whole group, for none of it may be durable.
        """
        self._writer.execute("SAVEPOINT change")
        try:
            job.result = job.change(tx)
        except apsw.ConstraintError as error:
            self._undo_change(tx)
            job.error = ConflictError(f"the change breaks a rule of the data: {error}")
            return False
        except _OF_THE_STATEMENT as error:
            self._undo_change(tx)
            job.error = translated(error)
            return False
        except apsw.Error:
            raise
        except Exception as error:  # noqa: BLE001 - handed to the caller, who is in another thread
            self._undo_change(tx)
            job.error = error
            return False
        self._writer.execute("RELEASE change")
        return True

    def _undo_change(self, tx: Tx) -> None:
        tx.memo.clear()
        self._writer.execute("ROLLBACK TO change")
        self._writer.execute("RELEASE change")

    def _roll_back(self) -> None:
        with contextlib.suppress(apsw.Error):  # SQLite has rolled back by itself on some errors
            if self._writer.in_transaction:
                self._writer.execute("ROLLBACK")

    def _notice_other_writers(self) -> None:
        """A command beside the server may have written: tell the pages."""
        with contextlib.suppress(apsw.Error):  # looked at again in two seconds
            mind_log(self._writer, self.path)  # Litestream may have begun, or be down
            version = self._writer.pragma("data_version")
            if version != self._seen_version:
                self._seen_version = version
                self._on_commit(ALL_TOPICS)
