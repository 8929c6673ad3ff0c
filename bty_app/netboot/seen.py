"""What the boot servers saw, for whoever keeps a timeline, counts, or writes a log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Seen:
    """`stage` is one of a boot: dhcp.asked, dhcp.offered, dhcp.ignored, tftp.started, tftp.done,
    tftp.failed; or one that says nothing of a boot and is only counted: dhcp.other (no network
    boot), dhcp.malformed, dhcp.held-back (over the bound), tftp.declined (its size was all that
    was asked for), tftp.held-back.

    `mac` is lower case with colons; None where only the IP is known. `at` is UTC.
    """

    mac: str | None
    ip: str
    stage: str
    at: datetime
    detail: dict[str, str | int | float]
