"""A host is upgraded by the real command, with real servers: whatever the new release does, in the
end it is ready, or the old program serves the old data.
"""

from __future__ import annotations

import compileall
import json
import re
import shutil
import sys
from pathlib import Path

import apsw
import pytest

from bty_app import __version__
from bty_app.deploy.upgrade_journal import FILE, LOCK
from bty_app.store import events
from bty_app.store.database import Database
from tests.deploy import host as hosts
from tests.deploy.host import WHERE, UpgradeHost, ours
from tests.fleet_state import REF, Fleet, bind, mac, rows, seen
from tests.how_to.host import ROOT
from tests.original_state import AT, make_original
from tests.pyz.conftest import host_pyz

__all__ = ["host_pyz"]

pytestmark = pytest.mark.system

OLD, NEW = "0.91.0", "9.9.9"
NEW_PYZ = "/run/dist/new.pyz"
UPGRADE = f"{sys.executable} {NEW_PYZ} upgrade --pyz {NEW_PYZ} --watch 1 --wait 15 {WHERE}"
STRACE = "strace -qqq -o /run/trace -e trace=rename,renameat,renameat2"
BEGIN = "systemctl start bty\n"
ASK = """
set +e
{upgrade} >/run/out 2>/run/err
status=$?
cat /run/err /run/out
echo "status $status"
curl -s http://127.0.0.1:8080/version
echo
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """This tree's program, compiled once."""
    place = tmp_path_factory.mktemp("tree")
    shutil.copytree(ROOT / "bty_app", place / "bty_app")
    assert compileall.compile_dir(place, quiet=1)
    return place


def of_ours(place: Path) -> None:
    fleet = Fleet(place).make()
    fleet.write(bind(1, labels=["rack-3"]), bind(2), *(seen(n) for n in range(1, 6)))
    fleet.sql("UPDATE bty_version SET version = ?", OLD)


def of_the_original(place: Path) -> None:
    disks = '[{"path": "/dev/sda", "serial": "S1", "size_bytes": 1000}]'
    make_original(place, [(mac(n), disks, AT, None, None) for n in (1, 2)], "0.65.18")
    connection = apsw.Connection(str(place / "state.db"))
    connection.execute("UPDATE machines SET bty_image_ref = ?", (REF,))
    connection.execute("INSERT INTO machine_labels VALUES (?, 'rack-3')", (mac(1),))
    connection.execute("INSERT INTO events (ts, kind, actor, summary) VALUES ('t', 'k', 'o', 's')")
    connection.close()


def content(state_db: Path) -> dict[str, list[tuple[object, ...]]]:
    """What must come back, row by row."""
    names = ("bty_version", "machines", "machine_labels", "catalog_entries", "settings", "events")
    known = {n for (n,) in rows(state_db, "SELECT name FROM sqlite_schema WHERE type = 'table'")}
    return {name: rows(state_db, f"SELECT * FROM {name}") for name in names if name in known}


def serving(said: str) -> str:
    """Which release answered in the end."""
    found = re.findall(r'^{"version": ?"([^"]+)"', said, re.M)
    return str(found[-1]) if found else "nobody"


def tales(host: UpgradeHost) -> list[tuple[object, ...]]:
    """The kind, and from and to or tried, of each row about an upgrade."""
    sql = (
        "SELECT kind, details ->> 'from_version', coalesce(details ->> 'to_version',"
        " details ->> 'tried_version'), details ->> 'backup_id' FROM events"
        " WHERE kind LIKE 'system.upgrade%'"
    )
    return rows(host.state / "state.db", sql)


def pre_upgrade_backup(host: UpgradeHost) -> str:
    """The id of the first; the start of the new release takes one, too."""
    found = (host.state / "backups").glob("*/manifest.json")
    return min(path.parent.name for path in found if "pre-upgrade" in path.read_text())


def is_of_before(host: UpgradeHost, before: dict[str, list[tuple[object, ...]]], said: str) -> None:
    now = content(host.state / "state.db")
    events, known = now.pop("events"), before.pop("events")
    assert events[: len(known)] == known, said
    # A server keeps some of its own there.
    assert set(before.pop("settings")) <= set(now.pop("settings"))
    assert now == before, said
    names = {path.name for path in host.lib.iterdir()}
    assert not {name for name in names if name.startswith(".tmp-")}, said
    assert FILE not in names, said


def made(place: Path, tree: Path, patch: str, *, old: str = "", original: bool = False) -> tuple[
    UpgradeHost, dict[str, list[tuple[object, ...]]]
]:  # fmt: skip
    host = UpgradeHost(
        place / "host", tree, old=hosts.ORIGINAL if original else old or ours(OLD), new=(NEW, patch)
    )
    (of_the_original if original else of_ours)(host.state)
    return host, content(host.state / "state.db")


