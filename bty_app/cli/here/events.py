"""The audit log in the state directory of this host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bty_app.cli.live_state import live_database
from bty_app.cli.reach.events import SLICE, Data
from bty_app.config import Config
from bty_app.domain.event_filters import Filters
from bty_app.domain.events import StoredEvent
from bty_app.services.audit import Audit

_NO_LIMIT = 10**9


@contextmanager
def opened(config: Config) -> Iterator[Here]:
    """The log, for as long as the block lasts."""
    with live_database(config.paths.state_dir) as database:
        yield Here(Audit(database))


class Here:
    """Through the service."""

    def __init__(self, audit: Audit) -> None:
        self._audit = audit

    def newest(self, filters: Filters, limit: int) -> list[Data]:
        return [row.as_data() for row in newest(self._audit, filters, limit)]

    def every(self, filters: Filters) -> Iterator[Data]:
        return (row.as_data() for row in self._audit.export(filters))

    def behind(self, filters: Filters, event_id: int) -> list[Data]:
        found = newest(self._audit, filters, _NO_LIMIT, after=event_id)
        return [row.as_data() for row in found]


def newest(audit: Audit, filters: Filters, limit: int, *, after: int = 0) -> list[StoredEvent]:
    """The newest `limit` of them behind `after`, oldest first, however far back they are."""
    found: list[StoredEvent] = []
    before = None
    while len(found) < limit:
        wanted = min(SLICE, limit - len(found))
        part = audit.search(filters, before=before, after=after, limit=wanted)
        found += part.rows
        before = part.rows[-1].id if len(part.rows) == wanted else part.stopped_at
        if before is None:
            break
    return found[::-1]
