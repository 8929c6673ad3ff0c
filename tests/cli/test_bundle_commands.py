"""`export`, `import` and `verify` as they are typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bty_app import __version__
from bty_app.cli.main import main
from tests import original_state
from tests.domain.test_bundle import GOLDEN
from tests.fresh_state import make_state


@pytest.fixture(autouse=True)
def no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's own configuration has no say here."""
    (tmp_path / "no-config").mkdir()
    monkeypatch.setenv("BTY_CONFIG_DIR", str(tmp_path / "no-config"))


def run(state: Path, *words: object) -> int:
    return main([str(word) for word in (words[0], "--state-dir", state, *words[1:])])


def test_a_bundle_moves_a_fleet(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path / "a", "import", GOLDEN / "two-machines") == 0
    assert run(tmp_path / "a", "export", tmp_path / "out") == 0
    assert run(tmp_path / "b", "import", "--dry-run", tmp_path / "out") == 0
    assert not (tmp_path / "b").exists()
    assert run(tmp_path / "b", "import", tmp_path / "out") == 0
    assert run(tmp_path / "b", "import", "--reset-existing", tmp_path / "out") == 0
    assert run(tmp_path / "b", "verify") == 0
    assert run(tmp_path / "b", "verify", tmp_path / "out") == 0

    assert capsys.readouterr().out.splitlines() == [
        "imported: 2 new, 0 updated, 0 unchanged, 0 rejected; new machines arrive as bty-inventory",
        f"bty → {tmp_path}/out: 2 machines",
        "would import: 2 new, 0 updated, 0 unchanged, 0 rejected;"
        " new machines arrive as bty-inventory",
        "imported: 2 new, 0 updated, 0 unchanged, 0 rejected; new machines arrive as bty-inventory",
        "imported: 0 new, 2 reset (0 of them bound to an image), 0 rejected",
        f"{tmp_path}/b/state.db: sound (database, version {__version__}, 2 machines)",
        f"{tmp_path}/out: sound (bundle, version {__version__}, 2 machines)",
    ]


def test_json_is_one_value_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tmp_path / "a", "import", "--json", GOLDEN / "two-machines")
    imported = json.loads(capsys.readouterr().out)
    run(tmp_path / "a", "export", "--json", tmp_path / "out")
    exported = json.loads(capsys.readouterr().out)
    run(tmp_path / "a", "verify", "--json")
    verified = json.loads(capsys.readouterr().out)

    assert (imported["new"], imported["rejected"], imported["dry_run"]) == (2, 0, False)
    assert (exported["machines"], exported["database_version"]) == (2, __version__)
    assert exported["bytes"] == (tmp_path / "out" / "inventory.json").stat().st_size
    assert [found["sound"] for found in verified] == [True]


def test_failures_are_one_line_and_an_exit_status(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    make_state(tmp_path / "ours")
    original_state.make_original(tmp_path / "theirs", [], "0.65.18")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "inventory.json").write_text("{")

    for status, state, words in (
        (66, "none", ["export", tmp_path / "out"]),
        (75, "ours", ["export", tmp_path / "bad"]),
        (66, "ours", ["import", tmp_path / "none"]),
        (65, "ours", ["import", tmp_path / "bad"]),
        (65, "fresh", ["import", "--dry-run", tmp_path / "bad"]),
        (75, "theirs", ["import", GOLDEN / "empty"]),
        (66, "ours", ["verify", tmp_path / "none"]),
        (66, "none", ["verify"]),
    ):
        assert run(tmp_path / state, *words) == status, words
        told = capsys.readouterr()
        assert told.out == ""
        assert told.err.count("\n") == 1, told.err

    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "none").exists()
    assert not (tmp_path / "fresh").exists()


def test_rejected_machines_are_said_on_stderr_and_the_import_succeeds(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "inventory.json").write_text(
        '{"bty_export_version": 3, "machines": [{"mac": "Z\\nZ"}, {"mac": "02:00:00:00:00:01"}]}'
    )

    status = run(tmp_path / "s", "import", tmp_path)

    told = capsys.readouterr()
    assert status == 0
    assert told.err == "rejected: machine 1 (no valid MAC): invalid MAC: 'Z\\nZ'\n"
    assert "1 new" in told.out


def test_what_is_not_sound_is_said_and_the_exit_status_is_1(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "inventory.json").write_text('{"bty_export_version": 2}')

    status = run(tmp_path, "verify", tmp_path, GOLDEN / "empty")

    lines = capsys.readouterr().out.splitlines()
    assert status == 1
    assert "old version 2" in lines[0]
    assert "sound" in lines[1]
