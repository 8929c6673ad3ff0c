from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bty_app import __version__
from bty_app.domain.bundle import HardwareRecord
from bty_app.domain.mac import Mac
from bty_app.errors import ConflictError, InvalidInputError, NotFoundError, StorageError
from bty_app.services import bundles
from bty_app.services.bundles import Imported
from bty_app.store import events, locks, sqlite, staging
from bty_app.store.database import Database, Tx
from tests import original_state
from tests.domain.test_bundle import AT, CONTAINERS, DISK, GOLDEN
from tests.fresh_state import make_state

NOW = datetime(2026, 11, 22, 19, 7, 18, 570473, tzinfo=UTC)
LATER = "2026-11-23T00:00:00.000000+00:00"
EARLIER = "2026-11-21T00:00:00.000000+00:00"
ONE = "02:00:00:00:00:01"
TWO = "02:00:00:00:00:02"


def machine(mac: str, **columns: object) -> dict[str, object]:
    return {
        "mac": mac,
        "known_disks": [DISK],
        "known_disks_at": AT,
        "hw_lshw": {"id": mac},
        "hw_lshw_at": AT,
    } | columns


def write_bundle(folder: Path, *machines: dict[str, object], **keys: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    whole = {"bty_export_version": 3, "machines": list(machines)} | keys
    (folder / "inventory.json").write_text(json.dumps(whole))
    return folder


def take(state: Path, bundle: Path, **options: bool) -> Imported:
    return bundles.import_bundle(state, bundle, version=__version__, clock=lambda: NOW, **options)


def put(state: Path, destination: Path, *, force: bool = False) -> dict[str, Any]:
    bundles.export_bundle(state, destination, version=__version__, now=NOW, force=force)
    whole: dict[str, Any] = json.loads((destination / "inventory.json").read_bytes())
    return whole


def rows(state: Path, sql: str) -> list[tuple[Any, ...]]:
    connection = sqlite.readable(state / "state.db")
    found = connection.execute(sql).fetchall()
    connection.close()
    return found


def change(state: Path, sql: str) -> None:
    connection = sqlite.writable(state / "state.db")
    connection.execute(sql)
    connection.close()


def counts(done: Imported) -> tuple[int, int, int, int, int]:
    return done.new, done.updated, done.unchanged, done.reset, done.rejected


def digest(state: Path) -> list[tuple[Any, ...]]:
    return [
        *rows(state, "SELECT * FROM machines ORDER BY mac"),
        *rows(state, "SELECT * FROM machine_labels ORDER BY mac"),
        *rows(state, "SELECT * FROM events"),
    ]


def insert_setting(tx: Tx, key: str) -> None:
    tx.run("INSERT INTO settings VALUES (?, 'v', 'a')", key)


# -- export --------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["empty", "two-machines"])
def test_a_golden_bundle_comes_out_as_it_went_in(tmp_path: Path, name: str) -> None:
    take_state = tmp_path / "state"
    take_state.mkdir()

    take(take_state, GOLDEN / name)
    put(take_state, tmp_path / "out")

    golden = (GOLDEN / name / "inventory.json").read_text()
    assert (tmp_path / "out" / "inventory.json").read_text() == golden.replace(
        '"0.90.0"', f'"{__version__}"'
    )


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25, deadline=None
)
@given(
    st.dictionaries(
        st.integers(0, 2**48 - 1),
        st.tuples(CONTAINERS.filter(lambda tree: "\0" not in json.dumps(tree)), st.booleans()),
        max_size=5,
    )
)
def test_export_import_export_is_the_identity(
    tmp_path_factory: pytest.TempPathFactory, trees: dict[int, tuple[Any, bool]]
) -> None:
    place = tmp_path_factory.mktemp("identity")
    first = make_state(place / "first").parent
    connection = sqlite.writable(first / "state.db")
    connection.executemany(
        "INSERT INTO machines (mac, created_at, updated_at, hw_lshw, hw_lshw_at)"
        " VALUES (?, 'a', 'a', ?, ?)",
        (
            (":".join(f"{number:012x}"[i : i + 2] for i in range(0, 12, 2)), text, AT)
            for number, (tree, spaced) in trees.items()
            if "\\u0000"
            not in (text := json.dumps(tree, separators=None if spaced else (",", ":")))
        ),
    )
    connection.close()
    (place / "second").mkdir()

    put(first, place / "out")
    take(place / "second", place / "out")
    put(place / "second", place / "again")

    assert (place / "out" / "inventory.json").read_bytes() == (
        place / "again" / "inventory.json"
    ).read_bytes()


