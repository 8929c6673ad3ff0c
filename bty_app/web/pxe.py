"""What machines ask and report. Open: a box has no credentials (CONTRACT 3.2 to 3.6)."""

from __future__ import annotations

from collections.abc import Callable

import falcon

from bty_app.domain.boot import Wait
from bty_app.domain.boot_stages import Stage
from bty_app.domain.inventory import parse_inventory
from bty_app.domain.mac import Mac, parse_mac
from bty_app.domain.migration import Mark, State, refusal
from bty_app.domain.progress import parse_progress, parse_reason
from bty_app.errors import MovedError, ThrottledError, TooLargeError, ValidationError
from bty_app.netboot import ipxe
from bty_app.services.boot_stages import Note
from bty_app.services.client import Client
from bty_app.services.contacts import Contacts
from bty_app.services.decisions import Decided
from bty_app.services.plans import Plans
from bty_app.services.reports import Reports
from bty_app.web import body, box_shapes
from bty_app.web.large_bodies import LargeBodies
from bty_app.web.operations import TEXT, Answer, Body, Operation, answers, declared, nothing
from bty_app.web.records import parameters
from bty_app.web.scripts import Scripts
from bty_app.web.shapes import Text

SCRIPT_TYPE = TEXT
SMALL_BODY = 16 * 1024
LARGEST_GREETING = 64 * 1024
ARCHIVE = "application/zip"

_PREVIEW = parameters(preview=Text("1: a look that changes nothing."))
_SCRIPT = (Answer(200, "The script.", media=SCRIPT_TYPE),)
# A box that reports more often than it may is told so; one that has no record as well.
_TOLD = (404, 429)


class Bootstrap:
    """The first script, the same for every machine."""

    open_to_all = True
    operations = declared(GET=Operation(_SCRIPT))

    def __init__(self, note: Note) -> None:
        self._note = note

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with a chain to the machine's own script."""
        self.on_head(req, resp)
        self._note(Stage.BOOTSTRAP, None, req.context.client_ip)

    def on_head(self, req: falcon.Request, resp: falcon.Response) -> None:
        """What a GET would answer; nothing is noted."""
        resp.content_type = SCRIPT_TYPE
        resp.text = ipxe.bootstrap(req.context.base_url)


