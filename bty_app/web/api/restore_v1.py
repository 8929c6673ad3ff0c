"""Backups put back and old databases read, for administrators' scripts (under /api/v1)."""

from __future__ import annotations

import falcon

from bty_app.domain.catalog_events import By
from bty_app.domain.events import Actor
from bty_app.domain.mac import Mac, parse_mac
from bty_app.domain.recovering import Choice, Part
from bty_app.domain.restoring import Wanted
from bty_app.domain.tokens import Scope
from bty_app.errors import ValidationError
from bty_app.services.recover import Offer, Recover
from bty_app.services.restore import Preview, Restore, Restored
from bty_app.web import body

MAX_BODY_BYTES = 1024 * 1024
MAX_MACS = 20_000


class BackupRestore:
    """`/api/v1/backups/{backup_id}/restore`."""

    scope = Scope.ADMIN

    def __init__(self, restore: Restore) -> None:
        self._restore = restore

    def on_post(self, req: falcon.Request, resp: falcon.Response, backup_id: str) -> None:
        """`{"macs"?, "keep_boot_modes"?, "with_tokens"?, "digest"?}`: what it would change, with a
        digest; with that digest it is done, or 409 when something has changed since.
        """
        given = _given(req, "macs", "keep_boot_modes", "with_tokens", "digest")
        wanted = Wanted(
            _macs(given),
            keep_boot_modes=_flag(given, "keep_boot_modes"),
            with_tokens=_flag(given, "with_tokens"),
        )
        path, digest = self._restore.path_of(backup_id), _digest(given)
        if digest is None:
            resp.media = _shown(self._restore.preview(path, wanted))
        else:
            resp.media = _done(self._restore.apply(path, wanted, by=_by(req), digest=digest))


class RestoreUndo:
    """`/api/v1/restore/undo`."""

    scope = Scope.ADMIN

    def __init__(self, restore: Restore) -> None:
        self._restore = restore

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """`{"digest"?}`: what undoing the last restore would change; with its digest it is done."""
        digest = _digest(_given(req, "digest"))
        if digest is None:
            resp.media = _shown(self._restore.preview_undo())
        else:
            resp.media = _done(self._restore.undo(by=_by(req), digest=digest))


class ArchiveRecover:
    """`/api/v1/archives/{name}/recover`."""

    scope = Scope.ADMIN

    def __init__(self, recover: Recover) -> None:
        self._recover = recover

    def on_post(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """`{"parts", "macs"?, "keep_boot_modes"?, "prefer_archive"?, "digest"?}`: what would come
        over of the old database, with a digest; with that digest it does.
        """
        given = _given(req, "parts", "macs", "keep_boot_modes", "prefer_archive", "digest")
        choice = Choice(
            _parts(given),
            _macs(given),
            keep_boot_modes=_flag(given, "keep_boot_modes"),
            prefer_archive=_flag(given, "prefer_archive"),
        )
        path, digest = self._recover.path_of(name), _digest(given)
        if digest is None:
            offer = self._recover.preview(path, choice)
        else:
            offer = self._recover.apply(path, choice, by=_by(req), digest=digest)
        resp.media = _offered(offer, done=digest is not None)


def _offered(offer: Offer, *, done: bool) -> dict[str, object]:
    return {
        "done": done,
        "name": offer.name,
        "version": offer.findings.version,
        "parts": {part.value: row.as_data() for part, row in offer.counts.items()},
        "disarmed": offer.disarmed,
        "without_image": offer.without_image,
        "rejected": offer.findings.rejected,
        "rows": [row.as_data() for row in offer.rows],
        "digest": offer.digest,
    }


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


def _given(req: falcon.Request, *known: str) -> dict[str, object]:
    given = body.json_object(req, MAX_BODY_BYTES)
    if unknown := sorted(set(given) - set(known)):
        raise ValidationError(f"{unknown[0][:40]}: there is no such field")
    return given


def _macs(given: dict[str, object]) -> tuple[Mac, ...]:
    macs = given.get("macs") or []
    if not isinstance(macs, list) or len(macs) > MAX_MACS:
        raise ValidationError(f"macs: must be a list of at most {MAX_MACS} MACs")
    return tuple(sorted({parse_mac(str(mac)) for mac in macs}))


def _parts(given: dict[str, object]) -> frozenset[Part]:
    parts = given.get("parts")
    known = {part.value: part for part in Part}
    if not isinstance(parts, list) or not parts or not {str(part) for part in parts} <= set(known):
        raise ValidationError(f"parts: must be a list of some of {', '.join(known)}")
    return frozenset(known[str(part)] for part in parts)


def _flag(given: dict[str, object], name: str) -> bool:
    value = given.get(name, False)
    if not isinstance(value, bool):
        raise ValidationError(f"{name}: must be true or false")
    return value


def _digest(given: dict[str, object]) -> str | None:
    digest = given.get("digest")
    if digest is not None and not isinstance(digest, str):
        raise ValidationError("digest: must be text")
    return digest


def _by(req: falcon.Request) -> By:
    return By(Actor.OPERATOR, req.context.client_ip)
