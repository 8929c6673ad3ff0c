from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bty_app.errors import ConflictError, StorageError
from bty_app.store import creation, events, quarantine
from bty_app.store.database import Database
from bty_app.store.rotation import Opening, Outcome, open_state
from tests.crashlab.originals import ROWS, killed_writer, make_original

NOW = datetime(2026, 11, 22, 19, 7, 18, tzinfo=UTC)
AT = "2026-11-22T19:07:18.570473+00:00"
FOLDER = "quarantine/20261122T190718Z"
RUNNING = "0.90.0"


def _start(state_dir: Path) -> Opening:
    return open_state(state_dir, version=RUNNING, now=NOW, backup=None)


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != "state.lock")


def _resets(state_dir: Path) -> list[tuple[str, dict[str, Any]]]:
    with Database(state_dir / "state.db") as db:
        rows = db.read(lambda tx: list(events.every(tx)))
    return [
        (row.summary, json.loads(row.details or "{}"))
        for row in rows
        if row.kind == "system.schema.reset"
    ]


def _flip_pages(path: Path) -> None:
    """Noise in every page but the first two, so that only a whole reading notices."""
    content = bytearray(path.read_bytes())
    for start in range(8192, len(content), 4096):
        content[start : start + 64] = b"\xa5" * 64
    path.write_bytes(content)


def _die_after(path: Path, sql: str) -> None:
    """Run `sql` in a process that dies without a commit or a checkpoint."""
    program = (
        "import apsw, os, sys; connection = apsw.Connection(sys.argv[1]);"
        "connection.execute(sys.argv[2]).fetchall(); os._exit(0)"
    )
    subprocess.run([sys.executable, "-c", program, str(path), sql], check=True)


def test_a_file_that_is_no_database_is_set_aside_whole(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"precious notes" * 500)
    (tmp_path / "state.db-journal").write_bytes(b"more of them" * 500)

    opening = _start(tmp_path)

    evidence = tmp_path / FOLDER
    assert opening.outcome is Outcome.QUARANTINED
    assert opening.set_aside == FOLDER
    assert FOLDER in opening.sentence
    assert (evidence / "state.db").read_bytes() == b"precious notes" * 500
    assert (evidence / "state.db-journal").read_bytes() == b"more of them" * 500
    assert _names(tmp_path) == ["quarantine", "state.db"]


def test_the_fresh_database_tells_what_happened_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"precious notes" * 500)

    _start(tmp_path)

    [(summary, details)] = _resets(tmp_path)
    assert "Next: import the newest backup" in summary
    assert details["archived_at"] == FOLDER
    assert details["reason"] == "damaged"
    assert details["files"] == ["state.db"]
    assert "not a database" in details["problem"]


