"""Whether the clock of this host can be believed: a host without a clock chip starts in the past.

Until the time service has set the clock, slots and ages are wrong: nothing is pruned, and the
schedule waits, an hour at most (STATE-SAFETY 3.6).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from bty_app.domain.schedule import CLOCK_SLACK

# No release that has backups is older: a clock before this has not been set.
EARLIEST = datetime(2026, 1, 1, tzinfo=UTC)
SETTLING = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Doubt:
    """Why the clock is not believed, as a sentence; empty where it is. `holds`: the schedule waits;
    nothing is pruned in any case.
    """

    sentence: str = ""
    holds: bool = False


def doubt(now: datetime, newest: datetime | None, up: timedelta) -> Doubt:
    """Whether `now` can be.

    Args:
        now: what the clock says.
        newest: of when the newest backup is, if there is one.
        up: how long the host has been up.
    """
    settling = up < SETTLING
    if now < EARLIEST:
        return Doubt(
            f"the clock says {now:%Y-%m-%d}, which cannot be: it has not been set", settling
        )
    if settling and newest is not None and newest > now + CLOCK_SLACK:
        return Doubt(
            f"this host started just now, and its clock ({now:%Y-%m-%d %H:%M} UTC) is behind the"
            f" newest backup, of {newest:%Y-%m-%d %H:%M} UTC",
            holds=True,
        )
    return Doubt()
