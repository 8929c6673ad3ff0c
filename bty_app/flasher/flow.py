"""What the threads of one flash share: whether to go on, and the first thing that failed."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from bty_app.errors import BtyError, FlashError


class StoppedError(Exception):
    """Another thread has failed, or the flash was cancelled: this one ends quietly."""


class Flow:
    """One flash. Any thread may call."""

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._ended = threading.Condition(self._lock)
        self._conditions = [self._ended]
        self._stopped = threading.Event()
        self._failure: BaseException | None = None
        self._endings: list[Callable[[], None]] = []
        self._threads: list[tuple[threading.Thread, float | None]] = []
        self._pools: list[ThreadPoolExecutor] = []
        self._active = 0

    @property
    def failure(self) -> BaseException | None:
        """The first failure."""
        return self._failure

    @property
    def is_stopped(self) -> bool:
        """Whether everybody is to end."""
        return self._stopped.is_set()

    def start(
        self, name: str, work: Callable[[], None], *, patience: float | None = None
    ) -> threading.Thread:
        """Do `work` in a thread of this flash; its failure ends the flash.

        The end of the flash waits for the end of the thread, or so many seconds: where it may be
        held up by somebody else and has nothing in its hands.
        """
        thread = threading.Thread(target=self._do, args=(work,), name=name, daemon=True)
        with self._lock:
            thread.start()
            self._threads.append((thread, patience))
            self._active += 1
        return thread

    def pool(self, workers: int, name: str) -> ThreadPoolExecutor:
        """Threads for small work; what they have not begun when the flash is stopped is left."""
        made = ThreadPoolExecutor(workers, name)
        with self._lock:
            self._pools.append(made)
        self.at_stop(lambda: made.shutdown(wait=False, cancel_futures=True))
        return made

    def fail(self, error: BaseException) -> None:
        """End the flash because of `error`, unless it has been ended before."""
        with self._lock:
            if not self.is_stopped:
                self._failure = self._failure or error
        self.stop()

    def stop(self) -> None:
        """Tell everybody to end, and wake who waits."""
        with self._lock:
            self._stopped.set()
            endings, self._endings = self._endings, []
            for condition in self._conditions:
                condition.notify_all()
        for end in endings:
            end()

    def at_stop(self, end: Callable[[], None]) -> None:
        """Call `end` when the flash is stopped; at once where it is already."""
        with self._lock:
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

    def condition(self) -> threading.Condition:
        """One to wait at with `wait_for`; all conditions of a flash share one lock."""
        made = threading.Condition(self._lock)
        with self._lock:
            self._conditions.append(made)
        return made

    def wait_for(self, changed: threading.Condition, ready: Callable[[], object]) -> None:
        """Wait, holding `changed`, until `ready`.

        Raises:
            StoppedError: the flash is stopped.
        """
        changed.wait_for(lambda: self.is_stopped or ready())
        self.check()

    def join(self) -> None:
        """Wait until every thread has ended, as far as there is patience."""
        while True:
            with self._lock:
                if not self._threads:
                    break
                thread, patience = self._threads.pop()
            thread.join(patience)
        for pool in self._pools:
            pool.shutdown()

    def wait_over(self, seconds: float) -> bool:
        """Wait so long for the end of every thread: whether it has come."""
        with self._ended:
            return self._ended.wait_for(lambda: not self._active, seconds)

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
            with self._ended:
                self._active -= 1
                self._ended.notify_all()


class Channel:
    """Chunks of bytes from one thread to another, at most `capacity` bytes at a time."""

    def __init__(self, flow: Flow, capacity: int) -> None:
        self._flow = flow
        self._changed = flow.condition()
        self._capacity = capacity
        self._chunks: deque[bytes | None] = deque()
        self._bytes = 0

    def put(self, chunk: bytes | None) -> None:
        """Hand a chunk on, or None behind the last one; waits for room.

        Raises:
            StoppedError: the flash is stopped.
        """
        with self._changed:
            self._flow.wait_for(self._changed, lambda: self._bytes < self._capacity)
            self._chunks.append(chunk)
            self._bytes += len(chunk or b"")
            self._changed.notify_all()

    def get(self) -> bytes | None:
        """The next chunk, waited for.

        Raises:
            StoppedError: the flash is stopped.
        """
        with self._changed:
            self._flow.wait_for(self._changed, lambda: self._chunks)
            chunk = self._chunks.popleft()
            self._bytes -= len(chunk or b"")
            self._changed.notify_all()
        return chunk
