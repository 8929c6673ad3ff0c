"""Erasing a disk: the way is that of its kind, what was done is told, and old data is noticed."""

from __future__ import annotations

import ctypes
import errno
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain.jobs import Step
from bty_app.errors import (
    CancelledError,
    FlashError,
    FlashRefusedError,
    FlashWriteError,
    InvalidInputError,
)
from bty_app.flasher import ata, erasable, nvme
from bty_app.flasher.disks import Disk
from bty_app.flasher.wipe import SAMPLE_BYTES, Tools, is_plain, sample_offsets, wipe
from tests.flasher.fakes import DISK
from tests.flasher.images import loop_device

SIZE = 64 * 2**20
DISK_64M = replace(DISK, size_bytes=SIZE, rotational=True)


class Teller:
    """Takes note of phases; not wanted any more after some of them."""

    def __init__(self, most: int = 10**6) -> None:
        self.words: list[str] = []
        self.most = most

    def tell(self, step: Step) -> None:
        if not self.words or self.words[-1] != step.words:
            self.words.append(step.words)
        self.most -= 1
        if self.most < 0:
            raise CancelledError("stopped")

    def is_wanted(self) -> bool:
        return self.most >= 0

    def wait(self, seconds: float) -> None:
        return


@dataclass
class Medium:
    """A disk of data; `lies`: what it claims to do, it does not."""

    size: int = SIZE
    places: dict[int, bytes] = field(default_factory=dict)
    lies: bool = False
    discard_error: int | None = None
    write_error: int | None = None
    fill: bytes | None = None  # what it has after an erase that does not leave zeros
    acts: list[tuple[str, int]] = field(default_factory=list)

    def read(self, offset: int, length: int) -> bytes:
        for start, data in self.places.items():
            if start == offset:
                return data
        if self.fill is not None and self.acts:
            return (self.fill * length)[:length]
        return bytes(length) if self.acts and not self.lies else _old(offset)

    def write_zeros(self, offset: int, length: int) -> None:
        if self.write_error and offset:
            raise OSError(self.write_error, os.strerror(self.write_error))
        self.acts.append(("zeros", length))

    def discard(self, offset: int, length: int, *, secure: bool) -> None:
        if self.discard_error:
            raise OSError(self.discard_error, os.strerror(self.discard_error))
        self.acts.append(("secure" if secure else "discard", length))

    def flush(self) -> None:
        self.acts.append(("flush", 0))


def _old(offset: int) -> bytes:
    """What the disk held: data at even places, nothing at others."""
    if offset // SAMPLE_BYTES % 2:
        return bytes(SAMPLE_BYTES)
    return (offset.to_bytes(8, "big") * SAMPLE_BYTES)[:SAMPLE_BYTES]


@dataclass
class NvmeDrive:
    """Answers commands as a drive does."""

    oacs: int = 2
    fna: int = 0
    sanicap: int = 0
    active: Sequence[int] = (1,)
    flbas: int = 0
    dps: int = 0
    status: int = 0
    sanitize_states: list[tuple[int, int]] = field(
        default_factory=lambda: [(30000, 2), (0xFFFF, 1)]
    )
    sent: list[tuple[int, int, int]] = field(default_factory=list)
    on_erase: Callable[[], None] = lambda: None

    def admin(self, command: nvme.Command) -> int:
        self.sent.append((command.opcode, command.nsid, command.cdw10))
        data = bytearray(4096)
        match command.opcode, command.cdw10 & 0xFF:
            case 0x06, 1:
                data[256], data[524], data[328] = self.oacs, self.fna, self.sanicap
            case 0x06, 0:
                data[26], data[29] = self.flbas, self.dps
            case 0x06, 2:
                for place, number in enumerate(self.active):
                    data[place * 4 : place * 4 + 4] = number.to_bytes(4, "little")
            case 0x02, 0x81:
                progress, state = self.sanitize_states.pop(0)
                data[0:4] = progress.to_bytes(2, "little") + state.to_bytes(2, "little")
            case _:
                self.on_erase()
                return self.status
        ctypes.memmove(command.address, bytes(data), command.data_length)
        return 0


