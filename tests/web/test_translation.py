"""What the program calls something is not what a page calls it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import Enum
from html.parser import HTMLParser
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from bty_app import __version__
from bty_app.config import KEYS
from bty_app.domain import backups
from bty_app.domain.backups import TRIGGERS
from bty_app.domain.boot_stages import STAGE_NAMES, Stage
from bty_app.domain.bulk_act import ACT_NAMES
from bty_app.domain.bulk_act import Kind as ActKind
from bty_app.domain.disk_policy import Policy
from bty_app.domain.events import Actor, Kind
from bty_app.domain.jobs import State as JobState
from bty_app.domain.machine import MODE_NAMES, Assignment, BootMode, Phase, Serial, State
from bty_app.domain.tokens import Scope
from bty_app.web.ui.account import SCOPES
from bty_app.web.ui.bulk import POLICIES
from bty_app.web.ui.kind_words import ACTOR_NAMES, KIND_NAMES, actor_words, kind_words
from bty_app.web.ui.words import PHASE_NAMES, STATE_NAMES, STATE_TONES
from tests.web import walk
from tests.web.past import add_past
from tests.web.site import MAC, REF, Site, mac, site

TABLES: tuple[tuple[type[Enum], Mapping[Any, str]], ...] = (
    (BootMode, MODE_NAMES),
    (Phase, PHASE_NAMES),
    (State, STATE_NAMES),
    (State, STATE_TONES),
    (Stage, STAGE_NAMES),
    (Kind, KIND_NAMES),
    (Actor, ACTOR_NAMES),
    (ActKind, ACT_NAMES),
    (Policy, POLICIES),
    (Scope, SCOPES),
)
# Words of ours with a mark in them, and what a programmer would have called something.
RAW = re.compile(
    rf"\b({'|'.join(re.escape(kind) for kind in Kind)})\b"
    r"|\b(add-labels|remove-labels|flash-again|pre-upgrade|pre-restore)\b"
    r"|\b(bty-(inventory|flash-once|flash-always|tui)|ipxe-exit|pxe-client)\b"
    r"|\b[a-z]+_[a-z_]+\b|\b(None|True|False|NoneType)\b"
)
# What an operator types into a file or a field is named as it is typed.
TYPED = frozenset({key.name for key in KEYS} | {"machine.flashed"})
# A key that an operator gives or is told is no word of a sentence, and stands in <code>.
AS_IT_IS = frozenset({"code", "pre", "kbd", "textarea", "script", "title"})


class Words(HTMLParser):
    """The text that a page shows."""

    def __init__(self) -> None:
        super().__init__()
        self.text: list[str] = []
        self._inside = 0

    def handle_starttag(self, tag: str, _attrs: list[tuple[str, str | None]]) -> None:
        self._inside += tag in AS_IT_IS

    def handle_endtag(self, tag: str) -> None:
        self._inside -= tag in AS_IT_IS

    def handle_data(self, data: str) -> None:
        if not self._inside:
            self.text.append(data)


@pytest.fixture
def house(quick_dir: Path) -> Iterator[Site]:
    with site(quick_dir / "state") as made:
        made.add_image()
        every = product(BootMode, Phase, (REF, None))
        for number, (mode, phase, ref) in enumerate(every):
            made.add_machine(mac(number), Assignment(mode, ref, Serial("S64ENX0T123456")))
            change = ("UPDATE machines SET phase = ? WHERE mac = ?", phase.value, mac(number))
            made.database.write(lambda tx, change=change: tx.run(*change))  # type: ignore[misc]
        made.add_machine()
        wanted = Assignment(BootMode.FLASH_ALWAYS, REF, Serial("S64ENX0T123456"))
        made.services.machines.save(MAC, wanted, ip=None)
        made.services.contacts.answer(MAC, ip="192.0.2.7")
        for stage in Stage:
            made.services.stages.note(stage, MAC, "192.0.2.7")
        made.services.stages.flush()
        made.services.reports.failed(MAC, "timeout", ip=None)
        for kind in Kind:
            made.add_event(kind, "something")
        made.add_artifacts("7.0", __version__)
        made.add_bulk()
        add_past(made)
        yield made


@pytest.mark.parametrize(("members", "names"), TABLES)
def test_whatever_can_be_has_its_words(members: type[Enum], names: Mapping[Any, str]) -> None:
    assert set(names) == set(members)
    assert all(names.values())


def test_no_two_kinds_have_the_same_words_and_each_has_other_than_its_own() -> None:
    assert len(set(KIND_NAMES.values())) == len(Kind)
    assert not any(RAW.search(words) for words in KIND_NAMES.values())
    assert (
        kind_words("of.another.version")
        == actor_words("of.another.version")
        == ("of.another.version")
    )


def test_whatever_a_backup_is_made_for_has_its_words() -> None:
    made_for = {backups.MANUAL, backups.SCHEDULED, backups.PRE_UPGRADE, backups.PRE_RESTORE}

    assert set(TRIGGERS) == made_for
    assert not any(RAW.search(words) for words in TRIGGERS.values())


def test_every_state_of_a_job_has_its_words() -> None:
    file = Path(walk.__file__).parents[2] / "bty_app" / "web" / "templates" / "job.html"
    text = file.read_text("utf-8")

    for state in JobState:
        assert text.count(f"'{state.value}': '") == 2, "its tone and its words"


def test_no_page_shows_what_the_program_calls_something(house: Site) -> None:
    visit, found = house.visit(), {}
    for address in [*map(walk.filled, walk.pages()), "/ui/events?before=60", "/ui/machines?page=2"]:
        words = Words()
        words.feed(visit.get(address).text)
        raw = {hit[0] for text in words.text for hit in RAW.finditer(untyped(text))}
        if raw:
            found[address] = sorted(raw)

    assert found == {}


def untyped(text: str) -> str:
    """The text without the names of what an operator types."""
    for name in sorted(TYPED, key=len, reverse=True):
        text = text.replace(name, "")
    return text


def test_a_raw_word_would_be_found() -> None:
    words = Words()
    words.feed("<p>bty-flash-once, of <code>machine.flashed</code> <b>netboot.pxe.plan</b></p>")

    assert [hit[0] for text in words.text for hit in RAW.finditer(text)] == [
        "bty-flash-once",
        "netboot.pxe.plan",
    ]
