"""An appliance goes to another host, both in one program: cut off, and then one of them serves."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from bty_app import __version__
from bty_app.domain.jobs import Quiet
from bty_app.domain.migration import Appliance, Mark, Part
from bty_app.errors import BtyError, ConflictError, UnavailableError
from bty_app.services.arrival import Arrival, Wanted, check_finished
from bty_app.services.departure import Departure
from bty_app.services.passwords import PASSWORD_FILE
from bty_app.services.publication import Places
from bty_app.services.verify import verify_live
from bty_app.store import creation, events, links, move_mark, publish, settings
from bty_app.store.boot_tree import BootTree
from bty_app.store.database import Database, Tx
from tests.crashlab import actions
from tests.crashlab.backups import OneThread, T
from tests.crashlab.checks import require
from tests.crashlab.originals import ROWS, killed_writer

NEW_ADDRESS = "http://192.0.2.20:8080"
_SET = "sets/2.0-abc"
_LINK = "current"


class Served(OneThread):
    """The database of a server that may refuse changes."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self._refusal: Callable[[], str] = lambda: ""

    def refuse_when(self, refusal: Callable[[], str]) -> None:
        """As `Database.refuse_when`."""
        self._refusal = refusal

    def write(self, change: Callable[[Tx], T], *, always: bool = False) -> T:
        """As `Database.write`."""
        if not always and self._refusal():
            raise ConflictError(self._refusal())
        return super().write(change)


@dataclass(frozen=True)
class _Body:
    offset: int
    file: BinaryIO

    def chunks(self) -> Iterator[bytes]:
        yield self.file.read()


class Beside:
    """The other appliance, without a network between; its failures come as over one."""

    url = "http://192.0.2.10:8080"

    def __init__(self, departure: Departure) -> None:
        self._departure = departure

    def described(self) -> Appliance:
        return self._departure.described()

    def leave(self, to: str, *, anyway: bool) -> tuple[Part, ...]:
        with _as_over_a_network():
            return self._departure.leave(to, anyway=anyway, ip=None)

    def stay(self) -> None:
        with _as_over_a_network():
            self._departure.stay()

    def move(self, copy: str) -> Mark:
        with _as_over_a_network():
            return self._departure.move(copy, ip=None)

    @contextmanager
    def reading(self, kind: str, part: Part, *, start: int) -> Iterator[_Body]:
        with _as_over_a_network():
            if kind == "boot":
                _part, file = self._departure.boot.opened(part.name)
                ended = None
            else:
                _part, file, ended = self._departure.opened(part.name)
        with file:
            file.seek(start)
            yield _Body(start, file)
        if ended is not None:
            ended()


@contextmanager
def _as_over_a_network() -> Iterator[None]:
    try:
        yield
    except ConflictError:
        raise
    except BtyError as error:
        raise UnavailableError(error.message) from error


def serving(state_dir: Path) -> None:
    """An appliance killed with acknowledged rows in its log, and nothing yet on the new host."""
    old = state_dir / "old"
    (old / "boot" / _SET).mkdir(parents=True)
    (old / "boot" / _SET / "x.vmlinuz").write_bytes(b"k" * 9000)
    links.point_link(old / "boot" / _LINK, _SET)
    (old / PASSWORD_FILE).write_text("known to people\n")
    (old / "catalog.toml").write_text("version = 1\n")
    creation.build_fresh(old / "state.db", version=__version__, at=actions.STAMP)
    killed_writer(old / "state.db", "wal")
    (state_dir / "new").mkdir()


def copied(state_dir: Path) -> None:
    """The old one has moved, and nothing has its name on the new host yet."""
    serving(state_dir)
    publish.make_directories(state_dir / "new" / ".arriving")
    with _arriving(state_dir) as arrival:
        arrival._bring(arrival.check(_WANTED), _WANTED)


_WANTED = Wanted(NEW_ADDRESS, __version__)


@contextmanager
def _arriving(state_dir: Path) -> Iterator[Arrival]:
    old, new = state_dir / "old", state_dir / "new"
    database = Served(old / "state.db")
    departure = Departure(
        database,  # type: ignore[arg-type]
        old,
        BootTree(old / "boot"),
        old / "catalog.toml",
        lambda: actions.FIRST_START,
    )
    places = Places(new, new / "boot", new / "catalog.toml")
    try:
        yield Arrival(Beside(departure), places, Quiet(), lambda: actions.FIRST_START)  # type: ignore[arg-type]
    finally:
        departure.end()
        database.connection.close()


def move(state_dir: Path) -> None:
    """Take the place of the old one."""
    with _arriving(state_dir) as arrival:
        arrival.run(_WANTED)


def moved(state_dir: Path) -> None:
    """At most one serves, the old one until it has said that it moved; the next run finishes."""
    old, new = state_dir / "old", state_dir / "new"
    require(_may_serve(new) <= _has_moved(old), "both serve")
    _acknowledge_one_more(old)
    if not _may_serve(new):
        try:
            move(state_dir)
        except BtyError as error:
            require(False, f"the next run refuses: {error.message}")
    require(_has_moved(old) and _may_serve(new), "not exactly the new one serves")
    _is_all_there(old, new)


def _has_moved(old: Path) -> bool:
    return move_mark.get(old) is not None


def _may_serve(new: Path) -> bool:
    try:
        check_finished(new)
    except BtyError:
        return False
    return (new / "state.db").exists()


def _acknowledge_one_more(old: Path) -> None:
    """An appliance that serves is used, also between two attempts."""
    if not _has_moved(old):
        with Database(old / "state.db") as database:
            database.write(lambda tx: settings.put(tx, "meanwhile", "x", at=actions.STAMP))


def _is_all_there(old: Path, new: Path) -> None:
    verdict = verify_live(new)
    require(verdict.sound, "; ".join(verdict.problems))
    with Database(new / "state.db") as database:
        rows = database.read(_rows)
        told = Counter(database.read(lambda tx: [row.kind for row in events.every(tx)]))
    with Database(old / "state.db") as database:
        require(database.read(_rows) == rows, "rows differ from those of the old one")
    require(rows[0] == (ROWS,), f"{rows[0]} acknowledged machines")
    arrivals = told["system.migration.arrived"]
    require(arrivals == 1, f"{arrivals} events of an arrival")
    for name in (PASSWORD_FILE, "catalog.toml", f"boot/{_LINK}/x.vmlinuz"):
        require((new / name).exists(), f"{name} did not come along")
        require((new / name).read_bytes() == (old / name).read_bytes(), f"{name} differs")
    require((new / "boot" / _LINK).readlink() == Path(_SET), "the link leads elsewhere")
    left = [path.name for path in new.rglob(".*") if path.name.endswith(".part")]
    require(not left, f"left behind: {left}")
    require(json.loads((old / "moved-to.json").read_text())["to"] == NEW_ADDRESS, "moved elsewhere")


def _rows(tx: Tx) -> list[object]:
    return [
        tx.row("SELECT count(*) FROM machines WHERE updated_at = 'later'"),
        list(tx.rows("SELECT key, value FROM settings ORDER BY key")),
    ]
