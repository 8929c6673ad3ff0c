"""What the page of a machine shows: gathered here, decided elsewhere."""

from __future__ import annotations

import json
from dataclasses import dataclass
from urllib.parse import urlencode

from bty_app.domain.boot_timeline import Kind
from bty_app.domain.events import Query
from bty_app.domain.flash_options import OWN_DONES, OWN_VERIFIES, OWN_WIPES
from bty_app.domain.mac import Mac
from bty_app.domain.machine import FLASH_MODES, MODE_NAMES, BootMode
from bty_app.domain.moments import stamp
from bty_app.domain.reported_disks import disks_of, name_of
from bty_app.services.audit import Audit
from bty_app.services.boot_stages import BootStages
from bty_app.services.catalog import Catalog
from bty_app.services.contacts import Contacts
from bty_app.services.hardware import Hardware
from bty_app.services.machines import Machines, Shown
from bty_app.services.plans import Plans
from bty_app.services.settings import Settings
from bty_app.web.pages import Pages
from bty_app.web.scripts import Scripts
from bty_app.web.ui import machine_form, stage_words
from bty_app.web.ui.machine_form import Checked, Choices, Entered
from bty_app.web.ui.words import (
    AGAIN,
    MODE_HELP,
    Subject,
    progress_words,
    remedy,
    sentence,
    whole,
)

EVENTS_SHOWN = 15


@dataclass(frozen=True, slots=True)
class Knowledge:
    """The services that know of a machine."""

    machines: Machines
    contacts: Contacts
    plans: Plans
    catalog: Catalog
    audit: Audit
    stages: BootStages
    hardware: Hardware
    settings: Settings


class MachineView:
    """What the page of a machine shows."""

    def __init__(self, pages: Pages, knowledge: Knowledge, scripts: Scripts) -> None:
        self.pages = pages
        self.knows = knowledge
        self._scripts = scripts

    def shown(self, mac: Mac) -> Shown:
        """The record.

        Raises:
            NotFoundError: there is none.
        """
        return self.knows.machines.get(mac)

    def choices(self, shown: Shown) -> Choices:
        """What there is to choose from for it."""
        lshw = self.knows.hardware.tree(shown.machine.mac)
        entries = self.knows.catalog.published().entries
        found = disks_of(shown.known_disks) or ()
        options = self.knows.settings.flash_options()
        arch = self.knows.machines.architecture(shown.machine.mac)
        return Choices(entries, found, arch, lshw, options)

    def form(self, shown: Shown, entered: Entered, checked: Checked) -> dict[str, object]:
        """The values of its form and of what stands beside it."""
        choices = self.choices(shown)
        return {
            "machine": shown.machine,
            "entered": entered,
            "choices": choices,
            "refusals": {
                entry.bty_image_ref: choices.refusal(entry, entered.serial)
                for entry in choices.entries
            },
            "modes": [
                (mode.value, MODE_NAMES[mode], MODE_HELP[mode], mode in FLASH_MODES)
                for mode in BootMode
            ],
            "own_wipes": OWN_WIPES,
            "own_verifies": OWN_VERIFIES,
            "own_dones": OWN_DONES,
            "site_done": self.knows.settings.flash_done(),
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
            "erased": machine_form.erased(wanted, choices) if wanted else None,
            "has_tree": choices.lshw is not None,
        }

    def subject(self, shown: Shown) -> Subject:
        """The machine with the names of what it is bound to."""
        decided = self.knows.contacts.preview(shown.machine.mac)
        image = decided.entry.name if decided.entry and decided.entry.name else None
        found = disks_of(shown.known_disks) or ()
        serial = shown.machine.target_disk_serial
        disk = name_of(found, serial) if serial else None
        unproven = shown.machine.is_unproven(self.knows.settings.flash_done())
        return Subject(shown.machine, image, disk, shown.progress, unproven=unproven)

    def state(self, mac: Mac, revision: str, base_url: str) -> str:
        """The part that follows what happens."""
        shown = self.shown(mac)
        subject = self.subject(shown)
        decided = self.knows.contacts.preview(mac)
        plan = self.knows.plans.preview(mac, base_url=base_url)
        cure = remedy(subject)
        query = Query(subject_kind="machine", subject_id=mac, limit=EVENTS_SHOWN)
        boots = self.knows.stages.timeline(mac)
        ends = self.knows.contacts.order_ends(mac)
        values: dict[str, object] = {
            "machine": shown.machine,
            "status": whole(subject, decided.decision),
            "remedy": cure,
            "remedy_acts": cure is not None and cure.place == AGAIN,
            "order": shown.order,
            "order_ends": stamp(ends) if ends else None,
            "order_is_over": ends is not None and ends <= self.knows.machines.now(),
            "progress": shown.progress,
            "progress_words": sentence(progress_words(shown.progress)) if shown.progress else "",
            "script": self._scripts.of(decided, base_url),
            "plan": json.dumps(plan, indent=2, ensure_ascii=False),
            "disks": disks_of(shown.known_disks) or (),
            "architecture": self.knows.machines.architecture(mac),
            "facts": self.knows.hardware.facts(mac),
            "history": self.knows.hardware.history(mac),
            "hang": boots[0].hang if boots and boots[0].kind is Kind.HANGS else None,
            "boots": [stage_words.shown(boot) for boot in boots[: stage_words.BOOTS_SHOWN]],
            "boots_more": max(0, len(boots) - stage_words.BOOTS_SHOWN),
            "events": self.knows.audit.listed(query),
            "poll": f"/ui/machines/{mac}/state?{urlencode({'rev': revision})}",
        }
        return self.pages.part("machine_state.html", values)

    def losses(self, shown: Shown) -> dict[str, object]:
        """What deleting the record would lose."""
        mac = shown.machine.mac
        image = self.choices(shown).image(shown.machine.image_ref or "")
        return {
            "machine": shown.machine,
            "labels": shown.labels,
            "image": image.name if image else shown.machine.image_ref,
            "disks": disks_of(shown.known_disks) or (),
            "mode": MODE_NAMES[shown.machine.boot_mode],
            "history": len(self.knows.hardware.history(mac)),
            "boots": len(self.knows.stages.timeline(mac)),
        }
