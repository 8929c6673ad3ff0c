from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import apsw
import pytest

from bty_app.domain.inventory import MAX_LSHW_BYTES
from bty_app.store.carry_over import (
    Carried,
    carry_over,
    identity,
    last_chain_value,
    row_counts,
)
from bty_app.store.creation import build_fresh
from tests.crashlab.originals import make_original

AT = "2026-11-22T19:07:18.570473+00:00"
THEN = "2026-01-02T03:04:05+00:00"
MAC = "02:00:00:00:00:01"


@pytest.fixture
def new(tmp_path: Path) -> apsw.Connection:
    build_fresh(tmp_path / "new.db", version="2", at=AT)
    return apsw.Connection(str(tmp_path / "new.db"))


def _old(tmp_path: Path, sql: str) -> apsw.Connection:
    connection = apsw.Connection(str(tmp_path / "old.db"))
    connection.execute(sql)
    return connection


def _original(tmp_path: Path) -> apsw.Connection:
    make_original(tmp_path / "old.db", version="0.65.18")
    return apsw.Connection(str(tmp_path / "old.db"))


def _add(old: apsw.Connection, mac: object, disks: object, lshw: object, at: object = THEN) -> None:
    old.execute(
        "INSERT INTO machines (mac, boot_mode, bty_image_ref, known_disks, known_disks_at,"
        " hw_lshw, hw_lshw_at, created_at, updated_at)"
        " VALUES (?, 'bty-flash-always', 'ref', ?, ?, ?, ?, 'x', 'x')",
        (mac, disks, at, lshw, at),
    )


def test_hardware_arrives_unbound_as_it_was_written(tmp_path: Path, new: apsw.Connection) -> None:
    old = _original(tmp_path)
    disks, lshw = '[{"path":  "/dev/sda"}]', '{"id": "caf\\u00e9"}'
    _add(old, MAC, disks, lshw)

    carried = carry_over(old, new, at=AT)

    assert carried == Carried(1, 0, ("backup.enabled", "display.timezone"))
    row = new.execute(
        "SELECT mac, known_disks, known_disks_at, hw_lshw, hw_lshw_at, boot_mode, bty_image_ref,"
        " created_at, updated_at, phase FROM machines"
    ).fetchall()
    then = "2026-01-02T03:04:05.000000+00:00"
    assert row == [(MAC, disks, then, lshw, then, "bty-inventory", None, AT, AT, "idle")]


def test_settings_of_operations_are_carried_and_no_others(
    tmp_path: Path, new: apsw.Connection
) -> None:
    carry_over(_original(tmp_path), new, at=AT)

    assert new.execute("SELECT * FROM settings ORDER BY key").fetchall() == [
        ("backup.enabled", "1", AT),
        ("display.timezone", "Europe/Berlin", AT),
    ]


@pytest.mark.parametrize(
    ("stored", "kept"),
    [
        ('{"a": 1}', '{"a": 1}'),
        ('{"temp": NaN, "x": [Infinity, -Infinity]}', '{"temp": null, "x": [null, null]}'),
        ("{broken", None),
        ("[" * 100_000, None),
        (b'{"a": 1}', None),
        (17, None),
        ('{"a": "\0"}', None),
        ('"' + "x" * MAX_LSHW_BYTES + '"', None),
        (None, None),
    ],
)
def test_what_is_no_json_is_left_behind_and_the_machine_is_not(
    tmp_path: Path, new: apsw.Connection, stored: object, kept: str | None
) -> None:
    old = _original(tmp_path)
    _add(old, MAC, "[]", stored)

    carried = carry_over(old, new, at=AT)

    assert carried.machines == 1
    assert new.execute("SELECT known_disks, hw_lshw FROM machines").fetchall() == [("[]", kept)]


def test_bytes_that_are_no_text_are_left_behind(tmp_path: Path, new: apsw.Connection) -> None:
    old = _original(tmp_path)
    _add(old, MAC, "[]", "{}")
    old.execute("UPDATE machines SET hw_lshw = CAST(x'7b22ff227d' AS TEXT)")

    carry_over(old, new, at=AT)

    assert new.execute("SELECT hw_lshw FROM machines").fetchall() == [(None,)]


@pytest.mark.parametrize(
    ("stored", "kept"),
    [
        ("2026-01-02T03:04:05Z", "2026-01-02T03:04:05.000000+00:00"),
        ("2026-01-02T03:04:05", "2026-01-02T03:04:05.000000+00:00"),
        ("2026-01-02T05:04:05.5+02:00", "2026-01-02T03:04:05.500000+00:00"),
        ("0001-01-01T00:00:00+10:00", None),
        ("yesterday", None),
        (1767323045, None),
        (None, None),
    ],
)
def test_moments_are_spelled_our_way(
    tmp_path: Path, new: apsw.Connection, stored: object, kept: str | None
) -> None:
    old = _original(tmp_path)
    _add(old, MAC, "[]", "{}", stored)

    carry_over(old, new, at=AT)

    assert new.execute("SELECT hw_lshw_at FROM machines").fetchall() == [(kept,)]