def test_an_export_neither_rotates_nor_changes_another_versions_database(tmp_path: Path) -> None:
    path = original_state.make_original(
        tmp_path / "s", [(ONE, "[]", original_state.AT, None, None)], "0.65.18"
    )
    before = path.read_bytes()

    whole = put(tmp_path / "s", tmp_path / "out")

    assert [found["mac"] for found in whole["machines"]] == [ONE]
    assert path.read_bytes() == before
    assert {name.name for name in (tmp_path / "s").iterdir()} == {"state.db", "state.lock"}


def test_an_export_beside_a_writing_original_sees_one_moment(tmp_path: Path) -> None:
    path = original_state.make_original(tmp_path / "s", [(ONE, None, None, None, None)], "0.65.18")
    server = original_state.connect(path)
    server.execute("BEGIN IMMEDIATE")
    original_state.add_machines(server, [(TWO, None, None, None, None)])

    whole = put(tmp_path / "s", tmp_path / "out")

    server.execute("COMMIT")
    server.close()
    assert [found["mac"] for found in whole["machines"]] == [ONE]
    assert len(put(tmp_path / "s", tmp_path / "two")["machines"]) == 2


def test_without_a_database_there_is_no_bundle_and_no_database_afterwards(tmp_path: Path) -> None:
    (tmp_path / "s").mkdir()

    for state in (tmp_path / "s", tmp_path / "none"):
        with pytest.raises(NotFoundError):
            put(state, tmp_path / "out")

    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "s" / "state.db").exists()
    assert not (tmp_path / "none").exists()


def test_a_database_that_is_not_ours_is_no_empty_bundle(tmp_path: Path) -> None:
    connection = apsw.Connection(str(tmp_path / "state.db"))
    connection.execute("CREATE TABLE t (a)")
    connection.close()

    with pytest.raises(InvalidInputError, match="no machines table"):
        put(tmp_path, tmp_path / "out")

    assert not (tmp_path / "out").exists()


def test_an_existing_bundle_is_replaced_only_with_force(tmp_path: Path) -> None:
    state = make_state(tmp_path / "s").parent
    put(state, tmp_path / "out")
    change(state, f"INSERT INTO machines (mac, created_at, updated_at) VALUES ('{ONE}', 'a', 'a')")

    with pytest.raises(ConflictError, match="--force"):
        put(state, tmp_path / "out")
    kept = json.loads((tmp_path / "out" / "inventory.json").read_bytes())
    replaced = put(state, tmp_path / "out", force=True)

    assert kept["machines"] == []
    assert len(replaced["machines"]) == 1
    assert [name.name for name in (tmp_path / "out").iterdir()] == ["inventory.json"]


def test_a_directory_with_anything_else_in_it_is_never_written_to(tmp_path: Path) -> None:
    state = make_state(tmp_path / "s").parent
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "letter").write_text("dear")
    (tmp_path / "file").write_text("x")

    for name in ("home", "file", "s"):
        with pytest.raises(ConflictError):
            put(state, tmp_path / name, force=True)

    assert [name.name for name in (tmp_path / "home").iterdir()] == ["letter"]
    assert (tmp_path / "file").read_text() == "x"


def test_an_empty_directory_and_missing_parents_are_fine(tmp_path: Path) -> None:
    state = make_state(tmp_path / "s").parent
    (tmp_path / "empty").mkdir()

    put(state, tmp_path / "empty")
    put(state, tmp_path / "a" / "b" / "c")

    assert (tmp_path / "a" / "b" / "c" / "inventory.json").stat().st_mode & 0o777 == 0o600


