"""One act on many machines: shown first, done as shown or not at all, undone for a while.

Threads: any may call; the work itself is a job.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from bty_app.domain import bulk_events
from bty_app.domain.bulk import Site
from bty_app.domain.bulk_act import ACT_NAMES, JOB_KIND, Act, Kind, parse_act
from bty_app.domain.jobs import Job, Teller
from bty_app.domain.jobs import Step as Told
from bty_app.domain.mac import Mac
from bty_app.domain.moments import stamp
from bty_app.errors import CancelledError, ConflictError, NotFoundError, ValidationError
from bty_app.services.bulk_plan import SHOWN, Preview, Selection, plan, site_of
from bty_app.services.bulk_work import Doing, Sender, as_shown, done_to, undone_of
from bty_app.services.clock import Clock, utc_now
from bty_app.services.jobs import Jobs
from bty_app.services.settings import Settings
from bty_app.store import bulk as rows
from bty_app.store import events
from bty_app.store.database import Database, Tx

SLICE = 200
PREPARED = 2000  # rows that only name a machine, in one transaction
KEEP = timedelta(days=7)
_ID = re.compile(r"[A-Za-z0-9_-]{8,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Progress:
    """An act, what came of it so far by state, and those that need a look."""

    stored: rows.Stored
    act: Act
    counts: Mapping[str, int]
    changed: tuple[rows.Item, ...]
    failed: tuple[rows.Item, ...]
    kept: tuple[rows.Item, ...]
    can_undo: bool

    @property
    def total(self) -> int:
        """How many machines it is about."""
        return sum(self.counts.values())


class Bulk:
    """Acts on many machines."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        jobs: Jobs,
        sender: Sender,
        clock: Clock = utc_now,
        *,
        on_bound: Callable[[str], None] = lambda _ref: None,
    ) -> None:
        self._database = database
        self._settings = settings
        self._jobs = jobs
        self._sender = sender
        self._clock = clock
        self._on_bound = on_bound

    @property
    def has_power_hook(self) -> bool:
        """Whether machines can be switched by it."""
        return self._sender.has_power_hook

    def preview(self, selection: Selection, act: Act) -> Preview:
        """What `act` would do, changing nothing: on one consistent view.

        Raises:
            ValidationError: a power hook is asked for, and there is none.
        """
        if act.kind is Kind.POWER and not self._sender.has_power_hook:
            raise ValidationError("no power hook is configured")
        site = self._site()
        return self._database.read(lambda tx: plan(tx, selection, act, site)[0])

    def confirm(
        self, act_id: str, selection: Selection, act: Act, digest: str, *, ip: str | None
    ) -> Progress:
        """Do what was shown; repeated with the same id, it does nothing twice.

        Raises:
            ConflictError: what would be done is not what was shown: look again.
            ValidationError: the id is none, or belongs to another act.
        """
        if not _ID.fullmatch(act_id):
            raise ValidationError("id: 8 to 64 letters, digits, underscores or hyphens")
        if act.kind is Kind.POWER and not self._sender.has_power_hook:
            raise ValidationError("no power hook is configured")
        known = self._database.read(lambda tx: rows.get(tx, act_id))
        if known is not None:
            if known.digest != digest:
                raise ValidationError(f"the id {act_id} belongs to another act")
            if known.state != "preparing":
                return self._resumed(known)
        site = self._site()
        preview, wanted = self._database.read(lambda tx: plan(tx, selection, act, site))
        if preview.digest != digest:
            raise ConflictError(
                "machines have changed since this was shown, so nothing was done: look again"
            )
        if not wanted:
            raise ValidationError("there is no machine that this can be done to")
        self._prepare(act_id, act, preview, wanted, ip)
        if act.image_ref and act.kind is Kind.SET:
            self._on_bound(act.image_ref)
        return self._start(act_id, len(wanted))

    def progress(self, act_id: str) -> Progress:
        """The act as it is now.

        Raises:
            NotFoundError: there is none of this id.
        """

        def query(tx: Tx) -> Progress:
            stored = rows.get(tx, act_id)
            if stored is None:
                raise NotFoundError(f"there is no act {act_id[:64]!r}")
            can = stored.undo_until is not None and stored.undo_until >= stamp(self._clock())
            changed, failed, kept = (
                tuple(rows.items(tx, act_id, state, limit=SHOWN))
                for state in ("changed", "failed", "kept")
            )
            return Progress(
                stored,
                parse_act(json.loads(stored.act)),
                rows.counts(tx, act_id),
                *(changed, failed, kept),
                can_undo=can and stored.state in {"ended", "cancelled"},
            )

        return self._database.read(query)

    def job(self, act_id: str) -> Job | None:
        """The job that does it, or undoes it, where one is known."""
        return self._jobs.latest(JOB_KIND, act_id)

    def latest(self, limit: int = 10) -> list[rows.Stored]:
        """The newest acts."""
        return self._database.read(lambda tx: rows.latest(tx, limit))

    def undo(self, act_id: str, *, ip: str | None) -> Progress:
        """Bring back what was before, of each machine that has not changed since.

        Raises:
            NotFoundError: there is no such act.
            ConflictError: it is too late, or it still runs.
        """
        found = self.progress(act_id)
        left = found.counts.get("done", 0)
        job = self.job(act_id)
        if (found.stored.undone_at and not left) or (job is not None and job.is_active):
            return found
        if not found.can_undo:
            raise ConflictError("this act cannot be undone: it still runs, or it is too long ago")
        at = stamp(self._clock())

        def begin(tx: Tx) -> None:
            rows.set_undone(tx, act_id, at=at)
            events.record(tx, bulk_events.undo(act_id, found.act, left, ip), at=at)

        self._database.write(begin)
        return self._run(act_id, left, "done", partial(self._undone, ip=ip))

    def go_on(self, act_id: str) -> Progress:
        """Do what a stop of the server, or the end of its job, has left.

        Raises:
            NotFoundError: there is no such act.
        """
        return self._resumed(self.progress(act_id).stored)

    def cancel(self, act_id: str) -> Progress:
        """Do no more of it; what is done stays, and can be undone.

        Raises:
            NotFoundError: there is no such act.
        """
        if self.progress(act_id).stored.state == "running":
            self._database.write(lambda tx: rows.set_state(tx, act_id, "cancelled"))
        job = self.job(act_id)
        if job is not None and job.is_active:
            self._jobs.cancel(job.id)
        return self.progress(act_id)

    def _site(self) -> Site:
        """What the settings say; `site_of` adds the images."""
        never, options = self._settings.rules().never_labels, self._settings.flash_options()
        return Site({}, never, options)

    # -- doing ---------------------------------------------------------------------------------

    def _prepare(
        self, act_id: str, act: Act, preview: Preview, wanted: list[tuple[Mac, str]], ip: str | None
    ) -> None:
        """Write down what is to be done, before any of it is."""
        now = self._clock()
        at, minutes = stamp(now), self._settings.undo_minutes()
        undo_until = None
        if act.kind not in {Kind.WAKE, Kind.POWER} and minutes:
            undo_until = stamp(now + timedelta(minutes=minutes))

        def begin(tx: Tx) -> None:
            rows.prune(tx, now=at, before=stamp(now - KEEP))
            if rows.get(tx, act_id) is not None:
                rows.clear_items(tx, act_id)
                return
            text = json.dumps(act.as_fields())
            stored = rows.Stored(
                *(act_id, at, text, preview.digest, "preparing", ip, undo_until, None)
            )
            rows.insert(tx, stored)

        def ready(tx: Tx) -> None:
            rows.set_state(tx, act_id, "running")
            events.record(tx, bulk_events.begun(act_id, act, len(wanted), ip), at=at)

        self._database.write(begin)
        for first in range(0, len(wanted), PREPARED):
            part = wanted[first : first + PREPARED]
            self._database.write(partial(rows.add_items, act_id=act_id, items=part))
        self._database.write(ready)

    def _resumed(self, stored: rows.Stored) -> Progress:
        job = self.job(stored.id)
        if stored.state == "running" and (job is None or not job.is_active):
            return self._start(stored.id, self.progress(stored.id).counts.get("pending", 0))
        return self.progress(stored.id)

    def _start(self, act_id: str, count: int) -> Progress:
        return self._run(act_id, count, "pending", self._done)

    def _run(
        self, act_id: str, count: int, state: str, work: Callable[[str, list[rows.Item]], None]
    ) -> Progress:
        """A handful at once, many as a job."""
        whole = partial(self._slices, act_id, count, state, work)
        if count <= SLICE and not self._sender.is_slow(self.progress(act_id).act):
            whole(None)
        else:
            title = f"{count} machines: {ACT_NAMES[self.progress(act_id).act.kind]}"
            self._jobs.submit(JOB_KIND, act_id, title, whole)
        return self.progress(act_id)

    def _slices(
        self,
        act_id: str,
        count: int,
        state: str,
        work: Callable[[str, list[rows.Item]], None],
        teller: Teller | None,
    ) -> str:
        """Slice by slice, each one transaction; what is left stays for another time."""
        finished = 0
        while items := self._database.read(lambda tx: rows.items(tx, act_id, state, limit=SLICE)):
            if teller:
                teller.tell(Told(f"{finished} of {count} machines"))
            work(act_id, items)
            finished += len(items)
        if state == "pending":
            self._database.write(lambda tx: rows.set_state(tx, act_id, "ended"))
        return f"{finished} machines"

    def _done(self, act_id: str, items: list[rows.Item]) -> None:
        at = stamp(self._clock())
        site = self._site()
        act = self.progress(act_id).act
        ready = (
            self._database.read(
                lambda tx: [i.mac for i in items if as_shown(tx, i, act, site_of(tx, site))]
            )
            if act.kind in {Kind.WAKE, Kind.POWER}
            else []
        )
        failures = self._sender.sent(act, ready)

        def change(tx: Tx) -> None:
            stored = rows.get(tx, act_id)
            if stored is None or stored.state != "running":
                raise CancelledError("it was cancelled")
            doing = Doing(stored, act, site_of(tx, site), at, failures)
            for item in items:
                done_to(tx, item, doing)

        self._database.write(change)

    def _undone(self, act_id: str, items: list[rows.Item], *, ip: str | None) -> None:
        at = stamp(self._clock())

        def change(tx: Tx) -> None:
            stored = rows.get(tx, act_id)
            for item in items:
                if stored is not None:
                    undone_of(tx, stored, item, at=at, ip=ip)

        self._database.write(change)