@pytest.mark.parametrize("original", [False, True], ids=["ours", "the-original"])
def test_a_good_release_is_installed_and_the_old_one_stays_beside_it(
    quick_dir: Path, tree: Path, original: bool
) -> None:
    host, _before = made(quick_dir, tree, hosts.GOOD, original=original)
    old = "0.65.18" if original else OLD

    done = host.run(BEGIN + ASK.format(upgrade=UPGRADE))

    assert "status 0" in done.said, done.said
    assert serving(done.said) == NEW, done.said
    assert (host.lib / "bty.pyz").readlink() == Path(f"bty-{NEW}.pyz")
    names = {path.name for path in host.lib.iterdir()}
    assert names == {"bty.pyz", f"bty-{NEW}.pyz", f"bty-{old}.pyz", LOCK}
    assert rows(host.state / "state.db", "SELECT version FROM bty_version") == [(NEW,)]
    [backup, *_rest] = sorted(path for path in (host.state / "backups").iterdir() if path.is_dir())
    manifest = json.loads((backup / "manifest.json").read_text())
    assert (manifest["trigger"], manifest["database_version"]) == ("pre-upgrade", old)
    assert len(list(host.state.glob("*.bak"))) == 1
    assert tales(host) == [("system.upgraded", old, NEW, backup.name)]
    with Database(host.state / "state.db") as database:
        assert database.read(events.broken_at) is None


BAD = {
    "exits": hosts.EXITS,
    "refuses": hosts.REFUSES,
    "503": hosts.ANSWERS_503,
    "dies": hosts.DIES,
    "killed-before-rotation": hosts.KILLED_BEFORE_ROTATION,
    "killed-within-rotation": hosts.KILLED_WITHIN_ROTATION,
    "killed-behind-rotation": hosts.KILLED_BEHIND_ROTATION,
}


@pytest.mark.parametrize("patch", BAD)
def test_a_bad_release_costs_nothing(quick_dir: Path, tree: Path, patch: str) -> None:
    host, before = made(quick_dir, tree, BAD[patch])

    waits = {"dies": ("--watch 1", "--watch 15"), "503": ("--wait 15", "--wait 7")}
    done = host.run(BEGIN + ASK.format(upgrade=UPGRADE.replace(*waits.get(patch, ("", "")))))

    assert "status 1" in done.said, done.said
    assert f"bty {OLD} is back with its data" in done.said, done.said
    assert serving(done.said) == OLD, done.said
    assert (host.lib / "bty.pyz").resolve().name == f"bty-{OLD}.pyz"
    is_of_before(host, before, done.said)
    assert tales(host) == [("system.upgrade.failed", OLD, NEW, pre_upgrade_backup(host))]


@pytest.mark.parametrize("patch", ["dies", "killed-within-rotation"])
@pytest.mark.parametrize("old", ["the-original", "rotates-again"])
def test_an_old_release_that_would_rotate_again_has_its_data(
    quick_dir: Path, tree: Path, patch: str, old: str
) -> None:
    is_original = old == "the-original"
    program = ours(OLD, hosts.ROTATES_AGAIN)
    host, before = made(quick_dir, tree, BAD[patch], old=program, original=is_original)

    done = host.run(BEGIN + ASK.format(upgrade=UPGRADE.replace("--watch 1", "--watch 15")))

    assert "status 1" in done.said, done.said
    assert "is back with its data" in done.said, done.said
    serves = "0.65.18" if is_original else OLD
    assert serving(done.said) == serves, done.said
    is_of_before(host, before, done.said)
    assert tales(host) == [("system.upgrade.failed", serves, NEW, pre_upgrade_backup(host))]


def test_a_release_that_cannot_live_on_the_backup_is_not_even_tried(
    quick_dir: Path, tree: Path
) -> None:
    forgets = """
from bty_app.store import carry_over
carry_over._HARDWARE = ()
"""
    host, before = made(quick_dir, tree, forgets)

    done = host.run(
        f"{BEGIN}pid=$(cat /run/unit/child)\n{ASK.format(upgrade=UPGRADE)}"
        "[ $pid = $(cat /run/unit/child) ] && echo still-it\n"
    )

    assert "nothing was changed" in done.said, done.said
    assert "status 1" in done.said
    assert "still-it" in done.said
    is_of_before(host, before, done.said)