@pytest.mark.system
def test_a_full_disk_leaves_the_old_bundle_whole(tmp_path: Path) -> None:
    state = make_state(tmp_path / "s").parent
    put(state, tmp_path / "bundle")
    old = (tmp_path / "bundle" / "inventory.json").read_bytes()
    tree = json.dumps(["x" * 4_000_000])
    change(
        state,
        "INSERT INTO machines (mac, created_at, updated_at, hw_lshw)"
        f" VALUES ('{ONE}', 'a', 'a', '{tree}')",
    )
    (tmp_path / "old").write_bytes(old)
    code = (
        "import sys\nfrom pathlib import Path\nfrom datetime import datetime, UTC\n"
        "from bty_app.services.bundles import export_bundle\n"
        "export_bundle(Path(sys.argv[1]), Path(sys.argv[2]), version='x',"
        " now=datetime.now(UTC), force=True)\n"
    )
    (tmp_path / "export.py").write_text(code)
    script = (
        f"mount -t tmpfs -o size=2m none {tmp_path}/bundle && mkdir {tmp_path}/bundle/b &&"
        f" cp {tmp_path}/old {tmp_path}/bundle/b/inventory.json;"
        f" {sys.executable} {tmp_path}/export.py {state} {tmp_path}/bundle/b 2>&1 | tail -1;"
        f" cmp {tmp_path}/old {tmp_path}/bundle/b/inventory.json && ls -A {tmp_path}/bundle/b"
    )

    done = subprocess.run(
        ["unshare", "-m", "sh", "-c", script],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": "/usr/bin:/bin"},
        check=False,
    )

    assert "StorageError" in done.stdout, done
    assert "No space left" in done.stdout
    assert done.stdout.splitlines()[-1] == "inventory.json", done


# -- import --------------------------------------------------------------------------------------


def test_new_machines_arrive_unbound_for_inventory(tmp_path: Path) -> None:
    state = make_state(tmp_path / "s").parent
    bundle = write_bundle(tmp_path / "b", machine(ONE), machine(TWO))

    done = take(state, bundle)

    assert counts(done) == (2, 0, 0, 0, 0)
    assert rows(
        state,
        "SELECT mac, boot_mode, bty_image_ref, discovered_at, created_at, updated_at, phase"
        " FROM machines",
    ) == [(mac, "bty-inventory", None, None, AT, AT, "idle") for mac in (ONE, TWO)]


def test_an_import_into_an_empty_directory_makes_a_database(tmp_path: Path) -> None:
    done = take(tmp_path, write_bundle(tmp_path / "b", machine(ONE)))

    assert done.new == 1
    assert rows(tmp_path, "SELECT version FROM bty_version") == [(__version__,)]
    assert {name.name for name in tmp_path.iterdir()} == {"b", "state.db", "state.lock"}


def bound_state(tmp_path: Path) -> Path:
    state = make_state(tmp_path / "s").parent
    change(
        state,
        "INSERT INTO machines (mac, boot_mode, bty_image_ref, target_disk_serial, created_at,"
        " updated_at, phase, disk_suspect, known_disks, known_disks_at, hw_lshw, hw_lshw_at)"
        f" VALUES ('{ONE}', 'bty-flash-always', 'ref', 'S', '{EARLIER}', '{EARLIER}', 'failed', 1,"
        f" '[]', '{AT}', '{{}}', '{AT}')",
    )
    change(state, f"INSERT INTO machine_labels VALUES ('{ONE}', 'rack-1')")
    return state


