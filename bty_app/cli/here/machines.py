"""Machines in the state directory of this host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bty_app.cli.live_state import live_database
from bty_app.cli.reach.machines import Data, Seen
from bty_app.config import Config
from bty_app.domain.bulk_act import parse_act
from bty_app.domain.mac import parse_mac
from bty_app.domain.machine import Assignment, parse_assignment
from bty_app.errors import BtyError
from bty_app.runtime_parts import settings_of
from bty_app.services.bulk import Bulk
from bty_app.services.bulk_work import Sender
from bty_app.services.jobs import Jobs
from bty_app.services.machines import Machines
from bty_app.services.revisions import Revisions
from bty_app.store.database import Database
from bty_app.upstream.wake import wake
from bty_app.web.api.machine_state import detail_json, state_json
from bty_app.web.api.machines import set_of
from bty_app.web.api.machines_v1 import preview_json, progress_json, selection_of


@contextmanager
def opened(config: Config) -> Iterator[Here]:
    """The machines, for as long as the block lasts."""
    with live_database(config.paths.state_dir) as database:
        yield Here(database, config)


class Here:
    """Through the services."""

    def __init__(self, database: Database, config: Config) -> None:
        revisions = Revisions()
        self._machines = Machines(database)
        self._jobs = Jobs(revisions)
        settings = settings_of(config, database, revisions)
        self._bulk = Bulk(database, settings, self._jobs, Sender(wake))

    def every(self) -> Iterator[Data]:
        return map(state_json, self._machines.every())

    def get(self, mac: str) -> Seen:
        shown = self._machines.get(parse_mac(mac))
        return Seen(detail_json(self._machines, shown), set_of(shown))

    def save(self, mac: str, wanted: Data, seen: Seen | None) -> Data:
        mark = seen.mark if seen and isinstance(seen.mark, Assignment) else None
        given = parse_assignment(dict(wanted))
        return state_json(self._machines.save(parse_mac(mac), given, ip=None, seen=mark))

    def forget(self, mac: str) -> None:
        self._machines.forget(parse_mac(mac), ip=None)

    def preview(self, order: Data) -> Data:
        asked = dict(order)
        selection = selection_of(asked, self._machines)
        return preview_json(self._bulk.preview(selection, parse_act(asked)))

    def confirm(self, act_id: str, order: Data, digest: str) -> Data:
        asked = dict(order)
        selection = selection_of(asked, self._machines)
        self._bulk.confirm(act_id, selection, parse_act(asked), digest, ip=None)
        return self._ended(act_id)

    def undo(self, act_id: str) -> Data:
        self._bulk.undo(act_id, ip=None)
        return self._ended(act_id)

    def _ended(self, act_id: str) -> Data:
        """Do here what a server would do in the background."""
        while any(job.is_active for job in self._jobs.listed()):
            work = self._jobs.next()
            if work is not None:
                work()
        for job in self._jobs.listed():
            if job.error:
                raise BtyError(job.error)
        return progress_json(self._bulk.progress(act_id))
