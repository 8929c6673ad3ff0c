"""What is at a place for copies: listed, compared, and brought back bit for bit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bty_app.domain import offsite as rules
from bty_app.domain.jobs import Step, Teller
from bty_app.domain.offsite import COPY, MAX_COPY_BYTES, SEALED, CopiedFile, Copy
from bty_app.domain.place import Place
from bty_app.domain.sealing import Key
from bty_app.domain.sha_manifest import listed_files
from bty_app.errors import (
    BtyError,
    ConfigError,
    InvalidInputError,
    NotFoundError,
    StorageError,
    UnavailableError,
)
from bty_app.services.backup_files import SUMS, sha256_of
from bty_app.store import publish
from bty_app.store.sealed import opened

TRIES = 4  # of one file whose connection breaks off, in a row without a byte


@dataclass(frozen=True, slots=True)
class There:
    """The copies, the newest first; folders without `offsite.json`; and those that cannot be read,
    each with why.
    """

    copies: tuple[Copy, ...] = ()
    halves: tuple[str, ...] = ()
    unreadable: dict[str, str] = field(default_factory=dict)


class Reading:
    """Reads a place. Threads: any may call."""

    def __init__(self, place: Place, key: Key | None) -> None:
        self._place = place
        self._key = key

    def there(self) -> There:
        """What is there.

        Raises:
            BtyError: as a place does.
        """
        folders: dict[str, bool] = {}
        for stored in self._place.listed():
            folder, _, name = stored.name.partition("/")
            if name and "/" not in name:
                folders[folder] = folders.get(folder, False) or name == COPY
        copies, unreadable = [], {}
        for folder, is_whole in folders.items():
            try:
                if is_whole:
                    copies.append(self.copy(rules.check_id(folder)))
            except InvalidInputError as error:
                unreadable[folder] = error.message
        copies.sort(key=lambda copy: (copy.created_at, copy.backup_id), reverse=True)
        halves = tuple(sorted(name for name, is_whole in folders.items() if not is_whole))
        return There(tuple(copies), halves, unreadable)

    def copy(self, backup_id: str) -> Copy:
        """One copy.

        Raises:
            NotFoundError: there is none.
            InvalidInputError: it cannot be read.
        """
        data = bytearray()
        for chunk in self._place.read(f"{rules.check_id(backup_id)}/{COPY}"):
            data += chunk
            if len(data) > MAX_COPY_BYTES:
                raise InvalidInputError(f"{backup_id}/{COPY} is larger than such a file is")
        return rules.parse_copy(bytes(data), backup_id)

    def stored(self, copy: Copy, file: CopiedFile) -> Iterator[bytes]:
        """The bytes as they are stored, gone on with where a connection breaks off.

        Raises:
            InvalidInputError: they are others than were stored.
        """
        name = f"{copy.backup_id}/{file.stored}"
        digest, at = hashlib.sha256(), 0
        for chunk in self._chunks(name, file.size):
            at += len(chunk)
            digest.update(chunk)
            yield chunk
        if at != file.size or digest.hexdigest() != file.sha256:
            raise InvalidInputError(f"{self._place.shown}: {name} is not what was stored there")

    def _chunks(self, name: str, size: int) -> Iterator[bytes]:
        at, failures = 0, 0
        while True:
            try:
                for chunk in self._place.read(name, at):
                    at, failures = at + len(chunk), 0
                    yield chunk
                    if at > size:
                        return
            except StorageError:
                raise
            except UnavailableError:
                if at >= size:  # the end of the connection, but of all bytes as well
                    return
                failures += 1
                if failures >= TRIES:
                    raise
            else:
                return

    def check_key(self, copy: Copy) -> None:
        """See that the copy can be decrypted.

        Raises:
            ConfigError: it needs a key, or another one.
        """
        if not copy.key_id:
            return
        if self._key is None:
            raise ConfigError(
                f"{copy.backup_id} is encrypted with the key {copy.key_id}: offsite.key_file must"
                " name it"
            )
        if self._key.id != copy.key_id:
            raise ConfigError(
                f"{copy.backup_id} is encrypted with the key {copy.key_id}, and the one of"
                f" offsite.key_file is {self._key.id}"
            )

    def fetch(self, backup_id: str, directory: Path, teller: Teller) -> Copy:
        """Bring a copy back as the directory of a backup, which appears whole or not at all.

        Raises:
            NotFoundError: there is no such copy.
            ConflictError: there is something at `directory`.
            ConfigError: the key is missing, or another one.
            InvalidInputError: the copy is not what was stored.
        """
        copy = self.copy(backup_id)
        self.check_key(copy)
        directory = directory.absolute()
        publish.make_directories(directory.parent)
        done = 0
        with publish.publish_directory(directory.parent, directory.name) as folder:
            for file in copy.files:
                with publish.create_file(folder / file.name) as out:
                    for chunk in self._plain(copy, file):
                        out.write(chunk)
                        done += len(chunk)
                        teller.tell(Step(f"fetching {file.name}", done, copy.size))
            _check_sums(folder, copy)
        return copy

    def problems(self, copy: Copy, teller: Teller) -> list[str]:
        """Everything that is wrong with a copy, found by reading all of it."""
        found, done = [], 0
        for file in copy.files:
            try:
                chunks = self._plain(copy, file) if self._opens(copy) else self.stored(copy, file)
                for chunk in chunks:
                    done += len(chunk)
                    teller.tell(Step(f"reading {file.name}", done, copy.size))
            except (InvalidInputError, NotFoundError) as error:
                found.append(error.message)
        return found

    def _opens(self, copy: Copy) -> bool:
        return self._key is not None and self._key.id == copy.key_id

    def _plain(self, copy: Copy, file: CopiedFile) -> Iterator[bytes]:
        chunks = self.stored(copy, file)
        if not file.stored.endswith(SEALED):
            if copy.key_id:  # else somebody could have put it there in place of the sealed one
                raise InvalidInputError(f"{copy.backup_id}/{file.stored} should be encrypted")
            return chunks
        if self._key is None:
            raise ConfigError(f"{copy.backup_id} is encrypted: offsite.key_file must name its key")
        return opened(chunks, self._key, f"{copy.backup_id}/{file.name}")


def _check_sums(folder: Path, copy: Copy) -> None:
    """The digests that were taken with the backup are those of the files."""
    names = {file.name for file in copy.files}
    try:
        sums = {name: digest for digest, name in listed_files((folder / SUMS).read_bytes())}
    except (OSError, BtyError) as error:
        raise InvalidInputError(f"{copy.backup_id} has no list of digests: {SUMS}") from error
    if {*sums, SUMS} != names:
        raise InvalidInputError(f"{copy.backup_id} has not the files that its {SUMS} lists")
    for name, digest in sums.items():
        if name is None or sha256_of(folder / name) != digest:
            raise InvalidInputError(f"{copy.backup_id}/{name} is not what its {SUMS} says")