@pytest.mark.parametrize(
    ("columns", "disks_win", "lshw_win"),
    [
        ({"known_disks_at": LATER, "hw_lshw_at": LATER}, True, True),
        ({"known_disks_at": LATER, "hw_lshw_at": EARLIER}, True, False),
        ({"known_disks_at": EARLIER, "hw_lshw_at": LATER}, False, True),
        ({"known_disks_at": AT, "hw_lshw_at": None}, False, False),
        ({"known_disks": None, "known_disks_at": LATER, "hw_lshw_at": AT}, False, False),
        (
            {"known_disks": None, "hw_lshw": None, "known_disks_at": LATER, "hw_lshw_at": LATER},
            False,
            False,
        ),
    ],
)
def test_a_machine_that_is_here_keeps_its_binding_and_gets_the_newer_record(
    tmp_path: Path, columns: dict[str, object], disks_win: bool, lshw_win: bool
) -> None:
    state = bound_state(tmp_path)
    bundle = write_bundle(tmp_path / "b", machine(ONE, **columns))

    foreseen = take(state, bundle, dry_run=True)
    done = take(state, bundle)

    changed = disks_win or lshw_win
    assert counts(done) == counts(foreseen) == (0, int(changed), int(not changed), 0, 0)
    assert rows(
        state,
        "SELECT boot_mode, bty_image_ref, target_disk_serial, created_at, phase, disk_suspect,"
        " updated_at FROM machines",
    ) == [("bty-flash-always", "ref", "S", EARLIER, "failed", 1, AT if changed else EARLIER)]
    ((disks, disks_at, lshw, lshw_at),) = rows(
        state, "SELECT known_disks, known_disks_at, hw_lshw, hw_lshw_at FROM machines"
    )
    assert (disks != "[]", disks_at == LATER) == (disks_win, disks_win)
    assert (lshw != "{}", lshw_at == LATER) == (lshw_win, lshw_win)
    assert rows(state, "SELECT label FROM machine_labels") == [("rack-1",)]


def test_the_same_bundle_again_changes_nothing(tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "b", machine(ONE), machine(TWO, hw_lshw=None))
    take(tmp_path, bundle)

    assert counts(take(tmp_path, bundle)) == (0, 0, 2, 0, 0)


def test_what_is_known_beats_what_is_not_whatever_the_time(tmp_path: Path) -> None:
    state = make_state(tmp_path / "s").parent
    change(state, f"INSERT INTO machines (mac, created_at, updated_at) VALUES ('{ONE}', 'a', 'a')")
    bundle = write_bundle(tmp_path / "b", machine(ONE, known_disks_at=None, hw_lshw_at=EARLIER))

    assert counts(take(state, bundle)) == (0, 1, 0, 0, 0)
    assert rows(state, "SELECT known_disks IS NOT NULL, hw_lshw_at FROM machines") == [(1, EARLIER)]


def test_reset_existing_makes_machines_as_new_and_the_preview_says_how_many_are_bound(
    tmp_path: Path,
) -> None:
    state = bound_state(tmp_path)
    bundle = write_bundle(tmp_path / "b", machine(ONE, known_disks_at=EARLIER), machine(TWO))

    foreseen = take(state, bundle, dry_run=True, reset_existing=True)
    done = take(state, bundle, reset_existing=True)

    assert counts(done) == counts(foreseen) == (1, 0, 0, 1, 0)
    assert foreseen.reset_bound == done.reset_bound == 1
    assert rows(
        state,
        "SELECT boot_mode, bty_image_ref, target_disk_serial, created_at, phase, attempts,"
        f" known_disks_at, disk_suspect FROM machines WHERE mac = '{ONE}'",
    ) == [("bty-inventory", None, None, AT, "idle", 0, EARLIER, 1)]
    assert rows(state, "SELECT * FROM machine_labels") == []


def test_bad_machines_are_rejected_with_reasons_and_the_others_go_in(tmp_path: Path) -> None:
    state = make_state(tmp_path / "s").parent
    bundle = write_bundle(
        tmp_path / "b", machine("ZZ"), machine(ONE), machine(TWO, hw_lshw=5), {"mac": None}
    )

    done = take(state, bundle)

    assert counts(done) == (1, 0, 0, 0, 3)
    assert "machine 1" in done.reasons[0]
    assert f"machine 3 ({TWO})" in done.reasons[1]
    assert rows(state, "SELECT mac FROM machines") == [(ONE,)]


