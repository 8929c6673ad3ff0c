"""What is cut off, from which state, and what must hold afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bty_app.store import creation
from tests.crashlab import (
    actions,
    backups,
    checks,
    copies,
    migrations,
    netboot,
    publications,
    restorations,
    rollbacks,
    tales,
)
from tests.crashlab.originals import (
    OLD_VERSION,
    ORIGINAL_VERSION,
    killed_writer,
    make_original,
)

Check = Callable[[Path], None]


@dataclass(frozen=True)
class Scenario:
    """`always_whole` is about the database. `standing` are strace injections for the whole run:
    what this file system cannot do. `talks` are the calls to another program that are cut off.
    """

    name: str
    action: str
    prepare: Callable[[Path], None]
    check: Check
    always_whole: bool = True  # it is there, and sound, at every moment
    standing: tuple[str, ...] = ()
    talks: tuple[str, ...] = ()


def hot_wal(state_dir: Path) -> None:
    """Ours, of an older release, killed with acknowledged rows only in its log."""
    state_db = state_dir / "state.db"
    creation.build_fresh(state_db, version=OLD_VERSION, at=actions.STAMP)
    killed_writer(state_db, "wal")


def hot_journal(state_dir: Path) -> None:
    """The original's, killed inside a transaction that had reached the file."""
    make_original(state_dir / "state.db", version=ORIGINAL_VERSION)
    killed_writer(state_dir / "state.db", "journal")


def damaged(state_dir: Path) -> None:
    """A database of ours whose first page is noise, with its logs."""
    state_db = state_dir / "state.db"
    hot_wal(state_dir)
    content = state_db.read_bytes()
    state_db.write_bytes(b"noise" * 819 + b"." + content[4096:])
    (state_dir / "state.db-wal").write_bytes(b"noise" * 1000)


def damaged_inside(state_dir: Path) -> None:
    """One of an older release of which only a whole reading shows the damage."""
    hot_wal(state_dir)
    state_db = state_dir / "state.db"
    content = bytearray(state_db.read_bytes())
    for start in range(8192, len(content), 4096):
        content[start : start + 64] = b"\xa5" * 64
    state_db.write_bytes(content)


def current(state_dir: Path) -> None:
    """One of the running release, killed with rows in its log, and an empty place beside it."""
    state_db = state_dir / "state.db"
    creation.build_fresh(state_db, version=actions.NEW_VERSION, at=actions.STAMP)
    killed_writer(state_db, "wal")
    (state_dir / "out").mkdir()


def current_with_bundle(state_dir: Path) -> None:
    """The same, with a bundle that is written over."""
    current(state_dir)
    publications.export(state_dir)


def current_with_others(state_dir: Path) -> None:
    """The same, with a bundle of two machines that are not here."""
    current(state_dir)
    (state_dir / "out" / "two").mkdir()
    text = publications.GOLDEN.read_text().replace('"02:00:00:00:00:', '"02:00:00:00:01:')
    (state_dir / "out" / "two" / "inventory.json").write_text(text)


def _all_noise(state_dir: Path) -> None:
    checks.quarantined(state_dir, {"state.db": b"noise" * 800, "state.db-wal": b"noise" * 800})


def _all_damaged(state_dir: Path) -> None:
    checks.quarantined(state_dir, {"state.db": b"SQLite format 3"})


def _wal_rows(state_dir: Path) -> None:
    checks.rotated(state_dir, "later")


def _journal_rows(state_dir: Path) -> None:
    checks.rotated(state_dir, "x")


_NO_LINKS = "inject=link,linkat:error=EPERM"
_NO_EXCHANGE = "inject=renameat2:error=EINVAL"

