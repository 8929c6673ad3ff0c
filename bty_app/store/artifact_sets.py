"""The sets of netboot artifacts in the boot directory: each whole, one current, one before it.

boot/sets/<version>-<digest>/   the files, their manifest, and `.set.json`
boot/sets/.fetching-<…>/        what a fetch has so far; the next one goes on from there
boot/current, boot/previous     links to two of the sets
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bty_app.domain.artifact_set import (
    Manifest,
    SetFacts,
    facts_text,
    is_set_id,
    parse_facts,
)
from bty_app.errors import ConflictError, NotFoundError, StorageError
from bty_app.store import locks
from bty_app.store.links import exchange_links, point_link
from bty_app.store.publish import adopt_directory, make_directories, publish_file, sweep

CURRENT = "current"
PREVIOUS = "previous"
FACTS_FILE = ".set.json"
_STAGING = ".fetching-"


@dataclass(frozen=True, slots=True)
class StoredSet:
    """A set on disk. `damage` has a sentence for each file that is not there as it should be."""

    id: str
    path: Path
    facts: SetFacts | None
    damage: tuple[str, ...]

    @property
    def is_whole(self) -> bool:
        """Whether every file is there, of its size."""
        return self.facts is not None and not self.damage


class ArtifactSets:
    """Sets on disk; nothing about them is kept elsewhere. Any thread may call."""

    def __init__(self, boot_dir: Path) -> None:
        self._boot_dir = boot_dir
        self._sets = boot_dir / "sets"

    # -- reading -----------------------------------------------------------------------------

    def current(self) -> str | None:
        """The set that machines boot."""
        return self._linked(CURRENT)

    def previous(self) -> str | None:
        """The set before it."""
        return self._linked(PREVIOUS)

    def get(self, set_id: str) -> StoredSet:
        """One set, whatever is left of it."""
        path = self._sets / set_id
        try:
            facts = parse_facts((path / FACTS_FILE).read_text("utf-8"))
        except (OSError, UnicodeDecodeError):
            facts = None
        if facts is None:
            return StoredSet(set_id, path, None, ("it is not known what belongs to it",))
        return StoredSet(set_id, path, facts, tuple(_damage(path, facts)))

    def listed(self) -> list[StoredSet]:
        """All sets, sorted by their names."""
        return [self.get(path.name) for path in self.paths()]

    def paths(self) -> list[Path]:
        """Where the sets are, sorted by their names."""
        try:
            return sorted(path for path in self._sets.iterdir() if is_set_id(path.name))
        except OSError:
            return []

    def _linked(self, name: str) -> str | None:
        try:
            target = Path(os.readlink(self._boot_dir / name))  # noqa: PTH115 - str, not resolved
        except OSError:
            return None
        known = target.parent == Path("sets") and is_set_id(target.name)
        return target.name if known else None

    # -- writing: within `held` --------------------------------------------------------------

    @contextmanager
    def held(self) -> Iterator[None]:
        """Be the only one who changes sets.

        Raises:
            ConflictError: another fetch or installation is under way.
            StorageError: the boot directory cannot be written.
        """
        make_directories(self._sets)
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(locks.alone(self._sets / ".lock"))
            except ConflictError as error:
                raise ConflictError(
                    "another fetch or installation of netboot artifacts is under way"
                ) from error
            yield

    def staging(self, name: str) -> Path:
        """A directory to fill, with what an attempt before this one has left in it."""
        path = self._sets / f"{_STAGING}{name}"
        make_directories(path)
        return path

    def install(self, staging: Path, manifest: Manifest, facts: SetFacts) -> None:
        """Make what is in `staging` the current set; the one that was becomes the previous one.

        Raises:
            StorageError: it cannot be written; the current set is the one that it was.
        """
        publish_file(staging / manifest.name, manifest.data)
        publish_file(staging / FACTS_FILE, facts_text(facts).encode())
        adopt_directory(self._sets, staging.name, manifest.set_id)
        self._switch(manifest.set_id)
        with contextlib.suppress(OSError, StorageError):  # it is installed; the next one tidies up
            self._prune()

    def roll_back(self) -> tuple[str, str]:
        """Let the current and the previous set change places; return (now current, was current).

        Raises:
            NotFoundError: there is no previous set, or it is damaged.
        """
        now, before = self.previous(), self.current()
        if now is None or before is None or now == before:
            raise NotFoundError("there is no set before the current one")
        damage = self.get(now).damage
        if damage:
            raise NotFoundError(f"the set before the current one is damaged: {damage[0]}")
        exchange_links(self._boot_dir / CURRENT, self._boot_dir / PREVIOUS)
        return now, before

    def copies(self) -> dict[str, Path]:
        """The files of all sets by the digest that they should have."""
        found: dict[str, Path] = {}
        for stored in self.listed():
            for name, digest in (stored.facts.digests if stored.facts else {}).items():
                found[digest] = stored.path / name
        return found

    def _switch(self, set_id: str) -> None:
        current, previous = self._boot_dir / CURRENT, self._boot_dir / PREVIOUS
        before = self.current()
        if before == set_id:
            return
        if before is None:
            point_link(current, f"sets/{set_id}")
            return
        # In this order a crash loses neither set: the exchange is one step.
        point_link(previous, f"sets/{set_id}")
        exchange_links(current, previous)

    def _prune(self) -> None:
        """Remove sets that nobody can go back to, and what fetches have left."""
        kept = {self.current(), self.previous()}
        for path in self._sets.iterdir():
            old_set = is_set_id(path.name) and path.name not in kept
            if old_set or path.name.startswith(_STAGING):
                shutil.rmtree(path, ignore_errors=True)
        for name in (CURRENT, PREVIOUS):
            for left in self._boot_dir.glob(f".tmp-{name}.*"):  # a link that was never renamed
                left.unlink(missing_ok=True)
        sweep(self._sets)


def _damage(path: Path, facts: SetFacts) -> Iterator[str]:
    for name, size in facts.sizes.items():
        try:
            found = (path / name).lstat()
        except OSError:
            yield f"{name} is missing"
            continue
        if found.st_size != size:
            yield f"{name} has {found.st_size} bytes, not {size}"
