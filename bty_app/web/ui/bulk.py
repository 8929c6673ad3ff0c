"""Acts on many machines: what one would do, the confirmation, what came of it, and its undoing."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from datetime import datetime
from urllib.parse import urlencode

import falcon

from bty_app.domain.bulk_act import ACT_NAMES, AS_THE_SITE, Act, Kind, parse_act
from bty_app.domain.disk_policy import Policy
from bty_app.domain.flash_options import OWN_DONES, OWN_VERIFIES, OWN_WIPES
from bty_app.domain.mac import parse_mac
from bty_app.domain.machine import MODE_NAMES, BootMode
from bty_app.errors import ConflictError, ValidationError
from bty_app.services.bulk import Bulk, Progress
from bty_app.services.bulk_plan import Selection
from bty_app.services.catalog import Catalog
from bty_app.services.clock import Clock, utc_now
from bty_app.services.revisions import Revisions
from bty_app.web.forms import Form, form_of
from bty_app.web.machine_query import QueryString, query_of
from bty_app.web.pages import Answer, Pages, see_other

ACTS = {kind: f"{words[0].upper()}{words[1:]}" for kind, words in ACT_NAMES.items()}
POLICIES = {
    Policy.ONLY: "the only disk",
    Policy.SMALLEST_NVME: "the smallest NVMe disk",
    Policy.LARGEST_NVME: "the largest NVMe disk",
    Policy.SMALLEST_SATA: "the smallest SATA disk",
    Policy.SMALLEST: "the smallest disk",
    Policy.LARGEST: "the largest disk",
}
HERE = "/ui/machines/bulk"
MAX_PICKED = 500
_SETTABLE = ("boot_mode", "bty_image_ref", "target", "flash_wipe", "flash_verify", "flash_done")
_FIELDS = ("act", *_SETTABLE, "labels", "expires_hours")
_TOPICS = ("bulk", "jobs")


class BulkPage:
    """`/ui/machines/bulk`."""

    def __init__(self, pages: Pages, bulk: Bulk, catalog: Catalog, clock: Clock = utc_now) -> None:
        self._pages = pages
        self._bulk = bulk
        self._catalog = catalog
        self._clock = clock

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """What the act in the address would do to the machines in it; changes nothing."""
        form = Form(tuple((key, value) for key in req.params for value in _values(req, key)))
        self._show(req, resp, form, status=200, refused="")

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """303 to the act once it is begun; 409 with what it would do now, if that has changed."""
        form = form_of(req)
        selection, act = _selection(form, self._clock()), _act(form)
        if act is None:
            raise ValidationError("act: choose what is to be done")
        act_id, digest = form.text("id") or "", form.text("digest") or ""
        try:
            self._bulk.confirm(act_id, selection, act, digest, ip=req.context.client_ip)
        except ConflictError as error:
            self._show(req, resp, form, status=409, refused=error.message)
            return
        see_other(resp, f"{HERE}/{act_id}")

    def _show(
        self, req: falcon.Request, resp: falcon.Response, form: Form, *, status: int, refused: str
    ) -> None:
        preview, problem, act = None, "", None
        selection = _selection(form, self._clock())
        try:
            act = _act(form)
            if act is not None and not form.text("choose"):
                preview = self._bulk.preview(selection, act)
        except ValidationError as error:
            problem, status = error.message, 422
        hooked = self._bulk.has_power_hook
        values: dict[str, object] = {
            "macs": selection.macs,
            "matching": None if selection.page is None else form.text("matching") or "",
            "entered": {name: (form.text(name) or "").strip() for name in _FIELDS},
            "acts": [(k.value, w) for k, w in ACTS.items() if hooked or k is not Kind.POWER],
            "modes": [(mode.value, MODE_NAMES[mode]) for mode in BootMode],
            "wipes": (AS_THE_SITE, *OWN_WIPES),
            "verifies": (AS_THE_SITE, *OWN_VERIFIES),
            "dones": (AS_THE_SITE, *OWN_DONES),
            "policies": [(policy.value, words) for policy, words in POLICIES.items()],
            "images": [(e.bty_image_ref, e.name) for e in self._catalog.published().entries],
            "preview": preview,
            "words": ACTS[act.kind] if act else "",
            "problem": problem,
            "refused": refused,
            "id": secrets.token_urlsafe(18),
        }
        self._pages.render(req, resp, Answer("bulk.html", values, status))


class BulkState:
    """The part of an act's page that follows what happens."""

    def __init__(self, pages: Pages, bulk: Bulk, revisions: Revisions) -> None:
        self._pages = pages
        self._bulk = bulk
        self._revisions = revisions

    def html(self, found: Progress) -> str:
        """What came of it so far."""
        job = self._bulk.job(found.stored.id)
        values: dict[str, object] = {
            "found": found,
            "words": ACTS[found.act.kind],
            "job": job,
            "active": job is not None and job.is_active,
            "poll": f"{HERE}/{found.stored.id}/state?{urlencode({'rev': self.revision()})}",
        }
        return self._pages.part("bulk_state.html", values)

    def revision(self) -> str:
        """The revision of all that the part shows."""
        return self._revisions.current(*_TOPICS)

    def on_get(self, req: falcon.Request, resp: falcon.Response, act_id: str) -> None:
        """204 when nothing has changed since `rev`, else the part."""
        if req.get_param("rev") == self.revision():
            resp.status = 204
            resp.set_header("Cache-Control", "no-store")
            return
        self._pages.send_part(resp, self.html(self._bulk.progress(act_id)))


