"""An appliance that leaves: what it refuses, for how long, and which copy may take its place."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bty_app.domain.migration import LEASE_SECONDS, MARK_FILE, Mark, State
from bty_app.domain.migration_events import cancelled
from bty_app.errors import (
    ConfigError,
    ConflictError,
    InvalidInputError,
    MovedError,
    NotFoundError,
    StorageError,
)
from bty_app.services.arrival import check_finished, finish
from bty_app.services.departure import Departure
from bty_app.services.publication import Places, Publication
from bty_app.store import events, move_mark, settings
from bty_app.store.boot_tree import BootTree
from bty_app.store.database import Database
from tests.acknowledging import AT
from tests.fresh_state import make_state
from tests.serving import Clock

TO = "http://192.0.2.20:8080"
OTHER = "http://192.0.2.30:8080"


class Site:
    """A database and its way out, time in the test's hands."""

    def __init__(self, state: Path) -> None:
        self.state = state
        self.clock = Clock()
        self.database = Database(make_state(state) if not state.exists() else state / "state.db")
        (state / "boot").mkdir(exist_ok=True)
        self.departure = Departure(
            self.database,
            state,
            BootTree(state / "boot"),
            state / "catalog.toml",
            self.clock,
            self.clock.steady,
        )

    def put(self, key: str) -> None:
        self.database.write(lambda tx: settings.put(tx, key, "x", at=AT))

    def leave(self, to: str = TO) -> str:
        parts = self.departure.leave(to, anyway=False, ip=None)
        return next(part.sha256 for part in parts if part.name == "state.db")

    def kinds(self) -> list[str]:
        return [row.kind for row in self.database.read(lambda tx: list(events.every(tx)))]


@pytest.fixture
def site(quick_dir: Path) -> Iterator[Site]:
    made = Site(quick_dir / "state")
    yield made
    made.departure.end()
    made.database.close()


def test_while_it_is_copied_nothing_can_be_changed_but_logins(site: Site) -> None:
    site.put("before")
    site.leave()

    with pytest.raises(MovedError, match=f"is being moved to {TO}"):
        site.put("during")
    site.database.write(lambda tx: settings.put(tx, "login", "x", at=AT), always=True)

    assert site.departure.described().state is State.LEAVING


def test_a_new_host_that_says_nothing_any_more_is_given_up(site: Site) -> None:
    copy = site.leave()
    site.clock.forward(LEASE_SECONDS - 1)
    site.departure.opened("state.db")[1].close()
    site.clock.forward(LEASE_SECONDS + 1)
    with pytest.raises(MovedError):
        site.put("still being read")
    *_part, ended = site.departure.opened("state.db")
    ended()
    site.clock.forward(LEASE_SECONDS - 1)
    with pytest.raises(MovedError):
        site.put("one reader is left")
    # The first reader never ends: only that of a connection that waitress has closed does.
    site.departure._lease.reading = 0  # type: ignore[union-attr]
    site.clock.forward(2)

    site.put("after")

    assert site.departure.described().state is State.SERVING
    assert site.kinds()[-1] == "system.migration.given_up"
    with pytest.raises(ConflictError, match="begin again"):
        site.departure.move(copy, ip=None)
    with pytest.raises(NotFoundError):
        site.departure.opened("state.db")
    assert not (site.state / MARK_FILE).exists()


def test_only_the_copy_after_which_nothing_changed_becomes_the_appliance(site: Site) -> None:
    first = site.leave()
    site.departure.stay()
    site.put("between")
    second = site.leave()

    for wrong in (first, "0" * 64):
        with pytest.raises(ConflictError, match="begin again"):
            site.departure.move(wrong, ip=None)
    mark = site.departure.move(second, ip=None)

    assert (mark.to, mark.copy) == (TO, second)
    assert site.departure.move(second, ip=None) == mark, "asked again it says so again"
    with pytest.raises(MovedError, match=f"has moved to {TO}"):
        site.put("too late")
    with pytest.raises(MovedError):
        site.leave()
    assert site.kinds()[-1] == "system.migration.moved"


