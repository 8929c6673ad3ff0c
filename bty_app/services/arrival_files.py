"""Brings files of another appliance: resumed, retried, and each proven by its digest."""

from __future__ import annotations

import hashlib
import shutil
from pathlib import Path
from typing import Any

from bty_app.domain.jobs import Step, Teller
from bty_app.domain.migration import Part
from bty_app.errors import ConflictError, InvalidInputError, StorageError, UnavailableError
from bty_app.services.backup_files import sha256_of
from bty_app.store.directories import disk_failures
from bty_app.store.place import sync_directory
from bty_app.store.publish import continued_file, make_directories
from bty_app.upstream.appliance import OtherAppliance

TRIES = 5  # in a row that bring nothing
RESERVE_BYTES = 128 * 2**20  # of the disk: state must be written whatever is fetched
_CHUNK = 1024 * 1024


class Carrier:
    """Counts what it brought."""

    def __init__(self, old: OtherAppliance, teller: Teller) -> None:
        self.files = 0
        self.fetched = 0
        self._old = old
        self._teller = teller

    def room(self, place: Path, parts: tuple[Part, ...]) -> None:
        """Make `place`, and see that what is missing of `parts` can go there.

        Raises:
            StorageError: there is no room.
        """
        make_directories(place)
        missing = sum(part.size for part in parts if not (place / part.name).exists())
        free = max(0, shutil.disk_usage(place).free - RESERVE_BYTES)
        if missing > free:
            raise StorageError(
                f"{place}: {missing // 2**20} MiB are to be fetched, and {free // 2**20} MiB can be"
                " used: make room"
            )

    def bring(self, kind: str, part: Part, path: Path) -> None:
        """Have `part` at `path`, from there where it is already.

        Raises:
            ConflictError: another file has that name here.
            InvalidInputError: what came is not what was promised.
            UnavailableError: it cannot be fetched.
        """
        make_directories(path.parent)
        self.files += 1
        if path.exists() and kind == "boot" and sha256_of(path) != part.sha256:
            raise ConflictError(
                f"{path}: is another file than that of {self._old.url}: move it away"
            )
        if path.exists() and sha256_of(path) == part.sha256:
            return
        beside = path.with_name(f".{path.name}.part")
        resumed = beside.exists()
        found = self._fetched(kind, part, beside)
        if found != part.sha256 and resumed:  # what was there may be of another file
            beside.unlink(missing_ok=True)
            found = self._fetched(kind, part, beside)
        if found != part.sha256:
            beside.unlink(missing_ok=True)
            raise InvalidInputError(
                f"{self._old.url}: {part.name} is not what its digest promised: it was changed"
                " meanwhile, or on its way; run this again"
            )
        with disk_failures(path):
            beside.rename(path)
            sync_directory(path.parent)

    def _fetched(self, kind: str, part: Part, beside: Path) -> str:
        """The digest of the file, fetched into `beside` in as many tries as it takes."""
        had, failures = _size(beside), 0
        while True:
            try:
                return self._append(kind, part, beside)
            except StorageError:
                raise
            except UnavailableError as error:
                has = _size(beside)
                failures = 1 if has > had else failures + 1
                had = has
                if failures == TRIES:
                    raise
                self._teller.tell(Step(f"{error.message}; trying again", has, part.size))
                self._teller.wait(2 ** (failures - 1))

    def _append(self, kind: str, part: Part, beside: Path) -> str:
        start = _size(beside)
        if start >= part.size:
            start = 0
        hasher = _digest_of(beside, start)
        with self._old.reading(kind, part, start=start) as found:
            if found.offset != start:
                hasher = hashlib.sha256()
            done = found.offset
            with continued_file(beside, at=done) as out:
                for chunk in found.chunks():
                    out.write(chunk)
                    hasher.update(chunk)
                    done += len(chunk)
                    self.fetched += len(chunk)
                    self._teller.tell(Step(f"fetching {part.name}", done, part.size))
        return str(hasher.hexdigest())


def _digest_of(path: Path, size: int) -> Any:
    """A hash that has read the first `size` bytes of the file."""
    hasher = hashlib.sha256()
    if size:
        with disk_failures(path), path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                hasher.update(chunk)
    return hasher


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