SCENARIOS = (
    Scenario("rotation, hot log of ours", "actions:start", hot_wal, _wal_rows),
    Scenario("rotation, hot journal of the original", "actions:start", hot_journal, _journal_rows),
    Scenario(
        "rotation without hard links", "actions:start", hot_wal, _wal_rows, standing=(_NO_LINKS,)
    ),
    Scenario(
        "rotation without hard links or exchange",
        "actions:start",
        hot_wal,
        _wal_rows,
        always_whole=False,
        standing=(_NO_LINKS, _NO_EXCHANGE),
    ),
    Scenario("quarantine of noise", "actions:start", damaged, _all_noise, always_whole=False),
    Scenario(
        "quarantine of damage inside",
        "actions:start",
        damaged_inside,
        _all_damaged,
        always_whole=False,
    ),
    Scenario("export", "publications:export", current, lambda d: checks.published(d, "bundle")),
    Scenario(
        "export over a bundle",
        "publications:export_over",
        current_with_bundle,
        lambda d: checks.published(d, "bundle"),
    ),
    Scenario("import", "publications:take_over", current_with_others, checks.imported),
    Scenario("backup", "publications:back_up", current, lambda d: checks.published(d, "backup")),
    Scenario("scheduled backup with pruning", "backups:back_up", backups.prepared, backups.kept),
    Scenario("removal of a backup", "backups:remove", backups.prepared, backups.kept),
    Scenario("restore", "restorations:restore", restorations.changed, restorations.restored),
    Scenario(
        "restore in place of a damaged database",
        "restorations:restore",
        restorations.damaged,
        restorations.replaced,
        always_whole=False,
    ),
    Scenario("recovery", "restorations:recover", restorations.upgraded, restorations.recovered),
    Scenario("return", "restorations:go_back", restorations.upgraded, restorations.returned),
    Scenario(
        "return without hard links",
        "restorations:go_back",
        restorations.upgraded,
        restorations.returned,
        standing=(_NO_LINKS,),
    ),
    Scenario("rollback", "rollbacks:roll_back", rollbacks.upgraded, rollbacks.rolled_back),
    Scenario(
        "rollback without hard links",
        "rollbacks:roll_back",
        rollbacks.upgraded,
        rollbacks.rolled_back,
        standing=(_NO_LINKS,),
    ),
    Scenario(
        "rollback of a damaged database",
        "rollbacks:roll_back_anyway",
        rollbacks.damaged,
        rollbacks.replaced,
        always_whole=False,
    ),
    Scenario(
        "rollback of a damaged database, with a start behind it",
        "rollbacks:roll_back_anyway",
        rollbacks.damaged,
        rollbacks.replaced_behind_a_start,
        always_whole=False,
    ),
    Scenario("tale of an upgrade", "tales:tell", current, tales.told),
    Scenario("copy of a backup elsewhere", "copies:push", copies.taken, copies.pushed),
    Scenario(
        "move to another host",
        "migrations:move",
        migrations.serving,
        migrations.moved,
        always_whole=False,
    ),
    Scenario(
        "beginning of a host that has a whole copy",
        "migrations:move",
        migrations.copied,
        migrations.moved,
        always_whole=False,
    ),
    Scenario(
        "installation of netboot artifacts",
        "netboot:install",
        netboot.prepared,
        netboot.installed,
        always_whole=False,
    ),
    Scenario(
        "installation of netboot artifacts without exchange",
        "netboot:install",
        netboot.prepared,
        netboot.installed_where_nothing_is_exchanged,
        always_whole=False,
        standing=(_NO_EXCHANGE,),
    ),
    Scenario(
        "repair of netboot artifacts",
        "netboot:repair",
        netboot.damaged,
        netboot.repaired,
        always_whole=False,
    ),
    Scenario(
        "roll-back of netboot artifacts",
        "netboot:roll_back",
        netboot.prepared,
        netboot.rolled_back,
        always_whole=False,
    ),
)

WRONG = Scenario("WRONG: rename, unlink", "actions:rename_and_unlink", hot_wal, _wal_rows)
WRONG_WHEN_THE_DISK_FAILS = Scenario(
    "WRONG: probe, rename, unlink", "actions:probe_rename_and_unlink", hot_wal, _wal_rows
)
