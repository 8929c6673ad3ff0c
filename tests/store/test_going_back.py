"""The database from before an upgrade takes its place again, of whatever release it is."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import apsw
import pytest

from bty_app import __version__
from bty_app.errors import ConflictError, NotFoundError, StorageError
from bty_app.services.verify import verify_live
from bty_app.store import going_back, locks, swap
from bty_app.store.going_back import WentBack
from bty_app.store.old_database import DamagedError, OldDatabase
from bty_app.store.rotation import Outcome, open_state
from tests.fleet_state import REF, Fleet, bind, mac, rows
from tests.original_state import make_original

NEW = "9.9.9"


def upgraded(place: Path, version: str) -> Fleet:
    """A fleet of an older release of ours with this release's tables, then upgraded."""
    fleet = Fleet(place).make()
    fleet.write(bind(1, labels=["a"]), bind(2))
    fleet.sql("UPDATE bty_version SET version = ?", version)
    return started(fleet)


def original(place: Path) -> Fleet:
    """The same, of the original."""
    hardware = ('[{"path": "/dev/sda"}]', None, None, None)
    make_original(place, [(mac(n), *hardware) for n in (1, 2)], "0.65.18")
    connection = apsw.Connection(str(place / "state.db"))
    connection.execute("UPDATE machines SET bty_image_ref = ?", (REF,))
    connection.execute("INSERT INTO machine_labels VALUES (?, 'a')", (mac(1),))
    connection.execute("INSERT INTO events (ts, kind, actor, summary) VALUES ('t', 'k', 'o', 's')")
    connection.close()
    return started(Fleet(place))


def started(fleet: Fleet) -> Fleet:
    opening = open_state(fleet.place, version=NEW, now=fleet.clock(), backup=None)
    assert opening.outcome is Outcome.ROTATED
    return fleet


def back(fleet: Fleet, wanted: str = "", *, anyway: bool = False) -> WentBack:
    fleet.clock.moment += timedelta(minutes=1)
    return going_back.go_back(
        fleet.place, wanted, running=NEW, now=fleet.clock.moment, anyway=anyway
    )


def content(path: Path) -> dict[str, list[tuple[object, ...]]]:
    names = [str(n) for (n,) in rows(path, "SELECT name FROM sqlite_schema WHERE type = 'table'")]
    return {name: rows(path, f"SELECT * FROM {name}") for name in names}


def test_the_originals_database_is_back_row_by_row(quick_dir: Path) -> None:
    fleet = original(quick_dir / "state")
    [archive] = fleet.place.glob("*.bak")
    before = content(archive)

    done = back(fleet, "0.65.18")

    assert content(fleet.state_db) == before
    assert fleet.rows("SELECT version FROM bty_version") == [("0.65.18",)]
    assert (done.machines, done.way.acts) == (2, 0)
    assert sorted(p.name for p in fleet.place.glob("*.bak")) == sorted(
        [archive.name, done.archived_as]
    )
    assert rows(fleet.place / done.archived_as, "SELECT version FROM bty_version") == [(NEW,)]
    assert "start bty 0.65.18" in done.sentence


def test_ours_comes_back_with_one_event_more(quick_dir: Path) -> None:
    fleet = upgraded(quick_dir / "state", "0.92.0")
    [archive] = fleet.place.glob("*.bak")
    before = content(archive)

    back(fleet)

    after = content(fleet.state_db)
    assert after["events"][:-1] == before["events"]
    assert after["events"][-1][2] == "system.schema.returned"
    assert {n: r for n, r in after.items() if n not in {"events", "bty_instance", "sqlite_sequence"}
            } == {n: r for n, r in before.items()
                  if n not in {"events", "bty_instance", "sqlite_sequence"}}  # fmt: skip
    assert verify_live(fleet.place, version="0.92.0").sound


