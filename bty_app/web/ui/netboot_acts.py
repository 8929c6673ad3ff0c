"""What an operator does on the netboot page: fetch, upload, go back."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import falcon

from bty_app.domain.release import check_source, check_tag
from bty_app.errors import BtyError
from bty_app.services.artifact_jobs import ArtifactJobs
from bty_app.services.sessions import Sessions
from bty_app.web.auth import check_token
from bty_app.web.errors import status_of
from bty_app.web.forms import form_of
from bty_app.web.pages import Answer, Pages, see_other
from bty_app.web.ui.netboot import NetbootView, Wanted
from bty_app.web.uploads import arriving

HERE = "/ui/netboot"


class NetbootFetch:
    """`/ui/netboot/fetch-release`."""

    def __init__(self, view: NetbootView) -> None:
        self._view = view

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """303 to the page."""
        see_other(resp, HERE)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Fetch the release of the fields `source` and `tag`, or as it is set: 303 to the page."""
        form = form_of(req)
        source, tag = ((form.text(name) or "").strip() for name in ("source", "tag"))
        problems = {"source": _problem(source, check_source), "tag": _problem(tag, check_tag)}
        wanted = Wanted(source, tag, {name: text for name, text in problems.items() if text})
        if wanted.problems:
            self._view.show(req, resp, wanted=wanted, status=422)
            return
        artifacts = self._view.artifacts
        # A source with a password is shown without it: what was not changed is not entered.
        shown = artifacts.state().source
        try:
            artifacts.fetch(
                source=None if source == shown else source,
                tag=tag,
                ip=req.context.client_ip,
            )
        except BtyError as error:
            status = status_of(error)
            self._view.show(req, resp, wanted=wanted, problem=error.message, status=status)
            return
        see_other(resp, f"{HERE}?done=asked")


class NetbootUpload:
    """`/ui/netboot/upload`."""

    checks_form = True

    def __init__(self, view: NetbootView, sessions: Sessions) -> None:
        self._view = view
        self._sessions = sessions

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """303 to the page."""
        see_other(resp, HERE)

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Install the set in the tar archive `file`, whole or not at all: 303 to the page."""
        check = partial(check_token, sessions=self._sessions, session=req.context.session)
        limit = self._view.max_upload_bytes
        try:
            file = arriving(req, "file", limit=limit, check_token=check)
            self._view.artifacts.upload(file.stream, file.name, ip=req.context.client_ip)
        except BtyError as error:
            self._view.show(req, resp, problem=error.message, status=status_of(error))
            return
        see_other(resp, f"{HERE}?done=installed")


class NetbootRollback:
    """`/ui/netboot/rollback`."""

    def __init__(self, pages: Pages, view: NetbootView, artifacts: ArtifactJobs) -> None:
        self._pages = pages
        self._view = view
        self._artifacts = artifacts

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Show what would change, and ask."""
        state = self._artifacts.state()
        if not state.can_roll_back:
            see_other(resp, HERE)
            return
        by_id = {found.id: found for found in state.sets}
        values: dict[str, object] = {
            "now": by_id.get(state.current or ""),
            "before": by_id[state.previous or ""],
        }
        self._pages.render(req, resp, Answer("netboot_rollback.html", values))

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Let machines boot the set before the current one: 303 to the page."""
        try:
            self._artifacts.roll_back(ip=req.context.client_ip)
        except BtyError as error:
            self._view.show(req, resp, problem=error.message, status=status_of(error))
            return
        see_other(resp, f"{HERE}?done=rolled-back")


def _problem(text: str, rule: Callable[[str], str]) -> str:
    """Which rule the text breaks; nothing at all breaks none."""
    try:
        if text:
            rule(text)
    except ValueError as error:
        return f"must be {error}"
    return ""
