"""Backups put back and old databases read, for administrators' scripts (under /api/v1)."""

from __future__ import annotations

from typing import Any

import falcon

from bty_app.domain.mac import Mac, parse_mac
from bty_app.domain.recovering import Choice, Part
from bty_app.domain.restoring import MOST_MACS, Wanted
from bty_app.domain.tokens import Scope
from bty_app.services.recover import Recover
from bty_app.services.restore import Preview, Restore, Restored
from bty_app.services.salvage_jobs import SalvageJobs
from bty_app.web.api import jobs as jobs_api
from bty_app.web.api.values import ANY_MAC, MAYBE_MOMENT, MAYBE_TEXT, SHA256
from bty_app.web.operations import Body, Operation, answers, declared
from bty_app.web.operator import by_of
from bty_app.web.records import Either, Items, Keyed, Record, options, record
from bty_app.web.shapes import Flag, Nullable, Shape, Text, Whole, words_of

MAX_BODY_BYTES = 1024 * 1024
MAX_MACS = 20_000

_OF_THESE = "These machines; else all that there is."
_KEEP = Flag("Machines that would be flashed stay so.")
_DIGEST = Nullable(Text("The digest that was shown: do it, if it still is that."))
_ROWS = Items(
    record(
        "RowChange",
        table=Text(),
        key=Text("Which row."),
        change=Text(),
        fields=Keyed(Items(MAYBE_TEXT), "What it is now, and what it will be."),
        disarmed=Flag("Its order to flash stays away."),
    )
)
_EFFECT: dict[str, Shape] = {
    "tables": Keyed(record(added=Whole(), removed=Whole(), changed=Whole()), "By name."),
    "armed": Whole("Machines that come back ready to be flashed and are not now."),
    "disarmed": Whole("Machines that would have, and do not."),
    "events_since": Whole("Events since the backup; they stay."),
    "foreign_events": Whole("Events of the backup that are not here."),
    "tokens_left": Whole("Tokens that stay away."),
    "digest": SHA256,
}
_SHOWN = Record(
    {
        "done": Flag("False: nothing was changed."),
        "name": Text(),
        "created_at": MAYBE_MOMENT,
        "problem": Nullable(Text("Why the present database is set aside.")),
        "rows": _ROWS,
        **_EFFECT,
    },
    "RestorePreview",
)
_DONE = Record(
    {
        "done": Flag("True."),
        "name": Text(),
        "undo": Nullable(Text("The backup from before.")),
        **_EFFECT,
    },
    "Restored",
)
_EITHER = answers("What it would change, or has changed.", Either((_SHOWN, _DONE)))
_RESTORE = Operation(
    _EITHER,
    body=Body(
        options(
            macs=Nullable(Items(ANY_MAC, MOST_MACS, _OF_THESE)),
            keep_boot_modes=_KEEP,
            with_tokens=Flag("Tokens that are in the backup alone come back."),
            digest=_DIGEST,
        ),
        MAX_BODY_BYTES,
    ),
    refuses=(409,),
)
_UNDO = Operation(_EITHER, body=Body(options(digest=_DIGEST), MAX_BODY_BYTES), refuses=(404, 409))
_PICKED = Body(
    Record(
        {
            "parts": Items(Text(one_of=words_of(Part)), least=1),
            "macs": Nullable(Items(ANY_MAC, MAX_MACS, _OF_THESE)),
            "keep_boot_modes": _KEEP,
            "prefer_archive": Flag("What is here and differs is replaced."),
            "digest": _DIGEST,
        },
        optional=frozenset({"macs", "keep_boot_modes", "prefer_archive", "digest"}),
        example={"parts": ["bindings", "labels"]},
    ),
    MAX_BODY_BYTES,
)
_RECOVER = Operation(
    answers(
        "What would come over, or has.",
        record(
            "Recovery",
            done=Flag("Whether it has come over."),
            name=Text(),
            version=Text("The release of the old database."),
            parts=Keyed(
                record(
                    new=Whole(), filled=Whole(), same=Whole(), conflicts=Whole(), replaced=Whole()
                ),
                "By name.",
            ),
            disarmed=Whole("Machines that waited for a flash there, and do not here."),
            without_image=Whole("Bindings to images that no catalog here knows."),
            rejected=Whole("Rows that break a rule."),
            rows=_ROWS,
            digest=SHA256,
        ),
    ),
    body=_PICKED,
    refuses=(409,),
)
_SALVAGE = Operation(
    answers("The job; its data is what was found, with a digest.", jobs_api.JOB, 202),
    body=_PICKED,
    refuses=(409,),
)


