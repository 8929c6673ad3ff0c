"""The power goes: what was acknowledged is on the disk."""

from __future__ import annotations

import shutil
import warnings
from collections import Counter
from pathlib import Path

import pytest

from bty_app.store import events
from bty_app.store.database import Database
from tests.crashlab import backups, checks
from tests.crashlab.actions import NEW_VERSION
from tests.crashlab.lab import Lab
from tests.crashlab.originals import ORIGINAL_VERSION
from tests.crashlab.power import Disk, reason_against
from tests.crashlab.scenarios import SCENARIOS, Scenario

CUTS = 4

_CUT = (
    *("rotation, hot", "quarantine of noise", "scheduled backup", "removal of a backup"),
    *("restore", "recovery", "return", "move to another host", "beginning of a host"),
    *("rollback", "tale of an upgrade"),
)
_FINISHED = (
    *("rotation, hot log of ours", "export", "export over a bundle", "backup"),
    *("scheduled backup with pruning", "restore", "move to another host"),
    *("rollback", "rollback of a damaged database", "tale of an upgrade"),
)

pytestmark = pytest.mark.system


@pytest.fixture
def disk(tmp_path: Path) -> Disk:
    reason = reason_against(tmp_path)
    if reason:
        sentence = f"NOTHING ABOUT POWER CUTS IS PROVEN HERE: {reason}"
        warnings.warn(sentence, stacklevel=1)
        pytest.skip(sentence)
    return Disk(tmp_path / "disk")


def test_the_disk_forgets_what_was_not_synced(disk: Disk) -> None:
    with disk.on() as root:
        (root / "synced").write_bytes(b"x" * 5000)
        disk.sync()
        (root / "not-synced").write_bytes(b"x" * 5000)
        disk.cut()

    with disk.on() as root:
        assert (root / "synced").read_bytes() == b"x" * 5000
        assert not (root / "not-synced").exists()


@pytest.mark.parametrize(
    "scenario",
    [one for one in SCENARIOS if one.name.startswith(_CUT)],
    ids=lambda scenario: scenario.name,
)
def test_a_power_cut_in_the_middle_loses_nothing(
    scenario: Scenario, disk: Disk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = Lab(scenario, tmp_path / "lab")
    points = lab.faults("KILL")
    chosen = [*points[:: max(1, len(points) // CUTS)], points[-1]]

    for point in chosen:
        with disk.on() as root:
            shutil.copytree(lab.template, root / "state", symlinks=True)
            disk.sync()
            done = lab.disturbed(root / "state", "KILL", point, tmp_path / "trace")
            disk.cut()
        assert done.returncode == -9
        with disk.on() as root:
            if scenario.always_whole:
                checks.names_are_whole(root / "state", root / "copy")
            scenario.check(root / "state")
            shutil.rmtree(root / "state")

    with capsys.disabled():
        print(f"\n{scenario.name}: {len(chosen)} power cuts")


def test_what_is_finished_outlives_a_power_cut(disk: Disk, tmp_path: Path) -> None:
    for number, name in enumerate(_FINISHED):
        scenario = next(one for one in SCENARIOS if one.name == name)
        lab = Lab(scenario, tmp_path / str(number))
        with disk.on() as root:
            shutil.copytree(lab.template, root / "state", symlinks=True)
            disk.sync()
            done = lab.disturbed(root / "state", "none", None, tmp_path / "trace")
            disk.cut()
        assert done.returncode == 0

        with disk.on() as root:
            _require_done(name, root / "state")
            scenario.check(root / "state")
            shutil.rmtree(root / "state")


def _require_done(name: str, state: Path) -> None:
    """What was reported as done is on the disk, before anything is done again."""
    match name:
        case "rotation, hot log of ours":
            assert checks.version_of(state) == NEW_VERSION
            assert len(list(state.glob("*.bak"))) == 1
        case "scheduled backup with pruning":
            assert [path.name for path in (state / "backups").glob("2*")] == [backups.NEW]
            assert _kinds(state)["backup.created", backups.NEW] == 1
            assert _kinds(state)["backup.pruned", backups.OLD] == 1
        case "restore":
            assert any(kind == "backup.restored" for kind, _subject in _kinds(state))
        case "rollback":
            assert checks.version_of(state) == ORIGINAL_VERSION
            assert len(list(state.glob("*.bak"))) == 2
        case "rollback of a damaged database":
            assert checks.version_of(state) == ORIGINAL_VERSION
            assert list(state.glob("quarantine/*/state.db"))
        case "tale of an upgrade":
            assert any(kind == "system.upgraded" for kind, _subject in _kinds(state))
        case "move to another host":
            assert (state / "old" / "moved-to.json").exists()
            assert (state / "new" / "state.db").exists()
            assert not (state / "new" / ".arriving").exists()
        case _:
            assert any((state / "out").glob("b*/inventory.json"))


def _kinds(state: Path) -> Counter[tuple[str, str | None]]:
    with Database(state / "state.db") as database:
        rows = database.read(lambda tx: list(events.every(tx)))
    return Counter((row.kind, row.subject_id) for row in rows)
