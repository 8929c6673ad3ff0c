"""What gets a name is on the disk before, and its directory after: at every scenario's calls."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.crashlab.durability import CALLS, Order
from tests.crashlab.lab import _ENVIRONMENT, Lab
from tests.crashlab.program import BEGIN, END
from tests.crashlab.scenarios import SCENARIOS, Scenario

pytestmark = pytest.mark.system


@pytest.mark.parametrize(
    "scenario", [one for one in SCENARIOS if not one.standing], ids=lambda scenario: scenario.name
)
def test_nothing_has_its_name_before_it_is_durable(scenario: Scenario, tmp_path: Path) -> None:
    assert shutil.which("strace"), "strace is missing: no order is proven here; install strace"
    lab = Lab(scenario, tmp_path / "lab")
    state, trace = tmp_path / "state", tmp_path / "trace"
    shutil.copytree(lab.template, state, symlinks=True)
    command = ["strace", "-f", "-y", "-qqq", "-o", str(trace), "-s", "4096"]
    done = subprocess.run(
        [*command, "-e", f"trace={CALLS}", *lab._program(state)],
        capture_output=True,
        text=True,
        env=_ENVIRONMENT,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr

    order = Order(str(state)).read(trace.read_text(errors="replace").splitlines())

    assert order.broken == []
    # In the live database alone.
    assert order.named or scenario.name in {"recovery", "import", "tale of an upgrade"}


@pytest.mark.parametrize(
    ("lines", "broken"),
    [
        (['write(3</s/.t>, "x", 1) = 1', 'rename("/s/.t", "/s/n") = 0'], 2),
        (['write(3</s/.t>, "x", 1) = 1', "fsync(3</s/.t>) = 0", 'rename("/s/.t", "/s/n") = 0'], 1),
        (['renameat(4</s>, ".t", 4</s>, "n") = 0', "fsync(4</s>) = 0"], 0),
        (['write(3</s/.d/a>, "x", 1) = 1', 'rename("/s/.d", "/s/d") = 0', "fsync(4</s>) = 0"], 1),
        (['write(3</s/.t>, "x", 1) = 1', 'rename("/s/.t", "/s/n") = -1 EIO (x)'], 0),
    ],
)
def test_an_order_that_is_wrong_is_seen(lines: list[str], broken: int) -> None:
    marked = [f'rmdir("{BEGIN}") = -1 ENOENT (x)', *lines, f'rmdir("{END}") = -1 ENOENT (x)']

    assert len(Order("/s").read(marked).broken) == broken
