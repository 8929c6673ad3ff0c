"""The settings page: every setting, its value, where that comes from, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import falcon

from bty_app.domain.settings import problem
from bty_app.domain.webhooks import Target
from bty_app.services.settings import Shown
from bty_app.services.webhooks import Webhooks
from bty_app.web.forms import form_of
from bty_app.web.pages import Answer, Pages, see_other
from bty_app.web.ui.backup_schedule import ScheduleView

Tested = tuple[Target, str]
HERE = "/ui/settings"
# The fields of the original's form (CONTRACT 3.9).
_UPSTREAM = ("netboot_repo", "netboot_tag", "catalog_url")


@dataclass(frozen=True, slots=True)
class Row:
    """A setting with what is in its field."""

    shown: Shown
    text: str
    problem: str


class SettingsView:
    """The page, and what its forms do."""

    def __init__(self, pages: Pages, schedule: ScheduleView, webhooks: Webhooks) -> None:
        self._pages = pages
        self._schedule = schedule
        self._settings = schedule.settings
        self.webhooks = webhooks

    def show(
        self, req: falcon.Request, resp: falcon.Response, tested: Sequence[Tested] = ()
    ) -> None:
        """Answer with the page as it is stored."""
        rows = [Row(shown, shown.value, shown.problem) for shown in self._settings.shown()]
        self._page(req, resp, rows, 200, tested)

    def save(
        self, req: falcon.Request, resp: falcon.Response, entered: Mapping[str, str | None]
    ) -> None:
        """Store what was entered by key, None for what was not: 303 back; 422 with the page, as it
        was entered, when a text breaks its rule.

        A URL is shown without its password: a field that is as it was shown is not entered.
        """
        rows, wanted = [], {}
        for shown in self._settings.shown():
            given = entered.get(shown.setting.key)
            text = shown.value if given is None else given.strip()
            if text == shown.value:
                rows.append(Row(shown, text, shown.problem))
                continue
            rows.append(Row(shown, text, problem(shown.setting, text) if text else ""))
            wanted[shown.setting.key] = text
        if any(row.problem and row.shown.setting.key in wanted for row in rows):
            self._page(req, resp, rows, 422)
            return
        self._settings.change(wanted, ip=req.context.client_ip)
        see_other(resp, f"{HERE}?saved=1")

    def _page(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        rows: list[Row],
        status: int,
        tested: Sequence[Tested] = (),
    ) -> None:
        saved = req.method == "GET" and bool(req.get_param("saved"))
        values: dict[str, object] = {"rows": rows, "saved": saved, "refused": status != 200}
        values |= {"hooks": self.webhooks.state(), "tested": tested}
        values["schedule"] = self._schedule.fields()
        self._pages.render(req, resp, Answer("settings.html", values, status))


class SettingsPage:
    """`/ui/settings`."""

    def __init__(self, view: SettingsView) -> None:
        self._view = view

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The page."""
        self._view.show(req, resp)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """303 when saved; 422 with the page, as it was entered, when a field breaks its rule."""
        form = form_of(req)
        self._view.save(req, resp, dict(form.fields))


class SettingsTest:
    """`/ui/settings/webhook-test`."""

    def __init__(self, view: SettingsView) -> None:
        self._view = view

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """303 to the page."""
        see_other(resp, HERE)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Send each receiver of events a test, and show what came of it."""
        self._view.show(req, resp, self._view.webhooks.test())


class SettingsUpstream:
    """`/ui/settings/upstream`: the original's form."""

    def __init__(self, view: SettingsView) -> None:
        self._view = view

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """303 to the page."""
        see_other(resp, HERE)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """`netboot_repo`, `netboot_tag`, `catalog_url`: 303 to the page when saved."""
        form = form_of(req)
        entered = {f"upstream.{name}": form.text(name) for name in _UPSTREAM}
        self._view.save(req, resp, entered)
