"""A deployment from its directory: its choices, its files, and what runs it."""

from __future__ import annotations

import contextlib
import fcntl
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bty_app.deploy import choices, engines, writing
from bty_app.deploy.choices import Choices
from bty_app.deploy.compose import ComposeStack
from bty_app.deploy.containers import Deployment
from bty_app.deploy.envvars import Envvars
from bty_app.deploy.files import COMPOSE, ENVVARS, EXAMPLE
from bty_app.deploy.generations import FOLDERS
from bty_app.deploy.marks import Origin, origin
from bty_app.deploy.programs import Programs
from bty_app.deploy.quadlet import UNITS, QuadletStack
from bty_app.errors import ConflictError, NotFoundError
from bty_app.store.directories import disk_failures, opened_directory
from bty_app.store.publish import make_directories, sweep

ContainerStack = ComposeStack | QuadletStack


@contextmanager
def held(directory: Path) -> Iterator[None]:
    """Keep others from changing this deployment while the block runs. The directory is made where
    it is not there, and goes again when nothing was put into it. What a killed one left is swept.

    Raises:
        ConflictError: another bty changes it now.
        StorageError: there is no such directory, and it cannot be made.
    """
    make_directories(directory)
    with disk_failures(directory), opened_directory(directory) as descriptor:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConflictError(f"another bty changes {directory} now: wait for its end") from None
        for place in (directory, *(directory / name for name in FOLDERS)):
            if place.is_dir():
                sweep(place)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):  # it is not empty, or gone
                directory.rmdir()


def envvars_of(directory: Path) -> Envvars | None:
    """The choices as they stand there; None where nobody has made any.

    Raises:
        StorageError: the file cannot be read.
    """
    path = directory / ENVVARS
    text = writing.text_of(path)
    return None if text is None else Envvars(text, str(path))


def open_stack(
    directory: Path, programs: Programs | None = None, *, units: Path = UNITS
) -> ContainerStack:
    """The deployment of a directory, by what its `envvars` says.

    Raises:
        NotFoundError: there is none, or a program is missing.
        ConfigError: a choice is wrong: the file, the line, and what would be right.
    """
    found = envvars_of(directory)
    if found is None or not is_ours(directory):
        raise _none(directory)
    programs = programs or Programs(_to_stderr)
    return stack_of(directory, choices.read(found, directory), programs, units=units)


def stack_of(
    directory: Path, chosen: Choices, programs: Programs, *, units: Path = UNITS
) -> ContainerStack:
    """What runs a deployment with these choices.

    Raises:
        NotFoundError: a program is missing.
    """
    engine = engines.find(programs, composes=not chosen.systemd)
    at = Deployment(directory, chosen, engine, programs)
    return QuadletStack(at, units) if chosen.systemd else ComposeStack(at)


def is_ours(directory: Path) -> bool:
    """Whether a file there says that we wrote it.

    Raises:
        StorageError: it cannot be read.
    """
    return any(_marked(directory / name) for name in (COMPOSE, EXAMPLE))


def ours_of(paths: Iterable[Path]) -> list[Path]:
    """Those files that are there and that we wrote, changed since or not.

    Raises:
        StorageError: one cannot be read.
    """
    return [path for path in paths if _marked(path)]


def _marked(path: Path) -> bool:
    text = writing.text_of(path)
    return text is not None and origin(text) is not Origin.FOREIGN


def _to_stderr(line: str) -> None:
    sys.stderr.write(f"{line}\n")


def _none(directory: Path) -> NotFoundError:
    return NotFoundError(f"{directory} is no deployment of bty: bty deploy {directory} makes one")
