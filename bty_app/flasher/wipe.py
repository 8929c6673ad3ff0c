"""Erasing a disk, by what its kind can do: what was really done is told, and looked at afterwards.

Never weaker than what was asked for: what cannot be done is refused before anything is written,
and what fails is a failure, not a reason for something else.
"""

from __future__ import annotations

import errno
import hashlib
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial

from bty_app.domain.flash_options import WIPE_METHODS
from bty_app.domain.jobs import Step, Teller
from bty_app.errors import FlashError, FlashRefusedError, FlashWriteError, InvalidInputError
from bty_app.flasher import ata, erasable, nvme, words
from bty_app.flasher.disks import Disk, check_writable
from bty_app.flasher.erasable import CHUNK_BYTES, Erasable

SAMPLES = 256
SAMPLE_BYTES = 4096
DISCARD_BYTES = 1024**3

Way = Callable[[], str]


@dataclass(frozen=True, slots=True)
class WipeReport:
    """What was done. `zeros` of `samples` places that were looked at read as zeros."""

    disk: str
    asked: str
    done: str
    seconds: float
    samples: int
    zeros: int
    notes: tuple[str, ...] = ()

    @property
    def sentence(self) -> str:
        """It in one sentence."""
        left = "all read as zeros" if self.zeros == self.samples else "none holds what it held"
        notes = "".join(f"; {note}" for note in self.notes)
        return (
            f"wiped {self.disk}: {self.done} in {words.duration(self.seconds)};"
            f" {self.samples} samples read back, {left}{notes}"
        )


@dataclass(frozen=True, slots=True)
class Tools:
    """The ways to a disk; tests give others."""

    device: Callable[[str], AbstractContextManager[Erasable]] = erasable.opened
    nvme: Callable[[str], AbstractContextManager[nvme.Drive]] = nvme.opened
    ata: Callable[[str], ata.Drive] = ata.Drive
    steady: Callable[[], float] = time.monotonic


def wipe(disk: Disk, method: str, teller: Teller, tools: Tools | None = None) -> WipeReport:
    """Erase the whole disk.

    Raises:
        InvalidInputError: there is no such method.
        FlashRefusedError: the disk must not be written, or cannot do what is asked for; nothing
            was erased.
        FlashError: it failed, or it claims to be done and old data can still be read.
        CancelledError: the teller says so; part of the disk is erased.
    """
    if method not in WIPE_METHODS:
        raise InvalidInputError(f"there is no way {method!r} to wipe: {', '.join(WIPE_METHODS)}")
    check_writable(disk)
    return _Wipe(disk, teller, tools or Tools()).run(method)


