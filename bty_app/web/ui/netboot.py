"""The netboot page: what machines boot, where it comes from, and what to tell DHCP."""

from __future__ import annotations

from dataclasses import dataclass

import falcon

from bty_app.domain.artifacts import Live
from bty_app.services import boot_servers
from bty_app.services.artifact_jobs import KIND, ArtifactJobs, StoredSet
from bty_app.services.boot_files import BootFiles
from bty_app.services.boot_servers import BootServers
from bty_app.services.jobs import Jobs
from bty_app.services.revisions import Revisions
from bty_app.web.pages import Answer, Pages
from bty_app.web.ui import boot_servers as shown_servers
from bty_app.web.ui import dhcp_sheet
from bty_app.web.ui.live_part import LivePart
from bty_app.web.ui.words import Tone, sentence

TOPICS = ("jobs", "settings", boot_servers.TOPIC)
JOBS_SHOWN = 5

DONE = {
    "asked": "The fetch is under way. What there was stays until the new set is whole.",
    "installed": "The set is installed.",
    "rolled-back": "The set before is the current one again.",
}


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether machines can boot the live environment, in words."""

    tone: Tone
    words: str
    sentence: str


class NetbootState(LivePart):
    """The part of the page that follows what happens."""

    def __init__(
        self,
        pages: Pages,
        artifacts: ArtifactJobs,
        files: BootFiles,
        servers: BootServers,
        jobs: Jobs,
        revisions: Revisions,
    ) -> None:
        super().__init__(pages, "netboot_state.html", "/ui/netboot")
        self.servers = servers
        self.artifacts = artifacts
        self._files = files
        self._jobs = jobs
        self._revisions = revisions

    def revision(self) -> str:
        """The revision of all that the part shows, on disk and in memory."""
        return f"{self._revisions.current(*TOPICS)}-{self._files.stamp()}"

    def values(self) -> dict[str, object]:
        """What the template shows."""
        state = self.artifacts.state()
        jobs = self._jobs.listed(KIND)[:JOBS_SHOWN]
        return {
            "state": state,
            "standing": standing(state.live.version, state.live.not_ready, state.live.differs),
            "arm64": of_arm64(state.live.arm64),
            "servers": shown_servers.shown(self.servers.states()),
            "jobs": jobs,
            "under_way": any(job.is_active for job in jobs),
            "sets": in_order(state.sets, state.current, state.previous),
        }


@dataclass(frozen=True, slots=True)
class Wanted:
    """What was entered in the form for a fetch, and what is wrong with which field."""

    source: str
    tag: str
    problems: dict[str, str]


class NetbootView:
    """The whole page, whoever asked for it."""

    def __init__(self, state: NetbootState, *, max_upload_bytes: int) -> None:
        self.pages = state.pages
        self.artifacts = state.artifacts
        self.max_upload_bytes = max_upload_bytes
        self._state = state

    def show(
        self,
        req: falcon.Request,
        resp: falcon.Response,
        *,
        wanted: Wanted | None = None,
        problem: str = "",
        status: int = 200,
    ) -> None:
        """Answer with the page; `problem` is why something that was asked for was not done."""
        state = self.artifacts.state()
        found = dhcp_sheet.sheet(req.context.base_url)
        entered = wanted or Wanted(state.source, state.tag, {})
        values: dict[str, object] = {
            "part": self._state.html(),
            "wanted": entered,
            "problems": entered.problems,
            "problem": problem,
            "done": DONE.get(req.get_param("done") or "", "") if req.method == "GET" else "",
            "max_upload_bytes": self.max_upload_bytes,
            "sheet": found,
            "tftp": shown_servers.is_on(self._state.servers.states(), boot_servers.Name.TFTP),
            "boot_files": dhcp_sheet.boot_files(found),
        }
        self.pages.render(req, resp, Answer("netboot.html", values, status))


class NetbootPage:
    """`/ui/netboot`."""

    def __init__(self, view: NetbootView) -> None:
        self._view = view

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The page."""
        self._view.show(req, resp)


def standing(version: str, not_ready: str, differs: str) -> Standing:
    """What to say of the live environment that machines boot."""
    if not_ready:
        return Standing(Tone.FAULT, "No live environment to boot", sentence(not_ready))
    if differs:
        return Standing(
            Tone.WAIT, f"Live environment {version}: another version", sentence(differs)
        )
    return Standing(
        Tone.GOOD,
        f"Live environment {version} is ready",
        "It is whole, and of the version of this server.",
    )


def of_arm64(live: Live | None) -> Standing | None:
    """The same for machines of arm64; None where nothing is there for them."""
    return standing(live.version, live.not_ready, live.differs) if live else None


def in_order(
    sets: tuple[StoredSet, ...], current: str | None, previous: str | None
) -> list[StoredSet]:
    """The current set first, then the one before it, then what is left."""
    return sorted(sets, key=lambda found: (found.id != current, found.id != previous, found.id))
