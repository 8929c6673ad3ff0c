"""What an old database holds is carried over: picked, shown, checked, and never armed by itself."""

from __future__ import annotations

import json
import random
from pathlib import Path

import apsw
import pytest

from bty_app import __version__
from bty_app.domain.image_source import image_ref
from bty_app.domain.jobs import Quiet, Step
from bty_app.domain.machine import BootMode
from bty_app.domain.recovering import Choice, Part, PartCounts
from bty_app.errors import (
    CancelledError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    StorageError,
)
from bty_app.services.recover import Reading, Recover
from bty_app.services.verify import verify_live
from bty_app.store import recovery, rotation
from tests.crashlab.originals import make_original
from tests.fleet_state import BEGIN, BY, OTHER_REF, REF, Fleet, bind, image, mac, setting, tables

SRC = "https://images.example.com/debian.img.zst"
EVERYTHING = Choice(frozenset(Part))
SALVAGED = Reading(salvage=True)


@pytest.fixture
def fleet(quick_dir: Path) -> Fleet:
    return Fleet(quick_dir / "state").make()


@pytest.fixture
def recover(fleet: Fleet) -> Recover:
    return Recover(fleet.place, version=__version__, clock=fleet.clock)


@pytest.fixture
def original(quick_dir: Path) -> Path:
    """A database of the original, with five machines."""
    path = quick_dir / "state.db.0.65.18.20260524T080000Z.bak"
    make_original(path, version="0.65.18")
    connection = apsw.Connection(str(path))
    sql = (
        "INSERT INTO machines (mac, bty_image_ref, boot_mode, target_disk_serial, last_flashed_at,"
        " known_disks, known_disks_at, created_at, updated_at)"
        " VALUES (?, ?, ?, ?, ?, ?, '2026-05-01T00:00:00+00:00', 'x', 'x')"
    )
    ref, disks = image_ref(SRC), '[{"path": "/dev/sda", "serial": "S1"}]'
    connection.executemany(
        sql,
        [
            (mac(1), ref, "bty-flash-once", "S1", None, disks),
            (mac(2), ref, "bty-flash-once", "S2", "2026-05-02T00:00:00+00:00", None),
            (mac(3), ref, "bty-flash-always", "S3", None, "[NaN]"),
            (mac(4).upper(), None, "ipxe-exit", None, None, None),
            (mac(5), None, "bty-inventory", None, None, "{"),
            ("nonsense", ref, "ipxe-exit", None, None, None),
            (mac(6), ref, "format-c", None, None, None),
        ],
    )
    connection.executemany(
        "INSERT INTO machine_labels VALUES (?, ?)",
        [(mac(1), "rack 1"), (mac(1), "<b>"), (mac(7), "lonely")],
    )
    connection.execute(
        "INSERT INTO catalog_entries (bty_image_ref, src, name, added_at, size_bytes)"
        " VALUES (?, ?, 'debian', '2026-05-01T00:00:00+00:00', 7)",
        (ref, SRC),
    )
    connection.executemany(
        "INSERT INTO events (ts, kind, subject_kind, subject_id, actor, summary, details)"
        " VALUES (?, ?, 'machine', ?, 'operator', ?, ?)",
        [
            ("2026-05-01T00:00:00+00:00", "machine.created", mac(1), "one", '{"a": 1}'),
            ("2026-05-02T00:00:00+00:00", "machine.flash_failed", mac(2), "two", "{"),
            ("yesterday", "machine.created", mac(3), "three", None),
        ],
    )
    connection.execute("INSERT INTO settings VALUES ('flash.per_hour', '7', 'x')")
    connection.close()
    return path


