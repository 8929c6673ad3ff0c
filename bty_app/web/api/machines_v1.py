"""Many machines, for operators' scripts: lists by cursor, and acts (under /api/v1/machines)."""

from __future__ import annotations

from dataclasses import replace

import falcon

from bty_app.domain.bulk import parse_act
from bty_app.domain.mac import parse_mac
from bty_app.errors import ValidationError
from bty_app.services.bulk import Bulk, Progress
from bty_app.services.bulk_plan import Preview, Selection
from bty_app.services.machines import Machines
from bty_app.web import body
from bty_app.web.api.machines import as_json
from bty_app.web.machine_query import QueryString, query_of

MAX_BODY = 1024 * 1024
MAX_MACS = 20_000
MAX_LIMIT = 500


class MachineLists:
    """Machines that match, in the order of MACs."""

    def __init__(self, machines: Machines) -> None:
        self._machines = machines

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """`{"machines": [...], "next": MAC or null}`; the filters of the page, `after`, `limit`."""
        text = req.get_param("after") or ""
        after = parse_mac(text) if text else ""
        limit = req.get_param_as_int("limit", min_value=1, max_value=MAX_LIMIT) or 100
        page = replace(query_of(req).rows(self._machines.now()), offset=0, limit=limit)
        found = self._machines.matching(page, after)
        resp.media = {
            "machines": [as_json(shown) for shown in found],
            "next": found[-1].machine.mac if len(found) == limit else None,
        }


class BulkPreview:
    """What an act would do."""

    def __init__(self, bulk: Bulk, machines: Machines) -> None:
        self._bulk = bulk
        self._machines = machines

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Counts, the first 200, all that cannot, and the digest to confirm with."""
        wanted = body.json_object(req, MAX_BODY)
        selection = selection_of(wanted, self._machines)
        resp.media = preview_json(self._bulk.preview(selection, parse_act(wanted)))


class BulkActs:
    """Acts on many machines."""

    def __init__(self, bulk: Bulk, machines: Machines) -> None:
        self._bulk = bulk
        self._machines = machines

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Do what was shown: `id` (yours; again, it does nothing twice) and `digest`. 202; 409
        when machines have changed since.
        """
        wanted = body.json_object(req, MAX_BODY)
        act_id, digest = wanted.pop("id", None), wanted.pop("digest", None)
        if not isinstance(act_id, str) or not isinstance(digest, str):
            raise ValidationError("id and digest: must be strings")
        selection = selection_of(wanted, self._machines)
        ip = req.context.client_ip
        found = self._bulk.confirm(act_id, selection, parse_act(wanted), digest, ip=ip)
        resp.status = 202
        resp.media = progress_json(found)


class BulkById:
    """One act."""

    def __init__(self, bulk: Bulk) -> None:
        self._bulk = bulk

    def on_get(self, _req: falcon.Request, resp: falcon.Response, act_id: str) -> None:
        """What came of it so far."""
        resp.media = progress_json(self._bulk.progress(act_id))

    def on_delete(self, _req: falcon.Request, resp: falcon.Response, act_id: str) -> None:
        """Do no more of it; what is done stays."""
        resp.media = progress_json(self._bulk.cancel(act_id))


class BulkUndo:
    """The undoing of an act."""

    def __init__(self, bulk: Bulk) -> None:
        self._bulk = bulk

    def on_post(self, req: falcon.Request, resp: falcon.Response, act_id: str) -> None:
        """Bring back what was before, of each machine that has not changed since. 202."""
        resp.status = 202
        resp.media = progress_json(self._bulk.undo(act_id, ip=req.context.client_ip))


def selection_of(wanted: dict[str, object], machines: Machines) -> Selection:
    """The machines that are meant: `macs`, or `matching`, a query string; taken out of `wanted`.

    Raises:
        ValidationError: neither or both are there, or one is malformed.
    """
    macs, matching = wanted.pop("macs", None), wanted.pop("matching", None)
    if isinstance(matching, str) and macs is None:
        return Selection(page=query_of(QueryString(matching)).rows(machines.now()))
    if isinstance(macs, list) and matching is None and len(macs) <= MAX_MACS:
        return Selection(macs=tuple(parse_mac(str(mac)[:64]) for mac in macs))
    raise ValidationError(
        f"give macs, a list of at most {MAX_MACS}, or matching, a query string as in the address"
        " of the list"
    )


def preview_json(found: Preview) -> dict[str, object]:
    """A preview as plain data."""
    return {
        "digest": found.digest,
        "will": found.will,
        "erases": found.erases,
        "doubts": found.doubts,
        "same": found.same,
        "missing": list(found.missing),
        "cannot": found.cannot,
        "machines": [
            {
                "mac": line.mac,
                "does": line.step.words,
                "erases_serial": line.step.erased,
                "disk_holds": list(line.holds),
                "doubt": line.step.doubt or None,
            }
            for line in found.shown
        ],
    }


def progress_json(found: Progress) -> dict[str, object]:
    """An act as plain data."""
    stored = found.stored
    return {
        "id": stored.id,
        "state": stored.state,
        "at": stored.at,
        **found.act.as_fields(),
        "counts": dict(found.counts),
        "left_alone": [
            {"mac": item.mac, "why": item.note}
            for item in (*found.changed, *found.failed, *found.kept)
        ],
        "can_undo": found.can_undo,
        "undo_until": stored.undo_until,
        "undone_at": stored.undone_at,
    }