def nvme_tools(drive: NvmeDrive, medium: Medium) -> Tools:
    @contextmanager
    def opened(_path: str) -> Iterator[nvme.Drive]:
        yield nvme.Drive(drive.admin, 1, lambda _seconds: None)

    drive.on_erase = lambda: medium.acts.append(("erased", 0))
    return tools(medium, nvme=opened)


def tools(medium: Medium, **more: object) -> Tools:
    @contextmanager
    def opened(_path: str) -> Iterator[erasable.Erasable]:
        yield medium

    return Tools(device=opened, **more)  # type: ignore[arg-type]


NVME = replace(DISK_64M, path="/dev/nvme0n1", tran="nvme", rotational=False, discards=True)
MMC = replace(DISK_64M, path="/dev/mmcblk0", tran="mmc", rotational=False, discards=True)
USB = replace(DISK_64M, path="/dev/sdc", tran="usb")

# -- every kind --------------------------------------------------------------------------------


def test_overwriting_writes_every_byte_and_looks_afterwards() -> None:
    medium, teller = Medium(), Teller()

    report = wipe(USB, "overwrite", teller, tools(medium))

    assert sum(length for kind, length in medium.acts if kind == "zeros") == SIZE
    assert medium.acts[-1] == ("flush", 0)
    assert report.zeros == report.samples >= 200
    assert "zeros written over every block" in report.sentence
    assert "all read as zeros" in report.sentence
    assert teller.words == ["looking", "wiping", "flushing", "looking"]


def test_a_disk_that_lies_about_its_discard_is_found_out() -> None:
    with pytest.raises(FlashError, match="samples hold what they held"):
        wipe(NVME, "discard", Teller(), tools(Medium(lies=True)))


def test_a_disk_that_keeps_something_else_than_zeros_was_not_overwritten() -> None:
    with pytest.raises(FlashError, match="does not read as zeros"):
        wipe(USB, "overwrite", Teller(), tools(Medium(fill=b"\xff")))


def test_one_sample_that_stayed_is_enough() -> None:
    offset = sample_offsets(SIZE)[17]
    medium = Medium(places={offset: b"old data" * 512})

    with pytest.raises(FlashError, match=f"1 of .* at byte {offset}"):
        wipe(NVME, "discard", Teller(), tools(medium))


def test_a_discard_says_that_it_is_no_erasure() -> None:
    medium = Medium(fill=b"\xff")

    report = wipe(NVME, "discard", Teller(), tools(medium))

    assert "none holds what it held" in report.sentence
    assert "the drive may keep old data" in report.sentence
    assert report.done == "discard of every block"


@pytest.mark.parametrize(
    ("disk", "method", "why"),
    [
        (USB, "discard", "knows no discard"),
        (USB, "secure", "has no secure erase"),
        (replace(MMC, discards=False), "secure", "has no secure erase"),
        (replace(USB, in_use=("x",)), "auto", "is in use"),
        (replace(USB, read_only=True), "overwrite", "is read-only"),
    ],
)
def test_what_cannot_be_done_is_refused_before_anything_is_erased(
    disk: Disk, method: str, why: str
) -> None:
    medium = Medium()

    with pytest.raises(FlashRefusedError, match=why):
        wipe(disk, method, Teller(), tools(medium))

    assert medium.acts == []


def test_a_method_that_there_is_not_is_refused() -> None:
    with pytest.raises(InvalidInputError, match="auto, discard, secure, overwrite"):
        wipe(USB, "dd", Teller(), tools(Medium()))


def test_a_failing_disk_is_a_failure() -> None:
    with pytest.raises(FlashWriteError, match="Input/output error"):
        wipe(USB, "overwrite", Teller(), tools(Medium(write_error=errno.EIO)))


def test_a_wipe_can_be_stopped() -> None:
    medium = Medium()

    with pytest.raises(CancelledError):
        wipe(USB, "overwrite", Teller(most=5), tools(medium))

    assert 0 < len(medium.acts) < 16


