"""NVMe drives through the kernel's own interface: no program is needed (NVM Command Set, 5.x)."""

from __future__ import annotations

import ctypes
import fcntl
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bty_app.errors import FlashError

ADMIN_COMMAND = 0xC0484E41  # NVME_IOCTL_ADMIN_CMD
NAMESPACE_ID = 0x4E40  # NVME_IOCTL_ID

_GET_LOG, _IDENTIFY, _FORMAT, _SANITIZE = 0x02, 0x06, 0x80, 0x84
_SANITIZE_LOG = 0x81
_ALL_NAMESPACES = 0xFFFFFFFF
FORMAT_SECONDS = 4 * 3600.0
POLL_SECONDS = 2.0

# What Format and Sanitize are asked for.
FORMAT_USER_DATA, FORMAT_CRYPTO = 1, 2
SANITIZE_BLOCK, SANITIZE_CRYPTO = 2, 4


class Command(ctypes.Structure):
    """struct nvme_admin_cmd of linux/nvme_ioctl.h."""

    _fields_ = (
        ("opcode", ctypes.c_uint8),
        ("flags", ctypes.c_uint8),
        ("reserved", ctypes.c_uint16),
        ("nsid", ctypes.c_uint32),
        ("cdw2", ctypes.c_uint32),
        ("cdw3", ctypes.c_uint32),
        ("metadata", ctypes.c_uint64),
        ("address", ctypes.c_uint64),
        ("metadata_length", ctypes.c_uint32),
        ("data_length", ctypes.c_uint32),
        ("cdw10", ctypes.c_uint32),
        ("cdw11", ctypes.c_uint32),
        ("cdw12", ctypes.c_uint32),
        ("cdw13", ctypes.c_uint32),
        ("cdw14", ctypes.c_uint32),
        ("cdw15", ctypes.c_uint32),
        ("timeout_ms", ctypes.c_uint32),
        ("result", ctypes.c_uint32),
    )


@dataclass(frozen=True, slots=True)
class Abilities:
    """What a drive can erase. `alone`: it has no other namespace; `spares_others`: formatting
    this one erases no other. `layout` are the bits of a Format command that change nothing.
    """

    formats: bool
    format_crypto: bool
    alone: bool
    spares_others: bool
    sanitize_crypto: bool
    sanitize_block: bool
    layout: int


Admin = Callable[[Command], int]


class Drive:
    """One namespace of a drive, open."""

    def __init__(self, admin: Admin, namespace: int, pause: Callable[[float], None]) -> None:
        """`admin` carries out a command and returns the drive's status, 0 for success."""
        self._admin = admin
        self._namespace = namespace
        self._pause = pause

    def abilities(self) -> Abilities:
        """What it says that it can.

        Raises:
            FlashError: it does not say.
        """
        controller = self._read(_IDENTIFY, cdw10=1)
        namespace = self._read(_IDENTIFY, nsid=self._namespace, cdw10=0)
        active = self._read(_IDENTIFY, cdw10=2)  # numbers, ended by a zero
        alone = active[4:8] == bytes(4)
        fna, sanicap = controller[524], controller[328]
        return Abilities(
            formats=bool(controller[256] & 2),
            format_crypto=bool(fna & 4),
            alone=alone,
            spares_others=alone or not fna & 3,
            sanitize_crypto=bool(sanicap & 1),
            sanitize_block=bool(sanicap & 2),
            layout=_layout(flbas=namespace[26], dps=namespace[29]),
        )

    def format(self, setting: int, layout: int) -> None:
        """Format with a secure erase setting: without one, it would erase nothing.

        Raises:
            FlashError: the drive refuses.
        """
        cdw10 = layout | setting << 9
        self._do(_FORMAT, "Format NVM", nsid=self._namespace, cdw10=cdw10, seconds=FORMAT_SECONDS)

    def sanitize(self, action: int, tell: Callable[[int], None]) -> None:
        """Sanitize the whole drive, and wait for its end; `tell` hears the share in percent.

        Raises:
            FlashError: the drive refuses, or fails at it.
        """
        self._do(_SANITIZE, "Sanitize", cdw10=action)
        while True:
            log = self._read(_GET_LOG, nsid=_ALL_NAMESPACES, cdw10=_SANITIZE_LOG | 127 << 16)
            progress = int.from_bytes(log[0:2], "little")
            match int.from_bytes(log[2:4], "little") & 7:
                case 1 | 4:  # done, without or with no-deallocate
                    return
                case 2:
                    tell(progress * 100 // 65536)
                    self._pause(POLL_SECONDS)
                case state:
                    raise FlashError(f"the drive failed to sanitize itself (state {state})")

    def _read(self, opcode: int, *, nsid: int = 0, cdw10: int = 0) -> bytes:
        buffer = ctypes.create_string_buffer(4096)
        length = 512 if opcode == _GET_LOG else 4096
        command = Command(
            opcode=opcode,
            nsid=nsid,
            address=ctypes.addressof(buffer),
            data_length=length,
            cdw10=cdw10,
        )
        self._run(command, "Identify")
        return buffer.raw

    def _do(
        self, opcode: int, name: str, *, nsid: int = 0, cdw10: int, seconds: float = 120.0
    ) -> None:
        command = Command(opcode=opcode, nsid=nsid, cdw10=cdw10, timeout_ms=int(seconds * 1000))
        self._run(command, name)

    def _run(self, command: Command, name: str) -> None:
        try:
            status = self._admin(command)
        except OSError as error:
            raise FlashError(f"the drive fails at {name}: {error.strerror}") from error
        if status:
            raise FlashError(f"the drive refuses {name}: status {status:#x}")


def _layout(*, flbas: int, dps: int) -> int:
    """The LBA format, metadata and protection that the namespace has, as Format takes them."""
    lba_format = flbas & 0xF | (flbas >> 5 & 3) << 12
    return lba_format | flbas & 0x10 | (dps & 7) << 5 | (dps >> 3 & 1) << 8


@contextmanager
def opened(path: str) -> Iterator[Drive]:
    """The drive at `path`, for ourselves alone.

    Raises:
        OSError: it cannot be opened, or is no NVMe drive.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_EXCL | os.O_CLOEXEC)
    try:
        namespace = fcntl.ioctl(descriptor, NAMESPACE_ID)

        def admin(command: Command) -> int:
            status: int = fcntl.ioctl(descriptor, ADMIN_COMMAND, command)
            return status

        yield Drive(admin, namespace, time.sleep)
    finally:
        os.close(descriptor)
