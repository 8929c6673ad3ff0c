"""The database from before an upgrade put back by the command, cut off and looked at."""

from __future__ import annotations

from pathlib import Path

import apsw

from bty_app.errors import BtyError
from bty_app.store import going_back, rotation
from tests.crashlab import actions, checks
from tests.crashlab.originals import ORIGINAL_VERSION, ROWS, killed_writer, make_original

_NOISE = b"noise" * 1000


def upgraded(state_dir: Path) -> None:
    """The original's, archived by this release, which was then killed with rows in its log."""
    make_original(state_dir / "state.db", version=ORIGINAL_VERSION)
    killed_writer(state_dir / "state.db", "delete")
    _sql(state_dir / "state.db", "INSERT INTO machine_labels SELECT mac, 'before' FROM machines")
    rotation.open_state(
        state_dir, version=actions.NEW_VERSION, now=actions.FIRST_START, backup=None
    )
    connection = apsw.Connection(str(state_dir / "state.db"))
    connection.pragma("journal_mode", "wal")
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.execute("UPDATE machines SET sanboot_drive = '0x80'")
    connection.close()


def damaged(state_dir: Path) -> None:
    """The same, and the newer one is noise, with its log."""
    upgraded(state_dir)
    content = (state_dir / "state.db").read_bytes()
    (state_dir / "state.db").write_bytes(_NOISE + content[len(_NOISE) :])
    (state_dir / "state.db-wal").write_bytes(_NOISE)


def roll_back(state_dir: Path) -> None:
    """Put it back."""
    going_back.go_back(
        state_dir, ORIGINAL_VERSION, running=actions.NEW_VERSION, now=actions.NEXT_START
    )


def rolled_back(state_dir: Path) -> None:
    """It is back, or was not touched and comes back the second time; nothing is missing."""
    try:
        roll_back(state_dir)
        roll_back(state_dir)
    except BtyError as error:
        raise checks.ViolationError(f"the second time: {error.message}") from error
    checks.require(checks.version_of(state_dir) == ORIGINAL_VERSION, "it is not back")
    live = _count(state_dir / "state.db", "machine_labels WHERE label = 'before'")
    checks.require(live == ROWS, f"{live} labels are back")
    archives = sorted(state_dir.glob("*.bak"))
    checks.require(len(archives) == 2, f"archives: {[path.name for path in archives]}")
    for path in archives:
        connection = apsw.Connection(str(path))
        checks.require(connection.pragma("integrity_check") == "ok", f"{path.name} is damaged")
        connection.close()
    newer = [path for path in archives if actions.NEW_VERSION in path.name]
    checks.require(len(newer) == 1, "the newer database has no archive")
    acts = _count(newer[0], "machines WHERE sanboot_drive = '0x80'")
    checks.require(acts == ROWS, f"{acts} rows of the newer database are in its archive")
    _require_tidy(state_dir)


def roll_back_anyway(state_dir: Path) -> None:
    """Put it back, whatever stays behind."""
    going_back.go_back(
        state_dir,
        ORIGINAL_VERSION,
        running=actions.NEW_VERSION,
        now=actions.NEXT_START,
        anyway=True,
    )


def replaced(state_dir: Path) -> None:
    """The archive has the place of the damaged one, or takes it the second time."""
    try:
        roll_back_anyway(state_dir)
        roll_back_anyway(state_dir)
    except BtyError as error:
        raise checks.ViolationError(f"the second time: {error.message}") from error
    _require_replaced(state_dir)
    archives = list(state_dir.glob("*.bak"))
    checks.require(len(archives) == 1, f"archives: {[path.name for path in archives]}")
    folders = list((state_dir / "quarantine").iterdir())
    checks.require(len(folders) == 1, f"directories of evidence: {folders}")


def replaced_behind_a_start(state_dir: Path) -> None:
    """The same, although the host has started the newer release in between."""
    try:
        actions.start(state_dir)
        roll_back_anyway(state_dir)
    except BtyError as error:
        raise checks.ViolationError(f"behind a start: {error.message}") from error
    _require_replaced(state_dir)


def _require_replaced(state_dir: Path) -> None:
    checks.require(checks.version_of(state_dir) == ORIGINAL_VERSION, "it is not back")
    live = _count(state_dir / "state.db", "machine_labels WHERE label = 'before'")
    checks.require(live == ROWS, f"{live} labels are back")
    kept = [path for path in (state_dir / "quarantine").rglob("state.db*") if path.stat().st_size]
    noise = [path.name for path in kept if path.read_bytes().startswith(_NOISE)]
    checks.require(sorted(noise) == ["state.db", "state.db-wal"], f"evidence: {kept}")
    _require_tidy(state_dir)


def _require_tidy(state_dir: Path) -> None:
    names = [path.name for path in state_dir.iterdir()]
    left = [name for name in names if name.startswith(".tmp-") or name.endswith((".new", ".plan"))]
    checks.require(not left, f"left behind: {left}")


def _sql(state_db: Path, text: str) -> None:
    connection = apsw.Connection(str(state_db))
    connection.execute(text)
    connection.close()


def _count(state_db: Path, what: str) -> int:
    connection = apsw.Connection(str(state_db))
    found = connection.execute(f"SELECT count(*) FROM {what}").fetchall()
    connection.close()
    return int(str(found[0][0]))