def test_an_import_is_one_event_in_the_chain(tmp_path: Path) -> None:
    state = make_state(tmp_path / "s").parent
    bundle = write_bundle(
        tmp_path / "b", machine(ONE), machine("ZZ"), exported_by_bty_version="0.65.18"
    )

    take(state, bundle)

    ((kind, actor, details),) = rows(state, "SELECT kind, actor, details FROM events")
    assert (kind, actor) == ("machines.imported", "operator")
    assert json.loads(details) == {
        "source": str(bundle),
        "exported_at": None,
        "exported_by_bty_version": "0.65.18",
        "new": 1,
        "updated": 0,
        "unchanged": 0,
        "reset": 0,
        "rejected": 1,
    }
    with Database(state / "state.db") as opened:
        assert opened.read(events.broken_at) is None


def test_a_dry_run_changes_nothing_and_makes_nothing(tmp_path: Path) -> None:
    state = bound_state(tmp_path)
    bundle = write_bundle(tmp_path / "b", machine(ONE, hw_lshw_at=LATER), machine(TWO))
    before = digest(state)

    done = take(state, bundle, dry_run=True)
    elsewhere = take(tmp_path / "none", bundle, dry_run=True)

    assert counts(done) == (1, 1, 0, 0, 0)
    assert counts(elsewhere) == (2, 0, 0, 0, 0)
    assert digest(state) == before
    assert not (tmp_path / "none").exists()


def test_a_large_dry_run_counts_over_its_batches(tmp_path: Path) -> None:
    tree = ["x" * 1_500_000]
    many = [machine(f"02:00:00:00:01:{number:02x}", hw_lshw=tree) for number in range(10)]

    done = take(tmp_path / "none", write_bundle(tmp_path / "b", *many), dry_run=True)

    assert done.new == 10


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"bty_export_version": 2, "machines": []}',
        '{"bty_export_version": true, "machines": []}',
        '{"machines": [{"mac": "02:00:00:00:00:05"}], "bty_export_version": 1}',
        '{"bty_export_version": 3, "machines": [{"mac": "02:00:00:00:00:05"}',
        '{"bty_export_version": 3, "machines": [{"mac": "02:00:00:00:00:05"},'
        ' {"mac": "02:00:00:00:00:05"}]}',
        '{"bty_export_version": 3, "machines": [{"mac": "02:00:00:00:00:05"}]} trailing',
        '{"bty_export_version": 3, "machines": [{"mac": "02:00:00:00:00:05"}, ' + '{"a":' * 3000,
        "\ufeff{}",
    ],
)
def test_a_bundle_that_cannot_be_trusted_changes_nothing(tmp_path: Path, text: str) -> None:
    state = bound_state(tmp_path)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "inventory.json").write_text(text, encoding="utf-8")
    before = digest(state)
    (tmp_path / "fresh").mkdir()

    for place in (state, tmp_path / "fresh"):
        for options in ({}, {"dry_run": True}, {"reset_existing": True}):
            with pytest.raises(InvalidInputError, match="nothing was imported") as caught:
                take(place, tmp_path / "b", **options)
            assert "\n" not in caught.value.message

    assert digest(state) == before
    assert not list((tmp_path / "fresh").iterdir())


def test_a_database_of_another_version_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = original_state.make_original(tmp_path / "s", [], "0.65.18")
    bundle = write_bundle(tmp_path / "b", machine(ONE))
    before = path.read_bytes()

    for dry_run in (True, False):
        with pytest.raises(ConflictError, match="start the server once"):
            take(tmp_path / "s", bundle, dry_run=dry_run)

    assert path.read_bytes() == before


def test_a_database_that_is_rotated_while_the_bundle_is_read_is_refused(tmp_path: Path) -> None:
    state = make_state(tmp_path / "s").parent
    bundle = write_bundle(tmp_path / "b", machine(ONE))

    def rotated() -> datetime:
        change(state, "UPDATE bty_version SET version = '99'")
        return NOW

    with pytest.raises(ConflictError, match="was written by 99"):
        bundles.import_bundle(state, bundle, version=__version__, clock=rotated)

    assert rows(state, "SELECT * FROM machines") == []


