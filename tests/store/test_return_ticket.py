"""Going back to the release before: its database comes back with it, unless work is lost."""

from __future__ import annotations

import json
import shutil
from datetime import timedelta
from pathlib import Path

import apsw
import pytest

from bty_app.domain.events import Actor, Event, Kind
from bty_app.domain.rotation import is_newer
from bty_app.services.verify import verify_live
from bty_app.store import events, instance
from bty_app.store.rotation import Opening, Outcome, open_state
from tests.fleet_state import BEGIN, REF, Fleet, bind, mac, seen

OLD, NEW = "0.92.0", "0.93.0"


@pytest.fixture
def fleet(quick_dir: Path) -> Fleet:
    """A fleet of the old release, after its upgrade to the new one."""
    fleet = Fleet(quick_dir / "state").make()
    fleet.write(bind(1, labels=["a"]), bind(2))
    fleet.sql("UPDATE bty_version SET version = ?", OLD)
    assert start(fleet, NEW).outcome is Outcome.ROTATED
    return fleet


def start(fleet: Fleet, version: str) -> Opening:
    fleet.clock.moment += timedelta(minutes=1)
    return open_state(fleet.place, version=version, now=fleet.clock.moment, backup=None)


def happened(kind: Kind, actor: Actor = Actor.OPERATOR) -> object:
    return lambda tx: events.record(tx, Event(kind, actor, "x"), at=BEGIN.isoformat())


def archives(fleet: Fleet) -> list[str]:
    return sorted(path.name for path in fleet.place.glob("*.bak"))


def test_going_back_brings_the_database_back(fleet: Fleet) -> None:
    (before,) = archives(fleet)
    content = (fleet.place / before).read_bytes()
    fleet.write(seen(3), happened(Kind.LOGIN_SUCCEEDED), happened(Kind.LOGOUT))

    opening = start(fleet, OLD)

    assert (opening.outcome, opening.machines) == (Outcome.RETURNED, 2)
    assert fleet.rows("SELECT mac, bty_image_ref FROM machines ORDER BY 1") == [
        (mac(1), REF), (mac(2), REF),
    ]  # fmt: skip
    assert fleet.rows("SELECT label FROM machine_labels") == [("a",)]
    assert len(archives(fleet)) == 2
    assert (fleet.place / before).read_bytes() == content
    (kind, details) = fleet.rows("SELECT kind, details FROM events ORDER BY id DESC LIMIT 1")[0]
    assert kind == "system.schema.returned"
    assert json.loads(str(details))["archived_at"].endswith(str(opening.archive))
    assert str(opening.archive) in opening.sentence
    assert verify_live(fleet.place, version=OLD).sound
    assert start(fleet, OLD).outcome is Outcome.OPENED


def test_the_next_upgrade_is_an_upgrade(fleet: Fleet) -> None:
    assert start(fleet, OLD).outcome is Outcome.RETURNED

    assert start(fleet, NEW).outcome is Outcome.ROTATED
    assert start(fleet, OLD).outcome is Outcome.RETURNED

    assert fleet.rows("SELECT count(*) FROM machines WHERE bty_image_ref IS NOT NULL") == [(2,)]
    assert verify_live(fleet.place, version=OLD).sound


def test_work_in_the_newer_release_is_not_taken_back(fleet: Fleet) -> None:
    (before,) = archives(fleet)
    fleet.write(bind(3))

    opening = start(fleet, OLD)

    assert opening.outcome is Outcome.ROTATED
    found = fleet.rows("SELECT summary, details FROM events WHERE kind = 'system.schema.reset'")
    assert before in str(found[0][0])
    assert json.loads(str(found[0][1]))["left"] == before
    assert len(archives(fleet)) == 2


def _gone(fleet: Fleet, archive: Path) -> None:
    archive.unlink()


def _damaged(fleet: Fleet, archive: Path) -> None:
    with archive.open("r+b") as file:
        file.seek(8192)
        file.write(b"\xa5" * 40_000)


def _another(fleet: Fleet, archive: Path) -> None:
    archive.unlink()
    other = Fleet(fleet.place / "other").make()
    other.write(bind(9))
    other.sql("UPDATE bty_version SET version = ?", OLD)
    other.state_db.rename(archive)


def _of_another_release(fleet: Fleet, archive: Path) -> None:
    connection = apsw.Connection(str(archive))
    connection.execute("UPDATE bty_version SET version = '0.91.0'")
    connection.close()


def _no_word_of_it(fleet: Fleet, archive: Path) -> None:
    fleet.write(lambda tx: instance.put(tx, "predecessor", "../state.db"))


@pytest.mark.parametrize("spoil", [_gone, _damaged, _another, _of_another_release, _no_word_of_it])
def test_only_the_very_archive_comes_back(fleet: Fleet, spoil: object) -> None:
    (name,) = archives(fleet)
    spoil(fleet, fleet.place / name)  # type: ignore[operator]

    assert start(fleet, OLD).outcome is Outcome.ROTATED
    assert verify_live(fleet.place, version=OLD).sound


def test_an_archive_that_was_copied_with_its_directory_comes_back(fleet: Fleet) -> None:
    (name,) = archives(fleet)
    archive = fleet.place / name
    copy = shutil.copy(archive, archive.with_name("copy"))
    Path(copy).replace(archive)

    assert start(fleet, OLD).outcome is Outcome.RETURNED


def test_a_third_release_makes_a_fresh_database(fleet: Fleet) -> None:
    assert start(fleet, "0.91.0").outcome is Outcome.ROTATED


@pytest.mark.parametrize(
    ("found", "running", "newer"),
    [
        ("0.93.0", "0.92.0", True),
        ("0.100.0", "0.92.0", True),
        ("1.0", "0.92.0", True),
        ("0.92.0", "0.92.0", False),
        ("0.9.0", "0.92.0", False),
        ("0.93.0rc1", "0.92.0", False),
        ("pre-versioning", "0.92.0", False),
        ("unknown", "0.92.0", False),
    ],
)
def test_only_numbers_tell_which_is_newer(found: str, running: str, newer: bool) -> None:
    assert is_newer(found, running) is newer
