"""A database whose own list of tables is lost, rebuilt from the rows that its pages still have.

Rows are matched by their shape (`row_shapes.py`): of several about one thing the newest counts.
"""

from __future__ import annotations

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import apsw

from bty_app.domain.jobs import Step, Teller
from bty_app.errors import InvalidInputError
from bty_app.store import carving, log_frames, publish, row_shapes, sqlite
from bty_app.store.carving import Layout, Pages, Value
from bty_app.store.creation import sidecar
from bty_app.store.directories import disk_failures
from bty_app.store.place import size_of
from bty_app.store.row_shapes import KNOWN_MACS, Shape
from bty_app.store.salvage import Loss

_MAGIC = b"SQLite format 3\0"
_PAGE_BYTES = 4096  # where the header does not say: SQLite's default, which the original has too
_TOLD_EVERY = 500  # pages
_MOST_NAMED = 1000
# What makes two rows rows about one thing, and which of them is the newer one.
_KEYS = {
    "machines": ("mac", "updated_at"),
    "machine_labels": ("mac, label", None),
    "catalog_entries": ("bty_image_ref", "added_at"),
    "settings": ("key", "updated_at"),
    "events": ("id", "ts"),
    "bty_version": ("version", None),
    KNOWN_MACS: ("mac", None),
}


@dataclass(slots=True)
class Carved:
    """What was found: `pages` in all, of which `fruitful` ones had rows; `losses` by table."""

    pages: int
    fruitful: int = 0
    losses: list[Loss] = field(default_factory=list)

    @property
    def sentence(self) -> str:
        """For people: what this is, and what it is not."""
        return (
            "where its tables are cannot be read any more: rows were matched by their shape, page"
            f" by page ({self.fruitful} of {self.pages} pages had some); rows that had been removed"
            " may be among them, and of what is lost only machines that an index knows are named"
        )


def log_aside(source: Path) -> Path | None:
    """A copy of its write-ahead log, if it has one: SQLite deletes one that it cannot use.

    Raises:
        StorageError: it cannot be copied.
    """
    log = sidecar(source, "-wal")
    if not size_of(log):
        return None
    kept = source.with_name("kept-wal")
    with disk_failures(kept):
        shutil.copyfile(log, kept)
    return kept


@contextmanager
def rebuilt(
    source: Path, log: Path | None, teller: Teller
) -> Iterator[tuple[apsw.Connection, Carved]]:
    """A database of the rows of `source`, below a directory that is gone soon; nothing in them is
    checked. `log` is what `log_aside` gave.

    Raises:
        CancelledError: the teller ended it.
        InvalidInputError: not one machine is in it.
        StorageError: it cannot be read, or there is no room.
    """
    path = source.with_name("rebuilt.db")
    publish.write_file(path, b"")
    with closing(sqlite.connect(path, flags=apsw.SQLITE_OPEN_READWRITE)) as new:
        new.pragma("journal_mode", "off")
        new.pragma("synchronous", 0)
        with new:
            yield new, _filled(new, source, log, teller)


def _filled(new: apsw.Connection, source: Path, log: Path | None, teller: Teller) -> Carved:
    for table, columns in _tables().items():
        key = _KEYS[table][0]
        new.execute(f"CREATE TABLE {table} ({', '.join(columns)}, partial, PRIMARY KEY ({key}))")
    with _pages_of(source, log) as (pages, layout, free):
        carved = Carved(layout.pages)
        budget = carving.budget_of(layout)
        for number in range(1, layout.pages + 1):
            if number % _TOLD_EVERY == 0:
                teller.tell(Step("looking for rows", number, layout.pages))
            found = [] if number in free else list(_rows(number, pages, layout, budget))
            for shape, row_id, values, is_whole in found:
                _put(new, shape, row_id, values, is_whole=is_whole)
            carved.fruitful += bool(found)
    carved.losses = _losses(new)
    if not any(loss.read + loss.partial for loss in carved.losses if loss.table == "machines"):
        raise InvalidInputError(
            f"{source.name}: no list of tables of bty can be read in it, and no row of a machine:"
            " use a backup, or an archive"
        )
    return carved


