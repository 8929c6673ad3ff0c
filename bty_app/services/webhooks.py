"""Events go out to receivers, at least once and in order, from a place that is kept in state.

Threads: one calls `turn`; any may call the rest. The audit log itself is the queue, so nothing is
held in memory and a restart loses nothing.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
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
from bty_app.store import events, webhooks
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
            if time.monotonic() < until:
                self._serve(target, until)

    def state(self) -> list[State]:
        """How each receiver is."""
        newest = self._database.read(_newest)
        found = []
        for target in self.targets():
            progress = self._database.read(partial(_get, target.id))
            found.append(State(target, progress, newest - progress.cursor if progress else 0))
        return found

    def test(self) -> list[tuple[Target, str]]:
        """Send each receiver a test; with what went wrong, or nothing."""
        event = rules.trial(stamp(self._clock()))
        return [(target, self._sent(target, event)) for target in self.targets()]

    def _serve(self, target: Target, until: float) -> None:
        progress = self._begin(target)
        if progress.next_at and stamp(self._clock()) < progress.next_at:
            return
        while time.monotonic() < until:
            batch = self._database.read(partial(_after, progress.cursor))
            if not batch:
                return
            for event in batch:
                if not target.wants(event.kind):
                    progress = replace(progress, cursor=event.id)
                    continue
                if time.monotonic() >= until:
                    break
                error = self._sent(target, event)
                if error:
                    self._failed(target, progress, error)
                    return
                progress = self._done(target, progress, event.id)
            self._database.write(partial(_put, target.id, progress))

    def _begin(self, target: Target) -> Progress:
        """Where it is; a new one begins now, and one that is far behind leaves the oldest out."""
        found = self._database.read(lambda tx: webhooks.get(tx, target.id))
        newest = self._database.read(_newest)
        if found is None:
            made = Progress(newest)
        elif newest - found.cursor > BACKLOG:
            lost = newest - BACKLOG - found.cursor
            made = replace(found, cursor=found.cursor + lost, skipped=found.skipped + lost)
        else:
            return found
        known = frozenset(each.id for each in self.targets())

        def change(tx: Tx) -> None:
            webhooks.keep_only(tx, known)
            webhooks.put(tx, target.id, made)

        self._database.write(change)
        return made

    def _done(self, target: Target, progress: Progress, event_id: int) -> Progress:
        now = stamp(self._clock())
        made = Progress(event_id, last_at=now, skipped=progress.skipped)
        again = progress.told_at is not None

        def change(tx: Tx) -> None:
            webhooks.put(tx, target.id, made)
            if again:
                events.record(tx, rules.recovered(target), at=now)

        self._database.write(change)
        return made

    def _failed(self, target: Target, progress: Progress, why: str) -> None:
        now = self._clock()
        tries = progress.tries + 1
        silent = progress.told_at is None or stamp(now - TOLD_EVERY) >= progress.told_at
        made = replace(
            progress,
            tries=tries,
            next_at=stamp(now + timedelta(seconds=rules.pause(tries))),
            last_error=why,
            told_at=stamp(now) if silent else progress.told_at,
        )

        def change(tx: Tx) -> None:
            webhooks.put(tx, target.id, made)
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
            "X-Bty-Delivery": str(event.id),
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


def _get(target: str, tx: Tx) -> Progress | None:
    return webhooks.get(tx, target)


def _put(target: str, progress: Progress, tx: Tx) -> None:
    webhooks.put(tx, target, progress)


def _after(cursor: int, tx: Tx) -> list[StoredEvent]:
    return events.after(tx, cursor, limit=AT_ONCE)


def _newest(tx: Tx) -> int:
    return events.newest_id(tx)
