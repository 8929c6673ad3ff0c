"""What the boot servers saw of a machine, for whoever keeps a timeline."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Seen:
    """`stage` is dhcp.offered, dhcp.ignored, tftp.started, tftp.done or tftp.failed.

    `mac` is lower case with colons; None where only the IP is known. `at` is UTC.
    """

    mac: str | None
    ip: str
    stage: str
    at: datetime
    detail: dict[str, str | int]
