"""The reader of strace's output sees what it has to see."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.pyz.strace import Change, changed, outside


@pytest.mark.parametrize(
    ("line", "paths"),
    [
        ('openat(AT_FDCWD</srv>, "a", O_WRONLY|O_CREAT, 0600) = 3</srv/a>', ["/srv/a"]),
        ('openat(AT_FDCWD</srv>, "/etc/x", O_RDONLY|O_CLOEXEC) = 3</etc/x>', []),
        ('openat(AT_FDCWD</srv>, "/x", O_RDWR|O_CREAT, 0600) = -1 EROFS (Read-only…)', []),
        ('mkdir("b", 0700) = 0', ["/srv/b"]),
        (
            'renameat2(5</s/native>, ".t", 5</s/native>, "n", 0) = 0',
            ["/s/native/.t", "/s/native/n"],
        ),
        ('unlinkat(5</s>, "../etc/x", 0) = 0', ["/etc/x"]),
        ('bind(3<UNIX:[1]>, {sa_family=AF_UNIX, sun_path="/run/x"}, 110) = 0', ["/run/x"]),
        ("bind(3<TCP:[1]>, {sa_family=AF_INET, sin_port=htons(0)}, 16) = 0", []),
        ('openat(AT_FDCWD</srv>, "/dev/null", O_RDWR) = 3</dev/null>', []),
        ("+++ exited with 0 +++", []),
    ],
)
def test_a_line_gives_the_paths_that_it_changed(line: str, paths: list[str]) -> None:
    assert [change.path for change in changed(line, directory="/srv")] == paths


def test_a_neighbour_with_the_same_beginning_is_outside() -> None:
    found = [Change("mkdir", "/s/bty"), Change("mkdir", "/s/bty/x"), Change("mkdir", "/s/bty2")]

    assert outside(found, state_dir=Path("/s/bty")) == [Change("mkdir", "/s/bty2")]
