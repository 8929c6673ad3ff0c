"""Files of a deployment on the disk: what would change, whose it is, and the change itself."""

from __future__ import annotations

import contextlib
import difflib
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bty_app.deploy.envvars import SECRET
from bty_app.deploy.files import File
from bty_app.deploy.marks import Origin, origin
from bty_app.errors import BtyError, StorageError
from bty_app.store.place import sync_directory
from bty_app.store.publish import make_directories, publish_file


class ChangedFileError(BtyError):
    """A file stands where we would write, and it is not as we would have written it."""

    code = "changed_file"


@dataclass(frozen=True, slots=True)
class Change:
    """A file that is not as it should be. `before` is None where there is none."""

    path: Path
    before: str | None
    after: str
    mode: int
    before_mode: int = 0


def changes(directory: Path, files: Iterable[File]) -> list[Change]:
    """What is to be written so that the files are there as given.

    Raises:
        StorageError: what is there cannot be read.
    """
    found = []
    for file in files:
        path = directory / file.name
        before, mode = _read(path)
        if before != file.text or mode != file.mode:
            found.append(Change(path, before, file.text, file.mode, mode))
    return found


def refuse(wanted: Sequence[Change], *, ours_too: bool) -> None:
    """Refuse to write over what is not ours, or was changed since; with `ours_too`, over any other
    text at all.

    Raises:
        ChangedFileError: there is such a file.
    """
    for change in wanted:
        if change.before is None or change.before == change.after:
            continue
        found = origin(change.before)
        if ours_too or found is not Origin.OURS:
            words = "is another than would be written" if ours_too else f"is {found.value}"
            raise ChangedFileError(
                f"{change.path} {words}; nothing was written. --force writes over it"
            )


def difference(wanted: Iterable[Change]) -> str:
    """The changes as a unified diff, without passwords."""
    text = "".join(_difference(change) for change in wanted)
    # What somebody else wrote goes to a terminal.
    return "".join(c if c.isprintable() or c in "\n\t" else "?" for c in text)


def write(wanted: Iterable[Change]) -> None:
    """Carry the changes out, each file whole and durable.

    Raises:
        StorageError: one cannot be written. Those before it are written.
    """
    for change in wanted:
        make_directories(change.path.parent)
        publish_file(change.path, change.after.encode("utf-8", "surrogateescape"), mode=change.mode)


def remove(path: Path) -> None:
    """Take a file away; none there is fine.

    Raises:
        StorageError: it cannot be removed.
    """
    try:
        path.unlink(missing_ok=True)
        with contextlib.suppress(FileNotFoundError):
            sync_directory(path.parent)
    except OSError as error:
        raise StorageError(f"{path}: cannot be removed: {error.strerror}") from error


def text_of(path: Path) -> str | None:
    """The text of a file; None where there is none.

    Raises:
        StorageError: it cannot be read.
    """
    return _read(path)[0]


def mode_of(path: Path) -> int:
    """The permissions of a file; 0 where there is none.

    Raises:
        StorageError: it cannot be read.
    """
    return _read(path)[1]


def _read(path: Path) -> tuple[str | None, int]:
    try:
        text = path.read_bytes().decode("utf-8", "surrogateescape")
        return text, stat.S_IMODE(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return None, 0
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from error


def _difference(change: Change) -> str:
    before = (change.before or "").splitlines(keepends=True)
    secret = {line for line in before if SECRET.match(line)}
    shown = ["", ""]
    for at, lines in enumerate((before, change.after.splitlines(keepends=True))):
        shown[at] = "".join(_masked(line, known=line in secret) for line in lines)
    lines = list(
        difflib.unified_diff(
            shown[0].splitlines(keepends=True),
            shown[1].splitlines(keepends=True),
            "/dev/null" if change.before is None else str(change.path),
            str(change.path),
        )
    )
    if change.before is not None and change.mode != change.before_mode:
        lines.insert(0, f"{change.path}: mode {change.before_mode:04o} -> {change.mode:04o}\n")
    return "".join(line if line.endswith("\n") else f"{line}\n" for line in lines)


def _masked(line: str, *, known: bool) -> str:
    """A changed password shows that it changed, and nothing else."""
    return SECRET.sub(r"\1***" if known else r"\1*** (new)", line)
