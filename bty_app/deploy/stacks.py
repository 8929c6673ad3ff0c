"""What a directory is that bty is run from: the single file of a host, or a stack of containers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bty_app.deploy import opening
from bty_app.deploy.host_files import LINK, HostFiles
from bty_app.deploy.host_stack import HostStack
from bty_app.deploy.stack import Stack
from bty_app.deploy.systemd import Unit
from bty_app.errors import NotFoundError

_OF_CONTAINERS = ("compose.yml", "envvars")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the command was told of a host; `offered` is the file of a newer release. Containers are
    as their own files say.
    """

    state_dir: Path
    url: str
    service: str = "bty"
    offered: Path | None = None


def is_host(directory: Path) -> bool:
    """Whether it is the directory of a single file."""
    return (directory / LINK).exists()


def of(directory: Path, wanted: Wanted) -> Stack:
    """What runs bty from `directory`.

    Raises:
        NotFoundError: nothing of bty is there.
        ConfigError: it cannot be upgraded.
    """
    if is_host(directory):
        return HostStack(
            HostFiles(directory),
            Unit(wanted.service),
            wanted.state_dir,
            wanted.url,
            wanted.offered,
        )
    if not any((directory / name).exists() for name in _OF_CONTAINERS):
        raise NotFoundError(
            f"{directory}: here is neither {LINK} nor {' nor '.join(_OF_CONTAINERS)}: name the"
            " directory that bty was installed or deployed into"
        )
    return opening.open_stack(directory)
