"""A database of any release, read into a scratch file in our own spelling: each row checked."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import astuple, dataclass, field
from pathlib import Path

import apsw

from bty_app.domain import recovering
from bty_app.domain.bundle import Rejected
from bty_app.domain.bundle_reader import BundleReader
from bty_app.domain.jobs import Quiet, Step, Teller
from bty_app.domain.machine import BootMode
from bty_app.domain.recovering import OldRow, Part
from bty_app.errors import BtyError, InvalidInputError
from bty_app.store import carved_state, old_rows, publish, sqlite
from bty_app.store.database import Tx
from bty_app.store.own_settings import OWN_KEYS
from bty_app.store.salvage import Loss, Salvage
from bty_app.store.version import stored_version

_QUIET = Quiet()
_TOLD_EVERY = 1000  # rows
KEPT_REASONS = 100  # more are counted, not kept
_JSON = 16 * 1024 * 1024
_SHORT, _LONG = 256, 8192

# Which columns are wanted of which table: the longest text, 0 for a number.
_MACHINES = {
    "mac": _SHORT,
    "bty_image_ref": _SHORT,
    "boot_mode": _SHORT,
    "sanboot_drive": _SHORT,
    "target_disk_serial": _SHORT,
    "flash_wipe": _SHORT,
    "flash_verify": _SHORT,
    "flash_done": _SHORT,
    "last_flashed_at": _SHORT,
    "phase": _SHORT,
    "known_disks_at": _SHORT,
    "hw_lshw_at": _SHORT,
    "known_disks": _JSON,
    "hw_lshw": _JSON,
}
_LABELS = {"mac": _SHORT, "label": _SHORT}
_IMAGES = {
    **dict.fromkeys(("bty_image_ref", "disk_image_sha", "format", "added_at", "arch"), _SHORT),
    **dict.fromkeys(("src", "resolved_src", "name", "sha_url", "description", "mirrors"), _LONG),
    "size_bytes": 0,
}
_SETTINGS = {"key": _SHORT, "value": _LONG}
_EVENTS = {
    "ts": _SHORT,
    "kind": _SHORT,
    "subject_kind": _SHORT,
    "subject_id": _LONG,
    "actor": _SHORT,
    "source_ip": _SHORT,
    "summary": _LONG,
    "details": 1024 * 1024,
}
_SAID = {"machine_labels": "labels", "catalog_entries": "catalog"}
_LARGE = ("known_disks", "hw_lshw", "details")

SCHEMA = """
CREATE TABLE old_hardware (mac TEXT PRIMARY KEY, known_disks TEXT, known_disks_at TEXT,
    hw_lshw TEXT, hw_lshw_at TEXT) STRICT;
CREATE TABLE old_bindings (mac TEXT PRIMARY KEY, boot_mode TEXT NOT NULL, bty_image_ref TEXT,
    target_disk_serial TEXT, sanboot_drive TEXT, flash_wipe TEXT, flash_verify TEXT,
    flash_done TEXT, finished INT NOT NULL, armed INT NOT NULL) STRICT;
CREATE TABLE old_labels (mac TEXT, label TEXT, PRIMARY KEY (mac, label)) STRICT, WITHOUT ROWID;
CREATE TABLE old_images (bty_image_ref TEXT PRIMARY KEY, src TEXT NOT NULL, resolved_src TEXT,
    disk_image_sha TEXT, name TEXT NOT NULL, sha_url TEXT, format TEXT, size_bytes INT,
    description TEXT, added_at TEXT NOT NULL, arch TEXT, mirrors TEXT) STRICT;
CREATE TABLE old_settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT;
CREATE TABLE old_events (n INTEGER PRIMARY KEY, ts TEXT NOT NULL, kind TEXT NOT NULL,
    subject_kind TEXT, subject_id TEXT, actor TEXT NOT NULL, source_ip TEXT, summary TEXT NOT NULL,
    details TEXT) STRICT;
