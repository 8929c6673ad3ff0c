from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import apsw
import pytest

from bty_app import __version__
from bty_app.domain.jobs import Quiet, Step
from bty_app.errors import CancelledError, StorageError
from bty_app.services import backup_files, bundles
from bty_app.services.backup_before import back_up_before_rotation
from bty_app.services.backup_files import BackupPlan, write_backup
from bty_app.store import sqlite
from bty_app.store.backup_shelf import Shelf
from tests import original_state
from tests.fresh_state import make_state

NOW = datetime(2026, 11, 22, 19, 7, 18, 570473, tzinfo=UTC)
PLAN = BackupPlan("2026-11-22T19-07-18Z", "manual", __version__, NOW)
ONE = "02:00:00:00:00:01"


def one_machine(state: Path) -> Path:
    path = make_state(state)
    connection = sqlite.writable(path)
    connection.execute(
        "INSERT INTO machines (mac, created_at, updated_at, hw_lshw) VALUES (?, 'a', 'a', '[1]')",
        (ONE,),
    )
    connection.close()
    return path


class Unwanted(Quiet):
    def tell(self, _step: Step) -> None:
        raise CancelledError("it was cancelled")


def manifest(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((path / "manifest.json").read_bytes())
    return found


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_backup_holds_the_bundle_the_database_a_manifest_and_sums(tmp_path: Path) -> None:
    path = one_machine(tmp_path / "s")

    done = write_backup(path, tmp_path / "deep" / "backups", PLAN)
    bundles.export_bundle(tmp_path / "s", tmp_path / "out", version=__version__, now=NOW)

    assert done.path == tmp_path / "deep" / "backups" / "2026-11-22T19-07-18Z"
    assert names(done.path) == ["SHA256SUMS", "inventory.json", "manifest.json", "state.db"]
    assert (done.path / "inventory.json").read_bytes() == (
        tmp_path / "out" / "inventory.json"
    ).read_bytes()
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=done.path, check=True)
    facts = manifest(done.path)
    assert (facts["trigger"], facts["machines"], facts["database_version"]) == (
        "manual",
        1,
        __version__,
    )
    assert facts["instance_id"]
    assert done.machines == 1
    assert done.size == sum((done.path / name).stat().st_size for name in names(done.path))


def test_the_bundle_and_the_database_are_of_one_moment(tmp_path: Path) -> None:
    path = one_machine(tmp_path / "s")
    stopped = threading.Event()

    def write() -> None:
        writer = sqlite.writable(path)
        writer.pragma("synchronous", 0)
        number = 0
        while not stopped.is_set():
            number += 1
            writer.execute(
                "INSERT INTO machines (mac, created_at, updated_at) VALUES (?, 'a', 'a')",
                (f"02:00:00:01:{number >> 8:02x}:{number & 255:02x}",),
            )
        writer.close()

    thread = threading.Thread(target=write)
    thread.start()
    try:
        done = [write_backup(path, tmp_path / "b", PLAN) for _ in range(5)]
    finally:
        stopped.set()
        thread.join()

    for result in done:
        macs = [
            m["mac"] for m in json.loads((result.path / "inventory.json").read_bytes())["machines"]
        ]
        copy = apsw.Connection(str(result.path / "state.db"), flags=apsw.SQLITE_OPEN_READONLY)
        assert macs == [row[0] for row in copy.execute("SELECT mac FROM machines ORDER BY mac")]
        copy.close()
    assert names(tmp_path / "b") == [
        PLAN.backup_id,
        *(f"{PLAN.backup_id}-{number}" for number in range(1, 5)),
    ]


def test_the_database_may_be_left_out(tmp_path: Path) -> None:
    path = one_machine(tmp_path / "s")
    plan = BackupPlan("b", "manual", __version__, NOW, include_state=False)

    done = write_backup(path, tmp_path, plan)

    assert names(done.path) == ["SHA256SUMS", "inventory.json", "manifest.json"]


