"""`restore` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bty_app.cli.main import main
from bty_app.domain.machine import BootMode
from bty_app.store import locks
from tests.domain.test_bundle import GOLDEN
from tests.fleet_state import OTHER_REF, Fleet, bind, forget, mac, setting


@pytest.fixture(autouse=True)
def no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's own configuration has no say here."""
    (tmp_path / "no-config").mkdir()
    monkeypatch.setenv("BTY_CONFIG_DIR", str(tmp_path / "no-config"))


@pytest.fixture
def fleet(quick_dir: Path) -> Fleet:
    return Fleet(quick_dir / "state").make()


def run(fleet: Fleet, *words: object) -> int:
    return main(["restore", "--state-dir", str(fleet.place), *map(str, words)])


def test_it_is_shown_first_then_done_then_undone(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet.write(bind(1), bind(2, BootMode.FLASH_ALWAYS), setting("x", "1"))
    backup = fleet.back_up("then")
    fleet.write(bind(1, ref=OTHER_REF), forget(2))

    assert run(fleet, backup) == 0
    shown = capsys.readouterr().out.splitlines()
    assert run(fleet, backup, "--yes") == 0
    done = capsys.readouterr().out.splitlines()
    assert run(fleet, "--undo") == 0
    assert run(fleet, "--undo", "--yes", "--json") == 0
    undone = json.loads(capsys.readouterr().out.splitlines()[-1])

    assert shown[1:] == [
        "machines:        1 added, 1 changed",
        "catalog_entries: as they are",
        "settings:        as they are",
        f"  added   {mac(2)} (disarmed)",
        f"  changed {mac(1)}: bty_image_ref {'b' * 64} → {'a' * 64}",
        "1 machine that the backup would have flashed will come back disarmed"
        " (--keep-boot-modes arms them)",
        "audit log: 1 events since the backup stay",
        "nothing was done: --yes does it",
    ]
    assert done[:2] == ["then was put back", "machines:        1 added, 1 changed"]
    assert done[-1].endswith(": bty restore --undo --yes")
    assert undone["done"] is True
    assert undone["tables"]["machines"] == {"added": 0, "removed": 1, "changed": 1}
    assert fleet.rows("SELECT mac, bty_image_ref FROM machines") == [(mac(1), OTHER_REF)]


def test_json_is_one_value_and_nothing_else(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet.write(bind(1), bind(2))
    backup = fleet.back_up()
    fleet.write(forget(1), forget(2))

    assert run(fleet, backup, "--json", "--rows", 1, "--only", mac(1), mac(2)) == 0

    found = json.loads(capsys.readouterr().out)
    assert found["done"] is False
    assert [row["key"] for row in found["rows"]] == [mac(1)]
    assert found["tables"] == {"machines": {"added": 2, "removed": 0, "changed": 0}}


def test_a_name_alone_is_that_of_a_backup_unless_a_file_here_has_it(
    fleet: Fleet,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    name = "2026-05-24T08-00-00Z"
    fleet.write(bind(1))
    fleet.back_up(name)
    fleet.write(forget(1))
    monkeypatch.chdir(tmp_path)

    assert run(fleet, name, "--yes") == 0
    assert fleet.rows("SELECT mac FROM machines") == [(mac(1),)]
    assert run(fleet, "2026-05-25T08-00-00Z") == 66
    assert "no backup '2026-05-25T08-00-00Z'" in capsys.readouterr().err
    (tmp_path / name).write_text("something else")
    assert run(fleet, name) == 65


def test_each_failure_has_its_exit_status(
    fleet: Fleet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    backup = fleet.back_up()

    assert run(fleet) == 65
    assert run(fleet, backup, "--undo") == 65
    assert run(fleet, "--undo") == 66
    assert run(fleet, tmp_path / "nothing") == 66
    assert run(fleet, GOLDEN / "two-machines") == 65
    assert run(fleet, backup, "--only", "x") == 65
    with locks.alone(fleet.place / "restore.lock"):
        assert run(fleet, backup, "--yes") == 75
    said = capsys.readouterr().err.splitlines()
    assert all(line.startswith("bty: ") for line in said)
    assert "bty import" in said[4]