def test_the_old_program_has_nothing_left_to_do(quick_dir: Path) -> None:
    fleet = upgraded(quick_dir / "state", "0.93.0")
    back(fleet)

    opening = open_state(fleet.place, version="0.93.0", now=fleet.clock(), backup=None)

    assert opening.outcome is Outcome.OPENED


def test_it_gives_what_the_old_program_would_have_given(quick_dir: Path) -> None:
    one, other = (upgraded(quick_dir / name, "0.93.0") for name in ("one", "other"))

    back(one)
    other.clock.moment = one.clock.moment
    open_state(other.place, version="0.93.0", now=other.clock.moment, backup=None)

    assert content(one.state_db)["machines"] == content(other.state_db)["machines"]
    kinds = [fleet.rows("SELECT kind, summary FROM events") for fleet in (one, other)]
    assert kinds[0] == kinds[1]


def test_twice_changes_nothing_more(quick_dir: Path) -> None:
    fleet = upgraded(quick_dir / "state", "0.92.0")
    back(fleet)
    before = {path.name: path.read_bytes() for path in fleet.place.iterdir() if path.is_file()}

    assert back(fleet).way.is_done
    assert back(fleet, "0.92.0").way.is_done

    after = {path.name: path.read_bytes() for path in fleet.place.iterdir() if path.is_file()}
    assert after | {"serve.lock": b""} == before | {"serve.lock": b""}


def test_acts_of_operators_are_counted_and_left_only_when_it_is_said(quick_dir: Path) -> None:
    fleet = original(quick_dir / "state")
    connection = apsw.Connection(str(fleet.state_db))
    connection.execute("UPDATE bty_version SET version = ?", (__version__,))
    connection.close()
    fleet.write(bind(3), bind(4))

    def again(*, anyway: bool) -> WentBack:
        return going_back.go_back(
            fleet.place, running=__version__, now=fleet.clock(), anyway=anyway
        )

    with pytest.raises(ConflictError, match="have done 2 things"):
        again(anyway=False)
    assert fleet.rows("SELECT count(*) FROM machines") == [(4,)]

    done = again(anyway=True)
    assert "2 acts of operators" in done.sentence
    assert rows(fleet.place / done.archived_as, "SELECT count(*) FROM machines") == [(4,)]


def test_a_look_changes_nothing_and_says_what_would_be(quick_dir: Path) -> None:
    fleet = original(quick_dir / "state")
    before = fleet.state_db.read_bytes()

    way = going_back.look(fleet.place, running=NEW)

    assert (way.newer, way.older, way.acts) == (NEW, "0.65.18", 0)
    assert fleet.state_db.read_bytes() == before


def test_beside_a_server_it_is_refused(quick_dir: Path) -> None:
    fleet = original(quick_dir / "state")

    with locks.serving(fleet.place, about="pid 1"), pytest.raises(ConflictError, match="stop it"):
        back(fleet)

    assert fleet.rows("SELECT version FROM bty_version") == [(NEW,)]


def test_another_release_than_the_one_it_came_from_is_refused(quick_dir: Path) -> None:
    fleet = original(quick_dir / "state")

    with pytest.raises(NotFoundError, match=r"came from that of 0\.65\.18"):
        back(fleet, "0.64.0")


@pytest.mark.parametrize("spoil", ["gone", "another", "longer"])
def test_only_the_very_archive_comes_back(quick_dir: Path, spoil: str) -> None:
    fleet = original(quick_dir / "state")
    [archive] = fleet.place.glob("*.bak")
    if spoil == "another":
        make_original(fleet.place / "other", [], "0.65.18")
        (fleet.place / "other" / "state.db").replace(archive)
    elif spoil == "gone":
        archive.unlink()
    else:
        with archive.open("ab") as file:
            file.write(b"x" * 4096)

    with pytest.raises(NotFoundError, match="no way back"):
        back(fleet)