def test_a_header_torn_in_a_write_is_healed_by_the_hot_journal(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    make_original(path, version="0.65.18")
    killed_writer(path, "none")
    large = "UPDATE machines SET hw_lshw = hw_lshw || hex(zeroblob(9000))"
    _die_after(path, f"PRAGMA cache_size = 2; BEGIN; CREATE TABLE first_page (x); {large}")
    path.write_bytes(b"torn" * 64 + path.read_bytes()[256:])

    opening = _start(tmp_path)

    assert opening.outcome is Outcome.ROTATED
    assert opening.machines == ROWS


def test_a_header_torn_in_a_checkpoint_is_healed_by_the_log(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    creation.build_fresh(path, version="0.89.0", at=AT)
    killed_writer(path, "wal")
    _die_after(path, "CREATE TABLE first_page (x)")
    path.write_bytes(b"torn" * 64 + path.read_bytes()[256:])

    opening = _start(tmp_path)

    assert opening.outcome is Outcome.ROTATED
    assert opening.machines == ROWS


@pytest.mark.parametrize("original", [True, False])
def test_damage_in_the_middle_of_an_old_database_is_found_before_it_is_archived(
    tmp_path: Path, original: bool
) -> None:
    path = tmp_path / "state.db"
    if original:
        make_original(path, version="0.65.18")
    else:
        creation.build_fresh(path, version="0.89.0", at=AT)
    killed_writer(path, "none")
    _flip_pages(path)

    opening = _start(tmp_path)

    assert opening.outcome is Outcome.QUARANTINED
    assert _names(tmp_path) == ["quarantine", "state.db"]
    assert _names(tmp_path / FOLDER) == ["state.db"]


def test_a_log_without_its_database_is_set_aside_before_sqlite_deletes_it(tmp_path: Path) -> None:
    for empty in (False, True):
        (tmp_path / "state.db-wal").write_bytes(b"acknowledged" * 500)
        if empty:
            (tmp_path / "state.db").write_bytes(b"")

        opening = _start(tmp_path)

        assert opening.outcome is Outcome.QUARANTINED
        assert (tmp_path / str(opening.set_aside) / "state.db-wal").read_bytes() == (
            b"acknowledged" * 500
        )
        assert _resets(tmp_path)[0][1]["reason"] == "orphaned-log"
        (tmp_path / "state.db").unlink()

    assert _names(tmp_path / "quarantine") == ["20261122T190718Z", "20261122T190718Z.1"]


def test_empty_logs_without_their_database_are_no_evidence(tmp_path: Path) -> None:
    for suffix in ("-wal", "-journal"):
        (tmp_path / f"state.db{suffix}").touch()

    assert _start(tmp_path).outcome is Outcome.CREATED
    assert _names(tmp_path) == ["state.db"]


def test_the_log_of_another_database_does_not_undo_a_restore(tmp_path: Path) -> None:
    """A backup copied over the file of a killed server, whose log stayed."""
    creation.build_fresh(tmp_path / "state.db", version=RUNNING, at=AT)
    killed_writer(tmp_path / "state.db", "wal")
    log = (tmp_path / "state.db-wal").read_bytes()
    creation.build_fresh(tmp_path / "backup.db", version=RUNNING, at=AT)
    killed_writer(tmp_path / "backup.db", "none", rows=3)
    (tmp_path / "backup.db").replace(tmp_path / "state.db")

    opening = _start(tmp_path)

    assert opening.outcome is Outcome.OPENED
    assert "belongs to another database" in opening.sentence
    assert (tmp_path / FOLDER / "state.db-wal").read_bytes() == log
    with Database(tmp_path / "state.db") as db:
        assert db.read(lambda tx: tx.value("SELECT count(*) FROM machines")) == 3
        assert db.read(lambda tx: tx.value("PRAGMA integrity_check")) == "ok"


def test_the_log_of_this_database_is_not_taken_for_anothers(tmp_path: Path) -> None:
    creation.build_fresh(tmp_path / "state.db", version=RUNNING, at=AT)
    killed_writer(tmp_path / "state.db", "wal")

    assert _start(tmp_path).sentence == ""
    with Database(tmp_path / "state.db") as db:
        assert db.read(lambda tx: tx.value("SELECT count(*) FROM machines")) == ROWS


def test_evidence_is_never_overwritten(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / "state.db").write_bytes(b"%d" % number * 5000)
        _start(tmp_path)

    kept = [
        (tmp_path / "quarantine" / name / "state.db").read_bytes()[:1]
        for name in _names(tmp_path / "quarantine")
    ]
    assert kept == [b"0", b"1", b"2"]


def test_a_plan_that_was_cut_off_half_way_is_finished(tmp_path: Path) -> None:
    state_db = tmp_path / "state.db"
    for suffix in ("", "-wal"):
        (tmp_path / f"state.db{suffix}").write_bytes(b"evidence")
    quarantine.set_aside(
        state_db, quarantine.present(state_db), now=NOW, why=("damaged", "state.db is damaged")
    )
    (tmp_path / FOLDER / "state.db-wal").rename(tmp_path / "state.db-wal")

    opening = _start(tmp_path)

    assert opening.outcome is Outcome.QUARANTINED
    assert _names(tmp_path / FOLDER) == ["state.db", "state.db-wal"]
    assert len(_resets(tmp_path)) == 1


def test_a_plan_that_only_was_not_taken_away_moves_nothing_more(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"evidence" * 100)
    state_db = tmp_path / "state.db"
    files = quarantine.present(state_db)
    quarantine.set_aside(state_db, files, now=NOW, why=("damaged", "state.db is damaged"))
    plan = quarantine.plan_file(state_db).read_bytes()
    _start(tmp_path)
    quarantine.plan_file(state_db).write_bytes(plan)

    opening = _start(tmp_path)

    assert opening.outcome is Outcome.QUARANTINED
    assert (tmp_path / FOLDER / "state.db").read_bytes() == b"evidence" * 100
    assert _names(tmp_path) == ["quarantine", "state.db"]
    assert len(_resets(tmp_path)) == 1
    assert _start(tmp_path) == Opening(Outcome.OPENED)


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        '{"folder": "quarantine/x"}',
        '{"folder": "../x", "reason": "", "problem": "", "files": {}}',
        '{"folder": "quarantine/..", "reason": "", "problem": "", "files": {}}',
        '{"folder": "quarantine/x", "reason": "", "problem": "", "files": {"../y": 1}}',
        '{"folder": 1, "reason": "", "problem": "", "files": {}}',
        '{"folder": "quarantine/x", "reason": "", "problem": "", "files": []}',
    ],
)
def test_a_plan_that_is_not_ours_is_refused_and_left(tmp_path: Path, content: str) -> None:
    quarantine.plan_file(tmp_path / "state.db").write_text(content)

    with pytest.raises(StorageError, match=r"quarantine\.plan"):
        _start(tmp_path)
    assert _names(tmp_path) == ["quarantine.plan"]


def test_nothing_is_set_aside_while_another_program_has_it_open(tmp_path: Path) -> None:
    path = tmp_path / "state.db"
    path.write_bytes(b"precious notes" * 500)
    program = "import sys; f = open(sys.argv[1]); print('open', flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", program, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()

        with pytest.raises(ConflictError, match=rf"pid {process.pid}\).*nothing was changed"):
            _start(tmp_path)
        process.kill()

    assert _names(tmp_path) == ["state.db"]
    assert _start(tmp_path).outcome is Outcome.QUARANTINED
