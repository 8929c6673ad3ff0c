"""The directories of the state: those of uid 1000, and of nobody else."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bty_app.deploy.engines import Engine
from bty_app.deploy.programs import Programs, last_lines
from bty_app.errors import StorageError
from bty_app.store.directories import disk_failures
from bty_app.store.publish import make_directories

OWNER, MODE = "1000:1000", "700"
NAMES = ("bty", "withcache")


@dataclass(frozen=True, slots=True)
class Directories:
    """The state directories below `place`. `user` is the uid of this process: without root, podman
    has a range of users of its own, and only `podman unshare` sees their numbers.
    """

    place: Path
    programs: Programs
    engine: Engine
    user: int

    def make(self) -> None:
        """Have both there, with their owner and their mode.

        Raises:
            StorageError: one cannot be made, or belongs to somebody else and is not empty.
        """
        for name in NAMES:
            self._make(self.place / name)

    def _make(self, path: Path) -> None:
        if self.programs.dry:
            if not path.exists():
                self.programs.say(f"would make: {path} ({OWNER}, mode {MODE})")
            return
        with disk_failures(path):
            is_new = not path.exists()
            make_directories(path)
            is_empty = is_new or not self._listed(path)
        owner, mode = self._stat(path)
        if owner != OWNER:
            if not is_empty:
                raise StorageError(
                    f"{path} belongs to {owner}, and the containers run as {OWNER}: if it is the"
                    f" state of bty, run `{' '.join(self._as_root('chown', '-R', OWNER))} {path}`"
                )
            self.programs.do(*self._as_root("chown", OWNER, str(path)))
        if mode != MODE:
            self.programs.do(*self._as_root("chmod", f"0{MODE}", str(path)))

    def sizes(self) -> list[tuple[Path, str]]:
        """Each of them that is there, with its size in words."""
        found = []
        for name in NAMES:
            path = self.place / name
            done = self.programs.ask(*self._as_root("du", "-sh", str(path)))
            if done.status == 0:
                found.append((path, done.stdout.split()[0]))
        return found

    def listed(self, *below: str) -> list[str]:
        """The names in a directory below `place`, sorted; none where it is not there."""
        done = self.programs.ask(*self._as_root("ls", "-A1", str(self.place.joinpath(*below))))
        return sorted(done.stdout.splitlines()) if done.status == 0 else []

    def remove(self) -> None:
        """Take both away with all that is in them, and the directory above when that is empty."""
        for name in NAMES:
            self.programs.do(
                *self._as_root("rm", "-rf", "--one-file-system", str(self.place / name))
            )
        if not self.programs.dry and self.place.is_dir() and not any(self.place.iterdir()):
            with disk_failures(self.place):
                self.place.rmdir()

    def _listed(self, path: Path) -> bool:
        done = self.programs.ask(*self._as_root("ls", "-A", str(path)))
        return bool(done.stdout.strip()) or done.status != 0

    def _stat(self, path: Path) -> tuple[str, str]:
        done = self.programs.ask(*self._as_root("stat", "-c", "%u:%g %a", str(path)))
        if done.status:
            raise StorageError(f"{path}: cannot be looked at: {last_lines(done.stderr)}")
        owner, _, mode = done.stdout.strip().partition(" ")
        return owner, mode

    def _as_root(self, *words: str) -> tuple[str, ...]:
        if self.user != 0 and self.engine.name == "podman":
            return ("podman", "unshare", *words)
        return words