def test_the_best_way_of_a_plain_disk_is_to_overwrite_it_and_that_is_said() -> None:
    report = wipe(replace(USB, rotational=False), "auto", Teller(), tools(Medium()))

    assert report.done == "zeros written over every block"
    assert any("no secure erase" in note for note in report.notes)
    assert any("spare cells" in note for note in report.notes)


# -- cards -------------------------------------------------------------------------------------


def test_a_card_is_erased_by_secure_discard() -> None:
    medium = Medium()

    report = wipe(MMC, "secure", Teller(), tools(medium))

    assert medium.acts == [("secure", SIZE), ("flush", 0)]
    assert report.done == "secure discard of every block"


def test_a_card_without_secure_discard_is_never_just_discarded() -> None:
    medium = Medium(discard_error=errno.EOPNOTSUPP)

    with pytest.raises(FlashRefusedError, match="has no secure discard"):
        wipe(MMC, "secure", Teller(), tools(medium))
    report = wipe(MMC, "auto", Teller(), tools(medium))

    assert {kind for kind, _ in medium.acts} == {"zeros", "flush"}
    assert report.done == "zeros written over every block"


# -- NVMe --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("drive", "done", "command"),
    [
        (NvmeDrive(sanicap=7), "NVMe sanitize, crypto erase", (0x84, 0, 4)),
        (NvmeDrive(sanicap=2), "NVMe sanitize, block erase", (0x84, 0, 2)),
        (NvmeDrive(fna=4), "NVMe format, crypto erase", (0x80, 1, 2 << 9)),
        (NvmeDrive(), "NVMe format, user data erase", (0x80, 1, 1 << 9)),
        # The layout stays as it is: LBA format 0x12, metadata at the end, protection of type 1.
        (
            NvmeDrive(flbas=0b0111_0010 & ~0x40, dps=0b1001),
            "NVMe format, user data erase",
            (0x80, 1, 1 << 9 | 1 << 12 | 2 | 0x10 | 1 << 5 | 1 << 8),
        ),
        # Other namespaces live on, so no sanitize.
        (NvmeDrive(sanicap=7, active=(1, 2)), "NVMe format, user data erase", (0x80, 1, 1 << 9)),
    ],
)
def test_an_nvme_drive_erases_itself_in_its_strongest_way(
    drive: NvmeDrive, done: str, command: tuple[int, int, int]
) -> None:
    medium = Medium()

    report = wipe(NVME, "secure", Teller(), nvme_tools(drive, medium))

    assert report.done == done
    assert command in drive.sent
    assert medium.acts == [("erased", 0)]


def test_a_format_always_has_a_secure_erase_setting() -> None:
    for fna in range(8):
        drive = NvmeDrive(fna=fna)
        wipe(NVME, "secure", Teller(), nvme_tools(drive, Medium()))

        (cdw10,) = [cdw10 for opcode, _nsid, cdw10 in drive.sent if opcode == 0x80]
        assert cdw10 >> 9 & 7 in (1, 2)


@pytest.mark.parametrize(
    ("drive", "why"),
    [
        (NvmeDrive(oacs=0), "is not offered"),
        (NvmeDrive(fna=1, active=(1, 2)), "would erase its other namespaces"),
        (NvmeDrive(fna=2, active=(1, 2), sanicap=7), "would erase its other namespaces"),
    ],
)
def test_an_nvme_drive_that_cannot_is_refused(drive: NvmeDrive, why: str) -> None:
    medium = Medium()

    with pytest.raises(FlashRefusedError, match=why):
        wipe(NVME, "secure", Teller(), nvme_tools(drive, medium))

    assert medium.acts == []


