"""The machines page: a searchable, sorted, paged table that follows what happens."""

from __future__ import annotations

from dataclasses import dataclass, replace
from urllib.parse import urlencode

import falcon

from bty_app.domain.machine import MODE_NAMES, BootMode, Machine, Phase, State
from bty_app.domain.reported_disks import Disk, disks_of, with_serial
from bty_app.services.catalog import Catalog
from bty_app.services.clock import Clock, utc_now
from bty_app.services.machines import Machines, Shown
from bty_app.services.revisions import Revisions
from bty_app.services.settings import Settings
from bty_app.web.address import PAGE_SIZES
from bty_app.web.machine_query import SEEN, SORTS, MachineQuery, query_of
from bty_app.web.pages import Answer, Pages
from bty_app.web.ui.shared import Shared
from bty_app.web.ui.words import PHASE_NAMES, STATE_NAMES, Status, Subject, short

TOPICS = ("machines", "catalog", "events")
TEMPLATE = "machines_list.html"
COLUMNS = (
    ("mac", "Machine"),
    ("", "State"),
    ("boot_mode", "Mode"),
    ("bty_image_ref", "Image"),
    ("", "Target disk"),
    ("last_seen_at", "Last seen"),
    ("last_flashed_at", "Last flashed"),
)


@dataclass(frozen=True, slots=True)
class Row:
    """A machine as the table shows it."""

    machine: Machine
    labels: tuple[str, ...]
    status: Status
    mode: str
    image: str | None
    disk: Disk | None


class MachineTable:
    """The table for a query, made once for all who look at it."""

    def __init__(
        self,
        pages: Pages,
        machines: Machines,
        catalog: Catalog,
        settings: Settings,
        revisions: Revisions,
        clock: Clock = utc_now,
    ) -> None:
        self._clock = clock
        self._pages = pages
        self._machines = machines
        self._catalog = catalog
        self._settings = settings
        self._revisions = revisions
        self._shared: Shared[str] = Shared()

    def revision(self) -> str:
        """The revision of all that the table shows."""
        return self._revisions.current(*TOPICS)

    def html(self, query: MachineQuery, *, exact: bool = True) -> str:
        """The table with what stands around it, marked with its revision."""
        revision = self.revision()  # before reading: a newer row is no harm
        return self._shared.get(
            query.address(), revision, lambda: self._made(query, revision), exact=exact
        )

    def send(self, resp: falcon.Response, query: MachineQuery) -> None:
        """Answer with the table alone."""
        self._pages.send_part(resp, self.html(query, exact=False))

    def _made(self, query: MachineQuery, revision: str) -> str:
        found, total = self._found(query)
        pages = max(1, -(-total // query.per_page))
        if query.page > pages:  # machines were deleted meanwhile, or the address was made up
            query = replace(query, page=pages)
            found = self._machines.listed(query.rows(self._clock()))
        names = self.images()
        done = self._settings.flash_done()
        rows = [_row(shown, names, done) for shown in found]
        values: dict[str, object] = {
            "query": query,
            "image": names.get(query.image),
            "rows": rows,
            "total": total,
            "pages": pages,
            "columns": COLUMNS,
            "poll": f"/ui/machines/rows?{urlencode({'rev': revision})}&{query.address()}",
        }
        return self._pages.part(TEMPLATE, values)

    def images(self) -> dict[str, str]:
        """The name of each image by its ref."""
        return {entry.bty_image_ref: entry.name for entry in self._catalog.published().entries}

    def _found(self, query: MachineQuery) -> tuple[list[Shown], int]:
        """The machines of a page, and how many match; counted only where the page does not say."""
        found = self._machines.listed(query.rows(self._clock()))
        if len(found) < query.per_page and (found or query.page == 1):
            return found, (query.page - 1) * query.per_page + len(found)
        return found, self._machines.count(query.rows(self._clock()))


class MachinesPage:
    """`/ui/machines`."""

    def __init__(self, pages: Pages, table: MachineTable) -> None:
        self._pages = pages
        self._table = table

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """The page; everything about it is in its address."""
        query = query_of(req)
        values: dict[str, object] = {
            "query": query,
            "table": self._table.html(query),
            "modes": [(mode.value, MODE_NAMES[mode]) for mode in BootMode],
            "phases": [(phase.value, PHASE_NAMES[phase]) for phase in Phase],
            "states": [(state.value, STATE_NAMES[state]) for state in State],
            "seen": [(value, words) for value, (words, _hours) in SEEN.items()],
            "images": sorted(self._table.images().items(), key=lambda item: item[1]),
            "sizes": PAGE_SIZES,
            "sorts": SORTS,
            "deleted": req.get_param("deleted"),
            "missing": req.get_param("missing"),
        }
        if req.get_header("HX-Request"):
            resp.set_header("HX-Replace-Url", f"/ui/machines?{query.address()}")
        self._pages.render(req, resp, Answer("machines.html", values))


def _row(shown: Shown, names: dict[str, str], site_done: str) -> Row:
    machine = shown.machine
    image = names.get(machine.image_ref) if machine.image_ref else None
    found = with_serial(disks_of(shown.known_disks), machine.target_disk_serial)
    held = shown.order.held_by if shown.order else None
    unproven = machine.is_unproven(site_done)
    status = short(Subject(machine, image, None, shown.progress, held, unproven))
    return Row(machine, shown.labels, status, MODE_NAMES[machine.boot_mode], image, found)
