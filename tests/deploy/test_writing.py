"""What is shown and written of a deployment's files."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from bty_app.deploy import writing
from bty_app.deploy.files import File
from bty_app.deploy.marks import marked
from bty_app.deploy.writing import ChangedFileError


def test_a_difference_shows_that_a_password_changed_and_not_which(tmp_path: Path) -> None:
    (tmp_path / "envvars").write_text("A_PASSWORD=one\nB_PASSWORD=two\nPORT=1\n")
    wanted = File("envvars", "A_PASSWORD=one\nB_PASSWORD=three\nPORT=2\n", 0o600)

    shown = writing.difference(writing.changes(tmp_path, [wanted]))

    assert " A_PASSWORD=***\n" in shown
    assert "-B_PASSWORD=***\n+B_PASSWORD=*** (new)\n" in shown.replace("-PORT=1\n", "")
    assert "+PORT=2\n" in shown
    assert not any(word in shown for word in ("one", "two", "three"))


def test_only_what_differs_is_a_change(tmp_path: Path) -> None:
    files = [File("a", "1"), File("b/c", "2", 0o600)]
    writing.write(writing.changes(tmp_path, files))
    assert writing.changes(tmp_path, files) == []

    (tmp_path / "b/c").chmod(0o644)
    (found,) = writing.changes(tmp_path, files)

    assert (found.before, found.after, found.before_mode) == ("2", "2", 0o644)
    assert "mode 0644 -> 0600" in writing.difference([found])
    writing.write([found])
    assert stat.S_IMODE((tmp_path / "b/c").stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("there", "ours_too", "refused"),
    [
        ("mine\n", False, "is not ours"),
        (marked("x\n") + "mine\n", False, "is ours, changed since"),
        (marked("x\n"), False, ""),
        (marked("x\n"), True, "is another than would be written"),
    ],
)
def test_a_file_is_written_over_only_when_it_is_as_we_wrote_it(
    tmp_path: Path, there: str, ours_too: bool, refused: str
) -> None:
    (tmp_path / "a").write_text(there)
    wanted = writing.changes(tmp_path, [File("a", marked("y\n"))])

    if refused:
        with pytest.raises(ChangedFileError, match=refused):
            writing.refuse(wanted, ours_too=ours_too)
    else:
        writing.refuse(wanted, ours_too=ours_too)


def test_a_file_that_is_no_text_is_not_ours_and_can_be_shown(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"\xff\x1b[2J\n")
    wanted = writing.changes(tmp_path, [File("a", "b\n")])

    shown = writing.difference(wanted)

    assert "-??[2J\n" in shown
    with pytest.raises(ChangedFileError):
        writing.refuse(wanted, ours_too=False)