@pytest.mark.parametrize(
    ("drive", "why"),
    [
        (NvmeDrive(status=0x2002), "refuses Format NVM: status 0x2002"),
        (NvmeDrive(sanicap=1, sanitize_states=[(0, 3)]), "failed to sanitize itself"),
        (NvmeDrive(sanicap=1, sanitize_states=[(0, 0)]), "failed to sanitize itself"),
    ],
)
def test_an_nvme_drive_that_fails_is_a_failure_and_nothing_weaker_is_tried(
    drive: NvmeDrive, why: str
) -> None:
    medium = Medium()
    for method in ("secure", "auto"):
        with pytest.raises(FlashError, match=why) as caught:
            wipe(NVME, method, Teller(), nvme_tools(replace(drive), medium))
        assert not isinstance(caught.value, FlashRefusedError)
        drive.sanitize_states[:] = [(0, 3)]

    assert {kind for kind, _ in medium.acts} == {"erased"}


def test_a_sanitize_that_goes_on_is_told_in_percent() -> None:
    teller = Teller()

    wipe(NVME, "secure", teller, nvme_tools(NvmeDrive(sanicap=1), Medium()))

    assert teller.words == ["looking", "sanitizing", "looking"]


def test_the_command_has_the_layout_of_the_kernel() -> None:
    assert ctypes.sizeof(nvme.Command) == 72
    assert nvme.Command.address.offset == 24
    assert nvme.Command.cdw10.offset == 40
    assert nvme.Command.timeout_ms.offset == 64


# -- ATA ---------------------------------------------------------------------------------------

SECURITY = """
/dev/sda:

ATA device, with non-removable media
\tModel Number:       INTEL SSDSC2BB240G4
Commands/features:
\tEnabled\tSupported:
\t   *\tSMART feature set
\t   *\tSecurity Mode feature set
Security:\x20
\tMaster password revision code = 65534
\t{supported}supported
\t{enabled}enabled
\t{locked}locked
\t{frozen}frozen
\tnot\texpired: security count
\t{enhanced}supported: enhanced erase
\t2min for SECURITY ERASE UNIT. 4min for ENHANCED SECURITY ERASE UNIT.
Logical Unit WWN Device Identifier: 55cd2e404b4d1234
\tfrozen
Checksum: correct
"""
ON, OFF = "\t", "not\t"


def identify(**changes: str) -> str:
    flags = {"supported": ON, "enabled": OFF, "locked": OFF, "frozen": OFF, "enhanced": ON}
    return SECURITY.format(**(flags | changes))


@dataclass
class Hdparm:
    """hdparm, and the drive behind it."""

    text: str = field(default_factory=identify)
    fails: dict[str, tuple[int, str]] = field(default_factory=dict)
    options: list[str] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    on_erase: Callable[[], None] = lambda: None

    def __call__(self, command: Sequence[str], seconds: float) -> tuple[int, str]:
        option = next(word for word in command[1:] if word.startswith(("-I", "--security")))
        self.options.append(option)
        self.seconds.append(seconds)
        if option in self.fails:
            return self.fails[option]
        if "erase" in option:
            self.on_erase()
        return 0, self.text if option == "-I" else "done"


def ata_tools(hdparm: Hdparm, medium: Medium) -> Tools:
    hdparm.on_erase = lambda: medium.acts.append(("erased", 0))
    return tools(medium, ata=lambda path: ata.Drive(path, hdparm))


def test_an_ata_drive_is_erased_in_its_enhanced_way_and_given_the_time_that_it_wants() -> None:
    hdparm, teller = Hdparm(), Teller()

    report = wipe(DISK_64M, "secure", teller, ata_tools(hdparm, Medium()))

    assert hdparm.options == ["-I", "--security-set-pass", "--security-erase-enhanced"]
    assert hdparm.seconds[-1] == 4 * 60 * 2 + 600
    assert report.done == "ATA enhanced security erase"
    assert "erasing, about 4 min by its own word" in teller.words


