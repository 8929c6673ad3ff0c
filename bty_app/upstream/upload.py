"""A large body that goes: sent piece by piece, for as long as it keeps a pace."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from urllib3 import BaseHTTPResponse

from bty_app.errors import CancelledError, UnavailableError
from bty_app.upstream.answers import too_large
from bty_app.upstream.connect import Dialer
from bty_app.upstream.exchange import CHUNK_BYTES, FAILURES, Message, Target, failures, reason
from bty_app.upstream.pace import Pace, Watch

MAX_ANSWER_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Upload:
    """How a body is sent: `size` bytes of `chunks`, while `is_wanted` says so."""

    size: int
    chunks: Iterator[bytes]
    pace: Pace
    is_wanted: Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Received:
    """What was answered, whole."""

    response: BaseHTTPResponse
    body: bytes


def send(dialer: Dialer, message: Message, target: Target, upload: Upload) -> Received:
    """Send a request with its body, and read the answer, of whatever status.

    Raises:
        CancelledError: it is not wanted any more.
        UnavailableError: it cannot be sent, or is not answered.
        BtyError: what `chunks` raises.
    """
    deadline = time.monotonic() + upload.pace.seconds
    with contextlib.ExitStack() as closing:
        with failures(target, deadline):
            line = closing.enter_context(dialer.line(*target.place, deadline))
        line.stop_deadline()
        watch = Watch(line.cut, upload.pace, upload.is_wanted, verb="went")
        closing.enter_context(watch)
        proxied = line.proxy.headers if line.proxy else {}
        try:
            # One that refuses may answer and close before it has read everything.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                line.connection.request(
                    message.method,
                    target.bare if line.proxy else target.url.request_uri,
                    body=_sent(upload, watch),
                    headers={**message.headers, **proxied, "Content-Length": str(upload.size)},
                    preload_content=False,
                    decode_content=False,
                )
            with watch.waiting():
                response = line.connection.getresponse()
                closing.callback(response.close)
                body = _whole(target, response)
        except FAILURES as error:
            if not upload.is_wanted():
                raise CancelledError(f"{target.shown}: the upload was cancelled") from error
            why = watch.complaint or reason(error)
            raise UnavailableError(f"{target.shown} cannot be written: {why}") from error
        return Received(response, body)


def _sent(upload: Upload, watch: Watch) -> Iterator[bytes]:
    for chunk in upload.chunks:
        if not upload.is_wanted():
            raise CancelledError("it was cancelled")
        with watch.waiting():
            yield chunk  # the next one is asked for when this one is sent
            watch.moved += len(chunk)


def _whole(target: Target, response: BaseHTTPResponse) -> bytes:
    body = bytearray()
    while chunk := response.read1(CHUNK_BYTES, decode_content=False):
        body += chunk
        if len(body) > MAX_ANSWER_BYTES:
            raise too_large(target.shown, MAX_ANSWER_BYTES)
    return bytes(body)
