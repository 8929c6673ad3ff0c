"""Of a backup of another release the first start under this one is rehearsed."""

from __future__ import annotations

import json
from pathlib import Path

import apsw
import pytest

from bty_app import __version__
from bty_app.services.backup_files import BackupPlan, write_backup
from bty_app.store import carry_over
from tests.cli.test_backups import no_configuration, run
from tests.fleet_state import BEGIN, Fleet, bind, mac, seen
from tests.original_state import AT, make_original

__all__ = ["no_configuration"]

DISKS = '[{"path": "/dev/sda", "serial": "S1", "size_bytes": 1000}]'


def original(place: Path) -> None:
    rows = [(mac(n), DISKS, AT, '{"id": "box"}', AT) for n in range(1, 9)]
    naive = (mac(20), "{}", "2026-05-24T08:00:00", None, None)
    make_original(place, [*rows, naive, (mac(21), None, None, None, None)], "0.65.18")


def older(place: Path) -> None:
    fleet = Fleet(place).make()
    fleet.write(bind(1, labels=["a"]), *(seen(n, DISKS) for n in range(1, 9)))
    fleet.sql("UPDATE bty_version SET version = '0.91.0'")


def backed_up(place: Path) -> Path:
    plan = BackupPlan("then", "manual", "0.91.0", BEGIN)
    return write_backup(place / "state.db", place / "backups", plan).path


@pytest.mark.parametrize("make", [original, older])
def test_the_first_start_is_rehearsed_and_leaves_nothing(
    make: object, quick_dir: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = quick_dir / "s"
    place.mkdir(mode=0o700)
    make(place)  # type: ignore[operator]
    backup = backed_up(place)
    before = {path.name for path in place.iterdir()}
    content = (place / "state.db").read_bytes()

    assert run(place, "verify", "--drill", "--json", backup) == 0

    assert json.loads(capsys.readouterr().out)[0]["sound"]
    assert {path.name for path in place.iterdir()} == before | {"state.lock"}
    assert (place / "state.db").read_bytes() == content
    assert [path.name for path in (place / "backups").iterdir() if path.is_dir()] == ["then"]


def test_a_release_that_would_lose_hardware_does_not_pass(
    quick_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = quick_dir / "s"
    place.mkdir(mode=0o700)
    original(place)
    backup = backed_up(place)
    known = carry_over._hardware_query

    def forgetful(columns: set[str]) -> str:
        return known(columns) + f" WHERE mac <> '{mac(3)}'"

    monkeypatch.setattr(carry_over, "_hardware_query", forgetful)

    assert run(place, "verify", "--drill", backup) == 1

    assert "the hardware of machines is not that of the backup" in capsys.readouterr().out


def test_a_release_that_cannot_open_the_database_does_not_pass(
    quick_dir: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place = quick_dir / "s"
    place.mkdir(mode=0o700)
    older(place)
    backup = backed_up(place)

    def broken(*_args: object, **_more: object) -> object:
        raise apsw.FullError("no room in this rehearsal")

    monkeypatch.setattr(carry_over, "carry_over", broken)

    assert run(place, "verify", "--drill", backup) == 1

    assert "backup" in capsys.readouterr().out
    assert not list(place.glob(".tmp-*"))


def test_of_the_running_release_nothing_is_rehearsed(
    quick_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = quick_dir / "s"
    place.mkdir(mode=0o700)
    older(place)
    connection = apsw.Connection(str(place / "state.db"))
    connection.execute("UPDATE bty_version SET version = ?", (__version__,))
    connection.close()
    assert run(place, "backup") == 0
    [backup] = [path for path in (place / "backups").iterdir() if path.is_dir()]

    def rotates(*_args: object, **_more: object) -> object:
        raise AssertionError("it was rotated")

    monkeypatch.setattr("bty_app.cli.drilling.open_state", rotates)

    assert run(place, "verify", "--drill", backup) == 0
