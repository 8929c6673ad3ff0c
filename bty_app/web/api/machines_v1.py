"""Many machines, for operators' scripts: lists by cursor, and acts (under /api/v1/machines)."""

from __future__ import annotations

from dataclasses import replace

import falcon

from bty_app.domain.bulk_act import AS_THE_SITE, MAX_EXPIRES_HOURS, Kind, parse_act
from bty_app.domain.disk_policy import Policy
from bty_app.domain.flash_options import OWN_DONES, OWN_VERIFIES, OWN_WIPES
from bty_app.domain.mac import parse_mac
from bty_app.domain.machine import LABEL, MAX_LABELS
from bty_app.errors import ValidationError
from bty_app.services.bulk import Bulk, Progress
from bty_app.services.bulk_plan import Preview, Selection
from bty_app.services.machines import Machines
from bty_app.web.api.machine_state import MACHINE_STATE, state_json
from bty_app.web.api.paging import LINK, NEXT, PAGING, USUAL_LIMIT, next_address, place_in
from bty_app.web.api.values import ANY_MAC, MAC, MAYBE_MOMENT, MAYBE_TEXT, MODE, MOMENT, REF
from bty_app.web.machine_query import SELECTING, selected, selected_in
from bty_app.web.operations import Body, Operation, answers, declared
from bty_app.web.records import Items, Keyed, Record, parameters, record
from bty_app.web.shapes import Flag, Nullable, Shape, Text, Whole, words_of

MAX_BODY = 1024 * 1024
MAX_MACS = 20_000
_PLACE = "machines"

_ACT: dict[str, Shape] = {
    "act": Text("What is done.", one_of=words_of(Kind)),
    "boot_mode": MODE,
    "bty_image_ref": REF,
    "target": Text("Which disk.", one_of=words_of(Policy)),
    "labels": Items(Text(pattern=LABEL.pattern), MAX_LABELS),
    "expires_hours": Whole("The order counts for so long.", least=1, most=MAX_EXPIRES_HOURS),
    "flash_wipe": Text("How disks are erased before.", one_of=(AS_THE_SITE, *OWN_WIPES)),
    "flash_verify": Text("Whether all is read back.", one_of=(AS_THE_SITE, *OWN_VERIFIES)),
    "flash_done": Text("When a flash is done.", one_of=(AS_THE_SITE, *OWN_DONES)),
}
_ASKED: dict[str, Shape] = {
    "macs": Items(ANY_MAC, MAX_MACS),
    "matching": Text("A query string as in the address of the list, in place of macs."),
    **{key: shape if key == "act" else Nullable(shape) for key, shape in _ACT.items()},
}
_OPTIONAL = frozenset(_ASKED) - {"act"}
_CONFIRMED: dict[str, Shape] = {
    "id": Text("Yours: again, it does nothing twice.", pattern="[A-Za-z0-9_-]{8,64}"),
    "digest": Text("That of the preview."),
}
_EXAMPLE = {
    "matching": "label=rack-3",
    "act": "set",
    "boot_mode": "bty-flash-once",
    "target": "only",
}
_LINE = record(
    "BulkLine",
    mac=MAC,
    does=Text(),
    erases_serial=MAYBE_TEXT,
    disk_holds=Items(Text()),
    doubt=MAYBE_TEXT,
)
_PREVIEW_SHAPE = record(
    "BulkPreview",
    digest=Text("What to confirm with."),
    will=Whole("It will be done to so many."),
    erases=Whole("It will erase a disk of so many."),
    doubts=Whole(),
    same=Whole("So many are like this already."),
    missing=Items(MAC),
    cannot=Keyed(Items(MAC), "The reason, and of which machines."),
    machines=Items(_LINE),
)
_PROGRESS_SHAPE = Record(
    {
        "id": Text(),
        "state": Text(),
        "at": MOMENT,
        **_ACT,
        "counts": Keyed(Whole()),
        "left_alone": Items(record(mac=MAC, why=Text())),
        "can_undo": Flag(),
        "undo_until": MAYBE_MOMENT,
        "undone_at": MAYBE_MOMENT,
    },
    "BulkAct",
    optional=frozenset(_ACT) - {"act"},
)
_LIST = Operation(
    answers("A part of the list.", record(machines=Items(MACHINE_STATE), next=NEXT), Link=LINK),
    query=parameters(**SELECTING, **PAGING),
)
_PREVIEW = Operation(
    answers("What it would do.", _PREVIEW_SHAPE),
    body=Body(Record(_ASKED, "BulkOrder", optional=_OPTIONAL, example=_EXAMPLE), MAX_BODY),
)
_CONFIRM = Operation(
    answers("It is begun.", _PROGRESS_SHAPE, 202),
    body=Body(
        Record({**_ASKED, **_CONFIRMED}, "BulkConfirmation", optional=_OPTIONAL),
        MAX_BODY,
    ),
    refuses=(409,),
)


class MachineLists:
    """Machines that match, in the order of MACs."""

    operations = declared(GET=_LIST)

    def __init__(self, machines: Machines) -> None:
        self._machines = machines

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The machines that match, part by part, in the order of their MACs."""
        asked = _LIST.query_of(req)
        limit, after = asked["limit"] or USUAL_LIMIT, place_in(asked["cursor"], _PLACE)
        page = replace(selected(asked).rows(self._machines.now()), offset=0, limit=limit)
        found = self._machines.matching(page, after)
        more = found[-1].machine.mac if len(found) == limit else None
        resp.media = {
            "machines": [state_json(shown) for shown in found],
            "next": next_address(req, resp, _PLACE, more),
        }


class BulkPreview:
    """What an act would do."""

    operations = declared(POST=_PREVIEW)

    def __init__(self, bulk: Bulk, machines: Machines) -> None:
        self._bulk = bulk
        self._machines = machines

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Counts, the first 200, all that cannot, and the digest to confirm with."""
        wanted = _PREVIEW.body_of(req)
        selection = selection_of(wanted, self._machines)
        resp.media = preview_json(self._bulk.preview(selection, parse_act(wanted)))


class BulkActs:
    """Acts on many machines."""

    operations = declared(POST=_CONFIRM)

    def __init__(self, bulk: Bulk, machines: Machines) -> None:
        self._bulk = bulk
        self._machines = machines

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Do what was shown: `id` (yours; again, it does nothing twice) and `digest`. 202; 409
        when machines have changed since.
        """
        wanted = _CONFIRM.body_of(req)
        act_id, digest = wanted.pop("id"), wanted.pop("digest")
        selection = selection_of(wanted, self._machines)
        ip = req.context.client_ip
        found = self._bulk.confirm(act_id, selection, parse_act(wanted), digest, ip=ip)
        resp.status = 202
        resp.media = progress_json(found)


class BulkById:
    """One act."""

    operations = declared(
        GET=Operation(answers("The act.", _PROGRESS_SHAPE)),
        DELETE=Operation(answers("The act.", _PROGRESS_SHAPE)),
    )

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

    operations = declared(
        POST=Operation(answers("It is begun.", _PROGRESS_SHAPE, 202), refuses=(409,))
    )

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
        return Selection(page=selected_in(matching).rows(machines.now()))
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
