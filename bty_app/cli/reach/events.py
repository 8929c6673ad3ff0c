"""The audit log, here or on a server elsewhere."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict
from itertools import islice
from typing import Any, Protocol

from bty_app.cli.reach.server import reached
from bty_app.config import Config
from bty_app.domain.event_filters import ANY, Filters
from bty_app.upstream.operator_api import OperatorApi

SLICE = 500

Data = Mapping[str, Any]


class EventReach(Protocol):
    """What `events` shows; each raises what the service behind it does."""

    def newest(self, filters: Filters, limit: int) -> Sequence[Data]:
        """The newest that pass, oldest first, however far back they are."""

    def every(self, filters: Filters) -> Iterator[Data]:
        """All that pass, oldest first."""

    def behind(self, filters: Filters, event_id: int) -> Sequence[Data]:
        """Those that pass and came after this one, oldest first."""


def events(args: argparse.Namespace, config: Config) -> AbstractContextManager[EventReach]:
    """Those that the command is for."""
    return reached(args, config, There, "events")


def newest_id(events: EventReach) -> int:
    """The id of the last row; 0 where there is none."""
    return next((int(row["id"]) for row in events.newest(ANY, 1)), 0)


class There:
    """Through `/api/v1/events`."""

    def __init__(self, api: OperatorApi) -> None:
        self._api = api

    def newest(self, filters: Filters, limit: int) -> Sequence[Data]:
        part = min(SLICE, limit)
        rows = self._api.listed("/events", "events", **asdict(filters), limit=part)
        return [*islice(rows, limit)][::-1]

    def every(self, filters: Filters) -> Iterator[Data]:
        return map(json.loads, self._api.lines("/events.jsonl", **asdict(filters)))

    def behind(self, filters: Filters, event_id: int) -> Sequence[Data]:
        query = asdict(filters) | {"after": event_id}
        return [*self._api.listed("/events", "events", **query, limit=SLICE)][::-1]
