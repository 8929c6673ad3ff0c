"""A spread sample of cuts while a backup is copied to a server; `--places` tries every one."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crashlab import remote
from tests.crashlab.lab import TALKING_FAULTS, Lab
from tests.crashlab.scenarios import Scenario

SAMPLE_STRIDE = 9

pytestmark = pytest.mark.system


@pytest.fixture(scope="module")
def known() -> Iterator[tuple[Scenario, ...]]:
    if shutil.which("strace") is None:
        pytest.fail("strace is missing: nothing about cut connections is proven; install strace")
    with remote.scenarios() as found:
        yield found


@pytest.mark.parametrize("kind", ["S3", "WebDAV"])
def test_a_copy_that_is_cut_off_anywhere_on_its_way_is_none_and_is_gone_on_with(
    known: tuple[Scenario, ...], kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (scenario,) = (one for one in known if one.name.endswith(kind))
    lab = Lab(scenario, tmp_path / "lab")

    tallies = [lab.undisturbed()]
    for number, fault in enumerate(TALKING_FAULTS):
        tallies.append(lab.run(fault, stride=SAMPLE_STRIDE, offset=number * 2))

    with capsys.disabled():
        print(f"\n{scenario.name}: {sum(t.points for t in tallies)} tried")
    assert all(tally.points for tally in tallies)
    assert [text for tally in tallies for text in tally.violations] == []
