"""`bty init` writes its files and nothing else, and never over something else unasked."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from bty_app.cli.main import main


def _init(*words: str | Path) -> int:
    return main(["init", *map(str, words)])


def _files(place: Path) -> set[str]:
    return {str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()}


def test_it_writes_its_files_and_nothing_else(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _init(tmp_path / "a") == 0
    assert _init("--systemd", tmp_path / "b") == 0

    names = {"compose.yml", "envvars.example", "README.md"}
    assert _files(tmp_path / "a") == names
    assert _files(tmp_path / "b") == names | {
        *("quadlet/bty.container", "quadlet/withcache.container"),
    }
    assert {path.name for path in (tmp_path / "a").iterdir()} == names  # and no directory
    assert capsys.readouterr().out.count("written: ") == 8


def test_a_directory_below_one_that_is_missing_is_made(tmp_path: Path) -> None:
    assert _init(tmp_path / "a/b/c") == 0
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o700


def test_a_second_time_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _init("--systemd", "--data-dir", tmp_path / "x", tmp_path)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    capsys.readouterr()

    assert _init(tmp_path) == 0

    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
    assert "written" not in capsys.readouterr().out


def test_another_file_is_shown_and_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "README.md").write_text("mine\n")

    assert _init(tmp_path) == 1

    told = capsys.readouterr()
    assert "-mine" in told.err
    assert "--force" in told.err.splitlines()[-1]
    assert _files(tmp_path) == {"README.md"}


def test_force_writes_over_it(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine\n")

    assert _init("--force", tmp_path) == 0
    assert "mine" not in (tmp_path / "README.md").read_text()


def test_a_dry_run_shows_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _init("--dry-run", "--tftp", tmp_path / "a") == 0

    assert "+    network_mode: host" in capsys.readouterr().out
    assert not (tmp_path / "a").exists()


def test_print_gives_the_compose_file_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert _init("--print", "--data-dir", tmp_path / "x") == 0

    told = capsys.readouterr()
    assert f"${{BTY_HOST_DATA_DIR:-{tmp_path}/x}}/bty" in told.out
    assert told.err == ""
    assert list(tmp_path.iterdir()) == []


def test_its_default_is_the_originals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert main(["init"], program="bty-lab") == 0
    assert (tmp_path / "bty-host/compose.yml").exists()


@pytest.mark.parametrize("bad", ["a:b", "a b", "/"])
def test_a_data_directory_that_no_unit_can_hold_is_wrong_usage(tmp_path: Path, bad: str) -> None:
    assert _init("--data-dir", bad, tmp_path) == 2
    assert _files(tmp_path) == set()


def test_a_file_in_the_way_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("x")

    assert _init(tmp_path / "file" / "below") == 74

    assert len(capsys.readouterr().err.splitlines()) == 1


def test_choices_that_envvars_has_count(tmp_path: Path) -> None:
    (tmp_path / "envvars").write_text("BTY_TFTP=yes\nBTY_HOST_DATA_DIR=/srv/x\n")

    assert _init(tmp_path) == 0

    text = (tmp_path / "compose.yml").read_text()
    assert "network_mode: host" in text
    assert "/srv/x" in text
    assert (tmp_path / "envvars").read_text() == "BTY_TFTP=yes\nBTY_HOST_DATA_DIR=/srv/x\n"
