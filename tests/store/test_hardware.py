from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import HealthCheck, given, settings

from bty_app.domain.bundle import HardwareRecord, Rejected, bundle_text
from bty_app.errors import NotFoundError, StorageError
from bty_app.store import hardware, sqlite
from tests import original_state
from tests.domain.test_bundle import AT, CONTAINERS, DISK
from tests.fresh_state import make_state, needs_log

MAC = "02:00:00:00:00:01"


def exported(path: Path) -> dict[str, Any]:
    with hardware.opened(path) as connection, hardware.snapshot(connection):
        reader = hardware.Reader(connection)
        text = "".join(bundle_text(reader.exported(), exported_at=AT, version="x"))
    whole: dict[str, Any] = json.loads(text)
    assert text == json.dumps(whole, indent=2) + "\n"
    return whole


def machines(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = exported(path)["machines"]
    return found


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200, deadline=None
)
@given(CONTAINERS)
def test_sqlite_indents_our_text_exactly_as_python_does(
    tmp_path_factory: pytest.TempPathFactory, tree: Any
) -> None:
    connection = apsw.Connection(":memory:")
    stored = json.dumps(tree, separators=(",", ":"))
    sql = (
        "SELECT CASE WHEN json_valid(?1) AND NOT instr(?1, char(0)) THEN json_pretty(?1, '  ') END"
    )

    ((indented,),) = connection.execute(sql, (stored,))

    assert indented == json.dumps(tree, indent=2)


@pytest.mark.parametrize("version", ["0.58.2", "0.65.18", "0.77.2"])
def test_a_database_of_the_original_is_read(tmp_path: Path, version: str) -> None:
    tree = {"id": "é", "size": 1.5, "children": []}
    path = original_state.make_original(
        tmp_path,
        [(MAC, json.dumps([DISK]), original_state.AT, json.dumps(tree), original_state.AT)],
        version,
    )

    assert machines(path) == [
        {
            "mac": MAC,
            "known_disks": [DISK],
            "known_disks_at": original_state.AT,
            "hw_lshw": tree,
            "hw_lshw_at": original_state.AT,
        }
    ]
    with hardware.opened(path) as connection:
        assert hardware.Reader(connection).version == version


@pytest.mark.parametrize(
    ("column", "stored", "value"),
    [
        ("hw_lshw", '{"a": NaN, "b": -Infinity}', {"a": None, "b": None}),
        ("hw_lshw", '{"a": 1, "a": 2}', {"a": 2}),
        ("hw_lshw", "{broken", None),
        ("hw_lshw", "5", None),
        ("hw_lshw", b"[]", None),
        ("hw_lshw", 5, None),
        ("hw_lshw", "", None),
        ("hw_lshw", "[]\0", None),
        ("hw_lshw", '["caf\u00e9"]', ["café"]),
        ("hw_lshw", "{a: 1}", None),
        ("hw_lshw", '["\\u0041\\/", 1E2, -0, 1.50]', ["A/", 100.0, 0, 1.5]),
        ("hw_lshw", "[" * 900 + "]" * 900, json.loads("[" * 900 + "]" * 900)),
        ("hw_lshw", "[" * 100_000, None),
        ("known_disks", "{}", None),
        ("known_disks", "[1]", None),
        ("known_disks", "[]", []),
        ("known_disks_at", "yesterday", None),
        ("hw_lshw_at", 5, None),
        ("hw_lshw_at", "2026-05-24T08:00:00+00:00", "2026-05-24T08:00:00+00:00"),
    ],
)
def test_what_a_bundle_cannot_hold_is_null_and_the_rest_is_spelled_anew(
    tmp_path: Path, column: str, stored: object, value: object
) -> None:
    path = original_state.make_original(tmp_path, [(MAC, None, None, None, None)], "0.65.18")
    connection = original_state.connect(path)
    connection.execute(f"UPDATE machines SET {column} = ?", (stored,))
    connection.close()

    (machine,) = machines(path)

    assert machine[column] == value


def test_text_beyond_ascii_in_our_own_database_comes_out_escaped(tmp_path: Path) -> None:
    path = make_state(tmp_path)
    writer = sqlite.writable(path)
    writer.execute(
        "INSERT INTO machines (mac, created_at, updated_at, hw_lshw) VALUES (?, 'a', 'a', ?)",
        (MAC, '["caf\u00e9"]'),
    )
    writer.close()

    (machine,) = machines(path)

    assert machine["hw_lshw"] == ["caf\u00e9"]


def test_nothing_can_be_written_through_it(tmp_path: Path) -> None:
    path = make_state(tmp_path)

    with (
        pytest.raises(StorageError, match="read-only"),
        hardware.opened(path) as connection,
    ):
        connection.execute("DELETE FROM machines")


