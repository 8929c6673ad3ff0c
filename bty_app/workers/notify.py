"""What a service manager is told: sd_notify(3), where one listens at NOTIFY_SOCKET.

Threads: `notify` while something takes long.
"""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator, MutableMapping
from contextlib import contextmanager

VARIABLE = "NOTIFY_SOCKET"
EXTEND_SECONDS = 30
EVERY_SECONDS = 10.0
LONGEST_SECONDS = 3600.0  # then the manager's own patience counts again


class Manager:
    """systemd, or whoever speaks as it does; without an address nobody is told anything."""

    def __init__(self, address: str = "", *, every: float = EVERY_SECONDS) -> None:
        # A name that begins with @ is in the abstract namespace (unix(7)).
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._every = every

    @property
    def listens(self) -> bool:
        """Whether there is one."""
        return bool(self._address)

    def ready(self, status: str, *, proof: Callable[[], None] = lambda: None) -> None:
        """It serves. Where somebody waits for that, `proof` is asked first, which raises if not."""
        if self.listens:
            proof()
        self._tell(f"READY=1\nSTATUS={status}")

    def stopping(self) -> None:
        """It ends."""
        self._tell("STOPPING=1\nSTATUS=stopping")

    @contextmanager
    def busy(self, status: str) -> Iterator[None]:
        """Say what takes so long, and ask for more time, for as long as the block lasts."""
        if not self.listens:
            yield
            return
        self._tell(f"STATUS={status}")
        done = threading.Event()
        thread = threading.Thread(target=self._ask_for_time, args=(done,), name="notify")
        thread.start()
        try:
            yield
        finally:
            done.set()
            thread.join()

    def _ask_for_time(self, done: threading.Event) -> None:
        until = time.monotonic() + LONGEST_SECONDS
        while time.monotonic() < until:
            self._tell(f"EXTEND_TIMEOUT_USEC={EXTEND_SECONDS * 1_000_000}")
            if done.wait(self._every):
                return

    def _tell(self, text: str) -> None:
        """A manager that does not hear it keeps nothing from being served."""
        if not self._address:
            return
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as to,
        ):
            to.settimeout(1.0)
            to.sendto(text.encode(), self._address)


def manager(environment: MutableMapping[str, str]) -> Manager:
    """The one that `environment` names; programs that are started from here are not to speak to
    it.
    """
    return Manager(environment.pop(VARIABLE, ""))
