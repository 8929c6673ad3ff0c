"""Releases of a host stand side by side, and one name leads to the one that is started."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from bty_app.deploy import host_files
from bty_app.deploy.host_files import HostFiles
from bty_app.deploy.host_stack import HostStack
from bty_app.deploy.own_file import own_file
from bty_app.deploy.stack import Release
from bty_app.deploy.stacks import Wanted, of
from bty_app.deploy.systemd import Unit
from bty_app.errors import InvalidInputError, NotFoundError, StorageError


def program(path: Path, version: str, more: str = "") -> Path:
    path.write_text(f"print('bty {version}') {more}\n")
    return path


@pytest.fixture
def files(tmp_path: Path) -> HostFiles:
    folder = tmp_path / "lib"
    folder.mkdir()
    program(folder / "bty.pyz", "0.91.0")
    return HostFiles(folder)


def names(files: HostFiles) -> list[str]:
    return sorted(path.name for path in files.directory.iterdir())


def test_a_plain_file_gets_a_name_and_the_new_one_a_link(files: HostFiles, tmp_path: Path) -> None:
    before = files.link.read_bytes()
    old = files.current()
    assert (old.version, Path(old.reference).name) == ("0.91.0", "bty-0.91.0.pyz")
    assert files.path_of(old) == files.link

    files.keep_current()
    new = files.add(program(tmp_path / "new", "0.92.0"), "0.92.0")
    files.choose(new)

    assert names(files) == ["bty-0.91.0.pyz", "bty-0.92.0.pyz", "bty.pyz"]
    assert files.link.readlink() == Path("bty-0.92.0.pyz")
    assert files.current() == new
    assert files.path_of(old).read_bytes() == before
    assert Path(new.reference).stat().st_mode & 0o777 == 0o755

    files.choose(old)
    assert files.current() == old


def test_what_was_copied_over_a_release_is_kept_under_its_own_name(
    files: HostFiles, tmp_path: Path
) -> None:
    files.keep_current()
    files.choose(files.current())
    files.link.write_text("print('bty 0.91.5')\n")  # `cp`, which follows the link

    files.keep_current()

    assert files.current().version == "0.91.5"
    assert Path(files.current().reference).read_text() == "print('bty 0.91.5')\n"
    files.add(program(tmp_path / "new", "0.92.0"), "0.92.0")


def test_what_a_killed_run_left_is_in_nobodys_way(files: HostFiles) -> None:
    (files.directory / ".tmp-bty.pyz").symlink_to("nowhere")
    files.keep_current()

    files.choose(files.current())

    assert names(files) == ["bty-0.91.0.pyz", "bty.pyz"]


@pytest.mark.parametrize("text", ["print('hello')", "raise SystemExit(3)", "print('bty ../../x')"])
def test_what_is_no_bty_is_refused(files: HostFiles, tmp_path: Path, text: str) -> None:
    (tmp_path / "new").write_text(text)

    with pytest.raises(InvalidInputError, match="is no bty"):
        files.add(tmp_path / "new", "0.92.0")
    assert names(files) == ["bty.pyz"]


def test_another_version_than_the_one_that_was_asked_for_is_refused(
    files: HostFiles, tmp_path: Path
) -> None:
    with pytest.raises(InvalidInputError, match=r"is bty 0\.93\.0, and not 0\.92\.0"):
        files.add(program(tmp_path / "new", "0.93.0"), "0.92.0")


def test_a_copy_that_does_not_read_back_is_refused(
    files: HostFiles, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(host_files, "_digest", lambda _path: "0" * 64)

    with pytest.raises(StorageError, match="does not read back"):
        files.add(program(tmp_path / "new", "0.92.0"), "0.92.0")


def test_a_release_that_is_gone_cannot_be_chosen(files: HostFiles) -> None:
    with pytest.raises(NotFoundError, match="no such file any more"):
        files.choose(Release("0.90.0", str(files.directory / "bty-0.90.0.pyz")))
    assert not files.link.is_symlink()


def test_a_directory_says_what_it_is(files: HostFiles, tmp_path: Path) -> None:
    wanted = Wanted(tmp_path, "http://127.0.0.1:8080")

    assert of(files.directory, wanted).current().version == "0.91.0"
    with pytest.raises(NotFoundError, match=r"neither bty\.pyz nor compose\.yml"):
        of(tmp_path, wanted)


def test_a_program_knows_the_file_that_it_was_started_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", [os.devnull])
    assert own_file() is None
    monkeypatch.setattr(sys, "argv", [str(program(tmp_path / "bty.pyz", "1"))])
    assert own_file() == tmp_path / "bty.pyz"


def test_commands_are_run_as_the_owner_of_the_state(quick_dir: Path) -> None:
    """What they write must stay the service's own."""
    if os.geteuid() != 0:
        pytest.skip("NOT ROOT: nothing is proven of whose files an upgrade by root leaves")
    for folder in (quick_dir, quick_dir / "lib", quick_dir / "state"):
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
    text = "import os, sys; print(os.getuid(), os.getgid(), os.getgroups(), sys.argv[1:])"
    (quick_dir / "lib" / "bty.pyz").write_text(text)
    (quick_dir / "lib" / "bty.pyz").chmod(0o755)  # whatever the umask is
    os.chown(quick_dir / "state", 65534, 65533)
    wanted = Wanted(quick_dir / "state", "http://127.0.0.1:8080")
    stack = HostStack(
        HostFiles(quick_dir / "lib", python="/usr/bin/python3"),
        Unit("bty-no-such-unit"),
        wanted.state_dir,
        wanted.url,
        None,
    )

    done = stack.run(Release("1", str(quick_dir / "lib" / "bty.pyz")), ("backup", "--json"))

    assert done.stdout == "65534 65533 [] ['backup', '--json']\n", done
