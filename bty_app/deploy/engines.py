"""podman or docker, and which compose goes with it: found on this host, or named as missing."""

from __future__ import annotations

from dataclasses import dataclass

from bty_app.deploy.programs import Programs
from bty_app.errors import NotFoundError

_NEEDED = (
    "a program for compose files is missing: install podman with podman-compose"
    " (Debian: apt-get install podman podman-compose), or docker with its compose plugin"
)


@dataclass(frozen=True, slots=True)
class Engine:
    """`name` runs containers; `compose` are the words that start its compose."""

    name: str
    compose: tuple[str, ...] = ()


def find(programs: Programs, *, composes: bool) -> Engine:
    """The engine of this host, podman before docker; with `composes`, one with its compose.

    Raises:
        NotFoundError: none is installed; the sentence says what to install.
    """
    if not composes:
        if not programs.has("podman"):
            raise NotFoundError("the program podman is missing: apt-get install podman")
        return Engine("podman")
    if programs.has("podman"):
        if programs.has("podman-compose"):
            return Engine("podman", ("podman-compose",))
        if programs.ask("podman", "compose", "version").status == 0:
            return Engine("podman", ("podman", "compose"))
    if programs.has("docker") and programs.ask("docker", "compose", "version").status == 0:
        return Engine("docker", ("docker", "compose"))
    raise NotFoundError(_NEEDED)