def test_rows_without_a_valid_mac_and_second_spellings_are_counted(
    tmp_path: Path, new: apsw.Connection
) -> None:
    old = _original(tmp_path)
    for mac in (MAC, "02-00-00-00-00-01", "02:00:00:00:00:FF", "nonsense", b"x", None):
        _add(old, mac, "[]", "{}")

    carried = carry_over(old, new, at=AT)

    assert (carried.machines, carried.skipped) == (2, 4)
    found = new.execute("SELECT mac FROM machines ORDER BY mac").fetchall()
    assert found == [(MAC,), ("02:00:00:00:00:ff",)]


@pytest.mark.parametrize(
    "schema",
    [
        "CREATE TABLE other (x)",
        "CREATE TABLE machines (mac TEXT)",
        "CREATE TABLE machines (hw_lshw TEXT)",
        "CREATE VIEW machines AS SELECT 1 AS mac, 2 AS hw_lshw",
        "CREATE TABLE settings (key TEXT)",
    ],
)
def test_a_schema_without_the_columns_gives_nothing(
    tmp_path: Path, new: apsw.Connection, schema: str
) -> None:
    assert carry_over(_old(tmp_path, schema), new, at=AT) == Carried(0, 0, ())


def test_a_schema_with_half_of_the_columns_gives_these(
    tmp_path: Path, new: apsw.Connection
) -> None:
    old = _old(tmp_path, "CREATE TABLE machines (MAC TEXT, Known_Disks TEXT)")
    old.execute("INSERT INTO machines VALUES (?, '[]')", (MAC,))

    carried = carry_over(old, new, at=AT)

    assert carried.machines == 1
    found = new.execute("SELECT known_disks, known_disks_at, hw_lshw FROM machines").fetchall()
    assert found == [("[]", None, None)]


def test_the_chain_goes_on_where_the_old_one_ended(tmp_path: Path) -> None:
    old = _old(tmp_path, "CREATE TABLE events (id INTEGER PRIMARY KEY, chain TEXT)")

    assert last_chain_value(old) is None
    old.execute("INSERT INTO events (chain) VALUES (?), (?)", ("a" * 64, "b" * 64))
    assert last_chain_value(old) == "b" * 64
    old.execute("INSERT INTO events (chain) VALUES ('short')")
    assert last_chain_value(old) is None


def test_the_chain_of_a_database_without_events_is_the_one_that_it_followed(
    tmp_path: Path,
) -> None:
    build_fresh(tmp_path / "old.db", version="1", at=AT, chain_start="c" * 64)

    assert last_chain_value(apsw.Connection(str(tmp_path / "old.db"))) == "c" * 64


def test_the_original_has_neither_chain_nor_identity(tmp_path: Path) -> None:
    old = _original(tmp_path)

    assert last_chain_value(old) is None
    assert identity(old) == (None, 0)


def test_rows_are_counted_of_the_tables_that_are_there(tmp_path: Path) -> None:
    make_original(tmp_path / "old.db", version=None, catalog=False)
    old = apsw.Connection(str(tmp_path / "old.db"))
    _add(old, MAC, None, None)

    assert row_counts(old) == {"machines": 1, "machine_labels": 0, "events": 0, "settings": 3}


_STREAM = """
import json, resource, sys
import apsw
from bty_app.store.carry_over import carry_over
old, new = (apsw.Connection(path) for path in sys.argv[1:])
new.pragma("cache_size", -16384)
new.execute("BEGIN")
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
carried = carry_over(old, new, at="x")
new.execute("COMMIT")
print(json.dumps([carried.machines, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before]))
"""


def test_a_large_fleet_streams_through_little_memory(tmp_path: Path, new: apsw.Connection) -> None:
    old = _original(tmp_path)
    pad = json.dumps({"pad": "x" * 17_000})
    with old:
        for number in range(6000):
            _add(old, f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}", "[]", pad)
    old.close()
    new.close()

    done = subprocess.run(
        [sys.executable, "-B", "-c", _STREAM, str(tmp_path / "old.db"), str(tmp_path / "new.db")],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    machines, grown_kib = json.loads(done.stdout)

    assert machines == 6000
    assert grown_kib < 40 * 1024  # of 100 MiB
