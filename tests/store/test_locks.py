from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bty_app.errors import ConflictError, StorageError
from bty_app.store import locks

ROOT = Path(__file__).parents[2]
_HOLDER = """
import sys
from contextlib import ExitStack
from pathlib import Path
from bty_app.store import locks
with ExitStack() as stack:
    kind, place = sys.argv[1], Path(sys.argv[2])
    options = {"about": "pid 4711, bty 1.2.3"} if kind == "serving" else {}
    stack.enter_context(getattr(locks, kind)(place, **options))
    print("held", flush=True)
    sys.stdin.read()
"""


def _held_elsewhere(kind: str, place: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-B", "-c", _HOLDER, kind, str(place)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_many_may_share_the_state(tmp_path: Path) -> None:
    with _held_elsewhere("shared", tmp_path) as other, locks.shared(tmp_path):
        other.kill()


def test_nobody_is_alone_while_others_share_and_the_sentence_names_them(tmp_path: Path) -> None:
    with _held_elsewhere("shared", tmp_path) as other:
        with (
            pytest.raises(ConflictError, match=rf"pid {other.pid}\b"),
            locks.exclusive(tmp_path),
        ):
            pass
        other.kill()


def test_a_second_server_is_told_who_the_first_is(tmp_path: Path) -> None:
    with _held_elsewhere("serving", tmp_path) as other:
        with (
            pytest.raises(ConflictError, match=r"pid 4711, bty 1\.2\.3"),
            locks.serving(tmp_path, about="me"),
        ):
            pass
        other.kill()


@pytest.mark.parametrize("kind", ["shared", "exclusive", "serving"])
def test_a_lock_dies_with_its_holder(tmp_path: Path, kind: str) -> None:
    with _held_elsewhere(kind, tmp_path) as other:
        other.send_signal(signal.SIGKILL)
        other.wait()

        with locks.exclusive(tmp_path), locks.serving(tmp_path, about="me"):
            pass


def test_one_who_waits_gets_the_lock_when_the_holder_leaves(tmp_path: Path) -> None:
    with _held_elsewhere("shared", tmp_path) as other:
        assert other.stdin is not None
        other.stdin.close()

        with locks.exclusive(tmp_path, wait_seconds=10.0):
            pass


def test_lock_files_are_private_and_links_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").touch()
    with locks.shared(tmp_path):
        mode = (tmp_path / "state.lock").stat().st_mode & 0o777
    (tmp_path / "serve.lock").symlink_to(tmp_path / "elsewhere")

    assert mode == 0o600
    with pytest.raises(StorageError), locks.serving(tmp_path, about="me"):
        pass
    assert (tmp_path / "elsewhere").read_bytes() == b""


def test_a_child_process_does_not_inherit_the_lock(tmp_path: Path) -> None:
    with locks.serving(tmp_path, about="me"):
        child = subprocess.Popen(["sleep", "60"], close_fds=False)
    try:
        with locks.serving(tmp_path, about="next"):
            told = (tmp_path / "serve.lock").read_text()
    finally:
        child.kill()
        child.wait()

    assert told == "next"
    assert child.returncode == -signal.SIGKILL


def test_a_child_that_is_being_started_does_not_keep_a_lock_that_was_left(tmp_path: Path) -> None:
    """Found by the crash laboratory: until a child runs its program, it has our descriptors."""
    reading, writing = os.pipe()
    with locks.exclusive(tmp_path):
        child = os.fork()
        if not child:
            os.close(writing)
            os.read(reading, 1)
            os._exit(0)
    try:
        with locks.exclusive(tmp_path):
            pass
    finally:
        os.close(writing)
        os.close(reading)
        os.waitpid(child, 0)


def test_a_second_server_is_refused_also_where_the_disk_was_full(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_arguments: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)

    with (
        locks.serving(tmp_path, about="the first"),
        pytest.raises(ConflictError, match="owns"),
        locks.serving(tmp_path, about="another"),
    ):
        pass
