from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from bty_app.store import snapshot
from bty_app.store.table_digests import of_table, of_tables, tables
from tests import original_state
from tests.fresh_state import make_state


@pytest.fixture
def connection() -> Iterator[apsw.Connection]:
    made = apsw.Connection(":memory:")
    made.config(apsw.SQLITE_DBCONFIG_DQS_DML, 0)
    yield made
    made.close()


def digests(connection: apsw.Connection) -> dict[str, str]:
    return of_tables(connection, lambda _read: True)


def one(connection: apsw.Connection, *rows: str) -> str:
    connection.execute("DROP TABLE IF EXISTS t; CREATE TABLE t (a, b)")
    for row in rows:
        connection.execute(f"INSERT INTO t VALUES ({row})")
    found = of_table(connection, "t")
    assert found
    return found


def test_no_two_contents_are_the_same(connection: apsw.Connection) -> None:
    contents = [
        ("1, NULL",),
        ("'1', NULL",),
        ("1.0, NULL",),
        ("x'31', NULL",),
        ("NULL, 1",),
        ("NULL, NULL",),
        ("'', NULL",),
        ("x'', NULL",),
        ("'n', NULL",),
        ("'ab', 'c'",),
        ("'at,b', 'c'",),
        ("'a', 'bt,c'",),
        ("'a', 'bc'",),
        ("'a' || char(0) || 'b', 'c'",),
        ("'a' || char(0) || 'x', 'c'",),
        ("CAST(x'ff' AS TEXT), 'c'",),
        ("CAST(x'fe' AS TEXT), 'c'",),
        ("0.1, 1",),
        ("0.1 + 0.2, 1",),
        ("0.3, 1",),
        ("9e999, 1",),
        ("'a', 1", "'b', 2"),
        ("'b', 2", "'a', 1"),
        (),
    ]

    assert len({one(connection, *rows) for rows in contents}) == len(contents)


def test_names_of_columns_and_tables_count(connection: apsw.Connection) -> None:
    connection.execute("CREATE TABLE p (a, b); CREATE TABLE q (a, b); CREATE TABLE r (a, c)")

    assert len(set(digests(connection).values())) == 3


def test_rows_are_read_and_not_an_index(connection: apsw.Connection) -> None:
    connection.execute("CREATE TABLE t (a, b, PRIMARY KEY (b, a)) WITHOUT ROWID")
    connection.execute("CREATE TABLE r (a TEXT PRIMARY KEY, b)")
    connection.execute("CREATE INDEX r_all ON r (b, a)")
    connection.execute("INSERT INTO t VALUES (2, 1), (1, 2)")
    connection.execute("INSERT INTO r VALUES ('b', 1), ('a', 2)")
    known = digests(connection)

    plans: list[str] = []
    connection.trace_v2(apsw.SQLITE_TRACE_STMT, lambda said: plans.append(str(said["sql"])))
    assert digests(connection) == known
    connection.trace_v2(0)

    for query in (sql for sql in plans if "NOT INDEXED" in sql):
        (plan,) = connection.execute(f"EXPLAIN QUERY PLAN {query}").fetchall()  # no sorting
        assert str(plan[3]).startswith("SCAN")
        assert "INDEX" not in str(plan[3])


def test_a_copy_has_the_digests_of_its_source(tmp_path: Path) -> None:
    path = make_state(tmp_path / "s")
    source = original_state.connect(path)
    source.execute(
        "INSERT INTO machines (mac, created_at, updated_at) VALUES ('02:00:00:00:00:01', 'a', 'a')"
    )
    snapshot.copy(path, tmp_path / "copy.db")
    copy = apsw.Connection(str(tmp_path / "copy.db"))

    known = digests(source)
    assert known.keys() >= {"machines", "machine_labels", "events", "bty_instance", "sessions"}
    assert list(known)[-3:] == ["hardware_history", "boot_stages", "events"]
    assert digests(copy) == known

    copy.execute("UPDATE machines SET boot_mode = 'bty-tui'")
    assert {name for name in known if known[name] != digests(copy)[name]} == {"machines"}
    copy.close()
    source.close()


def test_a_stranger_s_tables_stop_nothing(connection: apsw.Connection) -> None:
    connection.execute('CREATE TABLE "a ""b" ("x "" y", "rowid", "ORDER")')
    connection.execute("""INSERT INTO "a ""b" VALUES (1, 2, 3)""")
    connection.execute("CREATE TABLE taken (rowid, oid, _rowid_)")
    connection.execute("CREATE VIEW v AS SELECT no_such_function(1)")
    connection.execute("CREATE VIRTUAL TABLE f USING fts5(x)")
    connection.execute(f"CREATE TABLE wide ({', '.join(f'c{n}' for n in range(1500))})")
    connection.execute(f"CREATE TABLE {'l' * 65} (a)")
    connection.create_collation("mine", lambda one, two: (one > two) - (one < two))
    connection.execute(
        "CREATE TABLE sorted (a TEXT COLLATE mine PRIMARY KEY) WITHOUT ROWID;"
        " INSERT INTO sorted VALUES ('x')"
    )
    connection.create_collation("mine", None)

    found = digests(connection)

    assert 'a "b' in found
    assert not found.keys() & {"taken", "v", "f", "wide", "l" * 65}
    assert of_table(connection, "v") is None
    assert of_table(connection, "f") is None


def test_no_table_is_ever_in_memory_and_it_ends_when_told(connection: apsw.Connection) -> None:
    connection.execute("CREATE TABLE b (a); CREATE TABLE a (a); CREATE TABLE events (a)")
    connection.execute(
        "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 400)"
        " INSERT INTO b SELECT randomblob(100000) FROM n"
    )
    told: list[int] = []

    def until_ten(read: int) -> bool:
        told.append(read)
        return read < 10_000_000

    tracemalloc.start()
    whole = digests(connection)
    _now, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert whole.keys() == {"a", "b", "events"}
    assert peak < 5_000_000
    assert of_tables(connection, until_ten).keys() == {"a"}
    assert told[-1] < 12_000_000


def test_the_tables_are_named_in_order(connection: apsw.Connection) -> None:
    connection.execute("CREATE TABLE b (id INTEGER PRIMARY KEY AUTOINCREMENT); CREATE TABLE a (x)")

    assert tables(connection) == ["a", "b"]
