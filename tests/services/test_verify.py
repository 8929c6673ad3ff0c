from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import apsw
import pytest

from bty_app import __version__
from bty_app.domain.events import Actor, Event, Kind
from bty_app.errors import NotFoundError
from bty_app.services.backup_files import BackupPlan, write_backup
from bty_app.services.verify import Verdict, verify, verify_live
from bty_app.store import events, sqlite
from bty_app.store.database import Tx
from tests import original_state
from tests.domain.test_bundle import GOLDEN
from tests.fresh_state import make_state, needs_log

NOW = datetime(2026, 11, 22, 19, 7, 18, 570473, tzinfo=UTC)
AT = "2026-11-22T19:07:18.570473+00:00"
ONE = "02:00:00:00:00:01"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    path = make_state(tmp_path / "s")
    connection = sqlite.writable(path)
    connection.execute(
        "INSERT INTO machines (mac, created_at, updated_at, hw_lshw) VALUES (?, 'a', 'a', '[1]')",
        (ONE,),
    )
    for number in range(3):
        events.record(
            Tx(connection),
            Event(Kind.MACHINE_FLASHED, Actor.SYSTEM, f"event {number}", details={"n": number}),
            at=AT,
        )
    connection.close()
    return path.parent


@pytest.fixture
def backup(state: Path, tmp_path: Path) -> Path:
    plan = BackupPlan("b", "manual", __version__, NOW)
    return write_backup(state / "state.db", tmp_path, plan).path


def change(path: Path, sql: str) -> None:
    connection = apsw.Connection(str(path))
    connection.execute(sql)
    connection.close()


def only_problem(verdict: Verdict) -> str:
    assert len(verdict.problems) == 1, verdict.problems
    return verdict.problems[0]


def test_what_is_sound_is_said_to_be(state: Path, backup: Path) -> None:
    for verdict, kind, machines in (
        (verify_live(state, version=__version__), "database", 1),
        (verify(state / "state.db"), "database", 1),
        (verify(backup), "backup", 1),
        (verify(backup / "state.db"), "archive", 1),
        (verify(GOLDEN / "two-machines"), "bundle", 2),
        (verify(GOLDEN / "two-machines" / "inventory.json"), "bundle", 2),
    ):
        assert verdict.problems == ()
        assert (verdict.kind, verdict.machines) == (kind, machines)


def test_verifying_changes_nothing(state: Path, backup: Path) -> None:
    before = [(p, p.stat().st_mtime_ns) for p in sorted([*state.iterdir(), *backup.iterdir()])]

    verify(state / "state.db")
    verify(backup)

    after = [(p, p.stat().st_mtime_ns) for p in sorted([*state.iterdir(), *backup.iterdir()])]
    assert [entry for entry in after if entry[0].name != "state.lock"] == [
        entry for entry in before if entry[0].name != "state.lock"
    ]


def test_nothing_there_is_not_found(tmp_path: Path) -> None:
    for path in (tmp_path / "none", tmp_path / "none.db"):
        with pytest.raises(NotFoundError):
            verify(path)
    with pytest.raises(NotFoundError):
        verify_live(tmp_path)


def test_a_database_of_the_original_is_sound_with_its_nan(tmp_path: Path) -> None:
    path = original_state.make_original(
        tmp_path, [(ONE, None, None, '{"a": NaN}', None)], "0.65.18"
    )
    archive = path.rename(tmp_path / "state.db.0.65.18.20260524T080000Z.bak")

    verdict = verify(archive)

    assert verdict.problems == ()
    assert (verdict.kind, verdict.version, verdict.machines) == ("archive", "0.65.18", 1)


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("UPDATE events SET summary = 'other' WHERE id = 2", "event 2 does not follow"),
        ("DELETE FROM events WHERE id = 2", "event 3 does not follow"),
        ("DELETE FROM events WHERE id = 1", "event 2 does not follow"),
        ("UPDATE machines SET hw_lshw = '{broken'", f"machines.hw_lshw of {ONE} does not decode"),
        ("UPDATE machines SET known_disks = '[NaN]'", "machines.known_disks of"),
        ("PRAGMA application_id = 7", "another program's database"),
        ("INSERT INTO machine_labels VALUES ('aa', 'x')", "refers to a row of machines"),
        ("DROP TABLE machines", "the table machines is missing"),
        ("PRAGMA user_version = 99", "the number 99"),
    ],
)
def test_what_was_changed_in_a_database_is_said(state: Path, sql: str, problem: str) -> None:
    change(state / "state.db", sql)

    verdict = verify_live(state, version=__version__)

    assert any(problem in found for found in verdict.problems), verdict.problems


