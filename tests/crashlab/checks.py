"""What must hold after each cut: before the next start, and after it."""

from __future__ import annotations

import hashlib
import json
import shutil
import stat
from pathlib import Path

import apsw

from bty_app.errors import BtyError
from bty_app.store import rotation
from tests.crashlab import actions, publications
from tests.crashlab.originals import ROWS

_ALLOWED = {"state.db", "state.db-wal", "state.db-shm", "state.lock", "quarantine"}


class ViolationError(AssertionError):
    """An invariant does not hold."""


def require(fact: bool, sentence: str) -> None:
    """Raise `ViolationError` unless `fact`."""
    if not fact:
        raise ViolationError(sentence)


def names_are_whole(state_dir: Path, scratch: Path) -> None:
    """Before the next start: whatever has a final name is a whole database."""
    shutil.copytree(state_dir, scratch)
    try:
        require((scratch / "state.db").exists(), "there is no state.db")
        for path in [scratch / "state.db", *scratch.glob("*.bak")]:
            _sound(path)
    finally:
        shutil.rmtree(scratch)


def rotated(state_dir: Path, last: str) -> None:
    """After the next start: one archive with every acknowledged row, one event, nothing else."""
    _next_start(state_dir)

    archives = sorted(state_dir.glob("*.bak"))
    require(len(archives) == 1, f"archives: {[path.name for path in archives]}")
    _left_over(state_dir, {archives[0].name})
    archive = _sound(archives[0])
    _acknowledged(archive, last)
    require(archive.pragma("journal_mode") == "delete", "the archive is in write-ahead mode")
    archive.close()
    require(stat.S_IMODE(archives[0].stat().st_mode) == 0o600, "the archive can be read by others")
    beside = [path.name for path in state_dir.glob("*.bak-*")]
    require(not beside, f"sidecars of the archive: {beside}")
    live = _sound(state_dir / "state.db")
    details = _only_event(live)
    named = Path(str(details["archived_at"])).name
    require(named == archives[0].name, f"the event names {named}")
    carried = live.execute(
        "SELECT count(*) FROM machines WHERE hw_lshw LIKE '%xxx%' AND boot_mode = 'bty-inventory'"
    ).fetchall()
    require(carried == [(ROWS,)], f"hardware of {carried} machines was carried over")
    live.close()
    _starts_quietly(state_dir)


def quarantined(state_dir: Path, evidence: dict[str, bytes]) -> None:
    """After the next start: all evidence in one place; one event tells of it."""
    _next_start(state_dir)

    folders = sorted((state_dir / "quarantine").iterdir())
    require(len(folders) == 1, f"directories of evidence: {folders}")
    kept = {path.name for path in folders[0].iterdir()}
    require(set(evidence) <= kept, f"evidence: {sorted(kept)}, of {sorted(evidence)}")
    for name, beginning in evidence.items():
        content = (folders[0] / name).read_bytes()
        require(content.startswith(beginning), f"{name} was written to")
    _left_over(state_dir, set())
    live = _sound(state_dir / "state.db")
    details = _only_event(live)
    require(details["archived_at"] == f"quarantine/{folders[0].name}", "the event names another")
    require(details["reason"] == "damaged", "the event has no reason")
    live.close()
    _starts_quietly(state_dir)


def published(state_dir: Path, folder: str) -> None:
    """Whatever has the final name is whole; and the next run succeeds and tidies up."""
    whole = state_dir / "out" / folder
    if whole.exists():
        _whole_bundle(whole)
    names = {entry.name for entry in (state_dir / "out").iterdir()} - {folder}
    strays = [name for name in names if not name.startswith(".tmp-")]
    require(not strays, f"under final names: {strays}")
    live = _sound(state_dir / "state.db")
    _acknowledged(live, "later")
    live.close()
    if folder == "backup":
        if not whole.exists():
            publications.back_up(state_dir)
    else:
        publications.export_over(state_dir)
    _whole_bundle(whole)
    left = {path.name for path in (state_dir / "out").rglob("*") if path.name.startswith(".tmp-")}
    require(whole.exists() and not (left and folder == "bundle"), f"left behind: {left}")


