"""Restores, recoveries and imports at once, and what is saved in the middle of one of them."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from bty_app.domain.restoring import Wanted
from bty_app.errors import ConflictError
from bty_app.services.restore import Restore
from bty_app.services.verify import verify_backup, verify_live
from bty_app.store import publish
from bty_app.store.backup_shelf import Shelf
from tests.appliances import REPOSITORY
from tests.domain.test_bundle import GOLDEN
from tests.fleet_state import BY, Fleet, bind, mac, tables

ALL = Wanted()


def labels_of(fleet: Fleet) -> dict[object, object]:
    return {key: label for key, label in fleet.rows("SELECT mac, label FROM machine_labels")}  # noqa: C416


@pytest.fixture
def fleet(quick_dir: Path) -> Fleet:
    return Fleet(quick_dir / "state").make()


@pytest.mark.parametrize("seen", [True, False])
def test_what_is_saved_while_the_backup_before_is_made_is_not_lost(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, seen: bool
) -> None:
    """It would be neither in the database afterwards nor in the backup that is the way back."""
    fleet.write(*(bind(number, labels=["then"]) for number in range(3)))
    path = fleet.back_up("then")
    fleet.write(bind(1, labels=["now"]))
    digest = fleet.restore.preview(path, ALL).effect.digest if seen else None
    real = Restore._safety_copy

    def and_somebody_saves(self: Restore) -> str:
        name = real(self)
        fleet.write(bind(2, labels=["meanwhile"]))
        return name

    monkeypatch.setattr(Restore, "_safety_copy", and_somebody_saves)

    with pytest.raises(ConflictError, match="changed"):
        fleet.restore.apply(path, ALL, by=BY, digest=digest)
    labels = labels_of(fleet)
    assert labels[mac(2)] == "meanwhile"
    assert labels[mac(1)] == "now"


@pytest.mark.parametrize("days", [-400, 400])
def test_a_clock_that_jumps_during_a_restore_changes_nothing_of_it(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch, days: int
) -> None:
    fleet.write(*(bind(number, labels=["then"]) for number in range(3)))
    path = fleet.back_up("then")
    fleet.write(bind(1, labels=["now"]))
    before = tables(fleet.state_db)
    real = Restore._safety_copy

    def and_the_clock_jumps(self: Restore) -> str:
        name = real(self)
        fleet.clock.moment += timedelta(days=days)
        return name

    monkeypatch.setattr(Restore, "_safety_copy", and_the_clock_jumps)
    fleet.restore.apply(path, ALL, by=BY)

    assert labels_of(fleet)[mac(1)] == "then"
    assert verify_live(fleet.place).problems == ()
    monkeypatch.undo()
    fleet.restore.undo(by=BY)
    assert verify_live(fleet.place).problems == ()
    after = tables(fleet.state_db)
    assert after["machine_labels"] == before["machine_labels"]


def test_a_backup_that_is_pruned_while_it_is_put_back_is_put_back_or_not_found(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet.write(*(bind(number, labels=["then"]) for number in range(3)))
    path = fleet.back_up("then")
    fleet.write(bind(1, labels=["now"]))
    real = publish.create_file

    def and_it_is_pruned(path: Path, *more: object, **words: object) -> object:
        if path.name == "source.db":
            Shelf(fleet.backups).remove("then")
        return real(path, *more, **words)  # type: ignore[arg-type]

    monkeypatch.setattr(publish, "create_file", and_it_is_pruned)
    fleet.restore.apply(path, ALL, by=BY)

    assert labels_of(fleet)[mac(1)] == "then"


def test_operators_who_restore_import_and_recover_at_once_leave_one_history(fleet: Fleet) -> None:
    """Each does it, or is told that another is at it; nothing is done by halves."""
    fleet.write(*(bind(number, labels=["then"]) for number in range(8)))
    then = fleet.back_up("then")
    fleet.write(*(bind(number, labels=["now"]) for number in range(8)))
    commands = [
        *(["restore", str(then), "--yes"] for _ in range(3)),
        *(["import", str(GOLDEN / "two-machines")] for _ in range(3)),
        *(["recover", str(then / "state.db"), "--all", "--yes"] for _ in range(2)),
        *(["backup"] for _ in range(2)),
    ]
    environment = {
        **{name: os.environ[name] for name in ("PATH",)},
        "HOME": str(fleet.place.parent),
        "BTY_CONFIG_DIR": str(fleet.place.parent / "none"),
        "BTY_PATHS_STATE_DIR": str(fleet.place),
    }
    (fleet.place.parent / "none").mkdir()

    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "bty_app", *words],
            cwd=REPOSITORY,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for words in commands
    ]
    ended = [(words, process.communicate(timeout=120), process) for words, process
             in zip(commands, processes, strict=True)]  # fmt: skip

    for words, (_out, err), process in ended:
        assert process.returncode in (0, 75), (words, err)
        assert "Traceback" not in err
        assert "locked" not in err
    assert any(process.returncode == 0 for words, _said, process in ended if words[0] == "restore")
    assert verify_live(fleet.place).problems == ()
    labels = {label for _mac, label in fleet.rows("SELECT mac, label FROM machine_labels")}
    assert labels == {"then"}
    shelf = Shelf(fleet.backups)
    assert all(verify_backup(shelf.path(name)).problems == () for name in shelf.ids())
    told = fleet.rows("SELECT count(*) FROM events WHERE kind = 'backup.restored'")
    done = [p for words, _said, p in ended if words[0] == "restore" and p.returncode == 0]
    assert told == [(len(done),)]
    left = [path.name for path in fleet.place.iterdir() if path.name.startswith(".tmp-")]
    assert left == []