def test_an_acknowledged_event_is_no_break_in_the_chain(state: Path) -> None:
    change(state / "state.db", "UPDATE events SET acknowledged = 1")

    assert verify_live(state).sound


def test_damaged_pages_are_said(state: Path, tmp_path: Path) -> None:
    archive = tmp_path / "a.bak"
    shutil.copy(state / "state.db", archive)
    data = bytearray(archive.read_bytes())
    data[4096 * 3 : 4096 * 4] = b"\xff" * 4096
    archive.write_bytes(data)

    assert not verify(archive).sound


@pytest.mark.parametrize(
    "content", [b"", b"no database" * 1000, b"SQLite format 3\0" + b"x" * 5000]
)
def test_a_file_that_is_no_database_is_said_in_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "x.db").write_bytes(content)

    assert "\n" not in verify(tmp_path / "x.db").problems[0]


@pytest.mark.parametrize("part", ["inventory.json", "state.db", "manifest.json"])
def test_any_flipped_bit_of_a_backup_is_noticed(backup: Path, part: str) -> None:
    data = bytearray((backup / part).read_bytes())

    for at in range(0, len(data), max(1, len(data) // 20)):
        damaged = bytearray(data)
        damaged[at] ^= 4
        (backup / part).write_bytes(damaged)
        problems = verify(backup).problems
        assert any(part in problem and "digest" in problem for problem in problems)

    (backup / part).write_bytes(data)
    assert verify(backup).sound


@pytest.mark.parametrize("part", ["inventory.json", "state.db", "manifest.json"])
def test_a_missing_part_of_a_backup_is_noticed(backup: Path, part: str) -> None:
    (backup / part).unlink()

    assert any(part in problem for problem in verify(backup).problems)


def test_a_list_of_sums_cannot_lead_out_of_the_backup(backup: Path) -> None:
    sums = (backup / "SHA256SUMS").read_text()
    (backup / "SHA256SUMS").write_text(sums + "0" * 64 + "  ../../etc/passwd\n")

    assert "has no place" in only_problem(verify(backup))


def test_a_part_that_is_a_link_or_a_pipe_is_not_followed(backup: Path, tmp_path: Path) -> None:
    (backup / "inventory.json").rename(tmp_path / "elsewhere")
    (backup / "inventory.json").symlink_to(tmp_path / "elsewhere")
    (backup / "manifest.json").unlink()
    os.mkfifo(backup / "manifest.json")

    problems = verify(backup).problems

    assert any("inventory.json: is missing" in problem for problem in problems)
    assert any("manifest.json" in problem for problem in problems)


def test_a_bundle_and_manifest_that_disagree_are_noticed(backup: Path) -> None:
    whole = json.loads((backup / "inventory.json").read_bytes())
    whole["machines"] = []
    (backup / "inventory.json").write_text(json.dumps(whole))

    assert any("the manifest says 1" in problem for problem in verify(backup).problems)


def test_each_bad_machine_of_a_bundle_is_said(tmp_path: Path) -> None:
    machines = [{"mac": "ZZ"}, {"mac": ONE}, {"mac": "02:00:00:00:00:02", "hw_lshw": 5}]
    (tmp_path / "inventory.json").write_text(
        json.dumps({"bty_export_version": 3, "machines": machines})
    )

    assert len(verify(tmp_path).problems) == 2


@needs_log
@pytest.mark.system
@pytest.mark.parametrize("name", ["old.bak", "state.db"])
def test_a_database_in_log_mode_is_read_on_a_read_only_medium(
    state: Path, tmp_path: Path, name: str
) -> None:
    medium = tmp_path / "medium"
    medium.mkdir()
    shutil.copy(state / "state.db", medium / name)
    assert (medium / name).read_bytes()[18:20] == b"\x02\x02"
    code = (
        "import sys\nfrom pathlib import Path\nfrom bty_app.services.verify import verify\n"
        "found = verify(Path(sys.argv[1]))\nprint(found.problems, found.machines)\n"
    )
    script = (
        f"mount --bind {medium} {medium} && mount -o remount,ro,bind {medium} &&"
        f" ! touch {medium}/x 2>/dev/null && exec {sys.executable} -c '{code}' {medium}/{name}"
    )

    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script], capture_output=True, text=True, check=False
    )

    assert done.stdout == "() 1\n", done