class BackupRestore:
    """`/api/v1/backups/{backup_id}/restore`."""

    scope = Scope.ADMIN
    operations = declared(POST=_RESTORE)

    def __init__(self, restore: Restore) -> None:
        self._restore = restore

    def on_post(self, req: falcon.Request, resp: falcon.Response, backup_id: str) -> None:
        """`{"macs"?, "keep_boot_modes"?, "with_tokens"?, "digest"?}`: what it would change, with a
        digest; with that digest it is done, or 409 when something has changed since.
        """
        given = _RESTORE.body_of(req)
        wanted = Wanted(
            _macs(given["macs"]),
            keep_boot_modes=bool(given["keep_boot_modes"]),
            with_tokens=bool(given["with_tokens"]),
        )
        path, digest = self._restore.path_of(backup_id), given["digest"]
        if digest is None:
            resp.media = _shown(self._restore.preview(path, wanted))
        else:
            resp.media = _done(self._restore.apply(path, wanted, by=by_of(req), digest=digest))


class RestoreUndo:
    """`/api/v1/restore/undo`."""

    scope = Scope.ADMIN
    operations = declared(POST=_UNDO)

    def __init__(self, restore: Restore) -> None:
        self._restore = restore

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """`{"digest"?}`: what undoing the last restore would change; with its digest it is done."""
        digest = _UNDO.body_of(req)["digest"]
        if digest is None:
            resp.media = _shown(self._restore.preview_undo())
        else:
            resp.media = _done(self._restore.undo(by=by_of(req), digest=digest))


class ArchiveRecover:
    """`/api/v1/archives/{archive}/recover`."""

    scope = Scope.ADMIN
    operations = declared(POST=_RECOVER)

    def __init__(self, recover: Recover) -> None:
        self._recover = recover

    def on_post(self, req: falcon.Request, resp: falcon.Response, archive: str) -> None:
        """`{"parts", "macs"?, "keep_boot_modes"?, "prefer_archive"?, "digest"?}`: what would come
        over of the old database, with a digest; with that digest it does.
        """
        given = _RECOVER.body_of(req)
        choice = _choice(given)
        path, digest = self._recover.path_of(archive), given["digest"]
        if digest is None:
            offer = self._recover.preview(path, choice)
        else:
            offer = self._recover.apply(path, choice, by=by_of(req), digest=digest)
        resp.media = {"done": digest is not None, **offer.as_data()}


class ArchiveSalvage:
    """`/api/v1/archives/{archive}/salvage`: of one that is damaged, or was set aside as such."""

    scope = Scope.ADMIN
    operations = declared(POST=_SALVAGE)

    def __init__(self, salvage: SalvageJobs) -> None:
        self._salvage = salvage

    def on_post(self, req: falcon.Request, resp: falcon.Response, archive: str) -> None:
        """The same body: 202 with the job that reads what is left of it; with the digest that an
        earlier job has told it comes over.
        """
        given = _SALVAGE.body_of(req)
        choice, digest = _choice(given), given["digest"]
        if digest is None:
            job = self._salvage.look(archive, choice)
        else:
            job = self._salvage.carry(archive, choice, digest, by_of(req))
        resp.media = jobs_api.as_json(job)
        resp.status = 202


def _choice(given: dict[str, Any]) -> Choice:
    return Choice(
        frozenset(Part(part) for part in given["parts"]),
        _macs(given["macs"]),
        keep_boot_modes=bool(given["keep_boot_modes"]),
        prefer_archive=bool(given["prefer_archive"]),
    )


def _shown(shown: Preview) -> dict[str, object]:
    return {
        "done": False,
        "name": shown.name,
        "created_at": shown.created_at,
        "problem": shown.problem or None,
        **shown.effect.as_data(),
        "rows": [row.as_data() for row in shown.rows],
    }


def _done(done: Restored) -> dict[str, object]:
    return {
        "done": True,
        "name": done.name,
        "undo": done.way_back.backup_id,
        **done.effect.as_data(),
    }


def _macs(given: list[str] | None) -> tuple[Mac, ...]:
    return tuple(sorted({parse_mac(mac) for mac in given or ()}))
