"""What a machine is told while nothing can be read: what it was told last, if that writes nothing.

The last answer is all that is known then. A machine that was sent to its disk, and was not ordered
to be flashed since, may boot it again; of every other the disk may be half written (STATE-SAFETY,
PITFALLS P-29).
"""

from __future__ import annotations

from bty_app.domain.boot import (
    UNSTORABLE_POLL_SECONDS,
    Decision,
    FirmwareExit,
    LocalDisk,
    Reason,
    Wait,
)
from bty_app.domain.machine import Phase


def remembered(last: Decision | None) -> Decision:
    """The answer without a database; `last` is what the machine was told when there was one."""
    if last is not None and isinstance(last.offer, LocalDisk | FirmwareExit):
        return Decision(last.offer, Reason.FROM_MEMORY, last.next_phase)
    phase = last.next_phase if last else Phase.IDLE
    return Decision(Wait(UNSTORABLE_POLL_SECONDS), Reason.FROM_MEMORY, phase)
