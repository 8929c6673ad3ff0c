"""Stages become boots, and each boot says how it ended or where it hangs. Time is an argument."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from bty_app.domain import boot_hangs
from bty_app.domain.boot_outcome import Hang, Outcome
from bty_app.domain.boot_stages import Seen, Stage

# How far each stage is. A stage of firmware that is less far than its boot has come begins another.
_RANK = {
    Stage.DHCP_ASKED: 0,
    Stage.DHCP_IGNORED: 0,
    Stage.DHCP_OFFERED: 0,
    Stage.TFTP_STARTED: 1,
    Stage.TFTP_DONE: 1,
    Stage.TFTP_FAILED: 1,
    Stage.HTTP_LOADER: 1,
    Stage.BOOTSTRAP: 2,
    Stage.SCRIPT: 3,
    Stage.KERNEL_STARTED: 4,
    Stage.KERNEL_DONE: 4,
    Stage.KERNEL_FAILED: 4,
    Stage.INITRD_STARTED: 5,
    Stage.INITRD_DONE: 5,
    Stage.INITRD_FAILED: 5,
    Stage.CLIENT: 6,
    Stage.INVENTORY: 7,
    Stage.PLAN: 8,
    Stage.FLASHING: 9,
    Stage.FLASHED: 10,
    Stage.FLASH_FAILED: 10,
    Stage.BOOTED: 11,
}
_FIRMWARE = 3  # ranks up to the script are firmware's and iPXE's; the rest follows from them
_LOADED = 1
# iPXE asks DHCP again when it starts, and firmware tries a transfer more than once.
AGAIN = timedelta(seconds=90)
# Firmware that comes back to the same stage after this time was switched off meanwhile.
STALE = timedelta(minutes=10)


class Kind(StrEnum):
    """What a boot has come to."""

    UNDER_WAY = "under-way"
    ENDED = "ended"
    HANGS = "hangs"
    BROKE_OFF = "broke-off"


@dataclass(frozen=True, slots=True)
class Boot:
    """One boot: its stages in order, what it has come to, and where it hangs, if it does."""

    stages: Sequence[Seen]
    kind: Kind
    words: str
    hang: Hang | None = None

    @property
    def began(self) -> datetime:
        """When its first stage was seen."""
        return self.stages[0].at

    @property
    def until(self) -> datetime:
        """When its last stage was seen."""
        return self.stages[-1].until


def boots(stages: Iterable[Seen], now: datetime) -> list[Boot]:
    """The boots that `stages` are of, newest first. Only the newest can be under way or hang."""
    groups: list[list[Seen]] = []
    for seen in sorted(stages, key=lambda stage: stage.at):
        if groups and not _begins(groups[-1], seen):
            groups[-1].append(seen)
        else:
            groups.append([seen])
    newest = len(groups) - 1
    told = [_boot(group, now if number == newest else None) for number, group in enumerate(groups)]
    return told[::-1]


def _begins(boot: Sequence[Seen], seen: Seen) -> bool:
    """Is `seen` the first stage of another boot?"""
    rank = _RANK[seen.stage]
    last = boot[-1]
    reached = max(_RANK[stage.stage] for stage in boot)
    since = seen.at - last.until
    if rank > _FIRMWARE:
        # A live environment of a stick, whose firmware nobody saw; a flash may pause for long.
        return since > STALE and rank <= reached and rank < _RANK[Stage.FLASHING]
    if since > STALE:
        return True
    if rank < reached:
        # The DHCP of iPXE, which firmware has just loaded, and a second try of the firmware.
        return reached > _LOADED or since > AGAIN
    if rank == reached == _RANK[Stage.SCRIPT]:
        return not boot_hangs.asks_again(last)
    return False


def _boot(stages: Sequence[Seen], now: datetime | None) -> Boot:
    """`now` is None for a boot that another one has followed: nothing more will come of it."""
    last = stages[-1]
    outcome: Outcome = boot_hangs.outcome_of(last)
    if outcome.final:
        kind = Kind.HANGS if outcome.hang else Kind.ENDED
        return Boot(
            stages, kind if now or not outcome.hang else Kind.BROKE_OFF, outcome.words, outcome.hang
        )
    if now is None:
        return Boot(stages, Kind.BROKE_OFF, outcome.words, outcome.hang)
    if now - last.until <= timedelta(seconds=outcome.patience):
        return Boot(stages, Kind.UNDER_WAY, outcome.words)
    return Boot(stages, Kind.HANGS, outcome.words, outcome.hang)