def test_macs_are_canonical_sorted_and_unique_and_what_is_left_out_is_said(
    tmp_path: Path,
) -> None:
    rows: list[tuple[object, ...]] = [
        (mac, None, None, json.dumps([mac if isinstance(mac, str) else 0]), None)
        for mac in ("AA-BB-CC-00-00-02", "aa:bb:cc:00:00:01", "aa:bb:cc:00:00:02", "ZZ", None, 5)
    ]
    path = original_state.make_original(tmp_path, rows, "0.65.18")

    with hardware.opened(path) as connection, hardware.snapshot(connection):
        reader = hardware.Reader(connection)
        found = [(record.mac, record.hw_lshw) for record in reader.exported()]

    assert found == [
        ("aa:bb:cc:00:00:01", '[\n  "aa:bb:cc:00:00:01"\n]'),
        ("aa:bb:cc:00:00:02", '[\n  "aa:bb:cc:00:00:02"\n]'),
    ]
    assert len(reader.skipped) == 4


def test_a_database_without_our_columns_or_marker_is_read(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    connection = apsw.Connection(str(path))
    connection.execute("CREATE TABLE machines (mac TEXT, hw_lshw TEXT)")
    connection.execute("INSERT INTO machines VALUES (?, '{}')", (MAC,))
    connection.close()

    (machine,) = machines(path)

    assert machine["hw_lshw"] == {}
    assert machine["known_disks"] is None


def test_records_are_what_our_own_database_stores(tmp_path: Path) -> None:
    path = original_state.make_original(
        tmp_path,
        [
            (MAC, json.dumps([DISK]), "2026-05-24T08:00:00+00:00", '{"a": NaN}', "bad"),
            ("02:00:00:00:00:02", json.dumps([{"path": 5}]), None, None, None),
            ("02:00:00:00:00:03", "{broken", None, "{broken", None),
        ],
        "0.65.18",
    )

    with hardware.opened(path) as connection:
        first, second, third = hardware.Reader(connection).records()

    assert isinstance(first, HardwareRecord)
    assert first.known_disks == json.dumps([DISK], separators=(",", ":"))
    assert first.known_disks_at == "2026-05-24T08:00:00.000000+00:00"
    assert (first.hw_lshw, first.hw_lshw_at) == ('{"a":null}', None)
    assert isinstance(second, Rejected)
    assert isinstance(third, HardwareRecord)
    assert (third.known_disks, third.hw_lshw) == (None, None)


def test_a_transaction_that_the_killed_original_left_half_done_is_not_seen(tmp_path: Path) -> None:
    path = original_state.make_original(tmp_path, [(MAC, None, None, "{}", None)], "0.65.18")
    killed = (
        "import os, signal, sys, apsw\nc = apsw.Connection(sys.argv[1])\n"
        "c.pragma('cache_size', 1)\nc.execute('BEGIN')\n"
        "c.execute('UPDATE machines SET hw_lshw = ?', ('[' + '1,' * 100000 + '1]',))\n"
        "c.cache_flush()\nos.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", killed, str(path)], check=False)
    assert (tmp_path / "state.db-journal").stat().st_size

    (machine,) = machines(path)

    assert machine["hw_lshw"] == {}


@needs_log
def test_what_a_killed_server_committed_to_its_log_is_seen_and_stays_there(tmp_path: Path) -> None:
    path = make_state(tmp_path)
    killed = (
        "import os, signal, sys\nfrom pathlib import Path\nfrom bty_app.store import sqlite\n"
        "c = sqlite.writable(Path(sys.argv[1]))\n"
        "c.execute('INSERT INTO machines (mac, created_at, updated_at)'"
        f" \" VALUES ('{MAC}', 'a', 'a')\")\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", killed, str(path)], check=False)
    before = (tmp_path / "state.db").stat().st_mtime_ns

    found = [machine["mac"] for machine in machines(path)]

    assert found == [MAC]
    assert (tmp_path / "state.db-wal").stat().st_size
    assert (tmp_path / "state.db").stat().st_mtime_ns == before


@needs_log
def test_a_snapshot_does_not_see_what_is_written_meanwhile(tmp_path: Path) -> None:
    path = make_state(tmp_path)
    writer = sqlite.writable(path)

    with hardware.opened(path) as connection, hardware.snapshot(connection):
        writer.execute(
            "INSERT INTO machines (mac, created_at, updated_at) VALUES (?, 'a', 'a')", (MAC,)
        )
        found = list(hardware.Reader(connection).exported())

    assert found == []
    writer.close()


def test_a_missing_or_foreign_file_is_said(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"no database" * 1000)

    with pytest.raises(NotFoundError), hardware.opened(tmp_path / "none"):
        pass
    with (
        pytest.raises(StorageError, match="not an SQLite database"),
        hardware.opened(tmp_path / "text") as connection,
    ):
        hardware.Reader(connection)


def test_an_archive_in_log_mode_opens_without_its_log_and_nothing_is_made(tmp_path: Path) -> None:
    path = make_state(tmp_path)
    sqlite.writable(path).close()
    archive = path.rename(tmp_path / "old #1?.bak")

    with hardware.opened_archive(archive) as connection:
        assert connection.execute("SELECT count(*) FROM machines").fetchall() == [(0,)]

    assert [name.name for name in tmp_path.iterdir()] == ["old #1?.bak"]


def test_an_archive_whose_log_was_left_beside_it_is_refused(tmp_path: Path) -> None:
    path = make_state(tmp_path)
    (tmp_path / "state.db-wal").write_bytes(b"x")

    with (
        pytest.raises(StorageError, match="not whole without"),
        hardware.opened_archive(path),
    ):
        pass
