"""Old databases, for administrators' scripts (under /api/v1)."""

from __future__ import annotations

import falcon

from bty_app.domain.tokens import Scope
from bty_app.services.old_databases import OldDatabases
from bty_app.web.api.values import BYTES
from bty_app.web.operations import Operation, answers, declared
from bty_app.web.operator import by_of
from bty_app.web.records import Items, Record, record
from bty_app.web.shapes import Flag, Nullable, Text, Whole

ARCHIVE = Record(
    {
        "name": Text("Of the file in the state directory."),
        "version": Text("The release that wrote it."),
        "archived_at": Text("The moment in its name."),
        "bytes": BYTES,
        "bindings": Nullable(Whole("Bindings in it; null where it cannot be read.")),
        "newest": Flag("The release that wrote it goes back to it."),
    },
    "Archive",
)


class ArchiveList:
    """`/api/v1/archives`."""

    operations = declared(
        GET=Operation(
            answers("The archives that upgrades have left.", record(archives=Items(ARCHIVE)))
        )
    )

    def __init__(self, old: OldDatabases) -> None:
        self._old = old

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """`{"archives": [...]}`, the newest first."""
        resp.media = {"archives": [row.as_data() for row in self._old.listed()]}


class ArchiveByName:
    """`/api/v1/archives/{archive}`."""

    scope = Scope.ADMIN
    operations = declared(DELETE=Operation(answers("What it was.", ARCHIVE)))

    def __init__(self, old: OldDatabases) -> None:
        self._old = old

    def on_delete(self, req: falcon.Request, resp: falcon.Response, archive: str) -> None:
        """Remove it for good; answers with what it was."""
        [gone] = self._old.remove([archive], by_of(req))
        resp.media = gone.as_data()