class ClientFile:
    """The client that live environments of ours run."""

    open_to_all = True
    operations = declared(GET=Operation((Answer(200, "The client.", media=ARCHIVE),)))

    def __init__(self, client: Client, note: Note) -> None:
        self._client = client
        self._note = note

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The zip whose digest stands in the kernel's command line."""
        self.on_head(req, resp)
        self._note(Stage.CLIENT, None, req.context.client_ip)

    def on_head(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """What a GET would answer; nothing is noted."""
        resp.content_type = ARCHIVE
        resp.data = self._client.data


class Script:
    """The decision point: what this machine boots."""

    open_to_all = True
    operations = declared(GET=Operation(_SCRIPT, query=_PREVIEW))

    def __init__(
        self, contacts: Contacts, scripts: Scripts, moved: Callable[[], Mark | None]
    ) -> None:
        self._contacts = contacts
        self._scripts = scripts
        self._moved = moved

    def on_get(self, req: falcon.Request, resp: falcon.Response, mac: str) -> None:
        """A contact; with `?preview=1` a look that changes nothing."""
        machine = parse_mac(mac)
        if mark := self._moved():
            self._send_on(req, resp, machine, mark)
            return
        if _is_preview(req):
            self._show(req, resp, self._contacts.preview(machine))
            return
        try:
            self._show(req, resp, self._contacts.answer(machine, ip=req.context.client_ip))
        except ThrottledError as error:
            # Firmware cannot read a status: the script itself tells it to come back.
            context = ipxe.Context(req.context.base_url, machine)
            resp.content_type = SCRIPT_TYPE
            resp.text = ipxe.script(Wait(error.retry_after), context, because="throttled")

    def on_head(self, req: falcon.Request, resp: falcon.Response, mac: str) -> None:
        """What a GET would answer; changes nothing."""
        machine = parse_mac(mac)
        if mark := self._moved():
            self._send_on(req, resp, machine, mark)
        else:
            self._show(req, resp, self._contacts.preview(machine))

    @staticmethod
    def _send_on(req: falcon.Request, resp: falcon.Response, mac: Mac, mark: Mark) -> None:
        """Nothing is decided here any more: the new host alone knows what this machine boots."""
        resp.content_type = SCRIPT_TYPE
        resp.text = ipxe.moved(req.context.base_url, mac, mark.to)
        resp.cache_control = ["no-store"]
        req.context.note["offer"] = "moved"

    def _show(self, req: falcon.Request, resp: falcon.Response, what: Decided) -> None:
        decision = what.decision
        resp.content_type = SCRIPT_TYPE
        resp.text = self._scripts.of(what, req.context.base_url)
        resp.cache_control = ["no-store"]
        req.context.note["offer"] = type(decision.offer).__name__
        req.context.note["reason"] = decision.reason.value


class PlanOf:
    """What the live environment of this machine is to do."""

    open_to_all = True
    operations = declared(
        GET=Operation(answers("The plan.", box_shapes.PLAN), query=_PREVIEW, refuses=(429,))
    )

    def __init__(self, plans: Plans, moved: Callable[[], Mark | None]) -> None:
        self._plans = plans
        self._moved = moved

    def on_get(self, req: falcon.Request, resp: falcon.Response, mac: str) -> None:
        """The plan; with `?preview=1` a look that changes nothing."""
        machine, base_url = parse_mac(mac), req.context.base_url
        if mark := self._moved():
            raise MovedError(refusal(State.MOVED, mark.to))
        if _is_preview(req):
            plan = self._plans.preview(machine, base_url=base_url)
        else:
            plan = self._plans.answer(machine, ip=req.context.client_ip, base_url=base_url)
        req.context.note["plan"] = plan["mode"]
        resp.cache_control = ["no-store"]
        resp.media = plan

    def on_head(self, req: falcon.Request, resp: falcon.Response, mac: str) -> None:
        """What a GET would answer; changes nothing."""
        resp.media = self._plans.preview(parse_mac(mac), base_url=req.context.base_url)


class InventoryOf:
    """The hardware, as the live environment sees it."""

    open_to_all = True
    operations = declared(
        POST=Operation(nothing(), body=Body(box_shapes.INVENTORY, most_bytes=0), refuses=_TOLD)
    )

    def __init__(self, reports: Reports, *, max_bytes: int) -> None:
        self._reports = reports
        self._max_bytes = max_bytes
        self._large = LargeBodies()

    def on_post(self, req: falcon.Request, resp: falcon.Response, mac: str) -> None:
        """Store it; 204."""
        machine = parse_mac(mac)
        body.check_length(req, self._max_bytes)
        with self._large.turn(req.content_length):
            self._take(req, machine)
        resp.status = 204

    def _take(self, req: falcon.Request, machine: Mac) -> None:
        """With the end of this, nothing of the body is held any more."""
        found = parse_inventory(body.json_object(req, self._max_bytes))
        self._reports.inventory(machine, found, ip=req.context.client_ip)


class StatusOf:
    """Completion, as clients from 0.61 on report it."""

    open_to_all = True
    operations = declared(
        POST=Operation(nothing(), body=Body(box_shapes.STATUS, SMALL_BODY), refuses=_TOLD)
    )

    def __init__(self, reports: Reports) -> None:
        self._reports = reports

    def on_post(self, req: falcon.Request, resp: falcon.Response, mac: str) -> None:
        """`{"status": "done"}` or `{"status": "failed", "reason": …}`; 204. The reason of one that
        is done says what was done besides.
        """
        machine = parse_mac(mac)
        said = body.json_object(req, SMALL_BODY)
        unknown = sorted(set(said) - {"status", "reason"})
        if unknown:
            raise ValidationError(f"{unknown[0][:64]!r} is not a field of a status report")
        reason = parse_reason(said.get("reason"))
        match said.get("status"):
            case "done":
                self._reports.done(machine, reason, ip=req.context.client_ip)
            case "failed":
                self._reports.failed(machine, reason, ip=req.context.client_ip)
            case _:
                raise ValidationError('status: must be "done" or "failed"')
        resp.status = 204


class DoneOf:
    """Completion, as clients up to 0.60 report it."""

    open_to_all = True
    operations = declared(POST=Operation(nothing(), refuses=_TOLD))

    def __init__(self, reports: Reports) -> None:
        self._reports = reports

    def on_post(self, req: falcon.Request, resp: falcon.Response, mac: str) -> None:
        """Whatever the body is, the flash is done; 204."""
        self._reports.done(parse_mac(mac), ip=req.context.client_ip)
        resp.status = 204


class ProgressOf:
    """How far a flash is; only our own client reports it."""

    open_to_all = True
    operations = declared(
        POST=Operation(nothing(), body=Body(box_shapes.PROGRESS, SMALL_BODY), refuses=_TOLD)
    )

    def __init__(self, reports: Reports) -> None:
        self._reports = reports

    def on_post(self, req: falcon.Request, resp: falcon.Response, mac: str) -> None:
        """Keep the last word; 204."""
        machine = parse_mac(mac)
        report = parse_progress(body.json_object(req, SMALL_BODY))
        self._reports.progress(machine, report, ip=req.context.client_ip)
        resp.status = 204


class BootedOf:
    """The system that was flashed says that it is up; cloud-init's `phone_home` can call it."""

    open_to_all = True
    operations = declared(POST=Operation(nothing(), refuses=(*_TOLD, 413)))

    def __init__(self, reports: Reports) -> None:
        self._reports = reports

    def on_post(self, req: falcon.Request, resp: falcon.Response, mac: str) -> None:
        """Whatever the body is, of up to 64 KiB, the system is up; 204."""
        if (req.content_length or 0) > LARGEST_GREETING:
            raise TooLargeError(f"a report of a boot has at most {LARGEST_GREETING} bytes")
        self._reports.booted(parse_mac(mac), ip=req.context.client_ip)
        resp.status = 204


def _is_preview(req: falcon.Request) -> bool:
    return (req.get_param("preview") or "").lower() in {"1", "true", "yes"}
