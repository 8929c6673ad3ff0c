"""A network that nobody else is in: loopback, and nothing more.

A browser lets go of what it is doing when this machine gets an address, as it does whenever another
test makes a network for its containers (`net::ERR_NETWORK_CHANGED`).
"""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def enter(namespace: int) -> None:
    """Put this thread into the network that an open file stands for.

    Raises:
        OSError: it cannot.
    """
    if _libc.setns(namespace, _CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "setns")


@contextmanager
def own_network() -> Iterator[None]:
    """This thread is there: so are its new sockets, and the threads and processes that it starts.

    It takes root; without, everything stays in the network of this machine.
    """
    if os.geteuid() != 0:
        yield
        return
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.unshare(_CLONE_NEWNET) != 0:
            raise OSError(ctypes.get_errno(), "unshare")
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True, timeout=30)
        yield
    finally:
        enter(home)
        os.close(home)