def test_a_database_of_the_original_comes_over_disarmed(
    fleet: Fleet, recover: Recover, original: Path
) -> None:
    before = original.read_bytes()

    shown = recover.preview(original, EVERYTHING)
    done = recover.apply(original, EVERYTHING, by=BY, digest=shown.digest)

    ref = image_ref(SRC)
    assert fleet.rows(
        "SELECT mac, boot_mode, phase, bty_image_ref, target_disk_serial FROM machines ORDER BY 1"
    ) == [
        (mac(1), "bty-inventory", "idle", ref, "S1"),
        (mac(2), "bty-flash-once", "released", ref, "S2"),
        (mac(3), "bty-inventory", "idle", ref, "S3"),
        (mac(4), "ipxe-exit", "idle", None, None),
        (mac(7), "bty-inventory", "idle", None, None),
    ]
    assert (done.disarmed, done.without_image) == (2, 0)
    assert fleet.rows("SELECT mac, label FROM machine_labels ORDER BY 1") == [
        (mac(1), "rack 1"), (mac(7), "lonely"),
    ]  # fmt: skip
    assert fleet.rows("SELECT name, size_bytes FROM catalog_entries") == [("debian", 7)]
    assert fleet.rows("SELECT key, value FROM settings ORDER BY key") == [("flash.per_hour", "7")]
    log = fleet.rows("SELECT ts, kind, details, acknowledged FROM events ORDER BY id")
    assert [row[1] for row in log] == [
        "machine.created", "machine.flash_failed", "state.recovered",
    ]  # fmt: skip
    assert (log[0][2], log[1][2], log[1][3]) == ('{"a": 1}', None, 1)
    told = json.loads(str(log[-1][2]))
    assert told["parts"]["bindings"]["new"] == 4
    assert told["rejected"] == done.findings.rejected > 0
    assert verify_live(fleet.place).sound
    assert original.read_bytes() == before


def test_twice_is_as_once(fleet: Fleet, recover: Recover, original: Path) -> None:
    recover.apply(original, EVERYTHING, by=BY)
    once = tables(fleet.state_db)
    events = fleet.rows("SELECT count(*) FROM events")

    again = recover.apply(original, EVERYTHING, by=BY)

    assert again.carried == 0
    assert tables(fleet.state_db) == once
    assert fleet.rows("SELECT count(*) - 1 FROM events") == events


def test_armed_machines_stay_armed_where_that_is_wanted(
    fleet: Fleet, recover: Recover, original: Path
) -> None:
    choice = Choice(frozenset({Part.BINDINGS}), keep_boot_modes=True)

    done = recover.apply(original, choice, by=BY)

    assert done.disarmed == 0
    assert fleet.rows("SELECT mac, boot_mode, phase FROM machines ORDER BY mac LIMIT 3") == [
        (mac(1), "bty-flash-once", "idle"),
        (mac(2), "bty-flash-once", "released"),  # it was flashed: not again
        (mac(3), "bty-flash-always", "idle"),
    ]


def test_what_is_here_stays_unless_the_archive_is_preferred(
    fleet: Fleet, recover: Recover, original: Path
) -> None:
    ref = image_ref(SRC)
    fleet.write(bind(1, ref=OTHER_REF), bind(2, BootMode.INVENTORY, ref=None, serial=""),
                image(ref, "mine"), setting("flash.per_hour", "3"))  # fmt: skip
    fleet.sql("UPDATE catalog_entries SET src = ?", SRC)
    parts = frozenset({Part.BINDINGS, Part.CATALOG, Part.SETTINGS})

    shown = recover.preview(original, Choice(parts))
    recover.apply(original, Choice(parts), by=BY)

    assert shown.counts[Part.BINDINGS] == PartCounts(new=2, filled=1, conflicts=1)
    assert shown.counts[Part.CATALOG] == PartCounts(conflicts=1)
    assert [(row.table, row.key) for row in shown.rows if row.kind == "conflict"] == [
        ("bindings", mac(1)), ("catalog", ref), ("settings", "flash.per_hour"),
    ]  # fmt: skip
    bound = "SELECT bty_image_ref FROM machines ORDER BY mac LIMIT 2"
    assert fleet.rows(bound) == [(OTHER_REF,), (ref,)]
    assert fleet.rows("SELECT name FROM catalog_entries") == [("mine",)]
    assert fleet.rows("SELECT value FROM settings") == [("3",)]

    recover.apply(original, Choice(parts, prefer_archive=True), by=BY)

    assert fleet.rows(bound) == [(ref,), (ref,)]
    assert fleet.rows("SELECT name FROM catalog_entries") == [("debian",)]
    assert fleet.rows("SELECT value FROM settings") == [("7",)]


