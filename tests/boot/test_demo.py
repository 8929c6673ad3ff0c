"""`bty demo` tells the whole story, and leaves nothing behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bty_app.demo.box import MAC
from bty_app.demo.image import IMAGE_BYTES, SAYS, image

pytestmark = pytest.mark.boot


def test_a_box_is_found_flashed_and_boots(pyz: Path, live_set: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-I", "-S", str(pyz), "demo", "--live", str(live_set)]

    done = subprocess.run(
        command,
        env={**os.environ, "TMPDIR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    told = done.stdout.splitlines()
    assert [line[:2] for line in told if line[:1].isdigit()] == ["1.", "2.", "3.", "4."]
    assert f"   the box: {SAYS}" in told
    assert any(line.endswith(f"/ui/machines/{MAC}") for line in told)
    assert list(tmp_path.iterdir()) == []


def test_its_image_is_a_disk_that_boots() -> None:
    made = image()

    assert len(made) == IMAGE_BYTES
    assert made[510:512] == b"\x55\xaa"
    assert SAYS.encode() in made[:510]