def test_a_command_beside_the_server_that_changed_something_is_noticed(site: Site) -> None:
    copy = site.leave()
    with Database(site.state / "state.db") as beside:
        beside.write(lambda tx: events.record(tx, cancelled(OTHER), at=AT))

    with pytest.raises(ConflictError, match="a command changed something"):
        site.departure.move(copy, ip=None)

    assert site.departure.mark() is None


def test_two_hosts_cannot_take_it_and_one_that_asks_again_gets_the_same_copy(site: Site) -> None:
    copy = site.leave()

    assert site.leave() == copy
    with pytest.raises(ConflictError, match=f"moved to {TO} already"):
        site.leave(OTHER)
    assert not [path for path in site.state.iterdir() if "leaving" in path.name][1:]


def test_a_mark_survives_a_start_and_one_that_is_broken_counts(site: Site) -> None:
    site.departure.move(site.leave(), ip=None)
    site.database.close()

    again = Site(site.state)
    with pytest.raises(MovedError, match=TO):
        again.put("x")
    (site.state / MARK_FILE).write_bytes(b"\xff")
    with pytest.raises(MovedError, match="has moved to another host"):
        again.put("x")
    again.database.close()


def test_secrets_that_others_know_travel_and_that_of_sessions_does_not(site: Site) -> None:
    for name in ("admin-password", "session-secret", "webhook-secret", "bty.toml"):
        (site.state / name).write_text(f"{name}\n")

    parts = site.departure.leave(TO, anyway=False, ip=None)

    assert [part.name for part in parts] == ["admin-password", "state.db", "webhook-secret"]


@pytest.mark.parametrize("name", ["../state.db", "a/../../x", "/etc/passwd", "", "sets//x", "."])
def test_a_boot_file_outside_of_the_boot_directory_is_refused(site: Site, name: str) -> None:
    with pytest.raises(InvalidInputError):
        site.departure.boot.opened(name)


def test_a_link_out_of_the_boot_directory_is_neither_listed_nor_opened(site: Site) -> None:
    (site.state / "secret").write_text("x")
    (site.state / "boot" / "leak.efi").symlink_to(site.state / "secret")

    assert site.departure.boot.parts() == ()
    with pytest.raises(InvalidInputError):
        site.departure.boot.opened("leak.efi")


# -- the new host ----------------------------------------------------------------------------------


def staged(state: Path, *, mark: bool = True) -> Places:
    """What a run has brought that was killed before it could begin."""
    stage = state / ".arriving"
    make_state(stage)
    (stage / "admin-password").write_text("known\n")
    if mark:
        (stage / "whole.json").write_text(f'{{"to": "{OTHER}", "copy": "{"a" * 64}"}}')
    return Places(state, state / "boot", state / "catalog.toml")


def test_a_host_that_was_killed_before_its_beginning_begins(tmp_path: Path) -> None:
    places = staged(tmp_path / "state")
    with pytest.raises(ConfigError, match="is not finished"):
        check_finished(places.state_dir)

    assert finish(places) == 0

    check_finished(places.state_dir)
    assert (places.state_dir / "admin-password").read_text() == "known\n"
    with Database(places.state_dir / "state.db") as database:
        kinds = database.read(lambda tx: [row.kind for row in events.every(tx)])
    assert kinds == ["system.migration.arrived"]


