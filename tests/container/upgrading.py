"""An upgrade of a deployment in containers: its images, and whether nothing was lost."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import apsw

from bty_app import __version__
from tests.container.conftest import OLD
from tests.container.images import CONTAINER, build
from tests.container.lab import Host, programs_path
from tests.container.operator import at
from tests.pyz.releases import rebranded

MAC = "52:54:00:12:34:56"
IMAGE = f"localhost/bty:{__version__}"


@contextmanager
def bad_image(host: Host, pyz: Path, context: Path, **how: Any) -> Iterator[None]:
    """The image of this release is a bad one, as `rebranded` makes it."""
    good = host.podman("image", "inspect", "--format", "{{.Id}}", IMAGE)
    context.mkdir()
    rebranded(pyz, context / "bty.pyz", __version__, **how)
    build(host, f"bty:{__version__}", "-f", CONTAINER / "Containerfile", context)
    yield
    host.podman("tag", good, IMAGE)


def upgrade(
    host: Host, pyz: Path, directory: Path, *words: str, before: tuple[str, ...] = ()
) -> tuple[int, str]:
    """`bty upgrade`, its status and what it said; `before` stands in front of the command."""
    path = before or programs_path()
    told: tuple[str | Path, ...] = ("upgrade", "--watch", "3", *words, directory)
    done = host.run(*path, sys.executable, pyz, *told, check=False)
    return done.returncode, done.stdout + done.stderr


def bind(host: Host, directory: Path) -> None:
    """The old release serves, and an operator has bound a machine."""
    at(host, 8080)
    label = f"label=com.docker.compose.project.working_dir={directory}"
    service = "label=com.docker.compose.service=bty"
    name = host.podman("ps", "--quiet", "--filter", label, "--filter", service)
    words = ("bty", "machine", "set", MAC, "--mode", "ipxe-exit", "--label", "rack-3")
    host.podman("exec", name, *words)


def check_intact(host: Host, directory: Path, version: str) -> None:
    """That release serves; and the old one's data are its own, or in the archive of the new one,
    which knows the machine.
    """
    assert at(host, 8080).ask("GET", "/version")["version"] == version
    state = directory / "data/bty"
    archives = list(state.glob(f"state.db.{OLD}.*.bak"))
    database = state / "state.db"
    if version != OLD:
        assert len(archives) == 1
        assert _asked(database, "SELECT mac FROM machines") == [(MAC,)]
        database = archives[0]
    assert _asked(database, "SELECT mac, label FROM machine_labels") == [(MAC, "rack-3")]
    assert not (directory / "upgrade.json").exists()


def _asked(database: Path, question: str) -> list[tuple[object, ...]]:
    with closing(apsw.Connection(str(database))) as connection:
        return list(connection.execute(question).fetchall())
