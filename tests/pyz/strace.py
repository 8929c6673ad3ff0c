"""What a traced program changed in the file system, read from strace's output."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CALLS = (
    "open,openat,openat2,creat,mkdir,mkdirat,mknod,mknodat,rename,renameat,renameat2,link,linkat,"
    "symlink,symlinkat,unlink,unlinkat,rmdir,truncate,chmod,fchmodat,chown,lchown,fchownat,"
    "utimensat,setxattr,lsetxattr,bind"
)
"""For `strace -y -ff -e trace=`: every call that can change a path."""

_LINE = re.compile(r"^(?P<call>\w+)\((?P<arguments>.*)\)\s+= (?P<result>-?\w+)")
# A path as strace prints it, after the directory it may be relative to: `5</var/lib/bty>, "x"`.
_PATH = re.compile(r'(?:(?:AT_FDCWD|\d+)<(?P<base>[^>]*)>, )?"(?P<path>(?:[^"\\]|\\.)*)"')
_WRITING = re.compile(r"O_(WRONLY|RDWR|CREAT|TRUNC)|^openat2")
_HARMLESS = frozenset({"/dev/null", "/dev/tty"})


@dataclass(frozen=True, slots=True)
class Change:
    """A call that succeeded in changing `path`."""

    call: str
    path: str


def options(output: Path) -> list[str]:
    """strace's arguments; each thread's calls go to `output.<number>`."""
    return ["-D", "-ff", "-y", "-s", "4096", "-e", f"trace={CALLS}", "-o", str(output)]


def changes(output: Path, *, directory: str) -> list[Change]:
    """All changes in the files that `options(output)` made; `directory` is where it started."""
    files = sorted(output.parent.glob(f"{output.name}.*"))
    lines = (line for file in files for line in file.read_text("utf-8", "replace").splitlines())
    return [change for line in lines for change in changed(line, directory=directory)]


def changed(line: str, *, directory: str) -> Iterator[Change]:
    """The paths that one line of strace says were changed."""
    found = _LINE.match(line)
    if found is None or found["result"].startswith("-"):
        return
    if found["call"].startswith("open") and not _WRITING.search(found["arguments"]):
        return
    if found["call"] == "bind" and "sun_path" not in found["arguments"]:
        return
    for match in _PATH.finditer(found["arguments"]):
        path = os.path.normpath(Path(match["base"] or directory) / match["path"])
        if path not in _HARMLESS:
            yield Change(found["call"], path)


def outside(found: list[Change], *, state_dir: Path) -> list[Change]:
    """Those of `found` that are not in `state_dir`."""
    inside = (str(state_dir), f"{state_dir}/")
    return [c for c in found if c.path != inside[0] and not c.path.startswith(inside[1])]