def test_a_dry_run_changes_nothing(quick_dir: Path, tree: Path) -> None:
    host, _before = made(quick_dir, tree, hosts.GOOD)
    host.run(BEGIN)  # it makes its secrets
    state, lib = ({p.name for p in folder.iterdir()} for folder in (host.state, host.lib))

    done = host.run(f"{UPGRADE} --dry-run\n")

    assert f"bty.pyz -> bty-{NEW}.pyz" in done.said, done.said
    assert "5 machines" in done.said
    assert {path.name for path in host.state.iterdir()} == state
    assert {path.name for path in host.lib.iterdir()} == lib


def test_the_program_that_runs_the_command_is_the_new_release(
    quick_dir: Path, tree: Path, host_pyz: Path
) -> None:
    host, _before = made(quick_dir, tree, hosts.GOOD)
    shutil.copy(host_pyz, host.dist / "bty.pyz")

    done = host.run(
        BEGIN
        + ASK.format(upgrade=f"{sys.executable} /run/dist/bty.pyz upgrade --watch 1 {WHERE}")
        + ASK.format(upgrade=f"{sys.executable} {WHERE}/bty.pyz upgrade --watch 1 {WHERE}")
    )

    assert done.said.count("status 0") == 2, done.said
    assert "installed already: there is nothing to do" in done.said
    assert serving(done.said) == __version__
    named = host.lib / f"bty-{__version__}.pyz"
    assert (host.lib / "bty.pyz").resolve() == named.resolve()
    assert named.read_bytes() == host_pyz.read_bytes()


KILLS = [
    (patch, f"{verb} {when}")
    for patch in ("exits", "good")
    for verb in ("stop", "start")
    for when in ("before", "after")
]
SAMPLED_KILLS = [*KILLS[:4], KILLS[-1]]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """A sample, or with `--every-kill` all."""
    every = metafunc.config.getoption("--every-kill")
    if "kill" in metafunc.fixturenames:
        metafunc.parametrize(("patch", "kill"), KILLS if every else SAMPLED_KILLS)
    if "point" in metafunc.fixturenames:
        metafunc.parametrize("point", POINTS if every else POINTS[::4])


def test_an_upgrade_killed_at_a_stop_or_start_is_gone_on_with(
    quick_dir: Path, tree: Path, patch: str, kill: str
) -> None:
    host, before = made(quick_dir, tree, BAD.get(patch, hosts.GOOD))

    done = host.run(
        f"{BEGIN}echo {kill} >/run/kill\n{UPGRADE} || echo killed $?\n[ ! -e /run/kill ]\n"
        + ASK.format(upgrade=UPGRADE)
    )

    assert "killed 137" in done.said, done.said
    assert "it is gone on with" in done.said
    if patch == "good":
        assert serving(done.said) == NEW, done.said
        assert rows(host.state / "state.db", "SELECT version FROM bty_version") == [(NEW,)]
        assert [row[:3] for row in tales(host)] == [("system.upgraded", OLD, NEW)]
    else:
        assert serving(done.said) == OLD, done.said
        is_of_before(host, before, done.said)
        assert [row[:3] for row in tales(host)] == [("system.upgrade.failed", OLD, NEW)]


# Each journal entry, each copy and each change of the link is a rename of its own.
POINTS = [*(f"rename:{n}" for n in (1, 2)), *(f"renameat:{n}" for n in range(1, 12))]


@pytest.mark.parametrize("patch", ["good", "killed-behind-rotation"])
def test_an_upgrade_killed_at_a_rename_is_gone_on_with(
    quick_dir: Path, tree: Path, point: str, patch: str
) -> None:
    call, _, at = point.partition(":")
    host, before = made(quick_dir, tree, BAD.get(patch, hosts.GOOD))
    strace = f"{STRACE} -e inject={call}:signal=KILL:when={at}"

    done = host.run(f"{BEGIN}{strace} {UPGRADE} || echo killed $?\n" + ASK.format(upgrade=UPGRADE))

    assert "killed 137" in done.said or patch == "good", done.said  # which has fewer of them
    assert not (host.lib / FILE).exists(), done.said
    if serving(done.said) == NEW:
        assert patch == "good"
        assert rows(host.state / "state.db", "SELECT version FROM bty_version") == [(NEW,)]
        assert (host.lib / "bty.pyz").resolve().name == f"bty-{NEW}.pyz"
        assert [row[:3] for row in tales(host)] == [("system.upgraded", OLD, NEW)]
    else:
        assert serving(done.said) == OLD, done.said
        is_of_before(host, before, done.said)
        assert [row[:3] for row in tales(host)] == [("system.upgrade.failed", OLD, NEW)]