def test_the_newer_hardware_record_wins(fleet: Fleet, recover: Recover, original: Path) -> None:
    fleet.write(bind(1), bind(3))
    fleet.sql("UPDATE machines SET known_disks = '[1]', known_disks_at = '2026-06-01'"
              " WHERE mac = ?", mac(1))  # fmt: skip
    fleet.sql("UPDATE machines SET known_disks = '[1]', known_disks_at = '2026-04-01'"
              " WHERE mac = ?", mac(3))  # fmt: skip
    choice = Choice(frozenset({Part.HARDWARE}))

    done = recover.apply(original, choice, by=BY)

    assert (done.counts[Part.HARDWARE].conflicts, done.counts[Part.HARDWARE].filled) == (1, 0)
    assert fleet.rows("SELECT known_disks FROM machines WHERE mac = ?", mac(1)) == [("[1]",)]
    recover.apply(original, Choice(choice.parts, prefer_archive=True), by=BY)
    (disks,) = fleet.rows("SELECT known_disks FROM machines WHERE mac = ?", mac(1))[0]
    assert json.loads(str(disks))[0]["serial"] == "S1"


def test_one_machine_alone_comes_over(fleet: Fleet, recover: Recover, original: Path) -> None:
    recover.apply(original, Choice(frozenset(Part), (mac(1),)), by=BY)

    assert fleet.rows("SELECT mac FROM machines") == [(mac(1),)]
    assert fleet.rows("SELECT label FROM machine_labels") == [("rack 1",)]
    assert not fleet.rows("SELECT 1 FROM catalog_entries")
    assert not fleet.rows("SELECT 1 FROM settings")


def test_bindings_come_back_after_a_rotation(quick_dir: Path) -> None:
    old = Fleet(quick_dir / "state").make()
    old.write(bind(1, labels=["a"]), bind(2, BootMode.FLASH_ALWAYS), image(REF, "one"))
    old.sql("UPDATE machines SET flash_wipe = 'secure' WHERE mac = ?", mac(1))
    old.sql("UPDATE bty_version SET version = '0.1.0'")
    opening = rotation.open_state(old.place, version=__version__, now=BEGIN, backup=None)
    recover = Recover(old.place, version=__version__, clock=old.clock)

    assert recover.archives() == [opening.archive]
    path = recover.path_of(opening.archive or "")
    recover.apply(path, Choice(frozenset({Part.BINDINGS, Part.LABELS})), by=BY)

    assert old.rows("SELECT mac, boot_mode, bty_image_ref FROM machines ORDER BY 1") == [
        (mac(1), "ipxe-exit", REF), (mac(2), "bty-inventory", REF),
    ]  # fmt: skip
    assert old.rows("SELECT flash_wipe FROM machines ORDER BY mac") == [("secure",), (None,)]
    assert old.rows("SELECT mac, label FROM machine_labels") == [(mac(1), "a")]


def test_recovered_history_is_no_news_to_receivers(
    fleet: Fleet, recover: Recover, original: Path
) -> None:
    fleet.write(bind(1))
    fleet.sql("INSERT INTO webhook_targets (target, cursor) VALUES ('told', 1), ('behind', 0)")

    recover.apply(original, EVERYTHING, by=BY)

    assert fleet.rows("SELECT target, cursor FROM webhook_targets ORDER BY 1") == [
        ("behind", 0), ("told", 3),
    ]  # fmt: skip
    assert fleet.rows("SELECT max(id) FROM events") == [(4,)]


