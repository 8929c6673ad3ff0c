"""A backup that retention removes here while it is copied elsewhere, and one whose last file was
cut short there.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from bty_app.domain.jobs import Quiet
from bty_app.domain.offsite import DirectoryTarget
from bty_app.domain.place import Content
from bty_app.errors import BtyError
from bty_app.services.offsite import Offsite
from bty_app.services.verify import verify_backup
from bty_app.store.backup_shelf import Shelf
from bty_app.store.copies import Directory
from tests.fleet_state import Fleet, bind


@pytest.fixture
def fleet(quick_dir: Path) -> Fleet:
    fleet = Fleet(quick_dir / "state").make()
    fleet.write(*(bind(number) for number in range(40)))
    fleet.back_up("one")
    fleet.back_up("two")
    (quick_dir / "there").mkdir()
    return fleet


@pytest.mark.parametrize("after", [0, 1, 2, 3])
def test_it_is_whole_there_or_no_copy_and_others_are_copied(
    fleet: Fleet, quick_dir: Path, after: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = Directory(DirectoryTarget(str(quick_dir / "there")))
    offsite = Offsite(place, fleet.backups, keep=0, key=None, clock=fleet.clock)
    real = Directory.put
    taken: list[str] = []

    def and_it_is_removed(
        self: Directory, name: str, content: Content, is_wanted: Callable[[], bool]
    ) -> None:
        if len(taken) == after and "one" in Shelf(fleet.backups).ids():
            Shelf(fleet.backups).remove("one")
        taken.append(name)
        real(self, name, content, is_wanted)

    monkeypatch.setattr(Directory, "put", and_it_is_removed)
    with suppress(BtyError):
        offsite.push("one", Quiet())
    monkeypatch.undo()

    assert "one" not in Shelf(fleet.backups).ids()
    for copy in offsite.reading.there().copies:
        assert not offsite.reading.problems(copy, Quiet())
    offsite.push("two", Quiet())
    assert "two" in {copy.backup_id for copy in offsite.reading.there().copies}
    offsite.reading.fetch("two", quick_dir / "back", Quiet())
    assert verify_backup(quick_dir / "back").problems == ()


@pytest.mark.parametrize("left", [0, 1, 100])
def test_a_copy_whose_last_file_was_cut_short_is_completed(
    fleet: Fleet, quick_dir: Path, left: int
) -> None:
    """Some servers keep what came before the connection broke off."""
    place = Directory(DirectoryTarget(str(quick_dir / "there")))
    offsite = Offsite(place, fleet.backups, keep=0, key=None, clock=fleet.clock)
    offsite.push("one", Quiet())
    (last,) = (quick_dir / "there").rglob("offsite.json")
    last.write_bytes(last.read_bytes()[:left])

    assert offsite.reading.there().copies == ()
    offsite.push("one", Quiet())

    (copy,) = offsite.reading.there().copies
    assert not offsite.reading.problems(copy, Quiet())
