"""A backup is put back: what comes, what stays, and the way back."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
from pathlib import Path

import apsw
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bty_app import __version__
from bty_app.domain.backups import PRE_RESTORE
from bty_app.domain.machine import BootMode
from bty_app.domain.migration import Mark
from bty_app.domain.recovering import Choice, Part
from bty_app.domain.restoring import RULES, Wanted
from bty_app.domain.sessions import FINGERPRINT
from bty_app.errors import (
    ConflictError,
    InvalidInputError,
    MovedError,
    NotFoundError,
    StorageError,
)
from bty_app.services.recover import Recover
from bty_app.services.restore import Page
from bty_app.services.verify import verify_live
from bty_app.store import creation, events, locks, move_mark, rotation
from bty_app.store.backup_shelf import Shelf
from bty_app.store.catalog import IMPORTED_DIGEST
from bty_app.store.restore_plan import COLUMNS
from tests import original_state
from tests.fleet_state import (
    BEGIN,
    BY,
    OTHER_REF,
    REF,
    Fleet,
    bind,
    forget,
    image,
    mac,
    phase,
    rows,
    seen,
    setting,
    tables,
)
from tests.fresh_state import make_state

ALL = Wanted()


@pytest.fixture
def fleet(quick_dir: Path) -> Fleet:
    return Fleet(quick_dir / "state").make()


def test_every_table_and_every_column_of_a_machine_has_a_rule(fleet: Fleet) -> None:
    names = fleet.rows("SELECT name FROM sqlite_schema WHERE type = 'table'")
    columns = fleet.rows("SELECT name FROM pragma_table_info('machines')")

    assert {str(name) for (name,) in names} - {"sqlite_sequence"} == set(RULES)
    assert {str(name) for (name,) in columns} == set(COLUMNS)


def test_a_backup_is_put_back_and_the_restore_undone(fleet: Fleet) -> None:
    fleet.write(bind(1, labels=["a", "b"]), bind(2), image(REF, "one"), setting("x", "1"))
    backup = fleet.back_up()
    then = tables(fleet.state_db)
    fleet.write(
        bind(1, ref=OTHER_REF, labels=["b", "c"]), forget(2), bind(3, labels=["d"]),
        image(REF, "two"), image(OTHER_REF, "new"), setting("x", "2"), setting("y", "3"),
    )  # fmt: skip
    before = tables(fleet.state_db)

    shown = fleet.restore.preview(backup, ALL)
    done = fleet.restore.apply(backup, ALL, by=BY, digest=shown.effect.digest)

    assert tables(fleet.state_db) == then
    assert done.effect == shown.effect
    machines = done.effect.tables["machines"]
    assert (machines.added, machines.removed, machines.changed) == (1, 1, 1)
    assert [(row.key, row.kind) for row in shown.rows[:3]] == [
        (mac(1), "changed"), (mac(2), "added"), (mac(3), "removed"),
    ]  # fmt: skip
    fields = {f.name: (f.old, f.new) for f in shown.rows[0].fields}
    assert fields["labels"] == ("b, c", "a, b")
    assert fields["bty_image_ref"] == (OTHER_REF, REF)
    fleet.restore.undo(by=BY)
    assert tables(fleet.state_db) == before
    fleet.restore.undo(by=BY)
    assert tables(fleet.state_db) == then
    assert verify_live(fleet.place).sound


def test_what_is_said_of_wiping_one_machine_comes_back_with_it(fleet: Fleet) -> None:
    fleet.write(bind(1), bind(2))
    fleet.sql(
        "UPDATE machines SET flash_wipe = 'secure', flash_verify = 'no', flash_done = 'booted'"
        " WHERE mac = ?",
        mac(1),
    )
    backup = fleet.back_up()
    fleet.sql("UPDATE machines SET flash_wipe = NULL, flash_verify = NULL, flash_done = NULL")

    shown = fleet.restore.preview(backup, ALL)
    fleet.restore.apply(backup, ALL, by=BY)

    assert {field.name for field in shown.rows[0].fields} >= {
        "flash_wipe",
        "flash_verify",
        "flash_done",
    }
    said = "SELECT flash_wipe, flash_verify, flash_done FROM machines ORDER BY mac"
    assert fleet.rows(said) == [("secure", "no", "booted"), (None, None, None)]


def test_the_audit_log_goes_on(fleet: Fleet) -> None:
    fleet.write(bind(1))
    backup = fleet.back_up()
    fleet.write(bind(1, ref=OTHER_REF), bind(2))
    known = fleet.rows("SELECT id, chain FROM events ORDER BY id")

    done = fleet.restore.apply(backup, ALL, by=BY)

    after = fleet.rows("SELECT id, chain, kind, details FROM events ORDER BY id")
    assert [row[:2] for row in after[:-1]] == known
    assert after[-1][2] == "backup.restored"
    details = json.loads(str(after[-1][3]))
    assert details["undo"] == done.way_back.backup_id
    assert details["events_since"] == 2
    assert details["tables"]["machines"] == {"added": 0, "removed": 1, "changed": 1}
    assert verify_live(fleet.place).sound


def test_events_that_were_removed_by_age_are_no_others_of_the_backup(fleet: Fleet) -> None:
    fleet.write(bind(1), bind(2))
    backup = fleet.back_up()
    fleet.write(bind(3))
    last = fleet.rows("SELECT max(id) FROM events")[0][0]
    fleet.write(lambda tx: events.trim(tx, before="9999", limit=int(str(last)) - 1))

    effect = fleet.restore.preview(backup, ALL).effect

    assert (effect.events_since, effect.foreign_events) == (1, 0)
    fleet.restore.apply(backup, ALL, by=BY)
    assert verify_live(fleet.place).sound


def test_sessions_and_tokens_stay_as_they_are_now(fleet: Fleet) -> None:
    session = "INSERT INTO sessions VALUES (?, 'x', 'x', 'x', NULL, NULL)"
    token = "INSERT INTO api_tokens VALUES (?, ?, ?, 'admin', 'x', NULL, NULL, NULL)"
    fleet.sql(session, "ended")
    fleet.sql(token, "revoked", "h", "n1")
    fleet.sql(token, "replaced", "h", "n2")
    backup = fleet.back_up()
    fleet.sql("DELETE FROM sessions")
    fleet.sql("DELETE FROM api_tokens")
    fleet.sql(session, "open")
    fleet.sql(token, "newer", "h", "n2")

    shown = fleet.restore.preview(backup, ALL)
    fleet.restore.apply(backup, ALL, by=BY)

    assert shown.effect.tokens_left == 1
    assert fleet.rows("SELECT token_hash FROM sessions") == [("open",)]
    assert fleet.rows("SELECT id FROM api_tokens") == [("newer",)]
    done = fleet.restore.apply(backup, Wanted(with_tokens=True), by=BY)
    assert done.effect.tokens_left == 0
    assert fleet.rows("SELECT id FROM api_tokens ORDER BY id") == [("newer",), ("revoked",)]


def test_no_flash_is_armed_that_is_not_armed_now(fleet: Fleet) -> None:
    once, always = BootMode.FLASH_ONCE, BootMode.FLASH_ALWAYS
    fleet.write(bind(1, once), bind(2, always), bind(3, once), bind(4, once), bind(5, once))
    fleet.write(phase(4, "released"))
    backup = fleet.back_up()
    fleet.write(bind(1), bind(2, ref=OTHER_REF), bind(4), forget(5))
    fleet.write(phase(3, "booted"))  # it is under way with the very flash that the backup knows

    shown = fleet.restore.preview(backup, ALL)
    fleet.restore.apply(backup, ALL, by=BY)

    assert shown.effect.disarmed == 3
    assert [row.key for row in shown.rows if row.disarmed] == [mac(1), mac(2), mac(5)]
    assert [row.key for row in shown.rows[:3]] == [mac(1), mac(2), mac(5)]
    assert fleet.rows("SELECT boot_mode, phase, bty_image_ref FROM machines ORDER BY mac") == [
        ("bty-inventory", "idle", REF),
        ("bty-inventory", "idle", REF),
        ("bty-flash-once", "booted", REF),
        ("bty-flash-once", "released", REF),
        ("bty-inventory", "idle", REF),
    ]
    assert fleet.rows("SELECT mac FROM machine_orders ORDER BY mac") == [(mac(3),), (mac(4),)]


def test_boot_modes_come_back_where_that_is_wanted(fleet: Fleet) -> None:
    fleet.write(bind(1, BootMode.FLASH_ONCE), bind(2, BootMode.FLASH_ONCE))
    backup = fleet.back_up()
    fleet.write(bind(1), phase(2, "released"))

    done = fleet.restore.apply(backup, Wanted(keep_boot_modes=True), by=BY)

    assert (done.effect.armed, done.effect.disarmed) == (1, 0)
    # A flash that was done since is not done again.
    assert fleet.rows("SELECT boot_mode, phase FROM machines ORDER BY mac") == [
        ("bty-flash-once", "idle"), ("bty-flash-once", "released"),
    ]  # fmt: skip
    assert fleet.rows("SELECT mac FROM machine_orders ORDER BY mac") == [(mac(1),), (mac(2),)]


def test_a_half_written_disk_stays_suspect(fleet: Fleet) -> None:
    fleet.write(bind(1), seen(1))
    backup = fleet.back_up()
    fleet.write(bind(1, ref=OTHER_REF))
    fleet.sql("UPDATE machines SET disk_suspect = 1, last_seen_ip = '192.0.2.99'")

    fleet.restore.apply(backup, ALL, by=BY)

    assert fleet.rows("SELECT disk_suspect, last_seen_ip, bty_image_ref FROM machines") == [
        (1, "192.0.2.99", REF)
    ]


def test_single_machines_are_put_back_and_nothing_else(fleet: Fleet) -> None:
    fleet.write(bind(1), bind(2), setting("x", "1"))
    backup = fleet.back_up()
    fleet.write(bind(1, ref=None), bind(2, ref=None), bind(3), setting("x", "2"))
    before = tables(fleet.state_db)

    done = fleet.restore.apply(backup, Wanted((mac(2),)), by=BY)

    assert fleet.rows("SELECT bty_image_ref FROM machines ORDER BY mac") == [
        (None,), (REF,), (REF,),
    ]  # fmt: skip
    assert fleet.rows("SELECT value FROM settings") == [("2",)]
    assert done.effect.rows == 1
    fleet.restore.undo(by=BY)
    assert tables(fleet.state_db) == before
    with pytest.raises(NotFoundError, match="knows nothing of"):
        fleet.restore.apply(backup, Wanted((mac(3),)), by=BY)


def test_what_changed_since_it_was_shown_is_noticed(fleet: Fleet) -> None:
    fleet.write(bind(1))
    backup = fleet.back_up()
    fleet.write(bind(1, ref=OTHER_REF))
    digest = fleet.restore.preview(backup, ALL).effect.digest
    fleet.write(bind(1, ref=None))
    before = fleet.rows("SELECT * FROM machines")

    with pytest.raises(ConflictError, match="changed since this was shown"):
        fleet.restore.apply(backup, ALL, by=BY, digest=digest)

    assert fleet.rows("SELECT * FROM machines") == before
    assert [path.name for path in fleet.backups.iterdir()] == ["backup"]


def test_a_box_that_asks_meanwhile_does_not_make_the_preview_stale(fleet: Fleet) -> None:
    fleet.write(bind(1))
    backup = fleet.back_up()
    fleet.write(bind(1, ref=OTHER_REF))
    digest = fleet.restore.preview(backup, ALL).effect.digest
    fleet.sql("UPDATE machines SET last_seen_at = 'x', last_seen_ip = 'y', updated_at = 'z'")

    fleet.restore.apply(backup, ALL, by=BY, digest=digest)


def test_rows_are_shown_by_page_and_by_part_of_a_mac(fleet: Fleet) -> None:
    fleet.write(*(bind(n) for n in range(7)), setting("x", "1"))
    backup = fleet.back_up()
    fleet.write(*(forget(n) for n in range(7)), setting("x", "2"))

    pages = [
        [row.key for row in fleet.restore.preview(backup, ALL, Page(3, at)).rows]
        for at in (0, 3, 6, 9)
    ]
    one = fleet.restore.preview(backup, ALL, Page(3, 0, mac(5)[-5:]))

    assert pages == [[mac(0), mac(1), mac(2)], [mac(3), mac(4), mac(5)], [mac(6), "x"], []]
    assert ([row.key for row in one.rows], one.found) == ([mac(5)], 1)


def test_without_a_database_the_whole_of_it_comes_back(fleet: Fleet) -> None:
    fleet.write(bind(1), bind(2, BootMode.FLASH_ALWAYS), setting("x", "1"))
    backup = fleet.back_up()
    instance = fleet.rows("SELECT value FROM bty_instance WHERE key = 'instance_id'")
    log = fleet.rows("SELECT id, chain FROM events ORDER BY id")
    fleet.state_db.unlink()

    shown = fleet.restore.preview(backup, ALL)
    done = fleet.restore.apply(backup, ALL, by=BY, digest=shown.effect.digest)

    assert shown.problem == "there is no state.db"
    assert done.way_back.backup_id is None
    assert fleet.rows("SELECT value FROM bty_instance WHERE key = 'instance_id'") == instance
    assert fleet.rows("SELECT id, chain FROM events ORDER BY id")[:-1] == log
    assert fleet.rows("SELECT boot_mode FROM machines ORDER BY mac") == [
        ("ipxe-exit",), ("bty-inventory",),
    ]  # fmt: skip
    assert verify_live(fleet.place, version=__version__).sound
    opening = rotation.open_state(fleet.place, version=__version__, now=BEGIN, backup=None)
    assert opening.outcome is rotation.Outcome.OPENED


@pytest.mark.parametrize("at", [0, 30, 4096 + 5, 5 * 4096])
def test_a_damaged_database_is_set_aside_and_replaced(fleet: Fleet, at: int) -> None:
    fleet.write(*(bind(n, labels=["a"]) for n in range(40)))
    backup = fleet.back_up()
    then = tables(fleet.state_db)
    content = bytearray(fleet.state_db.read_bytes())
    content[at : at + 3000] = b"\xa5" * 3000
    fleet.state_db.write_bytes(content)

    done = fleet.restore.apply(backup, ALL, by=BY)

    assert done.way_back.evidence is not None
    kept = fleet.place / done.way_back.evidence / "state.db"
    assert kept.read_bytes() == bytes(content)
    assert tables(fleet.state_db) == then
    assert not list(fleet.place.glob("*.plan"))
    assert fleet.restore.undoable() is None
    opening = rotation.open_state(fleet.place, version=__version__, now=BEGIN, backup=None)
    assert opening.outcome is rotation.Outcome.OPENED


def test_a_damaged_database_is_not_replaced_under_a_server(fleet: Fleet) -> None:
    backup = fleet.back_up()
    fleet.state_db.write_bytes(b"noise" * 1000)

    with locks.shared(fleet.place), pytest.raises(ConflictError):
        fleet.restore.apply(backup, ALL, by=BY)

    assert fleet.state_db.read_bytes() == b"noise" * 1000


def test_two_at_once_are_one_too_many(fleet: Fleet) -> None:
    backup = fleet.back_up()

    with locks.alone(fleet.place / "restore.lock"), pytest.raises(ConflictError):
        fleet.restore.apply(backup, ALL, by=BY)


def test_nothing_is_restored_when_the_way_back_cannot_be_made(fleet: Fleet) -> None:
    fleet.write(bind(1))
    backup = fleet.back_up()
    fleet.write(bind(1, ref=None))
    fleet.backups.rename(fleet.place / "moved")
    fleet.backups.write_text("no directory")

    with pytest.raises(StorageError, match="nothing was changed"):
        fleet.restore.apply(fleet.place / "moved" / backup.name, ALL, by=BY)

    assert fleet.rows("SELECT bty_image_ref FROM machines") == [(None,)]
    kinds = [kind for (kind,) in fleet.rows("SELECT kind FROM events ORDER BY id")]
    assert kinds[-1] == "backup.restore.failed"


# -- what is refused -----------------------------------------------------------------------------


def _bundle(fleet: Fleet, backup: Path) -> Path:
    (backup / "state.db").unlink()
    return backup


def _flipped(fleet: Fleet, backup: Path) -> Path:
    content = bytearray((backup / "state.db").read_bytes())
    content[-1] ^= 1
    (backup / "state.db").write_bytes(content)
    return backup


def _link(fleet: Fleet, backup: Path) -> Path:
    (fleet.place / "a.db").symlink_to(backup / "state.db")
    return fleet.place / "a.db"


def _fifo(fleet: Fleet, backup: Path) -> Path:
    os.mkfifo(fleet.place / "a.db")
    return fleet.place / "a.db"


def _huge(fleet: Fleet, backup: Path) -> Path:
    with (backup / "state.db").open("r+b") as file:
        file.truncate(65 * 1024**3)
    return backup / "state.db"


def _text(fleet: Fleet, backup: Path) -> Path:
    (fleet.place / "a.db").write_text("not a database" * 100)
    return fleet.place / "a.db"


def _altered(sql: str) -> object:
    def alter(fleet: Fleet, backup: Path) -> Path:
        connection = apsw.Connection(str(backup / "state.db"))
        connection.pragma("journal_mode", "delete")
        connection.execute(sql)
        connection.close()
        return backup / "state.db"

    return alter


def _of_another(fleet: Fleet, backup: Path) -> Path:
    (backup / "state.db").unlink()
    creation.build_fresh(backup / "state.db", version="0.1.0", at="x")
    return backup / "state.db"


def _original(fleet: Fleet, backup: Path) -> Path:
    return original_state.make_original(fleet.place / "original", [], "0.65.18")


def _logged(fleet: Fleet, backup: Path) -> Path:
    (backup / "state.db-wal").write_bytes(b"x" * 100)
    return backup / "state.db"


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_bundle, "bty import"),
        (_flipped, "digest"),
        (_link, "is a link"),
        (_fifo, "not a file"),
        (_huge, "larger than any"),
        (_text, "not an SQLite database"),
        (_of_another, "bty recover"),
        (_original, "bty recover"),
        (_logged, "state.db-wal"),
        (_altered("PRAGMA application_id = 7"), "another program"),
        (_altered("PRAGMA user_version = 77"), "schema"),
        (_altered("CREATE TRIGGER t AFTER INSERT ON events BEGIN DELETE FROM machines; END"),
         "its tables are not"),
        (_altered("DROP TABLE settings; CREATE VIEW settings AS SELECT 1 AS key, 2 AS value"),
         "its tables are not"),
        (_altered("UPDATE machines SET boot_mode = 'format'"), "cannot be ours"),
        (_altered("UPDATE machines SET mac = '52-54-00-00-00-01' WHERE mac LIKE '%:01'"),
         "cannot be ours"),
        (_altered("UPDATE machines SET phase_at = 'soon'"), "cannot be ours"),
        (_altered("UPDATE machines SET sanboot_drive = '0x80; reboot'"), "cannot be ours"),
        (_altered("UPDATE machines SET flash_wipe = 'burn'"), "cannot be ours"),
        (_altered("INSERT INTO machine_labels VALUES ('52:54:00:00:00:01', '<script>')"),
         "cannot be ours"),
        (_altered("INSERT INTO machine_labels VALUES ('52:54:00:00:00:77', 'x')"), "missing"),
        (_altered("UPDATE machines SET known_disks = '{'"), "JSON"),
        (_altered("UPDATE events SET summary = 'other'"), "audit log"),
    ],
)  # fmt: skip
def test_what_is_not_a_sound_backup_of_this_release_is_refused(
    fleet: Fleet, spoil: object, words: str
) -> None:
    fleet.write(bind(1), bind(2))
    path = spoil(fleet, fleet.back_up())  # type: ignore[operator]
    before = fleet.rows("SELECT * FROM machines")

    with pytest.raises((InvalidInputError, StorageError), match=words):
        fleet.restore.apply(path, ALL, by=BY)

    assert fleet.rows("SELECT * FROM machines") == before
    assert not [path for path in fleet.place.iterdir() if path.name.startswith(".tmp-")]


@pytest.mark.parametrize("name", ["..", ".", "", "../backups/backup", "a/b", ".tmp-x", "x" * 200])
def test_a_backup_is_named_by_a_plain_name(fleet: Fleet, name: str) -> None:
    fleet.back_up()

    with pytest.raises(NotFoundError):
        fleet.restore.path_of(name)


def test_a_write_ahead_backup_in_a_read_only_place_is_put_back(fleet: Fleet) -> None:
    fleet.write(bind(1))
    backup = fleet.back_up()
    place = fleet.place / "medium"
    place.mkdir()
    path = place / "old.bak"
    shutil.copy(backup / "state.db", path)
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "wal")
    connection.close()
    place.chmod(0o500)
    fleet.write(forget(1))

    fleet.restore.apply(path, ALL, by=BY)

    assert fleet.rows("SELECT mac FROM machines") == [(mac(1),)]
    place.chmod(0o700)


def test_a_database_of_another_release_is_not_restored_into(fleet: Fleet) -> None:
    backup = fleet.back_up()
    fleet.state_db.unlink()
    make_state(fleet.place, version="0.1.0")

    with pytest.raises(ConflictError, match=r"0\.1\.0"):
        fleet.restore.apply(backup, ALL, by=BY)


@pytest.mark.parametrize("seed", range(12))
def test_flipped_bytes_are_found_or_harmless(fleet: Fleet, seed: int) -> None:
    fleet.write(*(bind(n, labels=["a"]) for n in range(30)))
    path = fleet.back_up() / "state.db"
    content = bytearray(path.read_bytes())
    chance = random.Random(seed)  # noqa: S311 - which bytes, no secret
    for _ in range(4):
        content[chance.randrange(len(content))] = chance.randrange(256)
    path.write_bytes(content)

    with pytest.raises(InvalidInputError):
        fleet.restore.apply(path.parent, ALL, by=BY)

    with contextlib.suppress(InvalidInputError, StorageError):
        fleet.restore.apply(path, ALL, by=BY)
    assert verify_live(fleet.place).sound


# -- any history ---------------------------------------------------------------------------------

_NUMBERS = st.integers(0, 5)
_CHANGES = st.lists(
    st.one_of(
        st.builds(
            bind,
            _NUMBERS,
            st.sampled_from(BootMode),
            ref=st.sampled_from([None, REF, OTHER_REF]),
            labels=st.sets(st.sampled_from("abc")),
            serial=st.sampled_from("ST"),
        ),
        st.builds(
            phase,
            _NUMBERS,
            st.sampled_from(["idle", "booted", "failed", "held", "done", "released"]),
        ),
        st.builds(forget, _NUMBERS),
        st.builds(seen, _NUMBERS, st.sampled_from(["[]", '[{"name": "sda"}]'])),
        st.builds(setting, st.sampled_from("xyz"), st.sampled_from("12")),
        st.builds(image, st.sampled_from([REF, OTHER_REF]), st.sampled_from("pq")),
    ),
    max_size=8,
)
_CYCLE = {"phase", "phase_at", "attempts", "ordered_at", "silence_reported", "last_flashed_at"}


@example(
    before=[bind(1, BootMode.FLASH_ONCE)],
    after=[bind(1, BootMode.INVENTORY), phase(1, "done")],
    keep=False,
)
@given(before=_CHANGES, after=_CHANGES, keep=st.booleans())
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_history_comes_back_and_any_restore_can_be_undone(
    quick_dir: Path, before: list[object], after: list[object], keep: bool
) -> None:
    shutil.rmtree(quick_dir / "any", ignore_errors=True)
    fleet = Fleet(quick_dir / "any").make()
    fleet.write(*before)
    backup = fleet.back_up()
    then, machines_then = tables(fleet.state_db), _machines(fleet.state_db)
    fleet.write(*after)
    now, machines_now = tables(fleet.state_db), _machines(fleet.state_db)

    done = fleet.restore.apply(backup, Wanted(keep_boot_modes=keep), by=BY)

    restored, machines = tables(fleet.state_db), _machines(fleet.state_db)
    for name in ("machine_labels", "catalog_entries", "settings"):
        assert restored[name] == then[name]
    assert set(machines) == set(machines_then)
    disarmed = 0
    for key, row in machines.items():
        past, present = machines_then[key], machines_now.get(key)
        same = present is not None and _order(present) == _order(past)
        gone = _armed(past) and not same and not keep
        disarmed += gone
        expected = dict(past)
        if same and present:
            expected |= {name: present[name] for name in _CYCLE}
        if gone:
            assert row["boot_mode"] == "bty-inventory"
            is_so_here = present is not None and _order(present) == _order(row)
            assert row["phase"] == (present["phase"] if present and is_so_here else "idle")
        else:
            assert {n: row[n] for n in expected} == expected
        if not keep and _armed(row):  # nothing is armed that was not
            assert present is not None
            assert _armed(present)
    assert disarmed == done.effect.disarmed
    assert not fleet.restore.preview(backup, Wanted(keep_boot_modes=keep)).effect.rows
    fleet.restore.undo(by=BY)
    assert tables(fleet.state_db) == now
    assert verify_live(fleet.place).sound


def _machines(state_db: Path) -> dict[object, dict[str, object]]:
    names = [c for c in COLUMNS if c not in {"updated_at", "last_seen_at", "last_seen_ip",
                                             "disk_suspect"}]  # fmt: skip
    found = rows(state_db, f"SELECT {', '.join(names)} FROM machines")
    return {row[0]: dict(zip(names, row, strict=True)) for row in found}


def _order(row: dict[str, object]) -> tuple[object, ...]:
    return row["boot_mode"], row["bty_image_ref"], row["target_disk_serial"]


def _armed(row: dict[str, object]) -> bool:
    if row["boot_mode"] == "bty-flash-once":
        return row["phase"] not in {"done", "released"}
    return row["boot_mode"] == "bty-flash-always"


def test_the_way_back_is_made_under_the_lock_of_the_backups_and_read_back(fleet: Fleet) -> None:
    fleet.write(bind(1))
    backup = fleet.back_up()
    fleet.write(forget(1))
    shelf = Shelf(fleet.backups)
    before = tables(fleet.state_db)

    with shelf.alone(), pytest.raises(ConflictError, match=r"being made.*nothing was changed"):
        fleet.restore.apply(backup, Wanted(), by=BY)
    assert tables(fleet.state_db) == before
    done = fleet.restore.apply(backup, Wanted(), by=BY)

    assert done.way_back.backup_id is not None
    kept = shelf.find(done.way_back.backup_id)
    assert kept.manifest.trigger == PRE_RESTORE
    assert kept.marks.proven_at


def test_nothing_is_restored_or_recovered_where_the_appliance_has_moved(fleet: Fleet) -> None:
    fleet.write(bind(1))
    backup = fleet.back_up()
    fleet.write(forget(1))
    before = tables(fleet.state_db)
    move_mark.put(fleet.place, Mark("http://192.0.2.20:8080"))
    recover = Recover(fleet.place, version=__version__)

    with pytest.raises(MovedError, match="has moved to"):
        fleet.restore.apply(backup, Wanted(), by=BY)
    with pytest.raises(MovedError, match="has moved to"):
        recover.apply(backup, Choice(frozenset(Part)), by=BY)

    assert tables(fleet.state_db) == before
    assert Shelf(fleet.backups).ids() == ["backup"]


def test_what_the_server_keeps_among_the_settings_is_not_put_back(fleet: Fleet) -> None:
    went, wish = "backup.last_success_at", "backup.cadence"
    fleet.write(setting(went, "then"), setting("backup.failures", "3"), setting(wish, "weekly"))
    backup = fleet.back_up()
    fleet.write(setting(went, "now"), setting(wish, "daily"))
    fleet.sql("DELETE FROM settings WHERE key = 'backup.failures'")
    fleet.write(setting("backup.drilled_at", "now"), setting(FINGERPRINT, "now"))
    fleet.write(setting(IMPORTED_DIGEST, "now"))

    shown = fleet.restore.preview(backup, Wanted())
    fleet.restore.apply(backup, Wanted(), by=BY, digest=shown.effect.digest)

    assert shown.effect.tables["settings"].total == 1
    found = fleet.rows("SELECT key, value FROM settings ")
    assert set(found) == {
        *((went, "now"), ("backup.drilled_at", "now"), (FINGERPRINT, "now")),
        (IMPORTED_DIGEST, "now"),
        (wish, "weekly"),
    }
