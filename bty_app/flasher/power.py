"""Reboots the machine, by whatever this system has for that."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from bty_app.errors import FlashError

WAYS = (("systemctl", "reboot"), ("reboot", "-f"), ("busybox", "reboot", "-f"))
SYSRQ = Path("/proc/sysrq-trigger")
PATIENCE_SECONDS = 60.0  # for services that end; a kernel needs none


def reboot(
    *,
    run: Callable[[Sequence[str]], bool] | None = None,
    pause: Callable[[float], None] = time.sleep,
    sysrq: Path = SYSRQ,
) -> None:
    """Reboot. Does not return where it works.

    Raises:
        FlashError: the machine is still here.
    """
    os.sync()
    if any((run or _runs)(way) for way in WAYS):
        pause(PATIENCE_SECONDS)
    with contextlib.suppress(OSError):
        sysrq.write_text("b")
        pause(PATIENCE_SECONDS)
    raise FlashError("the machine does not reboot: switch it off and on")


def _runs(command: Sequence[str]) -> bool:
    try:
        done = subprocess.run(  # noqa: S603 - no part of it comes from outside
            command, check=False, capture_output=True, timeout=PATIENCE_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return done.returncode == 0
