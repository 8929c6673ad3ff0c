"""One machine's page: its state in words, what it is to do, its disks, what happened to it."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlencode

import falcon

from bty_app.domain.mac import Mac, parse_mac
from bty_app.domain.machine import MODE_NAMES, assigned
from bty_app.errors import ConflictError, NotFoundError
from bty_app.services.machines import Shown
from bty_app.services.revisions import Revisions
from bty_app.web.forms import Form, form_of
from bty_app.web.pages import Answer, see_other, send
from bty_app.web.ui import machine_form
from bty_app.web.ui.machine_form import Entered
from bty_app.web.ui.machine_view import MachineView
from bty_app.web.ui.shared import Shared

TOPICS = ("machines", "catalog", "events", "settings", "stages")


class MachineState:
    """`/ui/machines/{mac}/state`: what an open page asks every two seconds."""

    def __init__(self, view: MachineView, revisions: Revisions) -> None:
        self._view = view
        self._revisions = revisions
        self._shared: Shared[str] = Shared()

    def html(self, mac: Mac, base_url: str, *, exact: bool = True) -> str:
        """The part, made once for all who look at it from the same side."""
        revision = self.revision()
        return self._shared.get(
            f"{mac} {base_url}",
            revision,
            lambda: self._view.state(mac, revision, base_url),
            exact=exact,
        )

    def revision(self) -> str:
        """The revision of all that the part shows."""
        return self._revisions.current(*TOPICS)

    def on_get(self, req: falcon.Request, resp: falcon.Response, mac: str) -> None:
        """204 when nothing has changed since `rev`, else the part."""
        if req.get_param("rev") == self.revision():
            resp.status = 204
            resp.set_header("Cache-Control", "no-store")
            return
        part = self.html(parse_mac(mac), req.context.base_url, exact=False)
        self._view.pages.send_part(resp, part)


class MachinePage:
    """`/ui/machines/{mac}`."""

    def __init__(self, view: MachineView, state: MachineState) -> None:
        self._view = view
        self._state = state

    def on_get(self, req: falcon.Request, resp: falcon.Response, mac: str) -> None:
        """The page, its form filled with what is stored."""
        shown = self._view.shown(parse_mac(mac))
        entered = machine_form.entered_of(shown)
        checked = machine_form.checked(entered, self._view.choices(shown))
        self._page(req, resp, shown, self._view.form(shown, entered, checked), status=200)

    def on_post(self, req: falcon.Request, resp: falcon.Response, mac: str) -> None:
        """303 when saved; the page as it was entered with 422 when it cannot be, and with 409
        when somebody else has saved meanwhile."""
        shown = self._view.shown(parse_mac(mac))
        entered = machine_form.entered_in(form_of(req))
        checked = machine_form.checked(entered, self._view.choices(shown))
        if checked.assignment is None:
            values = self._view.form(shown, entered, checked)
            self._page(req, resp, shown, {**values, "refused": True}, status=422)
            return
        known = shown.machine.mac
        seen = machine_form.believed(entered)
        try:
            self._view.knows.machines.save(
                known, checked.assignment, ip=req.context.client_ip, seen=seen
            )
        except ConflictError:
            self._overtaken(req, resp, known, entered)
            return
        see_other(resp, f"/ui/machines/{known}?saved=1")

    def _overtaken(
        self, req: falcon.Request, resp: falcon.Response, mac: Mac, entered: Entered
    ) -> None:
        """Nothing was saved: show what is set now, and let them decide again with that before."""
        shown = self._view.shown(mac)
        now = assigned(shown.machine, shown.labels)
        seen = machine_form.believed(entered)
        again = replace(entered, was=machine_form.spelled(now))
        checked = machine_form.checked(again, self._view.choices(shown))
        values = self._view.form(shown, again, checked)
        changed = machine_form.differences(seen, now) if seen else ()
        what = {
            **values,
            "overtaken": changed or ("something",),
            "now": now,
            "mode_now": MODE_NAMES[now.boot_mode],
        }
        self._page(req, resp, shown, what, status=409)

    def _page(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        shown: Shown,
        values: dict[str, object],
        *,
        status: int,
    ) -> None:
        page: dict[str, object] = {
            "refused": False,
            "overtaken": (),
            "armed": req.method == "GET" and bool(req.get_param("armed")),
            "saved": req.method == "GET" and bool(req.get_param("saved")),
            "state": self._state.html(shown.machine.mac, req.context.base_url),
            **values,
        }
        self._view.pages.render(req, resp, Answer("machine.html", page, status))


class MachinePreview:
    """`/ui/machines/{mac}/preview`: what saving the form, as it is now, would do."""

    def __init__(self, view: MachineView) -> None:
        self._view = view

    def on_get(self, req: falcon.Request, resp: falcon.Response, mac: str) -> None:
        """The part below the form; changes nothing."""
        choices = self._view.choices(self._view.shown(parse_mac(mac)))
        fields = tuple((name, req.get_param(name) or "") for name in req.params)
        checked = machine_form.checked(machine_form.entered_in(Form(fields)), choices)
        values = self._view.consequence(checked, choices)
        send(resp, self._view.pages.part("machine_consequence.html", values))


class MachineAgain:
    """`/ui/machines/{mac}/again`: arm it anew, as it is set."""

    def __init__(self, view: MachineView) -> None:
        self._view = view

    def on_get(self, req: falcon.Request, resp: falcon.Response, mac: str) -> None:
        """Show what it would do, and ask."""
        shown = self._view.shown(parse_mac(mac))
        entered = machine_form.entered_of(shown)
        choices = self._view.choices(shown)
        checked = machine_form.checked(entered, choices)
        values = self._view.consequence(checked, choices)
        page = {"machine": shown.machine, "was": entered.was, **values}
        self._view.pages.render(req, resp, Answer("machine_again.html", page))

    def on_post(self, req: falcon.Request, resp: falcon.Response, mac: str) -> None:
        """Save it as it was shown; 303 to its page, or 409 when it is set otherwise by now."""
        known = parse_mac(mac)
        shown = self._view.shown(known)
        was = form_of(req).text("was") or machine_form.entered_of(shown).was
        seen = machine_form.believed(Entered(was=was))
        entered = machine_form.entered_of(shown)
        checked = machine_form.checked(entered, self._view.choices(shown))
        if seen is None or checked.assignment is None:
            raise ConflictError(f"{known} cannot be armed as it is set: see its page")
        ip = req.context.client_ip
        self._view.knows.machines.save(known, seen, ip=ip, seen=seen)
        see_other(resp, f"/ui/machines/{known}?armed=1")


class MachineDelete:
    """`/ui/machines/{mac}/delete`."""

    def __init__(self, view: MachineView) -> None:
        self._view = view

    def on_get(self, req: falcon.Request, resp: falcon.Response, mac: str) -> None:
        """Show what is lost, and ask."""
        values = self._view.losses(self._view.shown(parse_mac(mac)))
        self._view.pages.render(req, resp, Answer("machine_delete.html", values))

    def on_post(self, req: falcon.Request, resp: falcon.Response, mac: str) -> None:
        """Forget it; 303 to the machines."""
        known = parse_mac(mac)
        try:
            self._view.knows.machines.forget(known, ip=req.context.client_ip)
        except NotFoundError:
            see_other(resp, f"/ui/machines?{urlencode({'missing': known})}")
            return
        see_other(resp, f"/ui/machines?{urlencode({'deleted': known})}")
