"""A backup put back, an old database read, a release gone back from: cut off, and looked at."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import apsw

from bty_app.domain.catalog_events import By
from bty_app.domain.events import Actor
from bty_app.domain.recovering import Choice, Part
from bty_app.domain.restoring import Wanted
from bty_app.errors import BtyError
from bty_app.services.backup_files import BackupPlan, write_backup
from bty_app.services.recover import Recover
from bty_app.services.restore import Restore
from bty_app.services.verify import verify_live
from bty_app.store import creation, rotation
from tests.crashlab import actions, checks
from tests.crashlab.originals import ROWS, killed_writer

OLDER = "9.8.0"
_BY = By(Actor.OPERATOR, None)
_PARTS = Choice(frozenset({Part.BINDINGS, Part.LABELS, Part.SETTINGS, Part.HISTORY}))
_BIND = (
    "UPDATE machines SET bty_image_ref = '{0}', boot_mode = 'ipxe-exit',"
    " target_disk_serial = '{1}';"
    "INSERT INTO machine_labels SELECT mac, '{1}' FROM machines"
)


def _clock() -> datetime:
    return actions.FIRST_START


# -- states ----------------------------------------------------------------------------------------


def changed(state_dir: Path) -> None:
    """A backup, and a database that has changed since, killed with rows in its log."""
    _database(state_dir, actions.NEW_VERSION)
    plan = BackupPlan("then", "manual", actions.NEW_VERSION, actions.FIRST_START)
    write_backup(state_dir / "state.db", state_dir / "backups", plan)
    _run(state_dir, "DELETE FROM machine_labels; DELETE FROM machines WHERE mac LIKE '%:0_'")
    _run(state_dir, _BIND.format("b" * 64, "after"))


def damaged(state_dir: Path) -> None:
    """The same, and the database is noise."""
    changed(state_dir)
    (state_dir / "state.db").write_bytes(b"noise" * 4000)
    for suffix in ("-wal", "-shm"):
        (state_dir / f"state.db{suffix}").unlink(missing_ok=True)


def upgraded(state_dir: Path) -> None:
    """An upgrade has archived the database of an older release."""
    _database(state_dir, OLDER)
    rotation.open_state(
        state_dir, version=actions.NEW_VERSION, now=actions.FIRST_START, backup=None
    )


def _database(state_dir: Path, version: str) -> None:
    creation.build_fresh(state_dir / "state.db", version=version, at=actions.STAMP)
    killed_writer(state_dir / "state.db", "wal")
    _run(state_dir, _BIND.format("a" * 64, "before"))


def _run(state_dir: Path, sql: str) -> None:
    connection = apsw.Connection(str(state_dir / "state.db"))
    connection.pragma("foreign_keys", 1)
    with connection:
        connection.execute(sql)
    connection.close()


# -- actions ---------------------------------------------------------------------------------------


def restore(state_dir: Path) -> None:
    """Put the backup back."""
    _restore(state_dir).apply(state_dir / "backups" / "then", Wanted(), by=_BY)


def recover(state_dir: Path) -> None:
    """Carry over what the archive has."""
    found = Recover(state_dir, version=actions.NEW_VERSION, clock=_clock)
    found.apply(found.path_of(found.archives()[-1]), _PARTS, by=_BY)


def go_back(state_dir: Path) -> None:
    """Start the older release again."""
    rotation.open_state(state_dir, version=OLDER, now=actions.NEXT_START, backup=None)


def _restore(state_dir: Path) -> Restore:
    return Restore(state_dir, state_dir / "backups", version=actions.NEW_VERSION, clock=_clock)


# -- what must hold --------------------------------------------------------------------------------


def restored(state_dir: Path) -> None:
    """It is as before or as in the backup; the next start is quiet, and a restore succeeds."""
    _starts(state_dir, {rotation.Outcome.OPENED})
    events = _count(state_dir, "events WHERE kind = 'backup.restored'")
    checks.require(events in {0, 1}, f"{events} events of a restore")
    if events:
        _is_then(state_dir)
    else:
        _is_now(state_dir)
        _again(state_dir, restore)
        _is_then(state_dir)
    way_back = _restore(state_dir).undoable()
    checks.require(way_back is not None, "there is no way back")
    _again(state_dir, lambda place: _restore(place).undo(by=_BY))
    _is_now(state_dir)
    _is_tidy(state_dir)


def replaced(state_dir: Path) -> None:
    """The noise is evidence, or still there; the next start has a database; a restore succeeds."""
    live = state_dir / "state.db"
    noise = [path for path in (live, *state_dir.glob("quarantine/*/state.db")) if path.exists()]
    checks.require(any(path.read_bytes() == b"noise" * 4000 for path in noise), "the noise is lost")
    _starts(state_dir, {rotation.Outcome.OPENED, rotation.Outcome.QUARANTINED})
    if not _count(state_dir, "events WHERE kind = 'backup.restored'"):
        _again(state_dir, restore)
    _is_then(state_dir)
    _is_tidy(state_dir)


def recovered(state_dir: Path) -> None:
    """All of it or nothing, and the second time all of it; the archive is what it was."""
    _starts(state_dir, {rotation.Outcome.OPENED})
    events = _count(state_dir, "events WHERE kind = 'state.recovered'")
    bound = _count(state_dir, "machines WHERE bty_image_ref IS NOT NULL")
    labels = _count(state_dir, "machine_labels")
    checks.require((events, bound, labels) in {(0, 0, 0), (1, ROWS, ROWS)}, f"{bound}, {labels}")
    _again(state_dir, recover)
    checks.require(_count(state_dir, "machine_labels") == ROWS, "labels are missing")
    _is_tidy(state_dir)


def returned(state_dir: Path) -> None:
    """The older release has its own database; both archives are whole."""
    _starts(state_dir, {rotation.Outcome.OPENED, rotation.Outcome.RETURNED}, version=OLDER)
    events = _count(state_dir, "events WHERE kind = 'system.schema.returned'")
    checks.require(events == 1, f"{events} events of a return")
    bound = _count(state_dir, "machines WHERE bty_image_ref IS NOT NULL")
    checks.require(bound == ROWS, f"{bound} bindings")
    archives = sorted(state_dir.glob("*.bak"))
    checks.require(len(archives) == 2, f"archives: {[path.name for path in archives]}")
    for path in archives:
        connection = apsw.Connection(str(path))
        checks.require(connection.pragma("integrity_check") == "ok", f"{path.name} is damaged")
        connection.close()
    _starts(state_dir, {rotation.Outcome.OPENED}, version=OLDER)
    _is_tidy(state_dir)


def _is_then(state_dir: Path) -> None:
    bound = _count(state_dir, f"machines WHERE bty_image_ref = '{'a' * 64}'")
    labels = _count(state_dir, "machine_labels WHERE label = 'before'")
    checks.require((bound, labels) == (ROWS, ROWS), f"{bound} bound, {labels} labels, as in it")
    _is_sound(state_dir)


def _is_now(state_dir: Path) -> None:
    machines = _count(state_dir, "machines")
    bound = _count(state_dir, f"machines WHERE bty_image_ref = '{'b' * 64}'")
    labels = _count(state_dir, "machine_labels WHERE label = 'after'")
    left = ROWS - 16
    checks.require((machines, bound, labels) == (left,) * 3, f"{machines}, {bound}, {labels}")
    _is_sound(state_dir)


def _is_sound(state_dir: Path) -> None:
    verdict = verify_live(state_dir)
    checks.require(verdict.sound, "; ".join(verdict.problems))


def _is_tidy(state_dir: Path) -> None:
    _starts(state_dir, {rotation.Outcome.OPENED}, version=str(checks.version_of(state_dir)))
    names = [path.name for path in state_dir.iterdir()]
    left = [name for name in names if name.startswith(".tmp-") or name.endswith((".new", ".plan"))]
    checks.require(not left, f"left behind: {left}")


def _starts(
    state_dir: Path,
    outcomes: set[rotation.Outcome],
    version: str = actions.NEW_VERSION,
) -> None:
    try:
        opening = rotation.open_state(
            state_dir, version=version, now=actions.NEXT_START, backup=None
        )
    except BtyError as error:
        raise checks.ViolationError(f"the next start refuses: {error.message}") from error
    checks.require(opening.outcome in outcomes, f"the next start: {opening}")


def _again(state_dir: Path, action: object) -> None:
    try:
        action(state_dir)  # type: ignore[operator]
    except BtyError as error:
        raise checks.ViolationError(f"the second time: {error.message}") from error


def _count(state_dir: Path, what: str) -> int:
    connection = apsw.Connection(str(state_dir / "state.db"))
    found = connection.execute(f"SELECT count(*) FROM {what}").fetchall()
    connection.close()
    return int(str(found[0][0]))
