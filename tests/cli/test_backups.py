"""`backup` and `backups` as they are typed."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import apsw
import pytest

from bty_app.cli.main import main
from bty_app.domain.jobs import Quiet
from bty_app.domain.migration import Mark
from bty_app.errors import MovedError
from bty_app.services.backup_files import sha256_of
from bty_app.services.own_program import OwnProgram
from bty_app.store import move_mark
from bty_app.store.backup_shelf import Shelf
from tests import original_state
from tests.domain.test_bundle import GOLDEN
from tests.fresh_state import make_state


@pytest.fixture(autouse=True)
def no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's own configuration has no say here."""
    (tmp_path / "no-config").mkdir()
    monkeypatch.setenv("BTY_CONFIG_DIR", str(tmp_path / "no-config"))


@pytest.fixture
def state(tmp_path: Path) -> Path:
    place = tmp_path / "s"
    assert run(place, "import", GOLDEN / "two-machines") == 0
    return place


def run(state: Path, *words: object) -> int:
    return main([str(word) for word in (words[0], "--state-dir", state, *words[1:])])


def names(state: Path) -> list[str]:
    found = (path.name for path in (state / "backups").iterdir())
    return sorted(name for name in found if not name.startswith("."))


def said(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_a_backup_is_made_listed_pinned_and_removed(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(state, "backup") == 0
    (name,) = names(state)
    assert run(state, "verify", state / "backups" / name) == 0
    assert run(state, "backups", "list") == 0
    assert run(state, "backups", "show", name) == 0
    assert run(state, "backups", "pin", name) == 0
    assert run(state, "backups", "remove", name) == 75
    assert run(state, "backups", "unpin", name) == 0
    assert run(state, "backups", "remove", name) == 0
    assert run(state, "backups", "show", name) == 66
    assert names(state) == []

    out, err = capsys.readouterr()
    assert f"{state}/backups/{name}: 2 machines" in out
    assert f"{name}  by hand" in out
    assert "not taken on this server's schedule" in out
    assert "pinned: unpin it first" in err


def test_bundles_of_every_release_are_listed_stay_and_come_in(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of the original's schedule have the bundle alone, and no mark of ours."""
    for golden in GOLDEN.iterdir():
        name = f"2020-01-01T00-00-0{len(golden.name) % 10}Z"
        shutil.copytree(golden, state / "backups" / name)
    old = names(state)
    assert len(old) == 2
    assert run(state, "settings", "set", "backup.retention_count", "1") == 0
    assert run(state, "backup") == 0
    capsys.readouterr()
    assert run(state, "backups", "list", "--json") == 0
    listed = {row["id"]: row for row in said(capsys)}

    assert set(old) < set(listed)
    for name in old:
        assert listed[name]["stays"]
        assert listed[name]["trigger"] is None
        assert run(tmp_path / f"fresh-{name}", "import", state / "backups" / name) == 0


def test_it_works_in_another_directory_and_without_the_database(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert run(state, "backup", "--json", "--no-state", tmp_path / "else") == 0
    done = said(capsys)

    assert done["path"] == f"{tmp_path}/else/{done['id']}"
    assert not (tmp_path / "else" / done["id"] / "state.db").exists()
    assert (done["is_full"], done["machines"], done["proven_at"] is None) == (False, 2, False)
    assert not (state / "backups").exists()


def test_the_database_of_another_version_is_only_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = make_state(tmp_path / "old", version="0.1.0")
    before = path.read_bytes()
    original_state.make_original(tmp_path / "theirs", [], "0.65.18")

    assert run(tmp_path / "old", "backup", "--json") == 0
    assert said(capsys)["database_version"] == "0.1.0"
    assert run(tmp_path / "theirs", "backup", "--json") == 0
    assert said(capsys)["database_version"] == "0.65.18"
    assert path.read_bytes() == before


def test_failures_are_one_line_and_an_exit_status(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")

    assert run(tmp_path / "none", "backup") == 66
    assert run(state, "backup", tmp_path / "file" / "x") == 74
    assert run(state, "backups", "show", "../s") == 66

    assert len(capsys.readouterr().err.splitlines()) == 3


def test_a_child_tells_how_far_it_is_and_ends_with_its_parent(state: Path) -> None:
    words = [sys.executable, "-m", "bty_app", "--state-dir", str(state), "backup", "--child"]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as going:
        assert going.stdout is not None
        lines = [json.loads(line) for line in going.stdout]
    ended = subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )

    assert lines[0]["words"] == "copying the database"
    assert lines[-1]["result"]["machines"] == 2
    assert json.loads(ended.stdout)["error"]["code"] == "cancelled"
    assert ended.returncode == 1
    assert len(names(state)) == 1


def test_beside_another_one_it_waits_or_is_told_at_once(
    state: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    words = [sys.executable, "-m", "bty_app", "backup", "--state-dir", str(state)]
    told = tmp_path / "told"
    with ExitStack() as other, told.open("w") as err:
        other.enter_context(Shelf(state / "backups").alone())
        assert run(state, "backup", "--no-wait") == 75
        with subprocess.Popen(words, stderr=err, stdout=subprocess.DEVNULL) as going:
            while going.poll() is None and "waiting for" not in told.read_text():
                select.select([], [], [], 0.05)
            assert going.poll() is None
            assert names(state) == []
            other.close()
    assert going.returncode == 0

    assert len(names(state)) == 1
    assert f"(pid {os.getpid()})" in told.read_text()
    assert capfd.readouterr().err.count("a backup is being made in") == 1


def renewed_sums(backup: Path) -> None:
    """As if whoever changed a part had known what they did."""
    parts = ("inventory.json", "state.db", "manifest.json")
    lines = [f"{sha256_of(backup / part)}  {part}\n" for part in parts]
    (backup / "SHA256SUMS").write_text("".join(lines))


def test_a_drill_restores_starts_and_compares(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(state, "backup")
    run(state, "backup", "--no-state")
    found = names(state)
    capsys.readouterr()

    assert run(state, "verify", "--drill", *(state / "backups" / name for name in found)) == 0
    assert run(state, "backups", "list", "--json") == 0

    out = capsys.readouterr().out
    assert out.count("sound (drill") == 2
    assert all(row["drilled_at"] for row in json.loads(out[out.index("[") :]))
    assert {path.name for path in state.iterdir()} == {"state.db", "state.lock", "backups"}


def test_a_drill_notices_what_reading_does_not(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(state, "backup")
    (name,) = names(state)
    backup = state / "backups" / name
    connection = apsw.Connection(str(backup / "state.db"))
    connection.execute("DROP TABLE boot_stages; DROP TABLE machine_progress; DROP TABLE settings")
    connection.execute("CREATE TABLE settings (key)")
    connection.close()
    facts = json.loads((backup / "manifest.json").read_bytes()) | {"digests": {}}
    (backup / "manifest.json").write_text(json.dumps(facts))
    renewed_sums(backup)

    assert run(state, "verify", backup) == 0
    assert run(state, "verify", "--drill", backup) == 1
    assert run(state, "backups", "show", name, "--json") == 0
    out = capsys.readouterr().out
    assert json.loads(out.splitlines()[-1])["problems"][0].startswith("drill: ")


def test_a_drill_needs_a_backup(state: Path, tmp_path: Path) -> None:
    assert run(state, "verify", "--drill") == 65
    assert run(state, "verify", "--drill", tmp_path / "none") == 66


def test_where_the_appliance_has_moved_none_is_made_and_that_is_said_once(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    move_mark.put(state, Mark("http://192.0.2.20:8080"))

    assert run(state, "backup") == 75

    told = capsys.readouterr()
    assert told.err.count("has moved to http://192.0.2.20:8080") == 1
    assert not (state / "backups").exists()
    with pytest.raises(MovedError, match="has moved to http"):
        OwnProgram([sys.executable, "-m", "bty_app", "--state-dir", str(state)], os.environ).run(
            ["backup"], Quiet()
        )


def test_a_drill_asks_what_a_restore_would_ask(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    connection = apsw.Connection(str(state / "state.db"))
    connection.execute("CREATE TABLE foreign_one (id INTEGER)")
    connection.close()
    assert run(state, "backup") == 0
    (name,) = names(state)

    assert run(state, "verify", "--drill", state / "backups" / name) == 1

    assert "its tables are not those" in capsys.readouterr().out


def test_backups_can_be_looked_at_where_the_database_cannot_be_read(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """That is when somebody wants one."""
    assert run(state, "backup") == 0
    (name,) = names(state)
    for path in state.glob("state.db*"):
        path.write_bytes(b"noise" * 5000)
    capsys.readouterr()

    assert run(state, "backups", "list", "--json") == 0
    out, err = capsys.readouterr()
    assert [row["id"] for row in json.loads(out)] == [name]
    assert err == f"without the database: {state}/state.db: this is not an SQLite database\n"
    assert run(state, "backups", "show", name) == 0
    assert run(state, "verify", state / "backups" / name) == 0
    assert run(state, "verify", "--drill", state / "backups" / name) == 0
    for act in (["backup"], ["backups", "pin", name], ["backups", "remove", name]):
        assert run(state, *act) == 74
    assert run(state, "restore", name, "--yes") == 0
    assert run(state, "verify") == 0
    assert names(state) == [name]
    (state / "state.db").unlink()
    assert run(state, "backups", "list") == 0
