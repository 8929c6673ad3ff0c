"""The power goes: what was acknowledged is on the disk."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import pytest

from tests.crashlab import checks
from tests.crashlab.actions import NEW_VERSION
from tests.crashlab.lab import Lab
from tests.crashlab.power import Disk, reason_against
from tests.crashlab.scenarios import SCENARIOS, Scenario

CUTS = 4

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
    [one for one in SCENARIOS if one.name.startswith(("rotation, hot", "quarantine of noise"))],
    ids=lambda scenario: scenario.name,
)
def test_a_power_cut_during_a_start_loses_nothing(
    scenario: Scenario, disk: Disk, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = Lab(scenario, tmp_path / "lab")
    points = lab.faults("KILL")
    chosen = [*points[:: max(1, len(points) // CUTS)], points[-1]]

    for point in chosen:
        with disk.on() as root:
            shutil.copytree(lab.template, root / "state")
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


def test_a_finished_start_and_a_finished_export_outlive_a_power_cut(
    disk: Disk, tmp_path: Path
) -> None:
    names = ("rotation, hot log of ours", "export", "export over a bundle", "backup")
    for number, scenario in enumerate(one for one in SCENARIOS if one.name in names):
        lab = Lab(scenario, tmp_path / str(number))
        with disk.on() as root:
            shutil.copytree(lab.template, root / "state")
            disk.sync()
            done = lab.disturbed(root / "state", "none", None, tmp_path / "trace")
            disk.cut()
        assert done.returncode == 0

        with disk.on() as root:
            if scenario.name.startswith("rotation"):
                assert checks.version_of(root / "state") == NEW_VERSION
                assert len(list((root / "state").glob("*.bak"))) == 1
            else:
                assert any((root / "state" / "out").glob("b*/inventory.json"))
            scenario.check(root / "state")
            shutil.rmtree(root / "state")
