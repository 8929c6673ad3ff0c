"""`bty purge`: what a deploy made, taken away; the state only where that is asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bty_app import __version__
from bty_app.deploy import files, opening, secret_files, writing
from bty_app.deploy.compose import ComposeStack
from bty_app.deploy.directories import Directories
from bty_app.deploy.files import COMPOSE, ENVVARS, EXAMPLE, OVERRIDE, README
from bty_app.deploy.generations import BEFORE, FOLDERS
from bty_app.deploy.opening import ContainerStack
from bty_app.deploy.quadlet import QuadletStack
from bty_app.errors import ConflictError, NotFoundError
from bty_app.store.directories import disk_failures

_STATE_FILES = ("state.db", "serve.lock", "state.lock", "admin-password", "backups")
_WRITTEN = (
    *(COMPOSE, OVERRIDE, EXAMPLE, README),
    *(f"{files.UNITS}/{name}" for name in (files.BTY_UNIT, files.WITHCACHE_UNIT)),
    *(f"{files.UNITS}/{name}.env" for name in ("bty", "withcache")),
)
_UNMARKED = (ENVVARS, *secret_files.NAMES, files.UPGRADE, files.UPGRADE_LOCK)


@dataclass(frozen=True, slots=True, kw_only=True)
class Purge:
    """What is to go besides what runs. `everything` has the files of the directory in it."""

    stack: ContainerStack
    data: bool = False
    images: bool = False
    everything: bool = False
    user: int = 0

    @property
    def _directories(self) -> Directories:
        at = self.stack.at
        return Directories(at.choices.data_dir, at.programs, at.engine, self.user)

    def lines(self) -> list[str]:
        """What will be done, a line each.

        Raises:
            ConflictError: what is to go does not look like the state of bty.
        """
        at = self.stack.at
        runner = "systemd" if isinstance(self.stack, QuadletStack) else "compose"
        told = [f"stop bty and withcache, and remove their containers ({runner})"]
        told += [f"remove {path}" for path in self._units()]
        if self.images:
            told += [f"remove the image {name}" for name in self._images()]
        if self.data or self.everything:
            told += self._data_lines()
        else:
            told.append(f"keep the state in {at.choices.data_dir}")
        if self.everything:
            told += [f"remove {path}" for path in self._files()]
        else:
            told.append(f"keep {at.directory / ENVVARS} and the other files there")
        return told

    def carry_out(self) -> list[Path]:
        """Do it. What comes back are files of others that were left in the directory.

        Raises:
            BtyError: something could not be taken away; run it again when that is cured.
        """
        at = self.stack.at
        images = self._images() if self.images else []
        self._take_down()
        if self.data or self.everything:
            self._directories.remove()
        for image in images:  # somebody else may use one
            at.programs.do(at.engine.name, "image", "rm", image)
        if self.everything and not at.programs.dry:
            for path in self._files():
                writing.remove(path)
            return self._leave()
        return []

    def _take_down(self) -> None:
        if isinstance(self.stack, ComposeStack):
            self.stack.take_down()
            return
        self.stack.systemctl("daemon-reload")  # it may never have heard of them
        units = self._units()
        if units:
            self.stack.systemctl("stop", *(f"{path.stem}.service" for path in units))
        for path in units:
            if not self.stack.at.programs.dry:
                writing.remove(path)
        self.stack.systemctl("daemon-reload")

    def _units(self) -> list[Path]:
        if isinstance(self.stack, ComposeStack):
            return []
        units = self.stack.units
        return opening.ours_of(units / name for name in (files.BTY_UNIT, files.WITHCACHE_UNIT))

    def _images(self) -> list[str]:
        """The images that are here, the installed one first."""
        at = self.stack.at
        try:
            names = [self.stack.current().reference]
        except NotFoundError:
            names = []
        names += [at.choices.image_of(__version__), files.withcache_image(at.choices)]
        found: dict[str, str] = {}
        for name in names:
            identity = at.images.identity(name)
            if identity:
                found[identity] = name  # the last name of one image: by it, it is untagged too
        return list(found.values())

    def _files(self) -> list[Path]:
        directory = self.stack.at.directory
        places = (directory, directory / BEFORE)
        found = opening.ours_of(place / name for place in places for name in _WRITTEN)
        unmarked = (directory / name for name in _UNMARKED)
        return [*found, *(path for path in unmarked if path.exists())]

    def _data_lines(self) -> list[str]:
        directories = self._directories
        inside = directories.listed("bty")
        if inside and not any(name.startswith(_STATE_FILES) for name in inside):
            raise ConflictError(
                f"{directories.place / 'bty'} does not look like the state of bty: take it away"
                " yourself, and leave --data out"
            )
        backups = [name for name in directories.listed("bty", "backups") if name[:1] != "."]
        archives = [name for name in inside if name.endswith(".bak")]
        told = [f"REMOVE {path} ({size})" for path, size in directories.sizes()]
        if "state.db" in inside:
            told.append("  in it: state.db, with every machine, image and event")
        if backups:
            told.append(f"  in it: backups: {len(backups)}, the newest {backups[-1]}")
        if archives:
            told.append(f"  in it: databases of other releases: {len(archives)}")
        return told

    def _leave(self) -> list[Path]:
        """Remove the directories that are empty now; what is in them still is somebody's."""
        directory = self.stack.at.directory
        below = sorted((directory / name for name in FOLDERS), reverse=True)
        for path in (*below, directory):
            if path.is_dir() and not any(path.iterdir()):
                with disk_failures(path):
                    path.rmdir()
        return sorted(directory.iterdir()) if directory.is_dir() else []