class _Wipe:
    """One wipe."""

    def __init__(self, disk: Disk, teller: Teller, tools: Tools) -> None:
        self._disk = disk
        self._teller = teller
        self._tools = tools
        self._notes: list[str] = []
        self._is_overwritten = False

    def run(self, method: str) -> WipeReport:
        try:
            return self._run(method)
        except OSError as error:
            raise FlashWriteError(
                f"{self._disk.about} cannot be wiped: {error.strerror}"
            ) from error

    def _run(self, method: str) -> WipeReport:
        began = self._tools.steady()
        way = self._way(method)
        offsets = sample_offsets(self._disk.size_bytes)
        before = self._samples(offsets)
        done = way()
        after = self._samples(offsets)
        kept = [
            offset
            for offset, old, new in zip(offsets, before, after, strict=True)
            if old == new and not is_plain(old)
        ]
        if kept:
            raise FlashError(
                f"{self._disk.about} says that it is erased ({done}), but {len(kept)} of"
                f" {len(offsets)} samples hold what they held, the first at byte {kept[0]}"
            )
        zeros = sum(1 for sample in after if not any(sample))
        if self._is_overwritten and zeros != len(offsets):
            raise FlashError(f"{self._disk.about} was overwritten and does not read as zeros")
        seconds = self._tools.steady() - began
        notes = tuple(self._notes)
        return WipeReport(self._disk.about, method, done, seconds, len(offsets), zeros, notes)

    def _samples(self, offsets: Sequence[int]) -> list[bytes]:
        self._teller.tell(Step("looking"))
        with self._tools.device(self._disk.path) as device:
            return [device.read(offset, SAMPLE_BYTES) for offset in offsets]

    # -- which way -----------------------------------------------------------------------------

    def _way(self, method: str) -> Way:
        match method:
            case "secure":
                return self._secure()
            case "discard":
                if not self._disk.discards:
                    raise FlashRefusedError(f"{self._disk.about} knows no discard")
                self._notes.append("discarded, not erased for good: the drive may keep old data")
                return self._discard
            case "overwrite":
                return self._overwrite
        return self._best

    def _best(self) -> str:
        """The strongest that there is. What the disk refuses has erased nothing yet."""
        try:
            return self._secure()()
        except FlashRefusedError as error:
            self._notes.append(f"no secure erase: {error.message}")
            return self._overwrite()

    def _secure(self) -> Way:
        name = self._disk.path.removeprefix("/dev/")
        if self._disk.tran == "nvme" or name.startswith("nvme"):
            return self._secure_nvme()
        if self._disk.tran in ("sata", "ata"):
            return self._secure_ata()
        if name.startswith("mmcblk") and self._disk.discards:
            return self._secure_discard
        raise FlashRefusedError(f"{self._disk.about} has no secure erase that can be asked for")

    def _secure_nvme(self) -> Way:
        try:
            with self._tools.nvme(self._disk.path) as drive:
                found = drive.abilities()
        except FlashError as error:
            raise FlashRefusedError(f"{self._disk.about}: {error.message}") from error
        if found.sanitize_crypto and found.alone:
            return partial(self._sanitize, "crypto erase", nvme.SANITIZE_CRYPTO)
        if found.sanitize_block and found.alone:
            return partial(self._sanitize, "block erase", nvme.SANITIZE_BLOCK)
        if not (found.formats and found.spares_others):
            why = "would erase its other namespaces as well" if found.formats else "is not offered"
            raise FlashRefusedError(f"{self._disk.about}: a secure erase {why}")
        setting = nvme.FORMAT_CRYPTO if found.format_crypto else nvme.FORMAT_USER_DATA
        return partial(self._format, setting, found.layout)

    def _secure_ata(self) -> Way:
        drive = self._tools.ata(self._disk.path)
        security = drive.security()
        ata.check_erasable(security, self._disk.about)

        def erase() -> str:
            minutes = security.enhanced_minutes if security.enhanced else security.minutes
            told = f", about {minutes} min by its own word" if minutes else ""
            self._teller.tell(Step(f"erasing{told}"))
            return drive.erase(security)

        return erase

    # -- what is done --------------------------------------------------------------------------

    def _sanitize(self, name: str, action: int) -> str:
        def tell(percent: int) -> None:
            self._teller.tell(Step("sanitizing", percent, 100))

        with self._tools.nvme(self._disk.path) as drive:
            drive.sanitize(action, tell)
        return f"NVMe sanitize, {name}"

    def _format(self, setting: int, layout: int) -> str:
        self._teller.tell(Step("formatting"))
        with self._tools.nvme(self._disk.path) as drive:
            drive.format(setting, layout)
        return f"NVMe format, {'crypto' if setting == nvme.FORMAT_CRYPTO else 'user data'} erase"

    def _secure_discard(self) -> str:
        def act(device: Erasable, offset: int, length: int) -> None:
            try:
                device.discard(offset, length, secure=True)
            except OSError as error:
                if offset or error.errno not in (errno.EOPNOTSUPP, errno.ENOTTY):
                    raise
                raise FlashRefusedError(f"{self._disk.about} has no secure discard") from error

        self._in_parts(DISCARD_BYTES, act)
        return "secure discard of every block"

    def _discard(self) -> str:
        self._in_parts(DISCARD_BYTES, lambda dev, at, n: dev.discard(at, n, secure=False))
        return "discard of every block"

    def _overwrite(self) -> str:
        if not self._disk.rotational:
            self._notes.append("spare cells of flash memory cannot be overwritten")
        self._is_overwritten = True
        self._in_parts(CHUNK_BYTES, lambda dev, at, n: dev.write_zeros(at, n))
        return "zeros written over every block"

    def _in_parts(self, most: int, act: Callable[[Erasable, int, int], None]) -> None:
        size = self._disk.size_bytes
        with self._tools.device(self._disk.path) as device:
            for offset in range(0, size, most):
                self._teller.tell(Step("wiping", offset, size))
                act(device, offset, min(most, size - offset))
            self._teller.tell(Step("flushing", size, size))
            device.flush()


def sample_offsets(size: int, count: int = SAMPLES) -> tuple[int, ...]:
    """Places all over a disk of `size` bytes: both ends, and the same others each time."""
    last = max(0, size // SAMPLE_BYTES - 1)
    found = {0, last}
    for number in range(count * 4):
        if len(found) >= min(count, last + 1):
            break
        digest = hashlib.sha256(f"{size}:{number}".encode()).digest()
        # Half of them near the start, where partition tables and file systems begin.
        reach = last if number % 2 else min(last, last // 64 + 256)
        found.add(int.from_bytes(digest[:8], "big") % (reach + 1))
    return tuple(place * SAMPLE_BYTES for place in sorted(found))


def is_plain(sample: bytes) -> bool:
    """Whether it is one byte again and again, as an erased place is, and no data."""
    return len(set(sample)) <= 1
