"""What is readable of a damaged table: from both ends, then by halves of what lies between.

A plain query ends at the first damaged page. Rows behind it are found by their row ids, and a row
whose large values are lost is read without them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import apsw

MAX_PROBES = 20_000  # queries that may fail, for one table
_LEAST_ROW_BYTES = 16
_MOST_NAMED = 1000

Row = tuple[object, ...]


@dataclass(slots=True)
class Loss:
    """What a table has lost. `unread` are row ids that may or may not have been rows."""

    table: str
    read: int = 0
    partial: int = 0
    unread: int = 0
    named: list[str] = field(default_factory=list)

    def as_data(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            "table": self.table,
            "read": self.read,
            "partial": self.partial,
            "unread_row_ids": self.unread,
            "lost": self.named,
        }


@dataclass(slots=True)
class Salvage:
    """One table. `columns` is SQL; of `small` the same without the large values."""

    connection: apsw.Connection
    table: str
    columns: str
    small: str
    loss: Loss
    tick: Callable[[], None] = lambda: None  # called now and then; what it raises ends it
    probes: int = 0
    _failed: bool = False
    _is_partial: bool = False

    def rows(self) -> Iterator[Row]:
        """Every row that can be read, in no order."""
        if not self._has_row_ids():
            yield from self._both_ways()
            return
        yield from self._between(self._first(), self._last())

    def note(self, *, is_whole: bool) -> None:
        """Count a row that was read; one with noise in a value is there in part."""
        if is_whole and not self._is_partial:
            self.loss.read += 1
        else:
            self.loss.partial += 1
        self._is_partial = False

    def lost_keys(self, key: str, read: set[object]) -> None:
        """Name the rows that an index still knows and that were not read."""
        index = f"sqlite_autoindex_{self.table}_1"
        sql = f"SELECT {key} FROM {self.table} INDEXED BY {index} ORDER BY {key}"
        with contextlib.suppress(apsw.Error, UnicodeDecodeError):  # it may be damaged as well
            known = self.connection.execute(sql)
            lost = (str(row[0])[:40] for row in known if row[0] not in read)
            self.loss.named.extend(islice(lost, _MOST_NAMED))

    def _between(self, low: int, high: int) -> Iterator[Row]:
        """Rows with ids from `low` to `high`; an explicit stack, since damage may be anywhere."""
        waiting = [(low, high)]
        while waiting:
            low, high = waiting.pop()
            self.tick()
            if self.probes >= MAX_PROBES:
                self.loss.unread += high - low + 1
                continue
            for row_id, row in self._scan(low, high, "ASC"):
                low = row_id + 1
                yield row
            is_damaged = self._failed
            # A row id that is noise ends a scan as well, and without an error.
            for row_id, row in self._scan(low, high, "DESC"):
                high = row_id - 1
                is_damaged = True
                yield row
            if not is_damaged:
                continue
            if low == high:
                yield from self._partly(low)
            elif low < high:
                middle = (low + high) // 2
                waiting += [(middle + 1, high), (low, middle)]

    def _scan(self, low: int, high: int, direction: str) -> Iterator[tuple[int, Row]]:
        self._failed = False
        sql = (
            f"SELECT rowid, {self.columns} FROM {self.table} NOT INDEXED"
            f" WHERE rowid BETWEEN ? AND ? ORDER BY rowid {direction}"
        )
        step, follows = (1, low) if direction == "ASC" else (-1, high)
        try:
            for found in self.connection.execute(sql, (low, high)):
                row_id, row = int(str(found[0])), tuple(found[1:])
                if row_id != follows and not self._is_at(row_id, row):
                    break
                yield row_id, row
                follows = row_id + step
            else:
                return
        except apsw.Error:
            pass
        self.probes += 1
        self._failed = True

    def _is_at(self, row_id: int, row: Row) -> bool:
        """Does this row id lead to this row? One that is noise would let a scan pass rows over."""
        sql = f"SELECT {self.columns} FROM {self.table} NOT INDEXED WHERE rowid = ?"
        try:
            found = self.connection.execute(sql, (row_id,)).fetchone()
        except apsw.Error:
            found = None
        return found is not None and tuple(found) == row

    def _partly(self, row_id: int) -> Iterator[Row]:
        sql = f"SELECT {self.small} FROM {self.table} NOT INDEXED WHERE rowid = ?"
        try:
            found = self.connection.execute(sql, (row_id,)).fetchone()
        except apsw.Error:
            self.loss.unread += 1
            return
        if found is not None:
            self._is_partial = True
            yield tuple(found)

    def _both_ways(self) -> Iterator[Row]:
        """A table without row ids: from its beginning, and from its end."""
        keys = "SELECT name FROM pragma_table_info(?) WHERE pk > 0 ORDER BY pk"
        names = [str(row[0]) for row in self.connection.execute(keys, (self.table,))]
        for direction in ("ASC", "DESC"):
            order = ", ".join(f"{name} {direction}" for name in names)
            failed = False
            try:
                for row in self.connection.execute(
                    f"SELECT {self.columns} FROM {self.table} ORDER BY {order}"
                ):
                    yield tuple(row)
            except apsw.Error:
                self.loss.unread += 1
                failed = True
            if not failed:
                return

    def _has_row_ids(self) -> bool:
        try:
            self.connection.execute(f"SELECT rowid FROM {self.table} LIMIT 0")
        except apsw.SQLError:
            return False
        except apsw.Error:
            pass
        return True

    def _first(self) -> int:
        return min(self._asked(f"SELECT min(rowid) FROM {self.table} NOT INDEXED", 1), 1)

    def _last(self) -> int:
        """The largest row id there can be: as the table says or an index, one of which may be
        noise; else as the size of the file allows.
        """
        index = f"INDEXED BY sqlite_autoindex_{self.table}_1"
        found = max(
            self._asked(f"SELECT max(rowid) FROM {self.table} NOT INDEXED", 0),
            self._asked(f"SELECT max(rowid) FROM {self.table} {index}", 0),
            self._asked(f"SELECT seq FROM sqlite_sequence WHERE name = '{self.table}'", 0),
        )
        pages = self._asked("SELECT page_count FROM pragma_page_count", 1)
        size = self._asked("SELECT page_size FROM pragma_page_size", 4096)
        return found or pages * size // _LEAST_ROW_BYTES

    def _asked(self, sql: str, otherwise: int) -> int:
        try:
            found = self.connection.execute(sql).fetchone()
        except apsw.Error:
            return otherwise
        return int(str(found[0])) if found and found[0] is not None else otherwise
