"""What the threads of one flash share: whether to go on, and the first thing that failed."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

from bty_app.errors import BtyError, FlashError


class StoppedError(Exception):
    """Another thread has failed, or the flash was cancelled: this one ends quietly."""


class Flow:
    """One flash. Any thread may call."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self._stopped = threading.Event()
        self._failure: BaseException | None = None
        self._endings: list[Callable[[], None]] = []
        self._threads: list[threading.Thread] = []

    @property
    def failure(self) -> BaseException | None:
        """The first failure."""
        return self._failure

    @property
    def is_stopped(self) -> bool:
        """Whether everybody is to end."""
        return self._stopped.is_set()

    def start(self, name: str, work: Callable[[], None]) -> threading.Thread:
        """Do `work` in a thread of this flash; its failure ends the flash."""
        thread = threading.Thread(target=self._do, args=(work,), name=name, daemon=True)
        with self.changed:
            thread.start()
            self._threads.append(thread)
        return thread

    def fail(self, error: BaseException) -> None:
        """End the flash because of `error`, unless something else has failed before."""
        with self.changed:
            self._failure = self._failure or error
        self.stop()

    def stop(self) -> None:
        """Tell everybody to end, and wake who waits."""
        with self.changed:
            self._stopped.set()
            endings, self._endings = self._endings, []
            self.changed.notify_all()
        for end in endings:
            end()

    def at_stop(self, end: Callable[[], None]) -> None:
        """Call `end` when the flash is stopped; at once where it is already."""
        with self.changed:
            if not self.is_stopped:
                self._endings.append(end)
                return
        end()

    def check(self) -> None:
        """Raise where the flash has been stopped.

        Raises:
            StoppedError: it has.
        """
        if self.is_stopped:
            raise StoppedError

    def pause(self, seconds: float) -> None:
        """Let time pass.

        Raises:
            StoppedError: the flash is stopped.
        """
        self._stopped.wait(seconds)
        self.check()

    def wait_for(self, ready: Callable[[], object]) -> None:
        """Wait, holding `changed`, until `ready`.

        Raises:
            StoppedError: the flash is stopped.
        """
        self.changed.wait_for(lambda: self.is_stopped or ready())
        self.check()

    def join(self) -> None:
        """Wait until every thread has ended."""
        while True:
            with self.changed:
                thread = self._threads.pop() if self._threads else None
            if thread is None:
                return
            thread.join()

    def is_over(self) -> bool:
        """Whether every thread has ended by itself."""
        with self.changed:
            return not any(thread.is_alive() for thread in self._threads)

    def _do(self, work: Callable[[], None]) -> None:
        try:
            work()
        except StoppedError:
            pass
        except BtyError as error:
            self.fail(error)
        except BaseException as error:  # noqa: BLE001 - the edge of a thread: the flash tells it
            failure = FlashError(f"the flasher failed: {type(error).__name__}: {error}")
            failure.__cause__ = error
            self.fail(failure)
        finally:
            with self.changed:
                self.changed.notify_all()


class Channel:
    """Chunks of bytes from one thread to another, at most `capacity` bytes at a time."""

    def __init__(self, flow: Flow, capacity: int) -> None:
        self._flow = flow
        self._capacity = capacity
        self._chunks: deque[bytes | None] = deque()
        self._bytes = 0

    def put(self, chunk: bytes | None) -> None:
        """Hand a chunk on, or None behind the last one; waits for room.

        Raises:
            StoppedError: the flash is stopped.
        """
        with self._flow.changed:
            self._flow.wait_for(lambda: self._bytes < self._capacity)
            self._chunks.append(chunk)
            self._bytes += len(chunk or b"")
            self._flow.changed.notify_all()

    def get(self) -> bytes | None:
        """The next chunk, waited for.

        Raises:
            StoppedError: the flash is stopped.
        """
        with self._flow.changed:
            self._flow.wait_for(lambda: self._chunks)
            chunk = self._chunks.popleft()
            self._bytes -= len(chunk or b"")
            self._flow.changed.notify_all()
        return chunk