def test_an_import_waits_for_nobody_who_only_reads_and_refuses_while_the_state_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = make_state(tmp_path / "s").parent
    bundle = write_bundle(tmp_path / "b", machine(ONE))
    monkeypatch.setattr("bty_app.store.locks.time.monotonic", iter(range(0, 10**6, 10)).__next__)

    with locks.exclusive(state), pytest.raises(ConflictError):
        take(state, bundle)

    assert rows(state, "SELECT * FROM machines") == []


def test_a_server_that_writes_meanwhile_loses_nothing(tmp_path: Path) -> None:
    state = make_state(tmp_path / "s").parent
    many = [machine(f"02:00:00:00:{n >> 8:02x}:{n & 255:02x}") for n in range(2000)]
    bundle = write_bundle(tmp_path / "b", *many)
    stopped = threading.Event()
    written = 0

    with Database(state / "state.db") as server:

        def serve() -> None:
            nonlocal written
            while not stopped.is_set():
                server.write(partial(insert_setting, key=f"key{written}"))
                written += 1

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            done = take(state, bundle)
        finally:
            stopped.set()
            thread.join()

    assert done.new == 2000
    assert written > 0
    assert rows(state, "SELECT count(*) FROM settings") == [(written,)]
    assert rows(state, "SELECT count(*) FROM machines") == [(2000,)]


@pytest.mark.parametrize("where", ["staging.staged", "staging.take_over", "events.record"])
def test_a_killed_import_changes_nothing_and_the_next_one_sweeps(
    tmp_path: Path, where: str
) -> None:
    state = bound_state(tmp_path)
    bundle = write_bundle(tmp_path / "b", machine(ONE, hw_lshw_at=LATER), machine(TWO))
    before = digest(state)
    module, name = where.split(".")
    code = (
        "import os, signal, sys\nfrom datetime import datetime, UTC\nfrom pathlib import Path\n"
        f"from bty_app import __version__\nfrom bty_app.services import bundles\n"
        f"from bty_app.store import {module}\n"
        f"real = {module}.{name}\n"
        "def killed(*a, **k):\n"
        "    result = real(*a, **k)\n"
        "    getattr(result, '__enter__', int)()\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        f"{module}.{name} = killed\n"
        "bundles.import_bundle(Path(sys.argv[1]), Path(sys.argv[2]), version=__version__,"
        " clock=lambda: datetime.now(UTC))\n"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, str(state), str(bundle)], check=False, capture_output=True
    )
    after = digest(state)
    left = [name.name for name in state.iterdir() if name.name.startswith(".tmp-")]
    again = take(state, bundle)

    assert done.returncode == -signal.SIGKILL, done.stderr
    assert after == before
    assert len(left) == 1
    assert counts(again) == (1, 1, 0, 0, 0)
    assert not [name for name in state.iterdir() if name.name.startswith(".tmp-")]


def test_an_import_that_the_disk_refuses_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = make_state(tmp_path / "s").parent
    bundle = write_bundle(tmp_path / "b", machine(ONE))

    def refuses(*_given: object, **_more: object) -> None:
        raise apsw.FullError("database or disk is full")

    monkeypatch.setattr(staging, "take_over", refuses)

    with pytest.raises(StorageError, match="full"):
        take(state, bundle)

    assert rows(state, "SELECT kind FROM events") == [("machines.import.failed",)]
    assert rows(state, "SELECT count(*) FROM machines") == [(0,)]


def test_a_failing_disk_in_the_transaction_changes_nothing(tmp_path: Path) -> None:
    state = bound_state(tmp_path)
    before = digest(state)
    record = HardwareRecord(Mac(TWO), None, None, None, None)

    def fail(tx: Tx) -> None:
        staging.take_over(tx, at=AT, reset_existing=True)
        raise apsw.FullError

    with (
        staging.staged(state, [record]) as scratch,
        pytest.raises(StorageError, match="full"),
        staging.importing(state / "state.db", scratch) as tx,
    ):
        fail(tx)

    assert digest(state) == before
