"""What is told of the hardware (CONTRACT 3.5, 0.2): only what every server takes."""

from __future__ import annotations

import contextlib
import json
import logging
import subprocess
from collections.abc import Callable, Sequence

from bty_app import logs
from bty_app.domain.inventory import MAX_DISKS, MAX_LSHW_BYTES
from bty_app.domain.json_bounds import compact, decode
from bty_app.domain.machine import has_control_characters
from bty_app.errors import InvalidInputError
from bty_app.flasher.disks import Disk

MAX_DISKS_OF_THE_ORIGINAL = 64
LSHW = ("lshw", "-json", "-quiet")
LSHW_SECONDS = 30.0

_UNITS = "BKMGTPE"
_log = logging.getLogger(__name__)


def inventory(disks: Sequence[Disk], lshw: object = None, *, most: int = MAX_DISKS) -> bytes:
    """The body of `POST /pxe/{mac}/inventory`."""
    body: dict[str, object] = {"disks": [_disk(disk) for disk in disks[:most]]}
    if lshw is not None:
        body["lshw"] = lshw
    return json.dumps(body, separators=(",", ":")).encode()


def lsblk_size(size_bytes: int) -> str:
    """A size as lsblk shows it to people, which is how servers keep it: `476.9G`."""
    power = 0
    while power < len(_UNITS) - 1 and size_bytes >= 1024 ** (power + 1):
        power += 1
    tenths = (size_bytes * 10 + 1024**power // 2) // 1024**power
    whole, rest = divmod(tenths, 10)
    return f"{whole}.{rest}{_UNITS[power]}" if rest else f"{whole}{_UNITS[power]}"


def read_lshw(run: Callable[[], bytes | None] | None = None) -> object:
    """The tree of lshw, or None: it is not installed, takes too long, or is too much to send."""
    data = (run or _run_lshw)()
    if data is None:
        return None
    try:
        tree = decode(data.decode("utf-8", "replace"))
    except InvalidInputError as error:
        logs.event(_log, logging.WARNING, "lshw", error=error.message)
        return None
    # Versions before B.02.19 give a list, and newer ones may.
    if not isinstance(tree, dict | list) or len(compact(tree)) > MAX_LSHW_BYTES:
        return None
    return json.loads(compact(tree))


def _disk(disk: Disk) -> dict[str, object]:
    return {
        "path": disk.path[:255],
        "size": lsblk_size(disk.size_bytes),
        "vendor": _words(disk.vendor, 64),
        "model": _words(disk.model, 128),
        "serial": _serial(disk.serial),
        "tran": _words(disk.tran, 32),
        "removable": disk.removable,
        "readonly": disk.read_only,
    }


def _words(text: str | None, limit: int) -> str | None:
    """What people read may be cut short."""
    plain = "".join(c for c in text or "" if not has_control_characters(c))
    return plain[:limit].strip() or None


def _serial(serial: str | None) -> str | None:
    """What names the disk is whole, or not told."""
    if not serial or len(serial) > 128 or has_control_characters(serial):
        return None
    return serial


def _run_lshw() -> bytes | None:
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):  # it is optional
        done = subprocess.run(  # noqa: S603 - no part of it comes from outside
            LSHW, check=False, capture_output=True, timeout=LSHW_SECONDS
        )
        return done.stdout if done.returncode == 0 else None
    return None
