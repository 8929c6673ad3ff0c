"""A decoder that is a program of the system: it works beside us, on another core."""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import subprocess
import time
from collections.abc import Sequence
from typing import IO, cast

from bty_app.errors import FlashError, FlashIntegrityError
from bty_app.flasher.flow import Flow
from bty_app.flasher.ring import Sink

F_SETPIPE_SZ = 1031
PIPE_BYTES = 1024 * 1024
HANG_SECONDS = 60.0
LOOK_SECONDS = 0.5
SAID_BYTES = 4096


class Program:
    """One run of the program, from standard input to standard output.

    It fails on an exit status and on every word it says: some programs say that they pass over
    garbage, and call it success.
    """

    def __init__(
        self,
        sink: Sink,
        flow: Flow,
        command: Sequence[str],
        *,
        hang_seconds: float = HANG_SECONDS,
    ) -> None:
        self._sink = sink
        self._flow = flow
        self._command = command
        self._hang_seconds = hang_seconds
        self._moved_at = time.monotonic()
        self._waits_for_disk = False
        self._said = b""
        pipe = subprocess.PIPE
        self._child = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0)  # noqa: S603
        ends = (self._child.stdin, self._child.stdout, self._child.stderr)
        self._stdin, self._stdout, self._stderr = (cast("IO[bytes]", end) for end in ends)
        flow.at_stop(self._kill)
        for end in (self._stdin, self._stdout):
            with contextlib.suppress(OSError):  # more than this user may have: a small one will do
                fcntl.fcntl(end, F_SETPIPE_SZ, PIPE_BYTES)
        os.set_blocking(self._stdin.fileno(), False)
        self._readers = [
            flow.start("flash-decoded", self._read_image),
            flow.start("flash-said", self._read_words),
        ]

    def feed(self, data: bytes) -> None:
        view = memoryview(data)
        self._moved_at = time.monotonic()
        while view:
            self._wait(self._stdin, select.POLLOUT)
            try:
                view = view[os.write(self._stdin.fileno(), view) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                self._close(self._stdin)
                self._end()
                raise self._failed("it stopped reading") from None
            self._moved_at = time.monotonic()

    def finish(self) -> None:
        self._moved_at = time.monotonic()
        self._close(self._stdin)
        self._end()
        if self._child.returncode or self._said:
            raise self._failed("")

    def _read_image(self) -> None:
        with self._stdout as pipe:
            while True:
                self._waits_for_disk = True
                room = self._sink.room()
                self._waits_for_disk = False
                count = os.readv(pipe.fileno(), [room])
                self._moved_at = time.monotonic()
                if not count:
                    return
                self._sink.filled(count)

    def _read_words(self) -> None:
        with self._stderr as pipe:
            while words := pipe.read(SAID_BYTES):
                self._said = (self._said + words)[:SAID_BYTES]

    def _wait(self, end: IO[bytes], event: int) -> None:
        poll = select.poll()
        poll.register(end, event)
        while not poll.poll(LOOK_SECONDS * 1000):
            self._look()

    def _end(self) -> None:
        """Wait until it has ended, and everything that it wrote is read."""
        for reader in self._readers:
            while reader.is_alive():
                reader.join(LOOK_SECONDS)
                self._look()
        self._flow.check()
        while self._child.poll() is None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._child.wait(LOOK_SECONDS)
            self._look()

    def _look(self) -> None:
        """Whether to go on waiting for it."""
        self._flow.check()
        if self._waits_for_disk:
            self._moved_at = time.monotonic()
        if time.monotonic() - self._moved_at > self._hang_seconds:
            name = self._command[0]
            self._kill()
            raise FlashError(f"{name} hangs: for {self._hang_seconds:g} seconds it did nothing")

    def _failed(self, why: str) -> FlashError:
        status = self._child.returncode
        name = os.path.basename(self._command[0])  # noqa: PTH119
        words = self._said.decode("utf-8", "replace").strip().replace("\n", "; ") or why
        if status is not None and status < 0:
            return FlashError(f"{name} was ended by {signal.Signals(-status).name}")
        told = f" with status {status}" if status else ""
        return FlashIntegrityError(f"the image is damaged: {name} ended{told}: {words[:300]}")

    def _kill(self) -> None:
        self._child.kill()
        self._child.wait()

    def _close(self, end: IO[bytes]) -> None:
        with contextlib.suppress(OSError):  # the other end is gone
            end.close()
