"""Rows of compressed members by a library that is called in place: no byte is copied on the way."""

from __future__ import annotations

import ctypes
from typing import Protocol

from bty_app.errors import FlashIntegrityError
from bty_app.flasher.ring import Sink


class Codec(Protocol):
    """Decodes one member after the other."""

    def start(self) -> None:
        """Begin a member."""

    @property
    def is_finished(self) -> bool:
        """Whether the member is complete, and right by its own checksum."""

    def decode(self, data: bytes, at: int, room: tuple[int, int]) -> tuple[int, int]:
        """Decode `data` from `at` on into the room (address, size): how many bytes were taken,
        and how many came out.

        Raises:
            ValueError: it is damaged.
        """


class InPlace:
    """A decoder of a row of members, which may be padded."""

    def __init__(self, sink: Sink, codec: Codec, name: str) -> None:
        self._sink = sink
        self._codec = codec
        self._name = name
        self._members = 0
        self._is_inside = False

    def feed(self, data: bytes) -> None:
        at = 0
        while at < len(data):
            at = self._decoded(data, at) if self._is_inside else self._begun(data, at)

    def finish(self) -> None:
        if self._is_inside or not self._members:
            raise self._damaged("it is cut off")

    def _begun(self, data: bytes, at: int) -> int:
        """Where the next member begins, behind padding."""
        if self._members:
            at = len(data) - len(data[at:].lstrip(b"\0"))
        if at < len(data):
            self._codec.start()
            self._is_inside = True
        return at

    def _decoded(self, data: bytes, at: int) -> int:
        """Where in `data` the member ends, or all of it was used up."""
        while True:
            room = self._sink.room_at()
            try:
                taken, made = self._codec.decode(data, at, room)
            except ValueError as error:
                raise self._damaged(str(error)) from error
            at += taken
            self._sink.filled(made)
            if self._codec.is_finished:
                self._is_inside = False
                self._members += 1
                return at
            if at == len(data) and made < room[1]:
                return at
            if not taken and not made:
                raise self._damaged("it cannot be decoded")

    def _damaged(self, why: str) -> FlashIntegrityError:
        return FlashIntegrityError(f"the image is no whole {self._name} file: {why}")


def decodes(codec: Codec, packed: bytes, plain: bytes) -> bool:
    """Whether a codec that was started decodes a sample in two steps, and sees its end."""
    following = b"next"
    given = packed + following
    out = ctypes.create_string_buffer(len(plain) + 1)
    address, size = ctypes.addressof(out), len(out)
    first = codec.decode(given[:100], 0, (address, size))
    rest = codec.decode(given[100:], 0, (address + first[1], size - first[1]))
    is_whole = first[0] + rest[0] == len(packed) and out.raw[: len(plain)] == plain
    return codec.is_finished and is_whole
