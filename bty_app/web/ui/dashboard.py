"""The dashboard: how the machines are, what needs somebody, what runs, what happened."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from zlib import crc32

import falcon

from bty_app.domain.events import Kind, Query
from bty_app.domain.findings import Finding, Level
from bty_app.services.account import AccountKeeper
from bty_app.services.audit import Audit
from bty_app.services.backup_schedule import BackupSchedule
from bty_app.services.boot_files import BootFiles
from bty_app.services.catalog import Catalog
from bty_app.services.doctor import Doctor
from bty_app.services.health import Health
from bty_app.services.jobs import Jobs
from bty_app.services.machines import Machines
from bty_app.services.revisions import Revisions
from bty_app.web.pages import Answer, Pages
from bty_app.web.ui import fleet
from bty_app.web.ui.activity import Activity, activity, since
from bty_app.web.ui.live_part import LivePart
from bty_app.web.ui.words import Tone, sentence

TOPICS = ("machines", "catalog", "events", "jobs", "settings")
EVENTS_SHOWN = 10
FAILURES_SHOWN = 5
_KNOWS_THE_WAY = (Kind.MACHINE_BOOTED, Kind.MACHINES_IMPORTED, Kind.SCHEMA_RESET)

# Where what a check finds can be mended.
_PLACES = {
    "live-environment": ("/ui/netboot", "To netboot"),
    "sets": ("/ui/netboot", "To netboot"),
    "shadowed-files": ("/ui/netboot", "To netboot"),
    "ipxe": ("/ui/netboot", "To netboot"),
    "catalog": ("/ui/catalog", "To the catalog"),
    "backups": ("/ui/backups", "To the backups"),
}


@dataclass(frozen=True, slots=True)
class Need:
    """Something that needs somebody: what, the remedy, and the page for it, if there is one."""

    tone: Tone
    what: str
    remedy: str
    place: tuple[str, str] | None


@dataclass(frozen=True, slots=True)
class Step:
    """One of the first steps of a new server."""

    done: bool
    title: str
    words: str
    address: str
    label: str


@dataclass(frozen=True, slots=True)
class Knowledge:
    """Whom the dashboard asks."""

    machines: Machines
    catalog: Catalog
    files: BootFiles
    doctor: Doctor
    jobs: Jobs
    audit: Audit
    health: Health
    account: AccountKeeper
    revisions: Revisions
    schedule: BackupSchedule


class DashboardState(LivePart):
    """The part that follows what happens: all of it."""

    def __init__(self, pages: Pages, knowledge: Knowledge) -> None:
        super().__init__(pages, "dashboard_state.html", "/ui/dashboard")
        self._knowledge = knowledge

    def revision(self) -> str:
        """The revision of all that is shown, on disk and in memory."""
        known = self._knowledge
        parts = (known.revisions.current(*TOPICS), known.files.stamp(), f"{known.audit.clock():%H}")
        ills = "\n".join(known.health.problems())
        return "-".join([*parts, *([f"{crc32(ills.encode()):x}"] if ills else [])])

    def values(self) -> dict[str, object]:
        """What the template shows."""
        known = self._knowledge
        counts, rate = known.machines.states()
        total = sum(counts.values())
        steps = self._steps(total)
        return {
            "groups": fleet.groups(counts),
            "total": total,
            "steps": steps,
            "next": next((step for step in steps if not step.done), None),
            "shares": fleet.shares(counts, rate),
            "failures": known.audit.open_failures(),
            "open": known.audit.listed(Query(open_failures=True, limit=FAILURES_SHOWN)),
            # With machines it is more than a step to come.
            "needs": [
                *(unwell(problem) for problem in known.health.problems()),
                *needs(known.doctor.cheap_findings(), [] if total else steps),
            ],
            "proven": known.schedule.standing().proven,
            "jobs": [job for job in known.jobs.listed() if job.is_active],
            "activity": self._activity(),
            "events": known.audit.listed(Query(limit=EVENTS_SHOWN)),
        }

    def _activity(self) -> Activity:
        now = self._knowledge.audit.clock()
        return activity(self._knowledge.audit.flashes_by_hour(since(now)), now)

    def _steps(self, machines: int) -> list[Step]:
        """Up to the first flash; who has brought machines along knows the way."""
        known = self._knowledge
        if known.audit.has_any(*_KNOWS_THE_WAY) or known.machines.has_booted():
            return []
        account, findings = known.account, known.doctor.cheap_findings()
        return first_steps(
            has_password=bool(account.fixed_by) or known.audit.has_any(Kind.PASSWORD_CHANGED),
            has_live=not known.files.live_now().not_ready,
            has_image=bool(known.catalog.published().entries),
            has_loader=not any(f.check == "ipxe" and f.level.needs_an_act for f in findings),
            has_machine=machines > 0,
            has_flash=known.audit.has_any(Kind.MACHINE_FLASHED),
        )


def first_steps(
    *,
    has_password: bool,
    has_live: bool,
    has_image: bool,
    has_loader: bool,
    has_machine: bool,
    has_flash: bool,
) -> list[Step]:
    """From a new server to the first machine that has booted what was flashed."""
    return [
        Step(
            has_password,
            "A password of your own",
            "The one in use was made by the server, and is in a file beside its state.",
            *("/ui/account#password", "Choose one"),
        ),
        Step(
            has_live,
            "A live environment",
            "What machines boot to report their hardware and to be flashed.",
            *("/ui/netboot", "Fetch it"),
        ),
        Step(
            has_image,
            "An image",
            "What machines are flashed with.",
            *("/ui/catalog", "Follow a catalog, or add one"),
        ),
        Step(
            has_loader or has_machine,
            "Network boot",
            "The program that firmware loads first: this server must have it, and DHCP name it.",
            *("/ui/netboot#network-boot", "What is missing"),
        ),
        Step(
            has_machine,
            "A machine",
            "Let one boot from the network, with this server as its boot server: it appears"
            " here by itself.",
            *("/ui/netboot#network-boot", "What to tell DHCP"),
        ),
        Step(
            False,
            "A flash that has booted",
            "It is written. The machine has yet to come up from it: let it boot."
            if has_flash
            else "Choose an image and a disk for the machine; it is flashed at its next network"
            " boot, and comes up from it.",
            *("/ui/machines", "Look at the machine" if has_flash else "Choose the machine"),
        ),
    ]


class DashboardPage:
    """`/ui/dashboard`."""

    def __init__(self, pages: Pages, state: DashboardState) -> None:
        self._pages = pages
        self._state = state

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The page."""
        self._pages.render(req, resp, Answer("dashboard.html", {"part": self._state.html()}))


def needs(findings: Iterable[Finding], steps: Iterable[Step]) -> list[Need]:
    """What needs somebody, the worst first; what is one of the first steps is said there."""
    open_steps = {step.address for step in steps if not step.done}
    order = list(Level)
    urgent = sorted(
        (finding for finding in findings if finding.level.needs_an_act),
        key=lambda finding: -order.index(finding.level),
    )
    return [
        Need(
            Tone.FAULT if finding.level is Level.FAULT else Tone.WAIT,
            sentence(finding.sentence),
            finding.remedy,
            _PLACES.get(finding.check),
        )
        for finding in urgent
        if not (_is_a_step(finding) and _PLACES[finding.check][0] in open_steps)
    ]


def unwell(problem: str) -> Need:
    """This server cannot do all of its work."""
    remedy = "until then machines are answered from what is known, and nothing is begun"
    return Need(Tone.FAULT, sentence(problem), remedy, None)


def _is_a_step(finding: Finding) -> bool:
    return finding.check in {"live-environment", "catalog"}
