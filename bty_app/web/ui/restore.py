"""Backups compared with now, and put back: what changes, confirmed by what was shown, undone."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlencode

import falcon

from bty_app.domain.mac import parse_mac
from bty_app.domain.restoring import Wanted
from bty_app.errors import BtyError, ConflictError, ValidationError
from bty_app.services.backup_jobs import BackupJobs
from bty_app.services.catalog import Catalog
from bty_app.services.restore import Page, Preview, Restore
from bty_app.web.address import MAX_PAGE, number_of, text_of
from bty_app.web.errors import status_of
from bty_app.web.forms import Form, form_of
from bty_app.web.operator import by_of
from bty_app.web.pages import Answer, Pages, see_other
from bty_app.web.ui.change_words import COMPARED, TABLES, lines, worded

SHOWN = 50
MAX_MACS = 100


class RestoreView:
    """What the pages of restores share."""

    def __init__(
        self, pages: Pages, restore: Restore, catalog: Catalog, backups: BackupJobs
    ) -> None:
        self.pages = pages
        self.restore = restore
        self.shelf = backups.backups.shelf
        self._catalog = catalog

    def about(self, backup_id: str) -> dict[str, object]:
        """What stands on every page of a backup: when it was proven last.

        Raises:
            NotFoundError: there is none.
        """
        return {"proven_at": self.shelf.find(backup_id).marks.proven_at}

    def images(self) -> dict[str, str]:
        """The name of each image by its ref."""
        return {entry.bty_image_ref: entry.name for entry in self._catalog.published().entries}

    def values(self, shown: Preview, page: int = 1) -> dict[str, object]:
        """What a page says of a preview."""
        return {
            "shown": shown,
            "tables": [(TABLES[name], counts) for name, counts in shown.effect.tables.items()],
            "lines": lines(shown.rows, self.images()),
            "page": page,
            "pages": max(1, -(-shown.found // SHOWN)),
        }


class ComparePage:
    """`/ui/backups/{backup_id}/compare`: the time machine."""

    def __init__(self, view: RestoreView) -> None:
        self._view = view

    def on_get(self, req: falcon.Request, resp: falcon.Response, backup_id: str) -> None:
        """Which machines differ between the backup and now; `q` is a part of a MAC."""
        view = self._view
        q = text_of(req, "q").lower().replace("-", ":")
        page = number_of(req, "page", 1, range(1, MAX_PAGE))
        path = view.restore.path_of(backup_id)
        asked = Page(SHOWN, (page - 1) * SHOWN, q)
        shown = view.restore.preview(path, Wanted(keep_boot_modes=True), asked)
        more: dict[str, object] = {
            "lines": lines(shown.rows, view.images(), COMPARED),
            "q": q,
            "here": f"/ui/backups/{backup_id}",
            "backup_id": backup_id,
            **view.about(backup_id),
        }
        view.pages.render(req, resp, Answer("backup_compare.html", view.values(shown, page) | more))


class BackupMachine:
    """`/ui/backups/{backup_id}/machines/{mac}`."""

    def __init__(self, view: RestoreView) -> None:
        self._view = view

    def on_get(self, req: falcon.Request, resp: falcon.Response, backup_id: str, mac: str) -> None:
        """What the backup knew of the machine, beside what is known now."""
        view = self._view
        machine = parse_mac(mac)
        known = view.restore.machine(view.restore.path_of(backup_id), machine)
        images = view.images()
        values: dict[str, object] = {
            "backup_id": backup_id,
            "here": f"/ui/backups/{backup_id}",
            "mac": machine,
            "known": known,
            "values": [worded(field, images) for field in known.fields],
            **view.about(backup_id),
        }
        view.pages.render(req, resp, Answer("backup_machine.html", values))


class RestorePage:
    """`/ui/backups/{backup_id}/restore`."""

    def __init__(self, view: RestoreView) -> None:
        self._view = view

    def on_get(self, req: falcon.Request, resp: falcon.Response, backup_id: str) -> None:
        """What putting it back would change, with the form that confirms just that."""
        wanted = wanted_of(lambda name: tuple(req.get_param_as_list(name) or ()))
        self._show(req, resp, backup_id, wanted)

    def on_post(self, req: falcon.Request, resp: falcon.Response, backup_id: str) -> None:
        """Put it back, if that still is what was shown: 303 to the page of the way back."""
        form = form_of(req)
        wanted = wanted_of(form.every)
        try:
            digest = confirmed(form)
            path = self._view.restore.path_of(backup_id)
            self._view.restore.apply(path, wanted, by=by_of(req), digest=digest)
        except (ConflictError, ValidationError) as error:
            self._show(req, resp, backup_id, wanted, problem=error)
            return
        see_other(resp, "/ui/restore/undo?done=1")

    def _show(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        backup_id: str,
        wanted: Wanted,
        problem: BtyError | None = None,
    ) -> None:
        view = self._view
        shown = view.restore.preview(view.restore.path_of(backup_id), wanted, Page(SHOWN))
        values: dict[str, object] = {
            **view.values(shown),
            **view.about(backup_id),
            "title": f"Restore {backup_id}",
            "action": f"/ui/backups/{backup_id}/restore",
            "back": f"/ui/backups/{backup_id}/compare",
            "wanted": wanted,
            "other_way": _other_way(wanted),
            "is_undo": False,
            "done": "",
            "problem": problem.message if problem else "",
        }
        status = status_of(problem) if problem else 200
        view.pages.render(req, resp, Answer("restore.html", values, status))


class UndoPage:
    """`/ui/restore/undo`."""

    def __init__(self, view: RestoreView) -> None:
        self._view = view

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """What was restored last, and what undoing it would change."""
        self._show(req, resp)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Take it back, if that still is what was shown: 303 here, where it can be done again."""
        try:
            self._view.restore.undo(by=by_of(req), digest=confirmed(form_of(req)))
        except (ConflictError, ValidationError) as error:
            self._show(req, resp, error)
            return
        see_other(resp, "/ui/restore/undo?done=2")

    def _show(
        self, req: falcon.Request, resp: falcon.Response, problem: BtyError | None = None
    ) -> None:
        view = self._view
        last = view.restore.undoable()
        if last is None:
            view.pages.render(req, resp, Answer("restore_none.html", {}))
            return
        said = {"1": "Done. Below is the way back.", "2": "Undone. Below is the way forward again."}
        values: dict[str, object] = {
            **view.values(view.restore.preview_undo(Page(SHOWN))),
            "title": "Undo the last restore",
            "action": "/ui/restore/undo",
            "back": "/ui/backups",
            "wanted": Wanted(keep_boot_modes=True),
            "is_undo": True,
            "last": last,
            "done": said.get(req.get_param("done") or "", "") if req.method == "GET" else "",
            "problem": problem.message if problem else "",
        }
        status = status_of(problem) if problem else 200
        view.pages.render(req, resp, Answer("restore.html", values, status))


def _other_way(wanted: Wanted) -> str:
    """The query of the same restore with orders to flash, or without."""
    keep = [] if wanted.keep_boot_modes else [("keep", "1")]
    return urlencode([*(("mac", mac) for mac in wanted.macs), *keep])


def wanted_of(every: Callable[[str], tuple[str, ...]]) -> Wanted:
    """What an address or a form asks for.

    Raises:
        ValidationError: too many machines.
        InvalidInputError: no MAC.
    """
    macs = every("mac")
    if len(macs) > MAX_MACS:
        raise ValidationError(f"at most {MAX_MACS} machines at once")
    return Wanted(
        tuple(sorted({parse_mac(mac) for mac in macs})),
        keep_boot_modes=bool(every("keep")),
        with_tokens=bool(every("tokens")),
    )


def confirmed(form: Form) -> str:
    """The digest of what was shown, where the operator has said yes to it.

    Raises:
        ValidationError: there is no yes.
    """
    digest = form.text("digest")
    if not digest or not form.text("sure"):
        raise ValidationError("mark that you have read what changes, then do it")
    return digest
