from __future__ import annotations

import errno
import fcntl
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bty_app.errors import ConflictError, StorageError
from bty_app.store import claims, publish


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def write_half_a_file(path: Path) -> None:
    with publish.publishing_file(path) as file:
        file.write(b"half")
        raise ZeroDivisionError


def write_half_a_directory(parent: Path, name: str) -> None:
    with publish.publish_directory(parent, name, replace=True) as folder:
        publish.write_file(folder / "b", b"2")
        raise ZeroDivisionError


def test_a_file_appears_with_its_content_and_mode(tmp_path: Path) -> None:
    publish.publish_file(tmp_path / "a", b"one", mode=0o640)
    publish.publish_file(tmp_path / "a", b"two")

    assert (tmp_path / "a").read_bytes() == b"two"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    assert names(tmp_path) == ["a"]


def test_a_failure_leaves_the_file_that_was_there(tmp_path: Path) -> None:
    publish.publish_file(tmp_path / "a", b"one")

    with pytest.raises(ZeroDivisionError):
        write_half_a_file(tmp_path / "a")

    assert (tmp_path / "a").read_bytes() == b"one"
    assert names(tmp_path) == ["a"]


def test_a_file_that_must_be_new_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"one")

    with (
        pytest.raises(ConflictError),
        publish.publishing_file(tmp_path / "a", replace=False) as file,
    ):
        file.write(b"two")

    assert (tmp_path / "a").read_bytes() == b"one"
    assert names(tmp_path) == ["a"]


def test_a_missing_directory_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="No such file"):
        publish.publish_file(tmp_path / "none" / "a", b"")


def test_a_directory_appears_whole(tmp_path: Path) -> None:
    with publish.publish_directory(tmp_path, "d") as folder:
        publish.write_file(folder / "a", b"1")
        (folder / "sub").mkdir()
        publish.write_file(folder / "sub" / "b", b"2")
        assert not (tmp_path / "d").exists()

    assert names(tmp_path) == ["d"]
    assert (tmp_path / "d" / "sub" / "b").read_bytes() == b"2"


def test_a_directory_that_exists_is_refused_and_kept(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()

    with pytest.raises(ConflictError), publish.publish_directory(tmp_path, "d"):
        pass

    assert names(tmp_path) == ["d"]


@pytest.mark.parametrize("exchange", [True, False])
def test_a_directory_is_replaced_only_when_asked(
    tmp_path: Path, exchange: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not exchange:  # as on a file system without renameat2's flags
        monkeypatch.setattr(publish, "rename2", lambda *_: False)
    with publish.publish_directory(tmp_path, "d") as folder:
        publish.write_file(folder / "a", b"1")

    with publish.publish_directory(tmp_path, "d", replace=True) as folder:
        publish.write_file(folder / "b", b"2")

    assert names(tmp_path) == ["d"]
    assert names(tmp_path / "d") == ["b"]


def test_a_failure_leaves_the_directory_that_was_there(tmp_path: Path) -> None:
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "a").write_bytes(b"1")

    with pytest.raises(ZeroDivisionError):
        write_half_a_directory(tmp_path, "d")

    assert names(tmp_path) == ["d"]
    assert names(tmp_path / "d") == ["a"]


def test_a_created_file_never_follows_a_link_or_replaces(tmp_path: Path) -> None:
    (tmp_path / "target").write_bytes(b"1")
    (tmp_path / "link").symlink_to(tmp_path / "target")

    for name in ("target", "link"):
        with pytest.raises(StorageError, match="exists"):
            publish.write_file(tmp_path / name, b"2")

    assert (tmp_path / "target").read_bytes() == b"1"


def test_what_a_killed_publication_left_is_swept_and_a_living_one_is_not(tmp_path: Path) -> None:
    killed = (
        "import os, sys, signal\nfrom pathlib import Path\nfrom bty_app.store import publish\n"
        "with publish.publish_directory(Path(sys.argv[1]), 'd') as folder:\n"
        "    publish.write_file(folder / 'a', b'1')\n"
        "    with publish.publishing_file(Path(sys.argv[1]) / 'f') as file:\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", killed, str(tmp_path)], check=False)
    left = names(tmp_path)

    with (
        publish.publish_directory(tmp_path, "living") as living,
        publish.publishing_file(tmp_path / "alive") as file,
    ):
        publish.sweep(tmp_path)
        during = names(tmp_path)
        file.write(b"1")

    assert [name.rpartition(".")[0] for name in left] == [".tmp-d", ".tmp-f"]
    assert len(during) == 2
    assert living.name in during
    assert names(tmp_path) == ["alive", "living"]


