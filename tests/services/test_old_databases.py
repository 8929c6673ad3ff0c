"""Archives of upgrades: counted, and removed by hand alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from bty_app import __version__, runtime_parts
from bty_app.cli.main import main
from bty_app.config import Config, Paths
from bty_app.domain.catalog_events import By
from bty_app.domain.events import Actor, Query
from bty_app.errors import NotFoundError, StorageError, ValidationError
from bty_app.services.old_databases import OldDatabases
from bty_app.services.recover import Recover
from bty_app.store import events
from bty_app.store.database import Database
from tests.fresh_state import make_state
from tests.original_state import make_original

BY = By(Actor.OPERATOR, "192.0.2.7")


def name(number: int) -> str:
    return f"state.db.0.65.18.2026112{number}T190718Z.bak"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A state directory with three archives; the middle one is damaged."""
    state = tmp_path / "state"
    for number in (1, 2, 3):
        made = make_original(
            tmp_path / str(number), [("02:00:00:00:00:01", None, None, None, None)], "0.65.18"
        )
        state.mkdir(exist_ok=True)
        made.rename(state / name(number))
    (state / name(2)).write_bytes(b"SQLite format 3\0 and then nothing")
    make_state(state)
    return state


@pytest.fixture
def old(place: Path) -> Iterator[OldDatabases]:
    with Database(place / "state.db") as database:
        yield OldDatabases(Recover(place, version=__version__), database)


def kinds(place: Path) -> list[str]:
    with Database(place / "state.db") as database:
        return [event.kind for event in database.read(lambda tx: events.listed(tx, Query()))]


def test_they_are_listed_the_newest_first_with_what_is_in_them(old: OldDatabases) -> None:
    assert [(row.name, row.version, row.waiting, row.is_newest) for row in old.listed()] == [
        (name(3), "0.65.18", 0, True),
        (name(2), "unknown", None, False),
        (name(1), "0.65.18", 0, False),
    ]
    assert all(row.size for row in old.listed())


def test_what_is_chosen_goes_and_nothing_else(old: OldDatabases, place: Path) -> None:
    (place / "boot").mkdir()
    before = {path.name for path in place.iterdir()}

    gone = old.remove([name(1), name(2)], BY)

    assert [row.name for row in gone] == [name(2), name(1)]
    assert before - {path.name for path in place.iterdir()} == {name(1), name(2)}
    assert kinds(place) == ["state.archives.removed"]


@pytest.mark.parametrize(
    "names",
    [[], ["state.db"], ["../state.db"], [name(1), name(9)], ["state.db-wal"], ["session-secret"]],
)
def test_nothing_goes_for_a_name_that_is_no_archive(
    old: OldDatabases, place: Path, names: list[str]
) -> None:
    before = sorted(path.name for path in place.iterdir())

    with pytest.raises((ValidationError, NotFoundError)):
        old.remove(names, BY)

    assert sorted(path.name for path in place.iterdir()) == before
    assert kinds(place) == []


def test_what_cannot_be_removed_is_not_told_as_removed(
    old: OldDatabases, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(_path: Path) -> None:
        raise PermissionError(13, "Permission denied", name(1))

    monkeypatch.setattr(Path, "unlink", refuses)

    with pytest.raises(StorageError, match="Permission denied"):
        old.remove([name(1)], BY)

    monkeypatch.undo()
    assert kinds(place) == ["state.archives.remove.failed"]


def test_of_those_that_went_before_the_disk_refused_the_failure_tells(
    old: OldDatabases, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Path.unlink

    def refuses(path: Path) -> None:
        if path.name == name(1):
            raise PermissionError(13, "Permission denied", name(1))
        real(path)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", refuses)
        with pytest.raises(StorageError, match="Permission denied"):
            old.remove([name(1), name(3)], BY)

    with Database(place / "state.db") as database:
        [told] = database.read(lambda tx: events.listed(tx, Query()))
    assert told.kind == "state.archives.remove.failed"
    assert json.loads(told.details or "") == {
        "names": [name(3), name(1)],
        "gone": [name(3)],
        "error": f"{name(1)}: Permission denied",
    }


def test_many_of_them_are_a_note_of_the_doctor(place: Path) -> None:
    config = Config(paths=Paths(state_dir=place))

    def found() -> list[tuple[str, str]]:
        return [
            (row.level.value, row.sentence)
            for row in runtime_parts.doctor(config, None).findings()
            if row.check == "old-databases"
        ]

    assert found() == [("ok", "3 old databases take 1 MiB")]
    for number in (4, 5):
        (place / name(number)).write_bytes(b"x")
    assert found()[0][0] == "note"
    for number in range(1, 6):
        (place / name(number)).unlink()
    assert found() == []


def test_the_command_shows_first_and_then_does(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*words: str) -> int:
        return main(["--state-dir", str(place), "recover", *words])

    assert run("--list", "--json") == 0
    assert [row["name"] for row in json.loads(capsys.readouterr().out)] == [
        name(3),
        name(2),
        name(1),
    ]
    assert run("--remove", name(1)) == 0
    assert "nothing was removed" in capsys.readouterr().err
    assert (place / name(1)).exists()
    assert run("--remove", name(1), "--yes") == 0
    assert not (place / name(1)).exists()
    assert run("--remove", name(1), "--yes") == 66
    assert run() == 65
    assert "--list" in capsys.readouterr().err
