"""Brings the files of a set into one directory: resumed, retried, and each proven by its digest."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bty_app.domain.artifact_set import MAX_FILE_BYTES, MAX_SET_BYTES, Manifest
from bty_app.domain.jobs import Step, Teller
from bty_app.errors import InvalidInputError, StorageError, TooLargeError, UnavailableError
from bty_app.services.artifact_sources import Source
from bty_app.store.artifact_sets import ArtifactSets
from bty_app.store.directories import disk_failures
from bty_app.store.publish import continued_file
from bty_app.upstream.http import StatusError

TRIES = 6  # in a row that bring no more than `PROGRESS_BYTES`
PROGRESS_BYTES = 2**20
RESERVE_BYTES = 128 * 2**20  # of the disk: state must be written whatever is fetched
CHUNK_BYTES = 1024 * 1024
_RETRIED = frozenset({408, 425, 429, 500, 502, 503, 504})


class Bringing:
    """One set, into its staging directory."""

    def __init__(self, source: Source, sets: ArtifactSets, teller: Teller) -> None:
        self._source = source
        self._sets = sets
        self._teller = teller
        self._words = ""
        self._done = 0
        self._total: int | None = None

    def bring(self, manifest: Manifest) -> tuple[Path, dict[str, int], bool]:
        """The directory with every file of the manifest, their sizes, and whether anything had to
        be fetched; files that an installed set has already are taken from there.

        Raises:
            As `Artifacts.fetch`.
        """
        staging = self._sets.staging(manifest.set_id)
        with disk_failures(staging):
            return self._bring(manifest, staging)

    def _bring(self, manifest: Manifest, staging: Path) -> tuple[Path, dict[str, int], bool]:
        copies = self._sets.copies()
        self._measure(manifest, staging, copies)
        sizes, fetched = {}, False
        for name, digest in manifest.digests.items():
            self._words = f"fetching {name}"
            path = staging / name
            if not self._is_here(path, digest, copies.get(digest)):
                self._fetch(name, digest, path)
                fetched = True
            sizes[name] = path.stat().st_size
        return staging, sizes, fetched

    def _measure(self, manifest: Manifest, staging: Path, copies: Mapping[str, Path]) -> None:
        """How much there is to bring, where the source tells; refused where there is no room."""
        self._tell("asking for the sizes")
        sizes = {
            name: self._source.size(name) or _size(copies.get(digest))
            for name, digest in manifest.digests.items()
        }
        known = [size for size in sizes.values() if size is not None]
        if len(known) == len(sizes):
            self._total = sum(known)
        if sum(known) > MAX_SET_BYTES:
            raise TooLargeError(f"the set is larger than {MAX_SET_BYTES // 2**30} GiB")
        here = sum(path.stat().st_size for path in staging.iterdir())
        needed = sum(known) - here
        if needed > self._room(staging):
            raise StorageError(
                f"{staging.parent}: {needed // 2**20} MiB are to be fetched, and"
                f" {self._room(staging) // 2**20} MiB can be used: make room"
            )

    @staticmethod
    def _room(place: Path) -> int:
        return max(0, shutil.disk_usage(place).free - RESERVE_BYTES)

    def _is_here(self, path: Path, digest: str, copy: Path | None) -> bool:
        """Whether the file is here, from an attempt before or from an installed set."""
        for found in (path, copy):
            if found is None or not found.is_file():
                continue
            before = self._done
            if self._digest(found).hexdigest() != digest:
                self._done = before
                continue
            if found != path:
                path.unlink(missing_ok=True)
                os.link(found, path)
            return True
        return False

    def _fetch(self, name: str, digest: str, path: Path) -> None:
        part = path.with_name(f".{name}.part")  # no file of a set begins with a dot
        before = self._done
        resumed = part.exists()
        found = self._fetched(name, part)
        if found != digest and resumed:  # what was there may be of another build: once from scratch
            self._done = before
            part.unlink(missing_ok=True)
            found = self._fetched(name, part)
        if found != digest:
            part.unlink(missing_ok=True)
            raise InvalidInputError(
                f"{self._source.shown}: {name} has the digest {found}, its manifest says {digest}"
            )
        part.rename(path)

    def _fetched(self, name: str, part: Path) -> str:
        """The digest of the file, fetched into `part` in as many tries as it takes."""
        base, had, failures = self._done, 0, 0
        while True:
            self._done = base
            try:
                return self._append(name, part)
            except StorageError:
                raise
            except UnavailableError as error:
                has = part.stat().st_size if part.exists() else 0
                failures = 1 if has - had >= PROGRESS_BYTES else failures + 1
                had = max(had, has)
                self._check_retried(error, part)
                if failures == TRIES:
                    raise
                self._wait(2 ** (failures - 1), f"{error.message}; trying again")

    def _check_retried(self, error: UnavailableError, part: Path) -> None:
        """Raise a failure that no other try can mend."""
        status = error.status if isinstance(error, StatusError) else None
        if status == 416:  # there is less of the file than we have
            part.unlink(missing_ok=True)
        elif status is not None and status not in _RETRIED:
            raise error

    def _append(self, name: str, part: Path) -> str:
        """One try: from where `part` ends to the end of the file."""
        start = part.stat().st_size if part.exists() else 0
        base = self._done
        hasher = self._digest(part) if start else hashlib.sha256()
        limit = min(MAX_FILE_BYTES, start + self._room(part.parent))
        with self._source.reading(name, start=start, limit=limit) as (
            offset,
            chunks,
        ):
            if offset != start:
                hasher, self._done = hashlib.sha256(), base
            with continued_file(part, at=offset) as out:
                for chunk in self._told(chunks):
                    out.write(chunk)
                    hasher.update(chunk)
        return hasher.hexdigest()

    def _told(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in self._cancellable(chunks):
            yield chunk
            self._done += len(chunk)
            self._tell()

    def _cancellable(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """A cancellation cuts the connection off: it is no failure of the other side."""
        try:
            yield from chunks
        except UnavailableError:
            self._tell()
            raise

    def _digest(self, path: Path) -> Any:
        hasher = hashlib.sha256()
        with path.open("rb", buffering=0) as file:
            while chunk := file.read(CHUNK_BYTES):
                hasher.update(chunk)
                self._done += len(chunk)
                self._tell()
        return hasher

    def _wait(self, seconds: int, words: str) -> None:
        self._tell(words)
        self._teller.wait(seconds)

    def _tell(self, words: str = "") -> None:
        self._teller.tell(Step(words or self._words, self._done, self._total))


def _size(copy: Path | None) -> int | None:
    return copy.stat().st_size if copy is not None and copy.is_file() else None
