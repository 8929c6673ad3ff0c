"""Fetches an image in one row of bytes, from whichever source has them, and takes its digest.

A connection that breaks off is resumed at the very byte; a source that fails goes behind the
others. No byte is handed on twice, and none of another file: what goes on where another connection
ended has to have the same size, and either the digest of the whole proves it in the end, or the
bytes before are read again and compared.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field

from bty_app.domain.image_source import without_credentials
from bty_app.errors import BtyError, FlashIntegrityError, NotFoundError, UnavailableError
from bty_app.flasher.digest import Digest
from bty_app.flasher.flow import Flow
from bty_app.flasher.order import Order, Source
from bty_app.flasher.sources import Opened, Sources, is_final

TRIES = 7  # of a source, in a row, that bring no more than `PROGRESS_BYTES`
PROGRESS_BYTES = 256 * 1024
PAUSES = (0.0, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0)


class OtherFileError(UnavailableError):
    """A source serves something else than what was begun."""


@dataclass(slots=True)
class _Place:
    """A source, and what is known of it."""

    source: Source
    tag: str | None = None
    failures: int = 0
    error: BtyError | None = None


@dataclass(slots=True)
class Progress:
    """How far the fetching is; one thread counts, others look."""

    done: int = 0
    total: int | None = None
    words: str = ""
    is_ahead: bool = False  # somebody reads what is still to come, and the rest waits for that
    used: list[Source] = field(default_factory=list)


class Fetch:
    """One image."""

    def __init__(
        self,
        order: Order,
        sources: Sources,
        flow: Flow,
        *,
        pauses: Sequence[float] = PAUSES,
    ) -> None:
        self.progress = Progress(total=order.size_bytes)
        self._order = order
        self._sources = sources
        self._flow = flow
        self._pauses = pauses
        self._places = [_Place(source) for source in order.sources]
        self._digest = Digest(flow)
        self._sha256 = ""
        self._expected = order.sha256

    @property
    def sha256(self) -> str:
        """The digest of what was fetched, once that is all."""
        return self._sha256

    @property
    def is_proven(self) -> bool:
        """Whether the digest of the image is known, so that another image cannot pass for it."""
        return self._expected is not None

    @property
    def others(self) -> tuple[Source, ...]:
        """The sources that had another file than the one that was begun."""
        found = (place for place in self._places if isinstance(place.error, OtherFileError))
        return tuple(place.source for place in found)

    def chunks(self) -> Generator[bytes]:
        """The bytes of the image, once each and in order; in the end the digest is checked.

        Raises:
            FlashIntegrityError: all was fetched, and it is not what was promised.
            NotFoundError: no source has the image.
            UnavailableError: no source can be read to its end.
            StoppedError: the flash is stopped.
        """
        try:
            yield from self._all()
            self._sha256 = self._digest.value()
        finally:
            self._digest.end()
        self._check_digest()

    def _all(self) -> Iterator[bytes]:
        while True:
            place = self._next_place()
            self._flow.pause(self._pauses[min(place.failures, len(self._pauses) - 1)])
            before = self.progress.done
            try:
                yield from self._from(place)
            except BtyError as error:
                self._flow.check()
                if self._is_whole():
                    return
                self._failed(place, error, self.progress.done - before)
            else:
                return

    def _next_place(self) -> _Place:
        """The source to go on with: the best of those that have failed the least."""
        left = [place for place in self._places if place.failures < TRIES]
        if left:
            return min(left, key=lambda place: place.failures)
        errors = [place.error for place in self._places if place.error]
        if not errors:
            raise NotFoundError("the image has no source")
        raise _worst(errors)

    def _failed(self, place: _Place, error: BtyError, brought: int) -> None:
        place.error = error
        place.failures = 0 if brought >= PROGRESS_BYTES else place.failures + 1
        if is_final(error) or isinstance(error, OtherFileError):
            place.failures = TRIES
        self.progress.words = f"{place.source.label}: {error.message}"

    def _from(self, place: _Place) -> Iterator[bytes]:
        """The bytes that are still missing, from one source."""
        done = self.progress.done
        offset = 0 if self._must_compare(place) else done
        tag = None if self._expected else place.tag
        with self._sources.open(
            place.source, offset=offset, tag=tag, is_wanted=self._is_wanted
        ) as opened:
            self._check_same(place, opened)
            chunks = opened.chunks
            if opened.offset < done:
                chunks = self._behind_known(opened, place)
            for chunk in chunks:
                self._note_use(place, opened)
                self._digest.add(chunk)
                self.progress.done += len(chunk)
                yield chunk
            self._note_use(place, opened)  # of an empty file, too
        if self.progress.total is None:
            self.progress.total = self.progress.done

    def _is_whole(self) -> bool:
        """Whether nothing is missing, though the source never came to an end."""
        return self._expected is not None and self._digest.value() == self._expected

    def _must_compare(self, place: _Place) -> bool:
        """Whether nothing but its beginning can show that this source has the same file."""
        return self._expected is None and place.tag is None

    def _check_same(self, place: _Place, opened: Opened) -> None:
        total, known = opened.total, self.progress.total
        shown = f"{place.source.label} ({without_credentials(place.source.url)[:200]})"
        if known is not None and total is not None and total != known:
            raise OtherFileError(f"{shown} has {total} bytes, not {known}")
        if opened.sha256 and self._expected and opened.sha256 != self._expected:
            raise OtherFileError(f"{shown} has another image: sha256 {opened.sha256}")
        is_other = place.tag and opened.tag and place.tag != opened.tag
        if self._expected is None and self.progress.done and is_other:
            raise OtherFileError(f"{shown} has changed while it was fetched")
        self._expected = self._expected or opened.sha256
        self.progress.total = total if known is None else known

    def _note_use(self, place: _Place, opened: Opened) -> None:
        """Its bytes fit: from now on its tag stands for the file."""
        place.tag = opened.tag or place.tag
        self.progress.words = ""
        if place.source not in self.progress.used:
            self.progress.used.append(place.source)

    def _behind_known(self, opened: Opened, place: _Place) -> Iterator[bytes]:
        """What follows the bytes that are known, which are compared by their digest."""
        left, hasher = self.progress.done, hashlib.sha256()
        for chunk in opened.chunks:
            again, fresh = chunk[:left], chunk[left:]
            if again:
                hasher.update(again)
                left -= len(again)
                if not left and hasher.hexdigest() != self._digest.value():
                    raise OtherFileError(f"{place.source.label} serves another file than before")
            if fresh:
                yield fresh
        if left:
            raise OtherFileError(f"{place.source.label} serves a shorter file than before")

    def _check_digest(self) -> None:
        size = self._order.size_bytes
        if size is not None and size != self.progress.done:
            raise FlashIntegrityError(f"{self.progress.done} bytes came, not {size}")
        if self._expected and self._expected != self.sha256:
            raise FlashIntegrityError(
                f"the image has the sha256 {self.sha256}, not {self._expected} as was promised"
            )

    def _is_wanted(self) -> bool:
        return not self._flow.is_stopped


def _worst(errors: Sequence[BtyError]) -> BtyError:
    """What to say when every source failed: that none has it, or why the best of them cannot."""
    reachable = [error for error in errors if not isinstance(error, NotFoundError)]
    return (reachable or errors)[0]
