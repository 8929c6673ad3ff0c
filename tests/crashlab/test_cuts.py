"""A spread sample of the crash laboratory; `python -m tests.crashlab` tries every point."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.crashlab.lab import FAULTS, Lab, Tally
from tests.crashlab.scenarios import SCENARIOS, WRONG, WRONG_WHEN_THE_DISK_FAILS, Scenario

SAMPLE_STRIDE = 41

pytestmark = pytest.mark.system


@pytest.fixture(autouse=True)
def _has_strace() -> None:
    if shutil.which("strace") is None:
        pytest.fail("strace is missing: nothing about crashes is proven here; install strace")


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda scenario: scenario.name)
def test_a_cut_at_any_sampled_system_call_loses_nothing_and_heals_at_the_next_start(
    scenario: Scenario, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lab = Lab(scenario, tmp_path / "lab")

    tallies = [lab.undisturbed()]
    for number, fault in enumerate(FAULTS):
        first = number * 5 % min(SAMPLE_STRIDE, len(lab.faults(fault)))
        tallies.append(lab.run(fault, stride=SAMPLE_STRIDE, offset=first))

    with capsys.disabled():
        print(
            f"\n{scenario.name}: {len(lab.points)} points, {sum(t.points for t in tallies)} tried"
        )
    assert all(tally.points for tally in tallies)
    assert [text for tally in tallies for text in tally.violations] == []


def test_a_read_that_the_disk_refuses_once_is_not_taken_for_damage(tmp_path: Path) -> None:
    lab = Lab(SCENARIOS[0], tmp_path / "lab")

    tally = lab.run_reads(stride=6)

    assert tally.points > 10
    assert tally.violations == []


def test_the_laboratory_catches_a_rotation_that_unlinks_the_log(tmp_path: Path) -> None:
    lab = Lab(WRONG, tmp_path / "lab")

    tally = lab.undisturbed()

    assert _lost(tally)


def test_the_laboratory_catches_a_rotation_that_trusts_closing_when_the_disk_fails(
    tmp_path: Path,
) -> None:
    lab = Lab(WRONG_WHEN_THE_DISK_FAILS, tmp_path / "lab")

    undisturbed = lab.undisturbed()
    failing = lab.run("EIO", stride=4)

    assert not _lost(undisturbed)
    assert _lost(failing)


def _lost(tally: Tally) -> list[str]:
    signs = ("acknowledged", "malformed", "no such table", "rows cannot be read")
    return [text for text in tally.violations if any(sign in text for sign in signs)]