@pytest.mark.parametrize("killed_at", ["record", "publish", "tidy"])
def test_killed_at_any_step_of_the_beginning_it_is_begun_once(
    tmp_path: Path, killed_at: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    places, clock = staged(tmp_path / "state"), Clock()
    with monkeypatch.context() as patch:
        names = {
            "record": "bty_app.services.publication.Publication._record",
            "publish": "bty_app.store.creation.publish",
            "tidy": "bty_app.services.publication.Publication._finished",
        }
        patch.setattr(names[killed_at], _killed)
        with pytest.raises(KeyboardInterrupt):
            Publication(places, clock).run()
    with pytest.raises(ConfigError):
        check_finished(places.state_dir)

    Publication(places, clock).run()

    with Database(places.state_dir / "state.db") as database:
        kinds = database.read(lambda tx: [row.kind for row in events.every(tx)])
    assert kinds == ["system.migration.arrived"]
    check_finished(places.state_dir)


def test_a_copy_that_is_not_whole_never_begins(tmp_path: Path) -> None:
    places = staged(tmp_path / "state", mark=False)

    with pytest.raises(NotFoundError, match="no whole copy"):
        finish(places)

    assert not (places.state_dir / "state.db").exists()


def test_a_database_that_came_in_between_is_left_as_it_is(tmp_path: Path) -> None:
    places = staged(tmp_path / "state")
    make_state(places.state_dir)

    with pytest.raises(ConflictError, match="exists already"):
        finish(places)


def _killed(*_arguments: object, **_more: object) -> None:
    raise KeyboardInterrupt


def test_a_mark_that_cannot_be_read_counts_as_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    assert move_mark.get(tmp_path) is None
    assert move_mark.get(tmp_path / "file") == Mark("")
    (tmp_path / MARK_FILE).symlink_to("nowhere")
    assert move_mark.get(tmp_path) == Mark("")


@contextmanager
def ill(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The disk does not say whether there is a mark."""

    def lstat(_path: Path) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "lstat", lstat)
        yield


@pytest.mark.parametrize("has_moved", [False, True])
def test_while_the_disk_does_not_say_a_server_goes_on_as_it_was(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    *,
    has_moved: bool,
) -> None:
    path = make_state(tmp_path / "s")
    with Database(path) as database:
        departure = Departure(database, path.parent, BootTree(tmp_path / "b"), tmp_path / "c")
        if has_moved:
            move_mark.put(path.parent, Mark(TO))
        before = departure.refusal()
        with ill(monkeypatch):
            assert departure.refusal() == before
            assert departure.refusal() == before
        assert bool(before) is has_moved
        assert [record.levelname for record in caplog.records] == ["ERROR"]
        move_mark.put(path.parent, Mark(TO))
        assert departure.mark() == Mark(TO), "it looks again"


def test_one_that_has_just_moved_knows_it_though_the_disk_falls_silent(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.departure.move(site.leave(), ip=None)
    with ill(monkeypatch):
        assert TO in site.departure.refusal()


def test_at_a_start_it_must_be_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = make_state(tmp_path / "s")
    with Database(path) as database, ill(monkeypatch):
        with pytest.raises(StorageError, match="whether this appliance has moved cannot be seen"):
            Departure(database, path.parent, BootTree(tmp_path / "b"), tmp_path / "c")
        assert "cannot be seen" in move_mark.refused(path.parent), "no command changes anything"


def test_a_boot_directory_that_cannot_be_listed_is_not_an_empty_one(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by the crash laboratory: its files stayed behind, and nobody said so."""
    (site.state / "boot" / "x.efi").write_text("x")
    listed = os.scandir

    def refusing(place: str) -> object:
        if str(place).endswith("boot"):
            raise OSError(errno.EIO, "Input/output error")
        return listed(place)

    monkeypatch.setattr(os, "scandir", refusing)

    with pytest.raises(StorageError, match="boot"):
        site.departure.described()


def test_killed_while_it_tidies_up_it_has_begun(tmp_path: Path) -> None:
    """Half a stage was taken for an unfinished move, and nothing could finish it."""
    places = staged(tmp_path / "state")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bty_app.services.publication.shutil.rmtree", _killed)
        with pytest.raises(KeyboardInterrupt):
            finish(places)

    check_finished(places.state_dir)
    assert (places.state_dir / "state.db").exists()
