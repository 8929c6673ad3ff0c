"""What a restore was asked for, and what it was shown to do: planned, and carried out."""

from __future__ import annotations

from dataclasses import dataclass

from bty_app.domain import restoring
from bty_app.domain.catalog_events import By
from bty_app.domain.restoring import Effect, Wanted, WayBack
from bty_app.errors import ConflictError, NotFoundError
from bty_app.services.restore_sources import Proven
from bty_app.store import events, restoration, restore_plan
from bty_app.store.database import Tx


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for, and what it was shown to do."""

    wanted: Wanted
    by: By
    digest: str | None
    undoes: int | None

    def planned(self, tx: Tx, proven: Proven) -> Effect:
        """Make the plan; it must be the one that was shown."""
        restore_plan.make(tx, self.wanted)
        check_found(tx, proven.origin.name)
        effect = restore_plan.effect(tx, self.wanted, proven.origin.sha256)
        if self.digest not in (None, effect.digest):
            raise ConflictError(
                f"{proven.origin.name}: something has changed since this was shown:"
                " look at it again; nothing was changed"
            )
        return effect

    def carried_out(self, tx: Tx, proven: Proven, way_back: WayBack, *, at: str) -> Effect:
        """Do it, and write it down."""
        effect = self.planned(tx, proven)
        restoration.apply(tx, self.wanted, at=at)
        event = restoring.restored(proven.origin, self.wanted, effect, way_back, self.by)
        events.record(tx, event, at=at)
        return effect


def check_found(tx: Tx, name: str) -> None:
    """Every machine that was asked for must be in the backup.

    Raises:
        NotFoundError: one is not.
    """
    missing = [row[0] for row in tx.rows(
        "SELECT mac FROM temp.chosen WHERE mac NOT IN (SELECT mac FROM temp.plan)"
    )]  # fmt: skip
    if missing:
        raise NotFoundError(f"{name}: knows nothing of {', '.join(missing[:3])}")
