"""What an act on many machines would do: read inside the caller's transaction, writes nothing."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from bty_app.domain.bulk import Outcome, Site, Step, Subject, planned, shown_as
from bty_app.domain.bulk_act import Act, Kind
from bty_app.domain.disk_contents import contents
from bty_app.domain.image_fit import misfit
from bty_app.domain.mac import Mac
from bty_app.domain.reported_disks import disks_of
from bty_app.services.architecture import architecture_of
from bty_app.store import catalog, machine_pages, machines
from bty_app.store.database import Tx
from bty_app.store.machine_pages import Page

SHOWN = 200
READ = 2000  # MACs that are read at once


@dataclass(frozen=True, slots=True)
class Selection:
    """The machines of an act: these, or all that match a query."""

    macs: tuple[Mac, ...] = ()
    page: Page | None = None


@dataclass(frozen=True, slots=True)
class Line:
    """The plan for one machine, as it is shown; `holds` is what its disk holds."""

    mac: Mac
    labels: tuple[str, ...]
    step: Step
    holds: tuple[str, ...] = ()


@dataclass(slots=True)
class Preview:
    """What an act would do. `digest` stands for all that is shown, and what that follows from."""

    digest: str = ""
    will: int = 0
    same: int = 0
    erases: int = 0
    doubts: int = 0
    shown: list[Line] = field(default_factory=list)
    cannot: dict[str, list[Mac]] = field(default_factory=dict)
    missing: list[Mac] = field(default_factory=list)

    @property
    def cannots(self) -> int:
        """How many it cannot be done to."""
        return sum(len(found) for found in self.cannot.values())


def plan(
    tx: Tx, selection: Selection, act: Act, rules: Site
) -> tuple[Preview, list[tuple[Mac, str]]]:
    """What an act would do, and the machines it is to be done to with a word for what is shown."""
    site, preview = site_of(tx, rules), Preview()
    digest = hashlib.sha256(json.dumps(act.as_fields()).encode())
    wanted: list[tuple[Mac, str]] = []
    for mac in _selected(tx, selection):
        subject = subject_of(tx, mac, with_disks=act.kind in {Kind.SET, Kind.FLASH_AGAIN})
        if subject is None:
            preview.missing.append(mac)
            continue
        step = step_of(tx, act, subject, site)
        word = shown_as(subject, step)
        digest.update(f"{mac} {word}\n".encode())
        if _note(tx, preview, subject, step):
            wanted.append((mac, word))
    preview.digest = digest.hexdigest()
    return preview, wanted


def step_of(tx: Tx, act: Act, subject: Subject, site: Site) -> Step:
    """The plan for one machine; one that is to be flashed runs what it is flashed with."""
    step = planned(act, subject, site)
    image = step.after and site.bound.get(step.after.image_ref or "")
    if step.erased is None or not image:
        return step
    why = misfit(image, architecture_of(tx, subject.machine.mac))
    return Step(Outcome.CANNOT, f"{image.name}: {why}") if why else step


def subject_of(tx: Tx, mac: Mac, *, with_disks: bool) -> Subject | None:
    """A machine as a plan looks at it; None when there is no record."""
    machine = machines.get(tx, mac)
    if machine is None:
        return None
    disks = disks_of(machines.known_disks(tx, mac)) if with_disks else None
    return Subject(machine, tuple(machines.labels(tx, mac)), disks)


def site_of(tx: Tx, rules: Site) -> Site:
    """What holds for all machines: `rules`, which are those of the settings, and the images."""
    entries = {e.bty_image_ref: e for e in catalog.listed(tx) if e.name}
    images: dict[str, str] = {ref: e.name or "" for ref, e in entries.items()}
    return replace(rules, images=images, bound={r: e for r, e in entries.items() if e.arch})


def _selected(tx: Tx, selection: Selection) -> Iterator[Mac]:
    if selection.page is None:
        yield from sorted(set(selection.macs))
        return
    after = ""
    while found := machine_pages.matching(tx, selection.page, after, limit=READ):
        yield from found
        after = found[-1]


def _note(tx: Tx, preview: Preview, subject: Subject, step: Step) -> bool:
    """Count a step, and show it among the first; whether it is to be done."""
    mac = subject.machine.mac
    if step.outcome is Outcome.CANNOT:
        preview.cannot.setdefault(step.words, []).append(mac)
        return False
    if step.outcome is Outcome.SAME:
        preview.same += 1
        return False
    preview.will += 1
    preview.erases += step.erased is not None
    preview.doubts += bool(step.doubt)
    if len(preview.shown) < SHOWN:
        holds = contents(machines.lshw(tx, mac), step.erased) if step.erased else ()
        preview.shown.append(Line(mac, subject.labels, step, holds))
    return True
