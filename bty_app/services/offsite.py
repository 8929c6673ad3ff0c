"""Copies of backups at a place elsewhere: stored, listed, thinned out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from bty_app.domain import offsite as rules
from bty_app.domain import sealing
from bty_app.domain.jobs import Step, Teller
from bty_app.domain.offsite import COPY, SEALED, CopiedFile, Copy, Taken
from bty_app.domain.place import Content, Place
from bty_app.domain.sealing import Key
from bty_app.errors import ConflictError, InvalidInputError, NotFoundError, UnavailableError
from bty_app.services import offsite_local
from bty_app.services.clock import Clock, utc_now
from bty_app.services.offsite_local import Local, Part
from bty_app.services.offsite_read import Reading, There
from bty_app.store import libcrypto
from bty_app.store.sealed import sealed

STALE_SECONDS = 7 * 86400.0


class Offsite:
    """One place, for the backups of one directory. Threads: any may call."""

    def __init__(
        self,
        place: Place,
        backups_dir: Path,
        *,
        keep: int = 0,
        key: Key | None = None,
        clock: Clock = utc_now,
    ) -> None:
        """`keep` of the scheduled copies stay there, or all with 0.

        Raises:
            ConfigError: there is a key, and nothing here that encrypts.
        """
        if key is not None:
            libcrypto.check()
        self.place = place
        self.keep = keep
        self.key = key
        self.reading = Reading(place, key)
        self._backups_dir = backups_dir
        self._clock = clock

    def names_here(self) -> frozenset[str]:
        """The ids of the backups here; cheap."""
        return frozenset(offsite_local.names(self._backups_dir))

    def there(self) -> There:
        """What is there; nothing is known of a place that cannot list: each copy is asked for."""
        try:
            return self.reading.there()
        except InvalidInputError:
            return There()

    def missing(self, there: There) -> tuple[str, ...]:
        """The backups to be copied, the oldest first."""
        here = offsite_local.listed(self._backups_dir)
        return rules.missing(here, there.copies, self.keep, self._clock())

    def push(self, backup_id: str, teller: Teller) -> tuple[Copy, bool]:
        """Copy a backup, and see that it arrived; what an earlier try stored is used. Whether
        there was something to do comes back as well.

        Raises:
            NotFoundError: there is no such backup.
            InvalidInputError: it is not whole.
            ConflictError: another backup of that id is there.
            CancelledError: the teller said so.
            BtyError: as a place does.
        """
        teller.tell(Step(f"reading {backup_id}"))
        local = offsite_local.read(self._backups_dir / rules.check_id(backup_id))
        known = self._known(backup_id)
        if known is not None:
            if (known.instance_id, known.created_at) != _identity(local.taken):
                raise ConflictError(
                    f"{self.place.shown} has another backup of the id {backup_id}: each server"
                    " needs a place of its own"
                )
            return known, False
        push = _Push(self.place, self.reading, self.key, teller)
        copy = push.files(local)
        teller.tell(Step(f"completing {backup_id}"))
        self._publish(copy)
        return copy, True

    def _known(self, backup_id: str) -> Copy | None:
        try:
            return self.reading.copy(backup_id)
        except (NotFoundError, rules.CutShortError):
            return None

    def _publish(self, copy: Copy) -> None:
        """Make a copy of what are only files."""
        text = rules.copy_text(copy, self._clock())
        name = f"{copy.backup_id}/{COPY}"
        self.place.put(name, Content(len(text), lambda: iter([text])), lambda: True)
        if b"".join(self.place.read(name)) != text:
            self.place.remove(name)
            raise UnavailableError(f"{self.place.shown}: {name} does not read back as it was sent")

    def prune(self, instance_id: str, teller: Teller) -> tuple[str, ...]:
        """Remove what is not to be kept there, and what was left of uploads a week ago; the ids.
        Where nothing can be listed, nothing is removed.
        """
        there = self.there()
        plan = rules.fates(there.copies, instance_id, self.keep, self._clock())
        gone = tuple(fate.item.id for fate in plan if not fate.stays)
        for backup_id in gone:
            teller.tell(Step(f"removing {backup_id} there"))
            self.remove(backup_id)
        self.place.tidy(STALE_SECONDS)
        return gone

    def remove(self, backup_id: str) -> None:
        """Remove a copy, or half of one. It stops being a copy first.

        Raises:
            NotFoundError: there is nothing of this id.
        """
        rules.check_id(backup_id)
        found = {stored.name for stored in self.place.listed(backup_id)}
        if not found:
            raise NotFoundError(f"{self.place.shown} has nothing of {backup_id}")
        first = f"{backup_id}/{COPY}"
        for name in [first] * (first in found) + sorted(found - {first}):
            self.place.remove(name)


def _identity(taken: Taken) -> tuple[object, object]:
    return taken.instance_id, taken.created_at


class _Push:
    """The files of one backup on their way."""

    def __init__(self, place: Place, reading: Reading, key: Key | None, teller: Teller) -> None:
        self._place = place
        self._reading = reading
        self._key = key
        self._teller = teller
        self._done = 0
        self._total = 0

    def files(self, local: Local) -> Copy:
        """Store them all, each compared."""
        taken = local.taken
        contents = [self._content(taken.id, part) for part in local.parts]
        self._total = sum(content.size for content in contents)
        copied = []
        for part, content in zip(local.parts, contents, strict=True):
            stored = part.name + (SEALED if self._key else "")
            file = CopiedFile(part.name, stored, content.size, "")
            copied.append(self._stored(taken.id, file, content))
        key_id = self._key.id if self._key else ""
        created = taken.created_at
        return Copy(taken.id, taken.instance_id, taken.trigger, created, key_id, tuple(copied))

    def _content(self, backup_id: str, part: Part) -> Content:
        key = self._key
        if key is None:
            return Content(part.size, part.chunks)
        about = f"{backup_id}/{part.name}"
        salt = sealing.salt_for(key, about, part.sha256)
        size = sealing.sealed_size(part.size)
        return Content(size, lambda: sealed(part.chunks(), key, about, salt))

    def _stored(self, backup_id: str, file: CopiedFile, content: Content) -> CopiedFile:
        name = f"{backup_id}/{file.stored}"
        counted = _Counted(content, lambda sent: self._tell(f"sending {file.name}", sent))
        if self._place.size(name) == content.size:  # an earlier try came that far
            wanted = _digest(content.chunks())
            if self._digest_there(name, file.name) == wanted:
                self._done += content.size
                return replace(file, sha256=wanted)
        self._place.put(name, Content(content.size, counted.chunks), self._teller.is_wanted)
        sent = counted.digest
        is_whole = sent and self._place.size(name) == content.size
        if not is_whole or not self._arrived(name, file.name, sent):
            self._place.remove(name)
            raise UnavailableError(f"{self._place.shown}: {name} does not read back as it was sent")
        self._done += content.size
        return replace(file, sha256=sent)

    def _arrived(self, name: str, shown: str, sent: str) -> bool:
        return self._place.proves or self._digest_there(name, shown) == sent

    def _digest_there(self, name: str, shown: str) -> str:
        return _digest(self._place.read(name), lambda: self._tell(f"comparing {shown}", 0))

    def _tell(self, words: str, sent: int) -> None:
        self._teller.tell(Step(words, self._done + sent, self._total))


@dataclass(slots=True)
class _Counted:
    """A content whose digest is taken while it is read."""

    content: Content
    tell: Callable[[int], None]
    digest: str = ""

    def chunks(self) -> Iterator[bytes]:
        digest, sent = hashlib.sha256(), 0
        for chunk in self.content.chunks():
            self.tell(sent)
            digest.update(chunk)
            yield chunk
            sent += len(chunk)
        self.digest = digest.hexdigest()


def _digest(chunks: Iterator[bytes], tell: Callable[[], None] = lambda: None) -> str:
    digest = hashlib.sha256()
    for chunk in chunks:
        tell()
        digest.update(chunk)
    return digest.hexdigest()