class BulkAct:
    """`/ui/machines/bulk/{act_id}`."""

    def __init__(self, pages: Pages, bulk: Bulk, state: BulkState) -> None:
        self._pages = pages
        self._bulk = bulk
        self._state = state

    def on_get(self, req: falcon.Request, resp: falcon.Response, act_id: str) -> None:
        """The page of an act."""
        found = self._bulk.progress(act_id)
        values: dict[str, object] = {
            "found": found,
            "words": ACTS[found.act.kind],
            "state": self._state.html(found),
        }
        self._pages.render(req, resp, Answer("bulk_act.html", values))


class BulkOn:
    """`/ui/machines/bulk/{act_id}/…`: undo, cancel, or go on with it."""

    def __init__(self, do: Callable[[str, str | None], Progress]) -> None:
        self._do = do

    def on_post(self, req: falcon.Request, resp: falcon.Response, act_id: str) -> None:
        """303 to the act."""
        self._do(act_id, req.context.client_ip)
        see_other(resp, f"{HERE}/{act_id}")


def _values(req: falcon.Request, key: str) -> list[str]:
    found = req.params[key]
    return found if isinstance(found, list) else [found]


def _selection(form: Form, now: datetime) -> Selection:
    """All that match a query, where that is chosen; else those that were picked.

    Raises:
        ValidationError: too many were picked, or what is no MAC.
    """
    matching = form.text("matching")
    if matching is not None:
        return Selection(page=query_of(QueryString(matching)).rows(now))
    picked = form.every("mac")
    if len(picked) > MAX_PICKED:
        raise ValidationError(f"at most {MAX_PICKED} machines can be picked one by one")
    return Selection(macs=tuple(sorted({parse_mac(mac) for mac in picked})))


def _act(form: Form) -> Act | None:
    if not form.text("act"):
        return None
    fields: dict[str, object] = {name: (form.text(name) or "").strip() for name in _FIELDS}
    kind = fields["act"]
    labels = [label for part in str(fields["labels"]).split(",") if (label := part.strip())]
    fields["labels"] = labels if kind in {Kind.ADD_LABELS, Kind.REMOVE_LABELS} else None
    if kind != Kind.SET:  # the fields of another act may still be filled in
        fields |= dict.fromkeys(_SETTABLE)
    if kind not in {Kind.SET, Kind.FLASH_AGAIN}:
        fields["expires_hours"] = None
    return parse_act({key: value for key, value in fields.items() if value})
