"""`live build`: what is refused before anything is fetched."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bty_app.cli.main import main
from bty_app.live import build


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        ((), 65, "say where it goes"),
        (("--iso", "x.iso", "--arch", "arm64"), 65, "only for amd64"),
        (("--output", "README.md"), 75, "exists already"),
        (("--output", "new", "--suite", "a b"), 65, "no name of a Debian suite"),
        (("--output", "new", "--name", "../x"), 78, "must be a version"),
        (("--output", "new", "--ssh-key", "README.md"), 65, "no public key of ssh"),
        (("--output", "new", "--ssh-key", "nowhere"), 65, "cannot be read"),
    ],
)
def test_what_cannot_be_is_one_line(
    words: tuple[str, ...], status: int, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["live", "build", *words]) == status

    assert sentence in capsys.readouterr().err


def test_a_depmod_that_cannot_read_packed_modules_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else no module of the live environment would be found, and no card and no disk with it."""
    old = tmp_path / "depmod"
    old.write_text("#!/bin/sh\necho 'kmod version 27'\necho '+XZ -ZSTD'\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")

    assert main(["live", "build", "--output", str(tmp_path / "set")]) == 66
    assert "depmod of this system reads no modules packed with zstd" in capsys.readouterr().err


def test_a_missing_program_is_named_with_its_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(build, "TOOLS", {"no-such-program": "its-package"})

    assert main(["live", "build", "--output", str(tmp_path / "live")]) == 66

    assert "no-such-program is missing: apt-get install its-package" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
