"""What the guide says of bundles: what travels, what stays, and that it is a plain directory."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from bty_app import __version__
from bty_app.domain.image_source import ImageRef
from bty_app.services.bundles import export_bundle, import_bundle
from bty_app.services.clock import utc_now
from bty_app.store import events, sqlite
from bty_app.store.database import Database
from tests.appliances import appliance
from tests.fresh_state import make_state

MAC = "52:54:00:12:34:56"
REF = ImageRef("a" * 64)
DISKS = '[{"path": "/dev/sda", "serial": "S1", "size": "476.9G"}]'
LSHW = '{"id": "box", "class": "system", "children": [{"id": "cpu"}, {"id": "network"}]}'
AT = "2026-11-22T19:07:18.570473+00:00"
# All that a machine can have, besides its hardware: the guide says that none of it travels.
SET = {
    "boot_mode": ("bty-flash-always", "bty-inventory"),
    "bty_image_ref": (REF, None),
    "target_disk_serial": ("S1", None),
    "sanboot_drive": ("0x81", None),
    "saw_flasher_boot": (1, 0),
    "last_flashed_at": (AT, None),
}


@dataclass(frozen=True)
class Move:
    """A state directory, the bundle of it, and another one that took the bundle in."""

    old: Path
    bundle: Path
    new: Path

    def rows(self, sql: str, *, old: bool = False) -> list[tuple[object, ...]]:
        connection = sqlite.writable((self.old if old else self.new) / "state.db")
        found = [tuple(row) for row in connection.execute(sql)]
        connection.close()
        return found


@pytest.fixture
def move(tmp_path: Path) -> Move:
    made = Move(tmp_path / "old", tmp_path / "bundle", tmp_path / "new")
    connection = sqlite.writable(make_state(made.old))
    connection.execute(
        "INSERT INTO machines (mac, known_disks, known_disks_at, hw_lshw, hw_lshw_at, boot_mode,"
        " bty_image_ref, target_disk_serial, sanboot_drive, phase, phase_at, last_flashed_at,"
        " created_at, updated_at) VALUES (?, ?, ?, ?, ?, 'bty-flash-always', ?, 'S1', '0x81',"
        " 'booted', ?, ?, ?, ?)",
        (MAC, DISKS, AT, LSHW, AT, REF, AT, AT, AT, AT),
    )
    connection.execute("INSERT INTO machine_labels VALUES (?, 'rack-3')", (MAC,))
    connection.execute(
        "INSERT INTO catalog_entries (bty_image_ref, src, name, added_at) VALUES (?, 'x', 'y', ?)",
        (REF, AT),
    )
    connection.execute("INSERT INTO settings VALUES ('backup.cadence', 'weekly', ?)", (AT,))
    connection.close()
    (made.old / "boot").mkdir()
    (made.old / "boot" / "vmlinuz").write_bytes(b"kernel")
    export_bundle(made.old, made.bundle, version=__version__, now=utc_now())
    made.new.mkdir()
    import_bundle(made.new, made.bundle, version=__version__, clock=utc_now)
    return made


def test_a_bundle_is_one_file_that_knows_the_hardware_and_nothing_else(move: Move) -> None:
    assert [path.name for path in move.bundle.iterdir()] == ["inventory.json"]
    told = json.loads((move.bundle / "inventory.json").read_text())

    assert told["bty_export_version"] == 3
    [machine] = told["machines"]
    assert set(machine) == {"mac", "known_disks", "known_disks_at", "hw_lshw", "hw_lshw_at"}


def test_mac_disks_and_lshw_travel(move: Move) -> None:
    [(mac, disks, lshw)] = move.rows("SELECT mac, known_disks, hw_lshw FROM machines")

    assert mac == MAC
    [disk] = json.loads(str(disks))
    assert json.loads(DISKS)[0].items() <= disk.items()
    assert json.loads(str(lshw)) == json.loads(LSHW)


@pytest.mark.parametrize("column", SET)
def test_what_an_operator_set_and_a_flash_has_left_stay_behind(move: Move, column: str) -> None:
    before, after = SET[column]

    assert move.rows(f"SELECT {column} FROM machines", old=True) == [(before,)]
    assert move.rows(f"SELECT {column} FROM machines") == [(after,)]


@pytest.mark.parametrize("table", ["machine_labels", "catalog_entries"])
def test_labels_and_the_catalog_stay_behind(move: Move, table: str) -> None:
    assert move.rows(f"SELECT count(*) FROM {table}", old=True) == [(1,)]
    assert move.rows(f"SELECT count(*) FROM {table}") == [(0,)]


def test_settings_the_audit_log_and_boot_files_stay_behind(move: Move) -> None:
    assert move.rows("SELECT count(*) FROM settings WHERE key = 'backup.cadence'") == [(0,)]
    with Database(move.new / "state.db") as database:
        kinds = [event.kind for event in database.read(lambda tx: list(events.every(tx)))]
    assert kinds == ["machines.imported"]
    assert not (move.new / "boot").exists()


@pytest.mark.parametrize("by", ["cp", "tar"])
def test_a_bundle_may_be_archived_by_any_program(move: Move, tmp_path: Path, by: str) -> None:
    if by == "cp":
        subprocess.run(["cp", "-r", move.bundle, tmp_path / "kept"], check=True)
    else:
        packed = tmp_path / "bundle.tar.gz"
        subprocess.run(["tar", "-C", tmp_path, "-czf", packed, "bundle"], check=True)
        (tmp_path / "back").mkdir()
        subprocess.run(["tar", "-C", tmp_path / "back", "-xzf", packed], check=True)
        (tmp_path / "back" / "bundle").rename(tmp_path / "kept")
    (tmp_path / "third").mkdir()

    done = import_bundle(tmp_path / "third", tmp_path / "kept", version=__version__, clock=utc_now)

    assert done.new == 1


def test_a_bundle_among_the_backups_is_found_there_and_stays(quick_dir: Path) -> None:
    """The guide exports to backups/pre-DATE, upgrades, and imports from there."""
    with appliance(quick_dir / "here") as server:
        server.start()
        server.bty("settings", "set", "backup.cadence", "manual")
        server.script(MAC)
        kept = server.state / "backups" / "pre-20260524"
        server.bty("export", str(kept))
        server.bty("settings", "set", "backup.retention_count", "1")
        for _ in range(2):
            server.bty("backup")
        server.bty("machine", "forget", MAC)

        server.bty("import", str(kept))

        assert server.ask("GET", f"/machines/{MAC}", token=server.token()).status == 200
        listed = json.loads(server.bty("backups", "list", "--json").stdout)
        [row] = [row for row in listed if row["id"] == kept.name]
        assert row["stays"] is True
        assert kept.is_dir()