@pytest.mark.parametrize("exchanges", [True, False])
@pytest.mark.parametrize("cut", range(4))
def test_without_hard_links_a_cut_off_swap_is_finished(
    quick_dir: Path, monkeypatch: pytest.MonkeyPatch, cut: int, exchanges: bool
) -> None:
    fleet = original(quick_dir / "state")
    before = content(next(fleet.place.glob("*.bak")))
    left = [cut]

    def no_links(*_args: object, **_more: object) -> None:
        raise PermissionError(1, "no links here")

    def counted(_path: Path) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt

    monkeypatch.setattr("os.link", no_links)
    monkeypatch.setattr(swap, "sync_directory", counted)
    if not exchanges:
        monkeypatch.setattr(swap, "_exchange", lambda _one, _other: False)
    try:
        back(fleet)
    except KeyboardInterrupt:
        left[0] = 10
        back(fleet, "0.65.18")

    assert content(fleet.state_db) == before
    assert len(list(fleet.place.glob("*.bak"))) == 2
    assert not list(fleet.place.glob("*.plan"))


def test_an_archive_that_was_copied_with_its_directory_comes_back(quick_dir: Path) -> None:
    fleet = original(quick_dir / "state")
    [archive] = fleet.place.glob("*.bak")
    shutil.copy(archive, archive.with_name("copy"))
    archive.with_name("copy").replace(archive)

    assert back(fleet).machines == 2


# -- the newer database is damaged -----------------------------------------------------------------


def header(state_db: Path) -> None:
    """Not even a database."""
    with state_db.open("r+b") as file:
        file.write(b"noise" * 900)


def schema(state_db: Path) -> None:
    """The first page has its header, and nothing else."""
    with state_db.open("r+b") as file:
        file.seek(100)
        file.write(b"\xa5" * 3000)


def inside(state_db: Path) -> None:
    """Only a whole reading shows it."""
    content = bytearray(state_db.read_bytes())
    for start in range(16384, len(content), 4096):
        content[start : start + 64] = b"\xa5" * 64
    state_db.write_bytes(content)


def emptied(state_db: Path) -> None:
    state_db.write_bytes(b"")


SPOILS = [header, schema, inside, emptied]


@pytest.mark.parametrize("spoil", SPOILS)
@pytest.mark.parametrize("make", [original, lambda place: upgraded(place, "0.91.0")],
                         ids=["the-original", "ours"])  # fmt: skip
def test_a_damaged_one_is_set_aside_and_the_archive_takes_its_place(
    quick_dir: Path, spoil: Callable[[Path], None], make: Callable[[Path], Fleet]
) -> None:
    fleet = make(quick_dir / "state")
    [archive] = fleet.place.glob("*.bak")
    version = str(rows(archive, "SELECT version FROM bty_version")[0][0])
    before = content(archive)
    spoil(fleet.state_db)
    damaged = fleet.state_db.read_bytes()
    (fleet.place / "state.db-wal").write_bytes(b"not a log")

    with pytest.raises(ConflictError, match="--yes puts the database of"):
        back(fleet, version)
    assert fleet.state_db.read_bytes() == damaged
    done = back(fleet, version, anyway=True)

    after = content(fleet.state_db)
    events = after.pop("events")
    assert events[: len(before["events"])] == before.pop("events")
    assert after["machines"] == before["machines"]
    assert after["machine_labels"] == before["machine_labels"]
    folder = fleet.place / done.set_aside
    assert (folder / "state.db").read_bytes()[: len(damaged)] == damaged
    if spoil is header:
        assert (folder / "state.db-wal").read_bytes() == b"not a log"
    assert not (fleet.place / "state.db-wal").exists()
    assert not (fleet.place / "quarantine.plan").exists()
    assert archive.exists()
    assert f"moved to {done.set_aside}" in done.sentence
    assert done.machines == 2
    if version == "0.91.0":
        assert events[-1][2] == "system.schema.returned"
        assert verify_live(fleet.place, version=version).sound
    assert back(fleet, version).way.is_done


