"""One machine's page: its state in words, what it is to do, its disks, what happened to it."""

from __future__ import annotations

from urllib.parse import urlencode

import falcon

from bty_app.domain.events import Query
from bty_app.domain.mac import Mac, parse_mac
from bty_app.domain.machine import FLASH_MODES, BootMode
from bty_app.errors import NotFoundError
from bty_app.services.audit import Audit
from bty_app.services.catalog import Catalog
from bty_app.services.contacts import Contacts
from bty_app.services.machines import Machines, Shown
from bty_app.services.revisions import Revisions
from bty_app.web.forms import Form, form_of
from bty_app.web.pages import Answer, Pages, see_other, send
from bty_app.web.ui import disks, machine_form
from bty_app.web.ui.machine_form import Checked, Choices, Entered
from bty_app.web.ui.shared import Shared
from bty_app.web.ui.words import MODE_HELP, MODE_NAMES, Subject, whole

TOPICS = ("machines", "catalog", "events", "settings")
EVENTS_SHOWN = 15


class MachineView:
    """What the page of a machine shows."""

    def __init__(
        self, pages: Pages, machines: Machines, contacts: Contacts, catalog: Catalog, audit: Audit
    ) -> None:
        self.pages = pages
        self._machines = machines
        self._contacts = contacts
        self._catalog = catalog
        self._audit = audit

    def shown(self, mac: Mac) -> Shown:
        """The record.

        Raises:
            NotFoundError: there is none.
        """
        return self._machines.get(mac)

    def choices(self, shown: Shown) -> Choices:
        """What there is to choose from for it."""
        return Choices(self._catalog.published().entries, disks.parsed(shown.known_disks))

    def form(self, shown: Shown, entered: Entered, checked: Checked) -> dict[str, object]:
        """The values of its form and of what stands beside it."""
        choices = self.choices(shown)
        return {
            "machine": shown.machine,
            "entered": entered,
            "choices": choices,
            "problems": checked.problems,
            "modes": [
                (mode.value, MODE_NAMES[mode], MODE_HELP[mode], mode in FLASH_MODES)
                for mode in BootMode
            ],
            **self.consequence(checked, choices),
        }

    def consequence(self, checked: Checked, choices: Choices) -> dict[str, object]:
        """What saving the form would do."""
        wanted = checked.assignment
        return {
            "problems": checked.problems,
            "erases": wanted is not None and wanted.boot_mode in FLASH_MODES,
            "consequence": machine_form.consequence(wanted, choices) if wanted else "",
            "doubt": machine_form.doubt(wanted, choices) if wanted else "",
        }

    def state(self, mac: Mac, revision: str) -> str:
        """The part that follows what happens."""
        shown = self.shown(mac)
        machine, found = shown.machine, disks.parsed(shown.known_disks)
        decided = self._contacts.preview(mac)
        image = decided.entry.name if decided.entry and decided.entry.name else None
        disk = disks.name_of(found, machine.target_disk_serial)
        subject = Subject(machine, image, disk, shown.progress)
        query = Query(subject_kind="machine", subject_id=mac, limit=EVENTS_SHOWN)
        values: dict[str, object] = {
            "machine": machine,
            "status": whole(subject, decided.decision),
            "progress": shown.progress,
            "disks": found,
            "events": self._audit.listed(query),
            "poll": f"/ui/machines/{mac}/state?{urlencode({'rev': revision})}",
        }
        return self.pages.part("machine_state.html", values)


class MachineState:
    """`/ui/machines/{mac}/state`: what an open page asks every two seconds."""

    def __init__(self, view: MachineView, revisions: Revisions) -> None:
        self._view = view
        self._revisions = revisions
        self._shared: Shared[str] = Shared()

    def html(self, mac: Mac, *, exact: bool = True) -> str:
        """The part, made once for all who look at it."""
        revision = self.revision()
        return self._shared.get(mac, revision, lambda: self._view.state(mac, revision), exact=exact)

    def revision(self) -> str:
        """The revision of all that the part shows."""
        return self._revisions.current(*TOPICS)

    def on_get(self, req: falcon.Request, resp: falcon.Response, mac: str) -> None:
        """204 when nothing has changed since `rev`, else the part."""
        if req.get_param("rev") == self.revision():
            resp.status = 204
            resp.set_header("Cache-Control", "no-store")
            return
        self._view.pages.send_part(resp, self.html(parse_mac(mac), exact=False))


class MachinePage:
    """`/ui/machines/{mac}`."""

    def __init__(self, view: MachineView, state: MachineState, machines: Machines) -> None:
        self._view = view
        self._state = state
        self._machines = machines

    def on_get(self, req: falcon.Request, resp: falcon.Response, mac: str) -> None:
        """The page, its form filled with what is stored."""
        shown = self._view.shown(parse_mac(mac))
        entered = machine_form.entered_of(shown)
        checked = machine_form.checked(entered, self._view.choices(shown))
        self._page(req, resp, shown, self._view.form(shown, entered, checked), status=200)

    def on_post(self, req: falcon.Request, resp: falcon.Response, mac: str) -> None:
        """303 when saved; 422 with the page, as it was entered, when it cannot be."""
        shown = self._view.shown(parse_mac(mac))
        entered = machine_form.entered_in(form_of(req))
        checked = machine_form.checked(entered, self._view.choices(shown))
        if checked.assignment is None:
            values = self._view.form(shown, entered, checked)
            self._page(req, resp, shown, {**values, "refused": True}, status=422)
            return
        known = shown.machine.mac
        self._machines.save(known, checked.assignment, ip=req.context.client_ip)
        see_other(resp, f"/ui/machines/{known}?saved=1")

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
            "saved": req.method == "GET" and bool(req.get_param("saved")),
            "state": self._state.html(shown.machine.mac),
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


class MachineDelete:
    """`/ui/machines/{mac}/delete`."""

    def __init__(self, view: MachineView, machines: Machines) -> None:
        self._view = view
        self._machines = machines

    def on_get(self, req: falcon.Request, resp: falcon.Response, mac: str) -> None:
        """Show what is lost, and ask."""
        shown = self._view.shown(parse_mac(mac))
        image = self._view.choices(shown).image(shown.machine.image_ref or "")
        values: dict[str, object] = {
            "machine": shown.machine,
            "labels": shown.labels,
            "image": image.name if image else shown.machine.image_ref,
            "disks": disks.parsed(shown.known_disks),
            "mode": MODE_NAMES[shown.machine.boot_mode],
        }
        self._view.pages.render(req, resp, Answer("machine_delete.html", values))

    def on_post(self, req: falcon.Request, resp: falcon.Response, mac: str) -> None:
        """Forget it; 303 to the machines."""
        known = parse_mac(mac)
        try:
            self._machines.forget(known, ip=req.context.client_ip)
        except NotFoundError:
            see_other(resp, f"/ui/machines?{urlencode({'missing': known})}")
            return
        see_other(resp, f"/ui/machines?{urlencode({'deleted': known})}")