def test_what_changed_since_it_was_shown_is_noticed(
    fleet: Fleet, recover: Recover, original: Path
) -> None:
    digest = recover.preview(original, EVERYTHING).digest
    fleet.write(bind(1))

    with pytest.raises(ConflictError, match="changed since"):
        recover.apply(original, EVERYTHING, by=BY, digest=digest)

    assert fleet.rows("SELECT mac FROM machines") == [(mac(1),)]


def test_what_is_no_old_database_is_refused(
    fleet: Fleet, recover: Recover, quick_dir: Path
) -> None:
    other = quick_dir / "other.db"
    connection = apsw.Connection(str(other))
    connection.execute("CREATE TABLE t (x); CREATE VIEW machines AS SELECT 1 AS mac")
    connection.close()
    text = quick_dir / "text.bak"
    text.write_text("x" * 5000)
    (quick_dir / "link.bak").symlink_to(other)

    for path, words in (
        (other, "not bty's"),
        (text, "not an SQLite"),
        (quick_dir / "link.bak", "link"),
    ):
        with pytest.raises(InvalidInputError, match=words):
            recover.apply(path, EVERYTHING, by=BY)
    with pytest.raises(NotFoundError):
        recover.preview(quick_dir / "nothing.bak", EVERYTHING)
    with pytest.raises(NotFoundError):
        recover.path_of("../state.db.0.1.0.20260524T080000Z.bak")


# -- damage --------------------------------------------------------------------------------------

MANY = 500


@pytest.fixture
def damaged(quick_dir: Path) -> Path:
    """A damaged database of the original."""
    return make_damaged(quick_dir / "damaged.bak")


