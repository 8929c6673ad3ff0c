"""Checks of `doctor`: whoever is told of events."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from bty_app.domain import webhooks as rules
from bty_app.domain.findings import Finding, Level
from bty_app.domain.settings import WEBHOOK_TARGETS
from bty_app.domain.webhooks import Progress
from bty_app.services.premises import Premises
from bty_app.store import webhooks
from bty_app.store.database import Tx


def receivers(premises: Premises) -> Iterator[Finding]:
    """Each receiver took what was sent to it last."""
    found = rules.targets(premises.setting(WEBHOOK_TARGETS))
    if not found:
        yield Finding(Level.OK, "no webhook is set: events stay here")
    for target in found if premises.database else ():
        progress = premises.database.read(partial(_get, target.id)) if premises.database else None
        if progress is not None and progress.last_error:
            yield Finding(
                Level.WARNING,
                f"events cannot be sent to {target.shown}: {progress.last_error}",
                "look at the receiver, then: bty webhook test",
            )
        else:
            yield Finding(Level.OK, f"{target.shown} is told of events")


def _get(target: str, tx: Tx) -> Progress | None:
    return webhooks.get(tx, target)