def test_the_backup_before_a_rotation_uses_the_connection_that_has_the_file_alone(
    tmp_path: Path,
) -> None:
    path = original_state.make_original(tmp_path / "s", [(ONE, "[]", None, None, None)], "0.65.18")
    connection = original_state.connect(path)
    connection.pragma("locking_mode", "exclusive")
    connection.execute("BEGIN EXCLUSIVE")
    connection.execute("COMMIT")

    name = back_up_before_rotation(connection, tmp_path / "b", version="0.90.0", now=NOW)
    assert Shelf(tmp_path / "b").find(name).marks.proven_at

    connection.close()
    facts = manifest(tmp_path / "b" / name)
    assert name == "2026-11-22T19-07-18Z"
    assert (facts["trigger"], facts["database_version"], facts["instance_id"]) == (
        "pre-upgrade",
        "0.65.18",
        None,
    )


def test_what_was_wrong_before_an_upgrade_is_kept_with_its_backup_and_stops_nothing(
    tmp_path: Path,
) -> None:
    path = make_state(tmp_path / "s")
    connection = original_state.connect(path)
    connection.execute("PRAGMA foreign_keys = OFF")
    connection.execute("INSERT INTO machine_labels (mac, label) VALUES ('02:00:00:00:00:09', 'x')")

    name = back_up_before_rotation(connection, tmp_path / "b", version="0.99.0", now=NOW)
    connection.close()

    marks = Shelf(tmp_path / "b").find(name).marks
    assert "foreign" in marks.problems[0] or "machine_labels" in marks.problems[0]
    assert marks.proven_at is None


@pytest.mark.parametrize("part", ["inventory.json", "state.db"])
def test_a_backup_that_does_not_read_back_loses_its_name(
    tmp_path: Path, part: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = one_machine(tmp_path / "s")
    real = backup_files.publish.sync_tree  # type: ignore[attr-defined]

    def flipping_disk(root: Path) -> None:
        real(root)
        data = bytearray((root / part).read_bytes())
        data[len(data) // 2] ^= 1
        (root / part).write_bytes(data)

    monkeypatch.setattr("bty_app.store.publish.sync_tree", flipping_disk)

    with pytest.raises(StorageError, match=f"does not read back.*{part}"):
        write_backup(path, tmp_path / "b", PLAN)

    assert names(tmp_path / "b") == [f".bad-{PLAN.backup_id}"]


def test_a_cancelled_backup_leaves_nothing(tmp_path: Path) -> None:
    path = one_machine(tmp_path / "s")

    with pytest.raises(CancelledError):
        write_backup(path, tmp_path / "b", PLAN, teller=Unwanted())

    assert names(tmp_path / "b") == []


@pytest.mark.system
def test_a_disk_error_anywhere_leaves_no_half_backup(tmp_path: Path) -> None:
    path = one_machine(tmp_path / "s")
    before = hashlib.sha256(path.read_bytes()).digest()
    code = (
        "import sys\nfrom datetime import datetime, UTC\nfrom pathlib import Path\n"
        "from bty_app.services.backup_files import BackupPlan, write_backup\n"
        "write_backup(Path(sys.argv[1]), Path(sys.argv[2]),"
        " BackupPlan('b', 'manual', 'x', datetime.now(UTC)))\n"
    )
    outcomes = set()

    for call, number in [("fsync", 1), ("fsync", 4), ("fsync", 9), ("pwrite64", 2), ("write", 1)]:
        folder = tmp_path / f"{call}{number}"
        folder.mkdir()
        inject = f"inject={call}:error=ENOSPC:when={number}"
        done = subprocess.run(
            ["strace", "-f", "-qq", "-o", "/dev/null", "-e", inject]  # noqa: RUF005 - two lines
            + [sys.executable, "-c", code, str(path), str(folder)],
            capture_output=True,
            text=True,
            check=False,
        )
        outcomes.add(done.returncode)
        published = [name for name in names(folder) if not name.startswith(".tmp-")]
        assert published == (["b"] if done.returncode == 0 else []) or "fsync" in call, done
        for name in published:
            subprocess.run(
                ["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder / name, check=True
            )

    assert 1 in outcomes
    assert hashlib.sha256(path.read_bytes()).digest() == before