def make_damaged(path: Path) -> Path:
    """500 machines of the original, and noise over every twentieth page or so."""
    make_original(path, version="0.65.18")
    connection = apsw.Connection(str(path))
    trees = [json.dumps({"pad": "x" * size}) for size in (4500, 4500, 14_000)]
    with connection:
        connection.executemany(
            "INSERT INTO machines (mac, boot_mode, bty_image_ref, hw_lshw, hw_lshw_at, created_at,"
            " updated_at) VALUES (?, 'ipxe-exit', ?, ?, '2026-05-01', 'x', 'x')",
            [(mac(n), REF, trees[n % 3]) for n in range(MANY)],
        )
    connection.close()
    content = bytearray(path.read_bytes())
    chance = random.Random(8)  # noqa: S311 - which pages, no secret
    pages = len(content) // 4096
    for page in chance.sample(range(12, pages), pages * 30 // 664):
        content[page * 4096 : (page + 1) * 4096] = chance.randbytes(4096)
    path.write_bytes(content)
    return path


def _plain_rows(path: Path) -> int:
    connection = apsw.Connection(str(path))
    read = 0
    try:
        for _row in connection.execute("SELECT mac, length(hw_lshw) FROM machines"):
            read += 1
    except (apsw.Error, UnicodeDecodeError):
        pass
    connection.close()
    return read


def test_most_of_a_damaged_database_is_salvaged(
    fleet: Fleet, recover: Recover, damaged: Path
) -> None:
    before = damaged.read_bytes()
    with pytest.raises((InvalidInputError, StorageError)):
        recover.preview(damaged, EVERYTHING)

    done = recover.apply(damaged, EVERYTHING, SALVAGED, by=BY)

    found = int(str(fleet.rows("SELECT count(*) FROM machines")[0][0]))
    loss = next(loss for loss in done.findings.losses if loss.table == "machines")
    assert _plain_rows(damaged) < 200
    assert found > MANY * 0.9
    assert found == loss.read + loss.partial
    assert loss.partial > 0
    here = {str(name) for (name,) in fleet.rows("SELECT mac FROM machines")}
    assert loss.named
    assert not here & set(loss.named)
    assert set(loss.named) <= {mac(n) for n in range(MANY)}
    assert damaged.read_bytes() == before
    assert verify_live(fleet.place).sound


def test_a_recovery_that_the_disk_refuses_is_told(
    fleet: Fleet, recover: Recover, original: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(*_given: object, **_more: object) -> None:
        raise apsw.FullError("database or disk is full")

    monkeypatch.setattr(recovery, "apply", refuses)

    with pytest.raises(StorageError, match="full"):
        recover.apply(original, EVERYTHING, by=BY)

    assert fleet.rows("SELECT count(*) FROM machines") == [(0,)]
    kinds = [kind for (kind,) in fleet.rows("SELECT kind FROM events ORDER BY id")]
    assert kinds == ["state.recover.failed"]


@pytest.mark.parametrize("at", [1, 2, 40])
def test_a_salvage_that_is_cancelled_leaves_nothing(
    fleet: Fleet, recover: Recover, damaged: Path, at: int
) -> None:
    class Ending(Quiet):
        steps = 0

        def tell(self, _step: Step) -> None:
            self.steps += 1
            if self.steps == at:
                raise CancelledError("it was cancelled")

    before = sorted(path.name for path in fleet.place.iterdir())

    with pytest.raises(CancelledError):
        recover.apply(damaged, EVERYTHING, Reading(salvage=True, teller=Ending()), by=BY)

    assert fleet.rows("SELECT count(*) FROM machines") == [(0,)]
    assert {path.name for path in fleet.place.iterdir()} - {*before} <= {
        "restore.lock",
        "state.lock",
    }


def test_a_row_without_its_large_values_is_better_than_none(
    fleet: Fleet, recover: Recover, quick_dir: Path
) -> None:
    path = quick_dir / "damaged.bak"
    make_original(path, version="0.65.18")
    connection = apsw.Connection(str(path))
    connection.executemany(
        "INSERT INTO machines (mac, boot_mode, bty_image_ref, hw_lshw, created_at, updated_at)"
        " VALUES (?, 'ipxe-exit', ?, ?, 'x', 'x')",
        [(mac(n), REF, json.dumps({"pad": "abc"[n] * 14_000})) for n in range(3)],
    )
    connection.close()
    content = bytearray(path.read_bytes())
    for at in range(0, len(content), 4096):
        if content[at + 8 : at + 1000] == b"b" * 992:
            content[at : at + 4] = b"\xff" * 4  # where the value goes on
    path.write_bytes(content)

    done = recover.apply(path, EVERYTHING, SALVAGED, by=BY)

    loss = next(loss for loss in done.findings.losses if loss.table == "machines")
    assert (loss.read, loss.partial, loss.unread, loss.named) == (2, 1, 0, [])
    assert fleet.rows("SELECT bty_image_ref, hw_lshw IS NULL FROM machines ORDER BY mac") == [
        (REF, 0), (REF, 1), (REF, 0),
    ]  # fmt: skip


def test_salvage_of_a_sound_database_finds_all(fleet: Fleet, recover: Recover) -> None:
    fleet.write(*(bind(n, labels=["a", "b"]) for n in range(40)), image(REF, "one"))
    path = fleet.back_up() / "state.db"

    plain = recover.preview(path, EVERYTHING)
    salvaged = recover.preview(path, EVERYTHING, SALVAGED)

    assert salvaged.findings.counts == plain.findings.counts
    assert all(loss.unread == 0 and not loss.named for loss in salvaged.findings.losses)


@pytest.mark.parametrize("seed", range(8))
def test_no_damage_makes_salvage_fall(
    fleet: Fleet, recover: Recover, damaged: Path, seed: int
) -> None:
    content = bytearray(damaged.read_bytes())
    chance = random.Random(seed)  # noqa: S311 - which bytes, no secret
    for _ in range(3 * (seed + 1)):
        at = chance.randrange(0 if seed % 2 else 100, min(len(content), 60 * 4096))
        content[at : at + 50] = chance.randbytes(50)
    damaged.write_bytes(content)

    try:
        recover.apply(damaged, EVERYTHING, SALVAGED, by=BY)
    except InvalidInputError:
        assert seed % 2  # only where the first page is hit
    assert verify_live(fleet.place).sound
