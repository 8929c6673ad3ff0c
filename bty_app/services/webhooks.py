"""Events go out to receivers, at least once and in order, from a place that is kept in state.

Threads: one calls `turn`; any may call the rest. The audit log itself is the queue, so nothing is
held in memory and a restart loses nothing. Stages of boots are no rows of the audit: their table is
a queue of its own.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from bty_app.domain import webhooks as rules
from bty_app.domain.catalog_events import plain
from bty_app.domain.events import StoredEvent
from bty_app.domain.moments import stamp
from bty_app.domain.settings import WEBHOOK_TARGETS
from bty_app.domain.webhooks import Progress, Target
from bty_app.errors import BtyError
from bty_app.services.clock import Clock, utc_now
from bty_app.services.settings import Settings
from bty_app.store import boot_stages, events, webhooks
from bty_app.store.database import Database, Tx
from bty_app.upstream.http import Http, Request

SECONDS = 4.0  # of one delivery, and of all in one turn: a stop waits for both
BACKLOG = 10_000  # of a receiver that is away for long, the newest wait
AT_ONCE = 200
TOLD_EVERY = timedelta(hours=1)
ANSWER_BYTES = 64 * 1024


@dataclass(frozen=True, slots=True)
class State:
    """A receiver and how it is."""

    target: Target
    progress: Progress | None
    waiting: int


@dataclass(frozen=True, slots=True)
class Queue:
    """Where what is sent comes from. The place of a receiver in it is kept under its id and
    `suffix`; an `after` that gives None for a number passes it over.
    """

    suffix: str
    newest: Callable[[Tx], int]
    after: Callable[[Tx, int, datetime], list[tuple[int, StoredEvent | None]]]

    def key(self, target: Target) -> str:
        """What the place of a receiver is kept under."""
        return f"{target.id}{self.suffix}"


def _events_after(tx: Tx, cursor: int, _now: datetime) -> list[tuple[int, StoredEvent | None]]:
    return [(event.id, event) for event in events.after(tx, cursor, limit=AT_ONCE)]


def _stages_after(tx: Tx, cursor: int, now: datetime) -> list[tuple[int, StoredEvent | None]]:
    oldest = now - rules.OLDEST_STAGE
    return [
        (number, rules.stage_event(number, mac, seen) if seen and seen.at >= oldest else None)
        for number, mac, seen in boot_stages.after(tx, cursor, limit=AT_ONCE)
    ]


EVENTS = Queue("", events.newest_id, _events_after)
STAGES = Queue(".stages", boot_stages.newest, _stages_after)


class Webhooks:
    """Tells the receivers."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        http: Http,
        *,
        key: str,
        command: Target | None = None,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._settings = settings
        self._http = http
        self._key = key
        self._command = command
        self._clock = clock

    def targets(self) -> tuple[Target, ...]:
        """Those of the setting, and the program of the configuration."""
        found = rules.targets(self._settings.text(WEBHOOK_TARGETS))
        return (*found, self._command) if self._command else found

    def turn(self) -> None:
        """Send what waits; a receiver that failed is left alone until its pause is over."""
        until = time.monotonic() + SECONDS
        for target in self.targets():
            for queue in (EVENTS, STAGES) if target.wants_stages else (EVENTS,):
                if time.monotonic() < until:
                    self._serve(target, queue, until)

    def state(self) -> list[State]:
        """How each receiver is."""
        newest = self._database.read(EVENTS.newest)
        found = []
        for target in self.targets():
            progress = self._place(target, EVENTS)
            stages = self._place(target, STAGES) if target.wants_stages else None
            if progress and not progress.last_error and stages and stages.last_error:
                progress = replace(progress, last_error=stages.last_error)
            found.append(State(target, progress, newest - progress.cursor if progress else 0))
        return found

    def test(self) -> list[tuple[Target, str]]:
        """Send each receiver a test; with what went wrong, or nothing."""
        event = rules.trial(stamp(self._clock()))
        return [(target, self._sent(target, event)) for target in self.targets()]

    def _place(self, target: Target, queue: Queue) -> Progress | None:
        return self._database.read(lambda tx: webhooks.get(tx, queue.key(target)))

    def _serve(self, target: Target, queue: Queue, until: float) -> None:
        progress = self._begin(target, queue)
        if progress.next_at and stamp(self._clock()) < progress.next_at:
            return
        key = queue.key(target)
        while time.monotonic() < until:
            batch = self._database.read(partial(_after, queue, progress.cursor, self._clock()))
            if not batch:
                return
            for number, event in batch:
                if event is None or not target.wants(event.kind):
                    progress = replace(progress, cursor=number)
                    continue
                if time.monotonic() >= until:
                    break
                error = self._sent(target, event)
                if error:
                    self._failed(target, queue, progress, error)
                    return
                progress = self._done(target, queue, progress, number)
            self._database.write(partial(_put, key, progress))

    def _begin(self, target: Target, queue: Queue) -> Progress:
        """Where it is; a new one begins now, and one that is far behind leaves the oldest out."""
        found = self._place(target, queue)
        newest = self._database.read(queue.newest)
        if found is None or found.cursor > newest:  # stages of a restored state count anew
            made = replace(found, cursor=newest) if found else Progress(newest)
        elif newest - found.cursor > BACKLOG:
            lost = newest - BACKLOG - found.cursor
            made = replace(found, cursor=found.cursor + lost, skipped=found.skipped + lost)
        else:
            return found
        known = frozenset(q.key(each) for each in self.targets() for q in (EVENTS, STAGES))

        def change(tx: Tx) -> None:
            webhooks.keep_only(tx, known)
            webhooks.put(tx, queue.key(target), made)

        self._database.write(change)
        return made

    def _done(self, target: Target, queue: Queue, progress: Progress, number: int) -> Progress:
        now = stamp(self._clock())
        made = Progress(number, last_at=now, skipped=progress.skipped)
        again = progress.told_at is not None

        def change(tx: Tx) -> None:
            webhooks.put(tx, queue.key(target), made)
            if again:
                events.record(tx, rules.recovered(target), at=now)

        self._database.write(change)
        return made

    def _failed(self, target: Target, queue: Queue, progress: Progress, why: str) -> None:
        now = self._clock()
        tries = progress.tries + 1
        others = self._place(target, EVENTS if queue is STAGES else STAGES)
        told = max(progress.told_at or "", (others and others.told_at) or "")
        silent = stamp(now - TOLD_EVERY) >= told
        made = replace(
            progress,
            tries=tries,
            next_at=stamp(now + timedelta(seconds=rules.pause(tries))),
            last_error=why,
            told_at=stamp(now) if silent else progress.told_at,
        )

        def change(tx: Tx) -> None:
            webhooks.put(tx, queue.key(target), made)
            if silent:
                events.record(tx, rules.failed(target, why), at=stamp(now))

        self._database.write(change)

    def _sent(self, target: Target, event: StoredEvent) -> str:
        """Send one event; empty when it has arrived, else why not."""
        body = rules.message(event)
        if target.command:
            return _run(target.command, body)
        signed = rules.signature(self._key, body, int(self._clock().timestamp()))
        headers = {
            "Content-Type": "application/json",
            "X-Bty-Event": event.kind,
            "X-Bty-Delivery": rules.delivery(event),
            "X-Bty-Signature": signed,
        }
        request = Request(target.url, "POST", headers, body)
        try:
            answer = self._http.ask(request, limit=ANSWER_BYTES, seconds=SECONDS)
        except BtyError as error:
            why = plain(error.message).replace(target.url, target.shown)
            path = rules.path_of(target.url)
            return why.replace(path, "/…") if path else why
        return "" if 200 <= answer.status < 300 else f"it answers {answer.status}"


def _run(command: Sequence[str], body: bytes) -> str:
    try:
        done = subprocess.run(  # noqa: S603  the vector of the configuration file, no shell
            command,
            input=body,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it did not end within {SECONDS:.0f} s"
    except OSError as error:
        return f"it cannot be run: {error.strerror}"
    return "" if done.returncode == 0 else f"it ended with status {done.returncode}"


def _put(key: str, progress: Progress, tx: Tx) -> None:
    webhooks.put(tx, key, progress)


def _after(
    queue: Queue, cursor: int, now: datetime, tx: Tx
) -> list[tuple[int, StoredEvent | None]]:
    return queue.after(tx, cursor, now)
