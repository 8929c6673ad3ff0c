"""Several terminals of a machine as one: what is written goes to all, what is typed on any counts.

A server has a screen, a serial line and a line of its BMC, and nobody knows at which one somebody
sits. The work runs in a child, on a terminal of its own; this process copies.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pty
import selectors
import struct
import termios
import tty
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

ROWS, COLUMNS = 24, 80
CHUNK_BYTES = 4096
MAX_WAITING_BYTES = 64 * 1024  # for a slow line: some seconds of it
SHOWN_ON = "BTY_SHOWN_ON"  # tells the work, and what it starts, where its terminal is shown
REST_SECONDS = 0.1  # between two tries to get rid of what waits


def on_all(paths: Sequence[Path], work: Callable[[], int]) -> int:
    """Do the work on all of these terminals at once; its exit status.

    One that cannot be opened, hangs up or does not take its bytes is done without. With none at all
    the work is done here. Its environment has their paths, with colons between them, in `SHOWN_ON`.
    """
    with _opened(paths) as terminals:
        if not terminals:
            return work()
        child, master = pty.fork()
        if child == 0:
            os.environ[SHOWN_ON] = ":".join(os.ttyname(terminal) for terminal in terminals)
            os._exit(_worked(work))
        fcntl.ioctl(master, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
        _copy(master, terminals)
        os.close(master)
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status)


def _worked(work: Callable[[], int]) -> int:
    """In the child, which must not go on in the program of its parent."""
    try:
        return work() & 0xFF
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else 1
    except KeyboardInterrupt:
        return 130


@contextmanager
def _opened(paths: Sequence[Path]) -> Iterator[list[int]]:
    flags = os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK | os.O_CLOEXEC
    with contextlib.ExitStack() as stack:
        terminals = []
        for path in paths:
            with contextlib.suppress(OSError, termios.error):
                terminal = os.open(path, flags)
                stack.callback(os.close, terminal)
                tty.setraw(terminal)  # the child's own terminal does all that a terminal does
                terminals.append(terminal)
        yield terminals


def _copy(master: int, terminals: list[int]) -> None:
    """Until the child's side of its terminal is closed, and the rest of it is shown."""
    waiting = {terminal: bytearray() for terminal in terminals}
    with selectors.DefaultSelector() as selector:
        for source in (master, *terminals):
            selector.register(source, selectors.EVENT_READ)
        while True:
            for key, _events in selector.select(REST_SECONDS):
                source = key.fd
                data = _read(source)
                if source == master:
                    if not data:
                        return
                    for buffer in waiting.values():
                        buffer.extend(data)
                        del buffer[:-MAX_WAITING_BYTES]  # of a line that nobody reads
                elif data:
                    _write(master, data)
                elif data is not None:  # it hung up
                    selector.unregister(source)
                    del waiting[source]
            for terminal, left in waiting.items():
                del left[: _write(terminal, left)]


def _read(source: int) -> bytes | None:
    """What came; nothing at the end, None where there is nothing at the moment."""
    try:
        return os.read(source, CHUNK_BYTES)
    except OSError as error:
        return None if error.errno in {errno.EAGAIN, errno.EINTR} else b""


def _write(target: int, data: bytes | bytearray) -> int:
    """How much of it was taken; a line without a reader must not hold a flash up."""
    try:
        return os.write(target, data)
    except OSError:
        return 0
