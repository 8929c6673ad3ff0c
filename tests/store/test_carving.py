"""Records are found in the pages of real SQLite files without their schema; noise gives nothing."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import apsw
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bty_app.store import carving, row_shapes
from bty_app.store.carving import Layout, Value

TEXT = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=30)
LONG = st.integers(1, 20_000).map(lambda n: "x" * n)
VALUES = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, width=64),
    st.binary(max_size=300),
    TEXT,
    LONG,
)
ROWS = st.lists(st.tuples(VALUES, VALUES, TEXT), max_size=40)
SIZES = st.sampled_from([512, 1024, 4096, 65536])


class File:
    """The pages of a file in memory; counts how many were read."""

    def __init__(self, content: bytes, page_bytes: int, reserved: int = 0) -> None:
        self.content, self.size = content, page_bytes
        self.layout = Layout(page_bytes - reserved, -(-len(content) // page_bytes))
        self.read = 0

    def page(self, number: int) -> bytes:
        self.read += 1
        return self.content[(number - 1) * self.size : number * self.size]

    def rows(self, *, in_index: bool = False) -> dict[int, list[Value]]:
        budget = carving.budget_of(self.layout)
        found: dict[int, list[Value]] = {}
        for number in range(2, self.layout.pages + 1):
            for record in carving.records(self.page(number), number, self.layout):
                content = carving.payload(record, self.page, self.layout, budget)
                values, is_whole = carving.values(record, content)
                if record.is_index is in_index:
                    assert is_whole
                    found[record.row_id or len(found)] = values
        return found


def made(path: Path, page_bytes: int, rows: Sequence[tuple[object, ...]], table: str) -> bytes:
    path.unlink(missing_ok=True)
    connection = apsw.Connection(str(path))
    connection.pragma("page_size", page_bytes)
    connection.pragma("journal_mode", "off")
    connection.pragma("synchronous", 0)
    connection.execute(table)
    with connection:
        connection.executemany("INSERT INTO t VALUES (?, ?, ?)", rows)
    connection.close()
    return path.read_bytes()


def same(one: object, other: object) -> bool:
    """A real that is whole is stored as a whole number."""
    return one == other and (isinstance(one, float | int) or type(one) is type(other))


@settings(max_examples=120, deadline=None)
@given(rows=ROWS, page_bytes=SIZES)
def test_every_row_of_a_real_file_is_found_with_its_row_id(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[object, ...]], page_bytes: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "t.db"
    file = File(made(path, page_bytes, rows, "CREATE TABLE t (a, b, c)"), page_bytes)

    found = file.rows()

    assert sorted(found) == list(range(1, len(rows) + 1))
    for row_id, row in enumerate(rows, 1):
        assert all(same(*pair) for pair in zip(found[row_id], row, strict=True))


@settings(max_examples=60, deadline=None)
@given(keys=st.sets(TEXT, max_size=60), wide=LONG, page_bytes=SIZES)
def test_every_row_of_a_table_without_row_ids_is_found(
    tmp_path_factory: pytest.TempPathFactory, keys: set[str], wide: str, page_bytes: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "w.db"
    table = "CREATE TABLE t (a, b, c, PRIMARY KEY (a)) WITHOUT ROWID"
    content = made(path, page_bytes, [(key, wide, 7) for key in keys], table)

    found = File(content, page_bytes).rows(in_index=True)

    assert {row[0] for row in found.values()} == keys
    assert all(row[1:] == [wide, 7] for row in found.values())


@settings(max_examples=200, deadline=None)
@given(st.data(), SIZES)
def test_noise_gives_nothing_that_falls_and_work_without_end(
    data: st.DataObject, page_bytes: int
) -> None:
    seed = data.draw(st.integers(0, 2**32))
    noise = random.Random(seed)  # noqa: S311
    pages = []
    for _page in range(data.draw(st.integers(1, 12))):
        page = bytearray(noise.randbytes(page_bytes))
        page[0] = noise.choice([2, 5, 10, 13, page[0]])
        page[3:5] = noise.randrange(page_bytes // 2).to_bytes(2, "big")
        pages.append(bytes(page))
    file = File(b"".join(pages), page_bytes)
    budget = carving.budget_of(file.layout)

    for number in range(1, file.layout.pages + 1):
        for record in carving.records(file.page(number), number, file.layout):
            carving.values(record, carving.payload(record, file.page, file.layout, budget))
            row_shapes.by_types(record.types, in_index=record.is_index)
    carving.free_pages(noise.randrange(14), file.page, file.layout)

    assert file.read <= 7 * file.layout.pages + 64


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), flips=st.integers(1, 200))
def test_a_file_with_flipped_bytes_still_gives_the_rows_of_sound_pages(
    tmp_path_factory: pytest.TempPathFactory, seed: int, flips: int
) -> None:
    path = tmp_path_factory.getbasetemp() / "f.db"
    rows = [(n, f"row {n}", "y" * (n * 7 % 400)) for n in range(400)]
    content = bytearray(made(path, 1024, rows, "CREATE TABLE t (a, b, c)"))
    noise = random.Random(seed)  # noqa: S311
    bad = set()
    for _flip in range(flips):
        at = noise.randrange(len(content))
        content[at] ^= 1 << noise.randrange(8)
        bad.add(at // 1024 + 1)
    file = File(bytes(content), 1024)
    budget = carving.budget_of(file.layout)

    for number in range(2, file.layout.pages + 1):
        for record in carving.records(file.page(number), number, file.layout):
            carved = carving.payload(record, file.page, file.layout, budget)
            values, _is_whole = carving.values(record, carved)
            if number not in bad and not record.overflow and not record.is_index:
                assert values == list(rows[record.row_id - 1])


def test_a_chain_that_leads_in_a_circle_ends() -> None:
    page = bytearray(512)
    page[0] = 13
    page[3:5] = (1).to_bytes(2, "big")
    page[8:10] = (100).to_bytes(2, "big")
    # 507 pages of 508 bytes: header of 5 bytes, one text.
    length = 5 + 250_000
    kind = 2 * 250_000 + 13
    varint = bytes([0x80 | length >> 14, 0x80 | length >> 7 & 0x7F, length & 0x7F])
    types = bytes([0x80 | kind >> 14, 0x80 | kind >> 7 & 0x7F, kind & 0x7F])
    body = varint + b"\x01" + b"\x05\x00" + types[:3]
    page[100 : 100 + len(body)] = body
    file = File(bytes(page) * 3, 512)

    for number in range(1, 4):
        for record in carving.records(file.page(number), number, file.layout):
            carving.payload(record, file.page, file.layout, carving.budget_of(file.layout))

    assert file.read <= 7 * 3 + 64


def test_a_page_that_was_freed_is_on_the_list_of_those(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    made(path, 512, [(n, "x" * 400, "") for n in range(300)], "CREATE TABLE t (a, b, c)")
    connection = apsw.Connection(str(path))
    connection.execute("DELETE FROM t WHERE a > 9")
    wanted = int(str(connection.pragma("freelist_count")))
    connection.close()
    file = File(path.read_bytes(), 512)

    first = int.from_bytes(file.content[32:36], "big")
    free = carving.free_pages(first, file.page, file.layout)

    assert len(free) == wanted > 200


def test_no_more_overflow_pages_are_read_than_the_budget_has() -> None:
    file = File((2).to_bytes(4, "big") + bytes(508) + (1).to_bytes(4, "big") + bytes(508), 512)
    endless = carving.Record(False, 1, (2_000_013,), 5, 1_000_005, bytes(39), 1)
    budget = carving.Budget(9)

    for _again in range(3):
        carving.payload(endless, file.page, file.layout, budget)

    assert (file.read, budget.left) == (9, 0)