def test_the_newest_archive_of_the_release_counts_where_the_database_tells_nothing(
    quick_dir: Path,
) -> None:
    fleet = upgraded(quick_dir / "state", "0.90.0")
    fleet.clock.moment += timedelta(hours=1)
    fleet.write(bind(3))
    fleet.sql("UPDATE bty_version SET version = '0.91.0'")
    started(fleet)
    header(fleet.state_db)

    assert going_back.look(fleet.place, "0.90.0", running=NEW).older == "0.90.0"
    way = going_back.look(fleet.place, running=NEW)
    assert (way.older, way.newer) == ("0.91.0", "unknown")
    assert back(fleet, anyway=True).machines == 3


def test_a_damaged_archive_does_not_take_the_place_of_a_damaged_database(quick_dir: Path) -> None:
    fleet = original(quick_dir / "state")
    [archive] = fleet.place.glob("*.bak")
    inside(archive)
    header(archive)
    header(fleet.state_db)
    before = fleet.state_db.read_bytes()

    with pytest.raises(NotFoundError, match="no sound archive"):
        back(fleet, "0.65.18", anyway=True)

    assert fleet.state_db.read_bytes() == before


def test_a_damaged_database_of_the_wanted_release_itself_is_not_replaced(quick_dir: Path) -> None:
    fleet = upgraded(quick_dir / "state", "0.91.0")
    back(fleet, "0.91.0")
    [(page,)] = fleet.rows("SELECT rootpage FROM sqlite_schema WHERE name = 'machines'")
    with fleet.state_db.open("r+b") as file:
        file.seek((int(str(page)) - 1) * 4096)
        file.write(b"\xa5" * 64)
    before = fleet.state_db.read_bytes()

    with pytest.raises(ConflictError, match=r"it is that of 0\.91\.0 itself: restore a backup"):
        going_back.look(fleet.place, "0.91.0", running=NEW)
    assert back(fleet, "0.91.0", anyway=True).way.is_done

    assert fleet.state_db.read_bytes() == before


def test_one_that_a_server_has_open_is_not_moved_under_it(quick_dir: Path) -> None:
    fleet = original(quick_dir / "state")
    header(fleet.state_db)
    script = "import sys; f = open(sys.argv[1], 'rb'); print('open', flush=True); sys.stdin.read()"
    command = [sys.executable, "-c", script, str(fleet.state_db)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout
        other.stdout.readline()
        with pytest.raises(ConflictError, match="has it open"):
            back(fleet, "0.65.18", anyway=True)
        other.communicate()

    assert fleet.state_db.exists()
    assert back(fleet, "0.65.18", anyway=True).machines == 2


def test_a_fresh_one_that_a_start_made_in_place_of_a_damaged_one_leads_back_as_well(
    quick_dir: Path,
) -> None:
    fleet = upgraded(quick_dir / "state", "0.91.0")
    header(fleet.state_db)
    opening = open_state(fleet.place, version=NEW, now=fleet.clock(), backup=None)
    assert opening.outcome is Outcome.QUARANTINED

    done = back(fleet, "0.91.0")

    assert (done.machines, done.way.acts) == (2, 0)
    assert fleet.rows("SELECT version FROM bty_version") == [("0.91.0",)]


def test_a_read_that_the_disk_refused_once_is_no_damage(
    quick_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fleet = upgraded(quick_dir / "state", "0.91.0")
    left = [1]
    real = OldDatabase.check

    def once(self: OldDatabase) -> None:
        if left.pop() if left else False:
            raise DamagedError("state.db is damaged (it says)")
        real(self)

    monkeypatch.setattr(OldDatabase, "check", once)

    with pytest.raises(StorageError, match="at the second reading it was sound"):
        back(fleet, "0.91.0", anyway=True)

    assert back(fleet, "0.91.0", anyway=True).set_aside == ""
