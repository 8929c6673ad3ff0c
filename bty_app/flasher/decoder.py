"""What a decoder is, and those that Python brings along."""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Callable
from typing import Protocol

from bty_app.errors import FlashIntegrityError
from bty_app.flasher.ring import Sink

OUT_BYTES = 1024 * 1024


class Decoder(Protocol):
    """Takes the bytes of a source, and puts those of the image into a sink."""

    def feed(self, data: bytes) -> None:
        """The next bytes of the source.

        Raises:
            FlashIntegrityError: they are not of this format, or damaged.
            FlashError: the decoder itself failed.
            StoppedError: the flash is stopped.
        """

    def finish(self) -> None:
        """There are no more bytes; the sink has the whole image when this returns.

        Raises:
            As `feed`.
        """


class Raw:
    """The image as it is."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def feed(self, data: bytes) -> None:
        self._sink.put(data)

    def finish(self) -> None:
        pass


class Stream(Protocol):
    """A decompressor of the standard library: of one member, stream or frame."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...


class Members:
    """A row of compressed members, one behind the other, by a decompressor for each."""

    def __init__(self, sink: Sink, make: Callable[[], Stream], name: str) -> None:
        self._sink = sink
        self._make = make
        self._name = name
        self._stream: Stream | None = None
        self._members = 0

    def feed(self, data: bytes) -> None:
        while data:
            if self._stream is None:
                data = self._after_member(data)
                if not data:
                    return
                self._stream = self._make()
            try:
                data = self._decoded(self._stream, data)
            except (zlib.error, lzma.LZMAError, OSError, ValueError, EOFError) as error:
                raise self._damaged(str(error)) from error

    def finish(self) -> None:
        if self._stream is not None or not self._members:
            raise self._damaged("it ends before its end" if self._members else "it is cut off")

    def _after_member(self, data: bytes) -> bytes:
        """What follows a member, without the padding that may stand there."""
        return data.lstrip(b"\0") if self._members else data

    def _decoded(self, stream: Stream, data: bytes) -> bytes:
        """Decode all of `data`, or what of it belongs to this member: the rest comes back."""
        while True:
            out, data = _step(stream, data)
            self._sink.put(out)
            if stream.eof:
                self._stream = None
                self._members += 1
                return stream.unused_data
            if not data and len(out) < OUT_BYTES:
                return b""

    def _damaged(self, why: str) -> FlashIntegrityError:
        return FlashIntegrityError(f"the image is no whole {self._name} file: {why}")


def _step(stream: Stream, data: bytes) -> tuple[bytes, bytes]:
    """At most `OUT_BYTES` more, and what of `data` has to be given again."""
    if isinstance(stream, lzma.LZMADecompressor):
        return stream.decompress(data, OUT_BYTES), b""  # it keeps what is left itself
    out = stream.decompress(data, OUT_BYTES)  # type: ignore[attr-defined]
    return out, stream.unconsumed_tail  # type: ignore[attr-defined]


def gzip_members(sink: Sink) -> Members:
    """Of gzip (RFC 1952); tapes and some tools pad it."""
    return Members(sink, lambda: zlib.decompressobj(wbits=31), "gzip")


def xz_streams(sink: Sink) -> Members:
    """Of xz, whose streams may be padded."""
    return Members(sink, lambda: lzma.LZMADecompressor(lzma.FORMAT_XZ), "xz")
