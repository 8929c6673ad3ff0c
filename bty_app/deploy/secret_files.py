"""The passwords of a compose deployment, in files that only their container is shown.

What stands in `environment:` is in the arguments of `podman create` and in what `podman inspect`
tells. So compose.yml has the places of files, and these are made of `envvars`. The directory is its
owner's alone; a container sees the one below it that is its own, as whoever it runs.
"""

from __future__ import annotations

import stat
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bty_app.deploy import writing
from bty_app.deploy.choices import Choices
from bty_app.deploy.files import File
from bty_app.deploy.writing import Change
from bty_app.store.directories import disk_failures
from bty_app.store.place import sync_directory
from bty_app.store.publish import make_directories

PLACE = "secrets"
SERVICES = ("bty", "withcache")
FOLDERS = (PLACE, *(f"{PLACE}/{service}" for service in SERVICES))
NAMES = (
    f"{PLACE}/bty/admin-password",
    f"{PLACE}/bty/withcache-password",
    f"{PLACE}/withcache/admin-password",
)
_PRIVATE, _SHOWN = 0o700, 0o755


@dataclass(frozen=True, slots=True)
class SecretFiles:
    """Those of the deployment in `directory`, with these choices."""

    directory: Path
    choices: Choices

    def changes(self) -> Sequence[Change]:
        """What is to be written. Nobody is ever shown what stands in there.

        Raises:
            StorageError: what is there cannot be read.
        """
        of_withcache = self.choices.withcache_password
        texts = (self.choices.admin_password, of_withcache, of_withcache)
        files = [File(name, f"{text}\n") for name, text in zip(NAMES, texts, strict=True)]
        return writing.changes(self.directory, files)

    def write(self) -> None:
        """Have them there, durably; what is right already keeps its time.

        Raises:
            StorageError: one cannot be written.
        """
        make_directories(self.directory)
        for name in FOLDERS:
            _make(self.directory / name, _PRIVATE if name == PLACE else _SHOWN)
        writing.write(self.changes())

    def changed(self, service: str) -> float:
        """When one of a service was last written, in Unix seconds; 0 where there is none."""
        paths = (self.directory / name for name in NAMES if name.startswith(f"{PLACE}/{service}/"))
        return max((path.stat().st_mtime for path in paths if path.exists()), default=0.0)


def _make(path: Path, mode: int) -> None:
    """A directory with that mode, whatever the umask is; never with a wider one."""
    with disk_failures(path):
        path.mkdir(mode=mode, exist_ok=True)
        if stat.S_IMODE(path.stat().st_mode) != mode:
            path.chmod(mode)
        sync_directory(path)
        sync_directory(path.parent)