def _rows(
    number: int, pages: Pages, layout: Layout, budget: carving.Budget
) -> Iterator[tuple[Shape, int, list[Value], bool]]:
    for record in carving.records(pages(number), number, layout):
        shape = row_shapes.by_types(record.types, in_index=record.is_index)
        if shape is None or not shape.is_it(carving.values(record, record.local)[0]):
            continue
        content = carving.payload(record, pages, layout, budget)
        values, is_whole = carving.values(record, content)
        yield shape, record.row_id, values, is_whole


def _put(
    new: apsw.Connection, shape: Shape, row_id: int, values: list[Value], *, is_whole: bool
) -> None:
    """A row id that is a column is stored as nothing."""
    if shape.columns[0] == "id":
        values[0] = row_id
    key, age = _KEYS[shape.table]
    columns = (*shape.columns, "partial")
    newer = f"(excluded.{age}, -excluded.partial) > ({age}, -partial)" if age else "0"
    new.execute(
        f"INSERT INTO {shape.table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"
        f" ON CONFLICT ({key}) DO UPDATE SET"
        f" {', '.join(f'{name} = excluded.{name}' for name in columns)} WHERE {newer}",
        (*values, int(not is_whole)),
    )


def _losses(new: apsw.Connection) -> list[Loss]:
    losses = []
    for table in _KEYS:
        if table in {KNOWN_MACS, "bty_version"}:
            continue
        counted = Counter(
            bool(partial) for (partial,) in new.execute(f"SELECT partial FROM {table}")
        )
        losses.append(Loss(table, counted[False], counted[True]))
    sql = f"SELECT mac FROM {KNOWN_MACS} WHERE mac NOT IN (SELECT mac FROM machines) ORDER BY mac"
    losses[0].named += [str(mac) for (mac,) in new.execute(f"{sql} LIMIT {_MOST_NAMED}")]
    return losses


def _tables() -> dict[str, list[str]]:
    """The columns of each table, of all releases together."""
    found: dict[str, list[str]] = {table: [] for table in _KEYS}
    for shape in row_shapes.shapes():
        known = found[shape.table]
        known += [name for name in shape.columns if name not in known]
    return found


@contextmanager
def _pages_of(source: Path, log: Path | None) -> Iterator[tuple[Pages, Layout, set[int]]]:
    """The pages of the file, those in its log first; and which are free, where a header says it."""
    with ExitStack() as stack:
        stack.enter_context(disk_failures(source))
        read = stack.enter_context(_reading(source))
        read_log = stack.enter_context(_reading(log)) if log else lambda _at, _count: b""
        page_bytes, newer = log_frames.committed(read_log)
        first = read_log(newer[1], 100) if 1 in newer else read(0, 100)
        size, usable, first_free = _header(first)
        if size != page_bytes:
            newer = {}
        pages = -(-source.stat().st_size // size) + len(newer)

        def page(number: int) -> bytes:
            at = newer.get(number)
            return read((number - 1) * size, size) if at is None else read_log(at, size)

        layout = Layout(usable, pages)
        yield page, layout, carving.free_pages(first_free, page, layout)


@contextmanager
def _reading(path: Path) -> Iterator[Callable[[int, int], bytes]]:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        yield lambda at, count: os.pread(descriptor, count, at)
    finally:
        os.close(descriptor)


def _header(head: bytes) -> tuple[int, int, int]:
    """The size of a page, what of it can be used, and the first free one (0: none, or unknown)."""
    size = int.from_bytes(head[16:18], "big")
    size = 65536 if size == 1 else size
    is_plain = head.startswith(_MAGIC) and 512 <= size <= 65536 and size & (size - 1) == 0
    if not is_plain or size - head[20] < 480:
        return _PAGE_BYTES, _PAGE_BYTES, 0
    return size, size - head[20], int.from_bytes(head[32:36], "big")