CREATE INDEX old_events_by_ts ON old_events (ts);
"""


@dataclass(slots=True)
class Findings:
    """What was found in the file. `rejected` rows break a rule; `losses` are of a salvage, and
    `by_shape` says so where its rows were found by that.
    """

    version: str = "unknown"
    counts: dict[Part, int] = field(default_factory=dict)
    rejected: int = 0
    reasons: list[str] = field(default_factory=list)
    losses: list[Loss] = field(default_factory=list)
    by_shape: str = ""

    def reject(self, why: str) -> None:
        """Count a row that cannot be used."""
        self.rejected += 1
        if len(self.reasons) < KEPT_REASONS:
            self.reasons.append(why)


def read(source: Path, scratch: Path, *, salvage: bool, teller: Teller = _QUIET) -> Findings:
    """Read the database `source`, a copy that is ours, into the new file `scratch`.

    Args:
        source: of any release; with its log beside it, if it had one.
        scratch: must not exist.
        salvage: read on behind what is damaged.
        teller: hears how far it is, and may end it.

    Raises:
        CancelledError: the teller ended it.
        InvalidInputError: it is no database of bty; or it is damaged, and `salvage` is not wanted,
            or finds no machine.
        StorageError: the disk refused.
    """
    findings = Findings()
    with _building(scratch) as new:
        log = carved_state.log_aside(source) if salvage else None  # SQLite may delete it
        try:
            with _opened(source) as old:
                _Reading(old, new, findings, teller, salvage=salvage).run()
        except LostTablesError:
            if not salvage:
                raise
            with carved_state.rebuilt(source, log, teller) as (old, carved):
                _Reading(old, new, findings, teller, salvage=False).run()
            findings.losses, findings.by_shape = carved.losses, carved.sentence
    return findings


def read_bundle(reader: BundleReader, scratch: Path) -> Findings:
    """Read a bundle into the new file `scratch`: it knows the hardware of machines alone.

    Raises:
        InvalidInputError: it is no bundle.
        StorageError: the disk refused.
    """
    findings = Findings(counts=dict.fromkeys(Part, 0))
    with _building(scratch) as new:
        for machine in reader.machines():
            if isinstance(machine, Rejected):
                findings.reject(str(machine))
                continue
            new.execute(
                "INSERT INTO old_hardware VALUES (?, ?, ?, ?, ?)",
                astuple(machine),
            )
            findings.counts[Part.HARDWARE] += 1
    findings.version = reader.exported_by or findings.version
    return findings


@contextmanager
def _building(scratch: Path) -> Iterator[apsw.Connection]:
    publish.write_file(scratch, b"")
    try:
        with closing(sqlite.connect(scratch, flags=apsw.SQLITE_OPEN_READWRITE)) as new:
            new.pragma("journal_mode", "memory")
            new.pragma("synchronous", 0)
            new.execute(SCHEMA)
            with new:
                yield new
    except apsw.Error as error:
        raise sqlite.translated(error) from error


@contextmanager
def _opened(source: Path) -> Iterator[apsw.Connection]:
    try:
        old = sqlite.connect(source, flags=apsw.SQLITE_OPEN_READWRITE)
        try:
            old.execute("SELECT count(*) FROM sqlite_schema").fetchall()
            yield old
        finally:
            old.close()
    except (apsw.NotADBError, apsw.CorruptError, apsw.SQLError) as error:
        remedy = "bty recover --salvage reads what is left"
        raise LostTablesError(f"{source.name} is damaged ({error}): {remedy}") from error


class LostTablesError(InvalidInputError):
    """Which tables the file has cannot be read, or none of machines is among them."""


class _Reading:
    def __init__(
        self,
        old: apsw.Connection,
        new: apsw.Connection,
        findings: Findings,
        teller: Teller,
        *,
        salvage: bool,
    ) -> None:
        self._old, self._new, self._findings, self._salvage = old, new, findings, salvage
        self._teller = teller

    def run(self) -> None:
        try:
            self._findings.version = stored_version(self._old) or "an empty database"
        except apsw.CorruptError:
            if not self._salvage:
                raise
        self._machines()
        self._table("machine_labels", _LABELS, self._label)
        self._table("catalog_entries", _IMAGES, self._image)
        self._table("settings", _SETTINGS, self._setting)
        self._table("events", _EVENTS, self._event)
        tx = Tx(self._new)
        for part in Part:
            table = "images" if part is Part.CATALOG else part.value
            name = "events" if part is Part.HISTORY else table
            self._findings.counts[part] = int(tx.value(f"SELECT count(*) FROM old_{name}"))

    def _machines(self) -> None:
        if "mac" not in old_rows.columns(self._old, "machines"):
            raise LostTablesError("it has no table of machines: it is not bty's")
        self._table("machines", _MACHINES, self._machine)

    def _table(
        self, table: str, wanted: dict[str, int], keep: Callable[[int, OldRow], None]
    ) -> None:
        present = old_rows.columns(self._old, table)
        if not present:
            return
        read: set[object] = set()
        first = next(iter(wanted))
        salvage = self._salvage_of(table, present, wanted)
        about = f"reading {_SAID.get(table, table)}"
        self._teller.tell(Step(about))
        for position, values in enumerate(self._rows(table, present, wanted, salvage), 1):
            if position % _TOLD_EVERY == 0:
                self._teller.tell(Step(f"{about}: {position:,} rows"))
            row = {
                name: value if isinstance(value, int) else old_rows.text(value)
                for name, value in zip(wanted, values, strict=True)
            }
            if salvage:
                read.add(row[first])
                salvage.note(
                    is_whole=all(
                        row[name] is not None or value is None
                        for name, value in zip(wanted, values, strict=True)
                    )
                )
            try:
                keep(position, row)
            except BtyError as error:
                self._findings.reject(f"{_SAID.get(table, table)}: {error.message}")
        if salvage:
            if table == "machines":
                salvage.lost_keys("mac", read)
            self._findings.losses.append(salvage.loss)

    def _rows(
        self, table: str, present: set[str], wanted: dict[str, int], salvage: Salvage | None
    ) -> Iterator[tuple[object, ...]]:
        if salvage:
            yield from salvage.rows()
            return
        for row in self._old.execute(f"SELECT {old_rows.selected(present, wanted)} FROM {table}"):
            yield tuple(row)

    def _salvage_of(self, table: str, present: set[str], wanted: dict[str, int]) -> Salvage | None:
        if not self._salvage:
            return None
        small = present - set(_LARGE)
        return Salvage(
            self._old,
            table,
            old_rows.selected(present, wanted),
            old_rows.selected(small, wanted),
            Loss(table),
            tick=lambda: self._teller.tell(Step(f"reading {_SAID.get(table, table)}")),
        )

    # -- rows ------------------------------------------------------------------------------------

    def _machine(self, position: int, row: OldRow) -> None:
        """What was set of it is worth having also where its hardware record is not."""
        mac = recovering.old_mac(row)
        try:
            found = recovering.old_hardware(position, row)
        except BtyError as error:
            self._findings.reject(f"{mac}: {error.message}")
        else:
            if found.known_disks or found.hw_lshw:
                self._put("old_hardware", mac, found.known_disks, found.known_disks_at,
                          found.hw_lshw, found.hw_lshw_at)  # fmt: skip
        old = recovering.old_binding(row)
        wanted = old.wanted
        set_here = (
            wanted.image_ref,
            wanted.target_disk_serial,
            wanted.sanboot_drive,
            wanted.own.wipe,
            wanted.own.verify,
            wanted.own.done,
        )
        if any(set_here) or wanted.boot_mode is not BootMode.INVENTORY:
            flags = int(old.finished), int(old.armed)
            self._put("old_bindings", mac, wanted.boot_mode.value, *set_here, *flags)

    def _label(self, _position: int, row: OldRow) -> None:
        self._put("old_labels", *recovering.old_label(row))

    def _image(self, _position: int, row: OldRow) -> None:
        entry = recovering.old_image(row)
        mirrors = json.dumps(entry.mirrors) if entry.mirrors else None
        self._put(
            "old_images", entry.bty_image_ref, entry.src, entry.resolved_src, entry.disk_image_sha,
            entry.name, entry.sha_url, entry.format, entry.size_bytes, entry.description,
            entry.added_at, entry.arch, mirrors,
        )  # fmt: skip

    def _setting(self, _position: int, row: OldRow) -> None:
        if row["key"] not in OWN_KEYS:
            self._put("old_settings", *recovering.old_setting(row))

    def _event(self, position: int, row: OldRow) -> None:
        self._put("old_events", position, *recovering.old_event(row))

    def _put(self, table: str, *values: object) -> None:
        marks = ", ".join("?" * len(values))
        self._new.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", values)
