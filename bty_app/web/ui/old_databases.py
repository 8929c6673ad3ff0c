"""Old databases: what there is, how large it is, and its removal, shown before it is done."""

from __future__ import annotations

from urllib.parse import urlencode

import falcon

from bty_app.errors import ValidationError
from bty_app.services.old_databases import OldDatabases
from bty_app.services.recover import Recover
from bty_app.web.errors import status_of
from bty_app.web.forms import form_of
from bty_app.web.operator import by_of
from bty_app.web.pages import Answer, Pages, see_other

HERE = "/ui/recover"


class OldDatabasesPage:
    """`/ui/recover`."""

    def __init__(self, pages: Pages, recover: Recover, old: OldDatabases) -> None:
        self._pages = pages
        self._recover = recover
        self._old = old

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The archives that upgrades have left, and damaged databases that were set aside."""
        rows = self._old.listed()
        values: dict[str, object] = {
            "rows": rows,
            "total": sum(row.size for row in rows),
            "damaged": self._recover.damaged(),
            "done": req.get_param("done") == "1",
        }
        self._pages.render(req, resp, Answer("recover_list.html", values))


class OldDatabasesRemove:
    """`/ui/recover/remove`."""

    def __init__(self, pages: Pages, old: OldDatabases) -> None:
        self._pages = pages
        self._old = old

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """What would be lost with those that are chosen, and the form that confirms it."""
        try:
            self._show(req, resp, tuple(req.get_param_as_list("name") or ()))
        except ValidationError:
            see_other(resp, HERE)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Remove them for good: 303 to the list."""
        form = form_of(req)
        names = form.every("name")
        if not form.text("sure"):
            why = "say that you have read what is lost"
            self._show(req, resp, names, ValidationError(why))
            return
        self._old.remove(names, by_of(req))
        see_other(resp, f"{HERE}?{urlencode({'done': 1})}")

    def _show(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        names: tuple[str, ...],
        problem: ValidationError | None = None,
    ) -> None:
        rows = self._old.chosen(names)
        values: dict[str, object] = {
            "rows": rows,
            "total": sum(row.size for row in rows),
            "problem": problem.message if problem else "",
        }
        status = status_of(problem) if problem else 200
        self._pages.render(req, resp, Answer("recover_remove.html", values, status))