@pytest.mark.parametrize("what", ["file", "directory", "scratch"])
def test_a_sweep_between_making_and_locking_costs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    lock, sweeps = fcntl.flock, iter("xx")

    def swept_before(descriptor: int, kind: int) -> None:
        if not kind & fcntl.LOCK_NB and next(sweeps, ""):
            publish.sweep(tmp_path)
        lock(descriptor, kind)

    monkeypatch.setattr(fcntl, "flock", swept_before)
    if what == "file":
        publish.publish_file(tmp_path / "a", b"1")
    elif what == "directory":
        with publish.publish_directory(tmp_path, "a") as folder:
            publish.write_file(folder / "b", b"2")
    else:
        with publish.scratch_directory(tmp_path, "a") as folder:
            publish.write_file(folder / "b", b"2")

    assert not next(sweeps, "")
    assert names(tmp_path) == ([] if what == "scratch" else ["a"])


def test_a_temporary_name_that_another_namespace_has_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two programs of the same number, each in a container of its own."""
    taken = tmp_path / ".tmp-a.1-1"
    taken.write_bytes(b"theirs")
    proposed = iter([taken.name, ".tmp-a.1-2"])
    monkeypatch.setattr(claims, "temporary_name", lambda _name: next(proposed))
    with taken.open("rb") as theirs:
        fcntl.flock(theirs, fcntl.LOCK_EX)
        publish.publish_file(tmp_path / "a", b"ours")

    assert taken.read_bytes() == b"theirs"
    assert (tmp_path / "a").read_bytes() == b"ours"


def test_a_directory_that_is_gone_is_an_error_and_no_endless_search(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()

    folder = os.open(gone, os.O_RDONLY)
    gone.rmdir()
    with pytest.raises(FileNotFoundError):
        claims.claimed(folder, "a", lambda new: claims.new_directory(folder, new))
    os.close(folder)


def test_a_scratch_directory_is_gone_afterwards(tmp_path: Path) -> None:
    with publish.scratch_directory(tmp_path, "s") as folder:
        publish.write_file(folder / "a", b"1")

    assert names(tmp_path) == []


@pytest.mark.system
def test_everything_is_durable_before_it_has_its_name(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom pathlib import Path\nfrom bty_app.store import publish\n"
        "with publish.publish_directory(Path(sys.argv[1]), 'd') as folder:\n"
        "    publish.write_file(folder / 'a', b'1')\n"
        "publish.publish_file(Path(sys.argv[1]) / 'f', b'1')\n"
    )
    calls = "trace=fsync,rename,renameat,renameat2"
    trace = subprocess.run(
        ["strace", "-f", "-y", "-e", calls, sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        check=True,
    ).stderr
    steps = []
    for line in trace.splitlines():
        if str(tmp_path) in line:
            call, _, arguments = line.partition("(")
            place = arguments.partition("<")[2].partition(">")[0].removeprefix(str(tmp_path))
            steps.append((call[:6], re.sub(r"\.\d+-\d+", "", place)))

    assert [step for step in steps if step[0] in ("fsync", "rename")] == [
        ("fsync", "/.tmp-d/a"),  # as it is written
        ("fsync", "/.tmp-d/a"),  # with all that the directory holds
        ("fsync", "/.tmp-d"),
        ("rename", ""),
        ("fsync", ""),
        ("fsync", "/.tmp-f"),
        ("rename", ""),
        ("fsync", ""),
    ]


def test_a_file_system_without_modes_is_said_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_descriptor: int, _mode: int) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "fchmod", refused)
    publish.publish_file(tmp_path / "a", b"one")  # it has its mode already

    before = os.umask(0o277)
    try:
        with pytest.raises(StorageError, match=r"a: cannot be given the mode 0600"):
            publish.publish_file(tmp_path / "a", b"two")
    finally:
        os.umask(before)
    assert (tmp_path / "a").read_bytes() == b"one"
    assert names(tmp_path) == ["a"]