def test_an_ata_drive_without_the_enhanced_way_has_the_plain_one() -> None:
    hdparm = Hdparm(identify(enhanced=OFF))

    report = wipe(DISK_64M, "secure", Teller(), ata_tools(hdparm, Medium()))

    assert hdparm.options[-1] == "--security-erase"
    assert report.done == "ATA security erase"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (identify(frozen=ON), "is frozen: the firmware forbids"),
        (identify(locked=ON), "has a password"),
        (identify(enabled=ON), "has a password"),
        (identify(supported=OFF), "has no ATA security erase"),
        ("no section", "has no ATA security erase"),
    ],
)
def test_an_ata_drive_that_cannot_is_refused_by_name(text: str, why: str) -> None:
    hdparm, medium = Hdparm(text), Medium()

    with pytest.raises(FlashRefusedError, match=why):
        wipe(DISK_64M, "secure", Teller(), ata_tools(hdparm, medium))
    assert hdparm.options == ["-I"]
    report = wipe(DISK_64M, "auto", Teller(), ata_tools(hdparm, medium))

    assert report.done == "zeros written over every block"
    assert any(re.search(why, note) for note in report.notes)


def test_without_hdparm_a_secure_erase_is_refused() -> None:
    drive = ata.Drive("/dev/sda", lambda _command, _seconds: (127, "the program is not here"))

    with pytest.raises(FlashRefusedError, match="is not here"):
        drive.security()


@pytest.mark.parametrize(
    "answer", [(5, "SECURITY_ERASE: Input/output error"), (0, "SG_IO: bad/missing sense data")]
)
def test_an_erase_that_fails_does_not_leave_a_password_behind(answer: tuple[int, str]) -> None:
    hdparm = Hdparm(fails={"--security-erase-enhanced": answer})

    with pytest.raises(FlashError, match="does not do an enhanced erase"):
        wipe(DISK_64M, "auto", Teller(), ata_tools(hdparm, Medium()))

    assert hdparm.options[-1] == "--security-disable"


def test_a_password_that_stays_is_shouted() -> None:
    failed = (5, "I/O error")
    hdparm = Hdparm(fails={"--security-erase-enhanced": failed, "--security-disable": failed})

    with pytest.raises(FlashError, match="LEFT LOCKED with the password 'bty'"):
        wipe(DISK_64M, "secure", Teller(), ata_tools(hdparm, Medium()))


def test_the_security_section_is_read_to_its_end_and_no_further() -> None:
    found = ata.parse_security(identify())

    assert found == ata.Security(supported=True, enhanced=True, minutes=2, enhanced_minutes=4)


@given(st.text(alphabet="\n\t not:supportedSecurity32min for"))
def test_any_text_of_hdparm_is_read(text: str) -> None:
    ata.parse_security("\nSecurity:" + text)


# -- samples and devices -----------------------------------------------------------------------


@given(st.integers(0, 2**45))
def test_samples_are_whole_and_on_the_disk_and_at_both_ends(size: int) -> None:
    offsets = sample_offsets(size)

    assert offsets == tuple(sorted(set(offsets)))
    assert all(offset % SAMPLE_BYTES == 0 for offset in offsets)
    if size >= SAMPLE_BYTES:
        assert offsets[0] == 0
        assert offsets[-1] == (size // SAMPLE_BYTES - 1) * SAMPLE_BYTES


def test_a_place_of_one_byte_is_no_data() -> None:
    assert is_plain(b"\xff" * 9)
    assert is_plain(b"")
    assert not is_plain(b"ab")


@pytest.mark.system
@pytest.mark.parametrize("method", ["overwrite", "discard"])
def test_a_real_block_device_is_wiped(tmp_path: Path, method: str) -> None:
    image = tmp_path / "disk"
    image.write_bytes(b"old data" * (9 * 2**17))
    with loop_device(image) as path:
        numbers = Path(path).stat().st_rdev
        disk = replace(
            USB,
            path=path,
            size_bytes=image.stat().st_size,
            device_numbers=(os.major(numbers), os.minor(numbers)),
            discards=True,
        )
        report = wipe(disk, method, Teller())

    assert report.zeros == report.samples
    assert not image.read_bytes().strip(b"\0")


def test_a_device_that_cannot_be_opened_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(FlashWriteError, match="cannot be wiped"):
        wipe(replace(USB, path=str(tmp_path)), "overwrite", Teller())
