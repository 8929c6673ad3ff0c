"""ATA drives: Security Erase through hdparm (ACS-4 7.37 and 4.18)."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bty_app.errors import FlashError, FlashRefusedError

PASSWORD = "bty"  # noqa: S105 - it locks the drive for the time of the erase, and no longer
PROGRAM = "hdparm"
SHORT_SECONDS = 60.0
LONGEST_SECONDS = 48 * 3600.0
SPARE = 2.0  # drives are slower than they say

_MINUTES = re.compile(r"(?<!\d)(\d+)min for (ENHANCED )?SECURITY ERASE UNIT")

Run = Callable[[Sequence[str], float], tuple[int, str]]


@dataclass(frozen=True, slots=True)
class Security:
    """What `hdparm -I` says of the security feature set; minutes are the drive's own estimate."""

    supported: bool = False
    enabled: bool = False
    locked: bool = False
    frozen: bool = False
    enhanced: bool = False
    minutes: int | None = None
    enhanced_minutes: int | None = None


def parse_security(text: str) -> Security:
    """The section "Security:" of `hdparm -I`; all false where there is none."""
    _, found, section = text.partition("\nSecurity:")
    if not found:
        return Security()
    flags: dict[str, bool] = {}
    for line in section.splitlines()[1:]:
        if line and not line[0].isspace():
            break
        words = line.strip().split()
        negated = bool(words) and words[0] == "not"
        name = " ".join(words[1:] if negated else words).rstrip(":").removeprefix("supported: ")
        flags.setdefault(name, not negated)
    minutes = {bool(kind): int(number) for number, kind in _MINUTES.findall(section)}
    return Security(
        supported=flags.get("supported", False),
        enabled=flags.get("enabled", False),
        locked=flags.get("locked", False),
        frozen=flags.get("frozen", False),
        enhanced=flags.get("enhanced erase", False),
        minutes=minutes.get(False),
        enhanced_minutes=minutes.get(True),
    )


class Drive:
    """One drive. Its methods take as long as the drive does."""

    def __init__(self, path: str, run: Run | None = None) -> None:
        self._path = path
        self._run = run or _run

    def security(self) -> Security:
        """What it says of itself.

        Raises:
            FlashRefusedError: hdparm is not here, or the drive does not answer it.
        """
        status, text = self._run((PROGRAM, "-I", self._path), SHORT_SECONDS)
        if status != 0:
            raise FlashRefusedError(f"hdparm does not read {self._path}: {text[-200:].strip()}")
        return parse_security(text)

    def erase(self, security: Security) -> str:
        """Erase it, in the stronger way where there is one; what was done.

        Raises:
            FlashError: it failed. The sentence says when the drive is left with a password.
        """
        kind = "enhanced " if security.enhanced else ""
        option = "--security-erase-enhanced" if security.enhanced else "--security-erase"
        estimate = security.enhanced_minutes if security.enhanced else security.minutes
        seconds = min(estimate * 60 * SPARE + 600, LONGEST_SECONDS) if estimate else LONGEST_SECONDS
        self._do("--security-set-pass", SHORT_SECONDS, "take a password")
        try:
            self._do(option, seconds, f"do an {kind}erase")
        except FlashError as error:
            raise self._unlocked(error) from error
        return f"ATA {kind}security erase"

    def _unlocked(self, error: FlashError) -> FlashError:
        """The erase failed: without its password gone, the drive would be locked from now on."""
        try:
            self._do("--security-disable", SHORT_SECONDS, "forget its password")
        except FlashError:
            return FlashError(
                f"{error.message}; THE DRIVE IS LEFT LOCKED with the password {PASSWORD!r}:"
                f" hdparm --user-master u --security-disable {PASSWORD} {self._path}"
            )
        return error

    def _do(self, option: str, seconds: float, name: str) -> None:
        command = (PROGRAM, "--user-master", "u", option, PASSWORD, self._path)
        status, text = self._run(command, seconds)
        # hdparm exits with 0 after some refusals of the drive.
        if status != 0 or "SG_IO: bad/missing sense data" in text or "I/O error" in text:
            raise FlashError(f"{self._path} does not {name}: {text[-200:].strip()}")


def check_erasable(security: Security, path: str) -> None:
    """Refuse a drive that cannot erase itself now.

    Raises:
        FlashRefusedError: says why, and what helps.
    """
    if not security.supported:
        raise FlashRefusedError(f"{path} has no ATA security erase")
    if security.locked or security.enabled:
        raise FlashRefusedError(f"{path} has a password: take that away first (hdparm)")
    if security.frozen:
        raise FlashRefusedError(
            f"{path} is frozen: the firmware forbids ATA security erase until the drive is"
            " switched off and on (suspend the machine, or plug the drive in again)"
        )


def _run(command: Sequence[str], seconds: float) -> tuple[int, str]:
    try:
        done = subprocess.run(  # noqa: S603 - a path of /sys and words of ours
            command, check=False, capture_output=True, timeout=seconds
        )
    except FileNotFoundError:
        return 127, f"the program {command[0]} is not here"
    except subprocess.TimeoutExpired:
        return 124, f"no end after {seconds:.0f} seconds"
    return done.returncode, (done.stdout + done.stderr).decode("utf-8", "replace")