def imported(state_dir: Path) -> None:
    """All of the bundle or nothing, with its event; and the next run brings what is missing."""
    brought, told = _imported(state_dir)
    require((brought, told) in {(0, 0), (2, 1)}, f"{brought} machines, and {told} events of them")
    publications.take_over(state_dir)
    brought, _told = _imported(state_dir)
    require(brought == 2, f"{brought} machines after the next run")
    left = sorted(path.name for path in state_dir.iterdir() if path.name not in {*_ALLOWED, "out"})
    require(not left, f"left behind: {left}")


def _imported(state_dir: Path) -> tuple[int, int]:
    live = _sound(state_dir / "state.db")
    rows = {str(mac) for (mac,) in live.execute("SELECT mac FROM machines")}
    sql = "SELECT count(*) FROM events WHERE kind = 'machines.imported'"
    [(told,)] = live.execute(sql).fetchall()
    live.close()
    before = {f"02:00:00:00:00:{number:02x}" for number in range(ROWS)}
    require(before <= rows, f"{len(before - rows)} acknowledged machines are missing")
    return len(rows - before), int(str(told))


def acknowledged(state_dir: Path) -> None:
    """The database is sound, and has every row that was acknowledged."""
    live = _sound(state_dir / "state.db")
    _acknowledged(live, "later")
    live.close()


def version_of(state_dir: Path) -> object:
    """The release that the database was made for."""
    live = _sound(state_dir / "state.db")
    rows = live.execute("SELECT version FROM bty_version").fetchall()
    live.close()
    return rows[0][0]


def digests(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file in `folder`."""
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.iterdir()
        if path.is_file()
    }


def _next_start(state_dir: Path) -> None:
    try:
        rotation.open_state(
            state_dir, version=actions.NEW_VERSION, now=actions.NEXT_START, backup=None
        )
    except BtyError as error:
        raise ViolationError(f"the next start refuses: {error.message}") from error


def _starts_quietly(state_dir: Path) -> None:
    opening = rotation.open_state(
        state_dir, version=actions.NEW_VERSION, now=actions.NEXT_START, backup=None
    )
    require(opening.outcome is rotation.Outcome.OPENED, f"the start after that: {opening}")


def _sound(path: Path) -> apsw.Connection:
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
        found = connection.pragma("integrity_check")
    except apsw.Error as error:
        raise ViolationError(f"{path.name}: {error}") from error
    require(found == "ok", f"{path.name}: {found}")
    return connection


def _acknowledged(connection: apsw.Connection, last: str) -> None:
    sql = "SELECT mac, hw_lshw NOT LIKE '%y%', updated_at FROM machines ORDER BY mac"
    try:
        rows = connection.execute(sql).fetchall()
    except apsw.Error as error:
        raise ViolationError(f"rows cannot be read: {error}") from error
    expected = [f"02:00:00:00:00:{number:02x}" for number in range(ROWS)]
    require([row[0] for row in rows] == expected, f"{len(rows)} of {ROWS} acknowledged rows")
    require(all(row[1] for row in rows), "rows of a transaction that was never acknowledged")
    require({row[2] for row in rows} == {last}, "the last acknowledged change is missing")


def _only_event(live: apsw.Connection) -> dict[str, object]:
    found = live.execute("SELECT details FROM events WHERE kind = 'system.schema.reset'").fetchall()
    require(len(found) == 1, f"{len(found)} system.schema.reset events")
    details = json.loads(str(found[0][0]))
    assert isinstance(details, dict)
    return details


def _left_over(state_dir: Path, besides: set[str]) -> None:
    names = {path.name for path in state_dir.iterdir()} - _ALLOWED - besides
    require(not names, f"left behind: {sorted(names)}")


def _whole_bundle(folder: Path) -> None:
    try:
        content = json.loads((folder / "inventory.json").read_bytes())
    except (OSError, ValueError) as error:
        raise ViolationError(f"{folder.name}: {error}") from error
    require(len(content["machines"]) == ROWS, f"{len(content['machines'])} machines in the bundle")
    sums = folder / "SHA256SUMS"
    if sums.exists():
        found = digests(folder)
        for line in sums.read_text().splitlines():
            digest, name = line.split(maxsplit=1)
            require(found.get(name.lstrip("*")) == digest, f"{name} differs from its checksum")
