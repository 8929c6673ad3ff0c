"""Copies of backups at real places: a directory, a server that speaks S3, a WebDAV server."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from bty_app.domain.offsite import COPY, DirectoryTarget
from bty_app.domain.place import Content, Place
from bty_app.domain.sealing import Key
from bty_app.errors import (
    CancelledError,
    ConfigError,
    ConflictError,
    InvalidInputError,
    NotAllowedError,
    NotFoundError,
    StorageError,
    UnavailableError,
)
from bty_app.services.offsite import Offsite
from bty_app.store.copies import Directory
from tests import places
from tests.places import PART_BYTES
from tests.services.offsite_bench import INSTANCE, KEY, NOW, Watcher, backup, content
from tests.tap import tapped

_numbers = itertools.count(1)
LATER = NOW + timedelta(hours=1)
LARGE = 3 * PART_BYTES + 12_345


@pytest.fixture(params=["directory", "s3", "webdav"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    match request.param:
        case "directory":
            (tmp_path / "there").mkdir()
            return Directory(DirectoryTarget(str(tmp_path / "there")))
        case "s3":
            server: places.S3 = request.getfixturevalue("s3")
            return server.bucket(prefix=f"server {next(_numbers)}/bty")
        case _:
            folder: places.Dav = request.getfixturevalue("dav")
            return folder.folder(path=f"a%20b/{next(_numbers)}")


def offsite(place: Place, tmp_path: Path, *, keep: int = 0, key: Key | None = None) -> Offsite:
    return Offsite(place, tmp_path / "backups", keep=keep, key=key, clock=lambda: LATER)


@pytest.mark.parametrize("key", [None, KEY], ids=["plain", "sealed"])
def test_a_backup_goes_there_and_comes_back_bit_for_bit(
    place: Place, tmp_path: Path, key: Key | None
) -> None:
    backup_id = backup(tmp_path / "backups", size=LARGE)
    there = offsite(place, tmp_path, key=key)

    copy, is_new = there.push(backup_id, Watcher())
    again, is_new_again = there.push(backup_id, Watcher())
    there.reading.fetch(backup_id, tmp_path / "back", Watcher())

    assert (is_new, is_new_again) == (True, False)
    assert again == copy
    assert content(tmp_path / "back") == content(tmp_path / "backups" / backup_id)
    assert [c.backup_id for c in there.reading.there().copies] == [backup_id]
    assert there.reading.there().halves == ()
    assert place.abandoned() == []
    assert there.reading.problems(copy, Watcher()) == []
    stored = {s.name.partition("/")[2] for s in place.listed(backup_id)} - {COPY}
    assert all(name.endswith(".sealed") is (key is not None) for name in stored)


def test_progress_says_how_far_it_is(place: Place, tmp_path: Path) -> None:
    backup_id = backup(tmp_path / "backups", size=LARGE)
    watcher = Watcher()

    copy, _ = offsite(place, tmp_path).push(backup_id, watcher)

    sent = [step.done for step in watcher.steps if step.words.startswith("sending")]
    assert sent == sorted(sent)
    assert {step.total for step in watcher.steps if step.total} == {copy.size}
    assert sent[-1] < copy.size


def test_what_was_cut_off_is_no_copy_and_is_gone_on_with(place: Place, tmp_path: Path) -> None:
    backup_id = backup(tmp_path / "backups", size=LARGE)
    there = offsite(place, tmp_path, key=KEY)
    cut = Watcher(lambda step: step.words == "sending state.db" and step.done > 2 * PART_BYTES)

    with pytest.raises(CancelledError):
        there.push(backup_id, cut)

    assert there.reading.there().copies == ()
    assert there.reading.there().halves == (backup_id,)
    with pytest.raises(NotFoundError):
        there.reading.fetch(backup_id, tmp_path / "back", Watcher())
    assert not (tmp_path / "back").exists()
    second = Watcher()
    there.push(backup_id, second)
    there.reading.fetch(backup_id, tmp_path / "back", Watcher())
    assert content(tmp_path / "back") == content(tmp_path / "backups" / backup_id)
    assert "sending inventory.json" not in {step.words for step in second.steps}
    assert place.abandoned() == []


def test_a_copy_that_was_changed_is_told_and_never_comes_back(place: Place, tmp_path: Path) -> None:
    backup_id = backup(tmp_path / "backups")
    there = offsite(place, tmp_path)
    copy, _ = there.push(backup_id, Watcher())
    name = f"{backup_id}/state.db"
    data = bytearray(b"".join(place.read(name)))
    data[5000] ^= 1
    put(place, name, bytes(data))

    [problem] = there.reading.problems(copy, Watcher())
    with pytest.raises(InvalidInputError, match="not what was stored"):
        there.reading.fetch(backup_id, tmp_path / "back", Watcher())

    assert name in problem
    assert list(tmp_path.glob("*back*")) == [tmp_path / "backups"]
    place.remove(name)
    assert len(there.reading.problems(copy, Watcher())) == 1


def put(place: Place, name: str, data: bytes) -> None:
    place.put(name, Content(len(data), lambda: iter([data])), lambda: True)


def test_half_a_file_from_an_earlier_try_is_replaced(place: Place, tmp_path: Path) -> None:
    """Of the right size, too: only its digest tells."""
    backup_id = backup(tmp_path / "backups")
    put(place, f"{backup_id}/state.db", bytes(100_000))
    put(place, f"{backup_id}/inventory.json", b"{")
    there = offsite(place, tmp_path)

    there.push(backup_id, Watcher())
    there.reading.fetch(backup_id, tmp_path / "back", Watcher())

    assert content(tmp_path / "back") == content(tmp_path / "backups" / backup_id)


def test_old_copies_of_the_schedule_go_and_no_others(place: Place, tmp_path: Path) -> None:
    backups = tmp_path / "backups"
    scheduled = [backup(backups, days) for days in (5, 4, 3, 2, 1)]
    by_hand = backup(backups, 9, trigger="manual")
    of_others = backup(backups, 8, instance="instance-2")
    there = offsite(place, tmp_path, keep=2)
    for backup_id in (by_hand, of_others, *scheduled):
        there.push(backup_id, Watcher())

    gone = there.prune(INSTANCE, Watcher())

    assert set(gone) == set(scheduled[:3])
    left = {copy.backup_id for copy in there.reading.there().copies}
    assert left == {by_hand, of_others, *scheduled[3:]}
    assert there.reading.there().halves == ()
    assert {s.name.partition("/")[0] for s in place.listed()} == left
    assert there.missing(there.reading.there()) == ()
    assert there.prune(INSTANCE, Watcher()) == ()


def test_only_what_would_stay_is_copied(place: Place, tmp_path: Path) -> None:
    ids = [backup(tmp_path / "backups", days) for days in (3, 2, 1)]
    (tmp_path / "backups" / ".tmp-x").mkdir()
    (tmp_path / "backups" / "notes").mkdir()
    there = offsite(place, tmp_path, keep=2)

    assert there.missing(there.reading.there()) == tuple(ids[1:])
    there.push(ids[2], Watcher())
    assert there.missing(there.reading.there()) == (ids[1],)
    assert offsite(place, tmp_path).missing(there.reading.there()) == tuple(ids[:2])


def test_a_copy_is_removed_whole_or_half(place: Place, tmp_path: Path) -> None:
    backup_id = backup(tmp_path / "backups")
    there = offsite(place, tmp_path)
    there.push(backup_id, Watcher())

    there.remove(backup_id)

    assert place.listed() == []
    with pytest.raises(NotFoundError):
        there.remove(backup_id)
    with pytest.raises(NotFoundError):
        there.reading.copy(backup_id)
    put(place, f"{backup_id}/state.db", b"half")
    there.remove(backup_id)
    assert place.listed() == []
    with pytest.raises(InvalidInputError):
        there.remove("../etc")


def test_another_servers_backup_of_the_same_id_is_left_alone(place: Place, tmp_path: Path) -> None:
    backup_id = backup(tmp_path / "other/backups", instance="instance-2")
    Offsite(place, tmp_path / "other/backups", clock=lambda: LATER).push(backup_id, Watcher())
    backup(tmp_path / "backups")

    with pytest.raises(ConflictError, match="place of its own"):
        offsite(place, tmp_path).push(backup_id, Watcher())


def test_a_key_is_needed_and_the_right_one(place: Place, tmp_path: Path) -> None:
    backup_id = backup(tmp_path / "backups")
    sealed = offsite(place, tmp_path, key=KEY)
    copy, _ = sealed.push(backup_id, Watcher())

    for key, words in ((None, "must name it"), (Key(b"o" * 32), "with the key")):
        with pytest.raises(ConfigError, match=words):
            offsite(place, tmp_path, key=key).reading.fetch(backup_id, tmp_path / "b", Watcher())
    assert not (tmp_path / "b").exists()
    state = (tmp_path / "backups" / backup_id / "state.db").read_bytes()
    stored = b"".join(place.read(f"{backup_id}/state.db.sealed"))
    assert state[:1000] not in stored
    assert offsite(place, tmp_path).reading.problems(copy, Watcher()) == []  # of the stored bytes


def test_an_unencrypted_file_in_an_encrypted_copy_is_refused(place: Place, tmp_path: Path) -> None:
    backup_id = backup(tmp_path / "backups")
    there = offsite(place, tmp_path, key=KEY)
    there.push(backup_id, Watcher())
    plain = offsite(place, tmp_path / "x")
    backup(tmp_path / "x/backups")
    text = b"".join(place.read(f"{backup_id}/{COPY}")).decode()
    put(place, f"{backup_id}/{COPY}", text.replace("state.db.sealed", "state.db").encode())

    with pytest.raises(InvalidInputError, match="should be encrypted"):
        there.reading.fetch(backup_id, tmp_path / "back", Watcher())
    assert plain.key is None


def test_a_damaged_backup_is_not_copied(place: Place, tmp_path: Path) -> None:
    backup_id = backup(tmp_path / "backups")
    with (tmp_path / "backups" / backup_id / "state.db").open("r+b") as file:
        file.write(b"damage")

    with pytest.raises(InvalidInputError, match="not what it was"):
        offsite(place, tmp_path).push(backup_id, Watcher())
    with pytest.raises(NotFoundError):
        offsite(place, tmp_path).push("2020-01-01T00-00-00Z", Watcher())
    assert place.listed() == []


def test_nothing_is_overwritten_by_a_fetch(place: Place, tmp_path: Path) -> None:
    backup_id = backup(tmp_path / "backups")
    there = offsite(place, tmp_path)
    there.push(backup_id, Watcher())
    (tmp_path / "back").mkdir()

    with pytest.raises(ConflictError):
        there.reading.fetch(backup_id, tmp_path / "back", Watcher())
    assert list((tmp_path / "back").iterdir()) == []


def test_what_is_no_copy_is_told_and_left(place: Place, tmp_path: Path) -> None:
    put(place, f"a/{COPY}", b"[]")
    put(place, f"b/{COPY}", b"{" * 100_000)
    put(place, "c/state.db", b"?")

    there = offsite(place, tmp_path, keep=1).reading.there()

    assert there.copies == ()
    assert set(there.unreadable) == {"a", "b"}
    assert there.halves == ("c",)
    assert offsite(place, tmp_path, keep=1).prune(INSTANCE, Watcher()) == ()
    assert len(place.listed()) == 3


class Faulty(Directory):
    """A directory that stores other bytes than it was given, or breaks off when it removes."""

    def __init__(self, root: Path, spoil: Callable[[bytes], bytes], *, proves: bool) -> None:
        super().__init__(DirectoryTarget(str(root)))
        self.proves = proves
        self.spoil = spoil
        self.removals = 0

    def put(self, name: str, content: Content, is_wanted: Callable[[], bool]) -> None:
        data = self.spoil(b"".join(content.chunks()))
        super().put(name, Content(len(data), lambda: iter([data])), is_wanted)

    def remove(self, name: str) -> None:
        self.removals += 1
        if self.removals > 1:
            raise UnavailableError("it is away")
        super().remove(name)


@pytest.mark.parametrize(
    ("proves", "spoil"),
    [
        (False, lambda data: b"?" + data[1:]),
        (False, lambda data: data[:-1]),
        (True, lambda data: data[:-1]),
    ],
    ids=["other bytes", "one byte less", "one byte less where digests are compared there"],
)
def test_a_place_that_stores_something_else_has_no_copy(
    tmp_path: Path, proves: bool, spoil: Callable[[bytes], bytes]
) -> None:
    (tmp_path / "there").mkdir()
    place = Faulty(tmp_path / "there", spoil, proves=proves)

    with pytest.raises(UnavailableError, match="does not read back"):
        offsite(place, tmp_path).push(backup(tmp_path / "backups"), Watcher())
    assert place.listed() == []


def test_an_offsite_json_that_does_not_read_back_makes_no_copy(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    place = Faulty(
        tmp_path / "there",
        lambda data: data.replace(b"scheduled", b"scheduLed") if b"offsite" in data else data,
        proves=True,
    )

    with pytest.raises(UnavailableError, match=r"offsite\.json does not read back"):
        offsite(place, tmp_path).push(backup(tmp_path / "backups"), Watcher())
    assert offsite(place, tmp_path).reading.there().copies == ()


def test_a_removal_that_breaks_off_leaves_no_copy(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    place = Faulty(tmp_path / "there", lambda data: data, proves=False)
    backup_id = backup(tmp_path / "backups")
    there = offsite(place, tmp_path)
    there.push(backup_id, Watcher())

    with pytest.raises(UnavailableError):
        there.remove(backup_id)

    assert there.reading.there().copies == ()
    assert there.reading.there().halves == (backup_id,)


# -- faults of single places ---------------------------------------------------------------------


def test_a_directory_that_is_not_mounted_is_not_filled(tmp_path: Path) -> None:
    backup_id = backup(tmp_path / "backups")
    place = Directory(DirectoryTarget(str(tmp_path / "mnt/bty")))

    with pytest.raises(StorageError, match="mount it"):
        offsite(place, tmp_path).push(backup_id, Watcher())
    assert not (tmp_path / "mnt").exists()


def test_wrong_credentials_are_told_as_what_they_are(
    s3: places.S3, dav: places.Dav, tmp_path: Path
) -> None:
    backup_id = backup(tmp_path / "backups")

    for place, words in (
        (s3.bucket(secret="wrong"), "access key or its secret"),
        (dav.folder(password="wrong"), "user or the password"),
    ):
        with pytest.raises(NotAllowedError, match=words) as failure:
            offsite(place, tmp_path).push(backup_id, Watcher())
        assert places.SECRET not in failure.value.message
        with pytest.raises(NotAllowedError):
            offsite(place, tmp_path).reading.there()


def test_a_wrong_clock_is_told_as_what_it_is(s3: places.S3, tmp_path: Path) -> None:
    backup_id = backup(tmp_path / "backups")

    for hours in (-5, 5):
        with pytest.raises(UnavailableError, match="set the clock right"):
            offsite(s3.bucket(hours_off=hours), tmp_path).push(backup_id, Watcher())


def test_parts_that_are_there_are_not_sent_again(s3: places.S3, tmp_path: Path) -> None:
    backup_id = backup(tmp_path / "backups", size=6 * PART_BYTES)
    prefix = f"parts-{next(_numbers)}"
    with tapped(s3.port) as tap:
        tap.cut_at = int(4.5 * PART_BYTES)
        with pytest.raises(UnavailableError):
            offsite(s3.bucket(prefix=prefix, port=tap.port), tmp_path).push(backup_id, Watcher())
    assert len(s3.bucket(prefix=prefix).abandoned()) == 1

    with tapped(s3.port) as tap:
        offsite(s3.bucket(prefix=prefix, port=tap.port), tmp_path).push(backup_id, Watcher())
        assert 2 * PART_BYTES < tap.sent < 2.5 * PART_BYTES

    place = s3.bucket(prefix=prefix)
    offsite(place, tmp_path).reading.fetch(backup_id, tmp_path / "back", Watcher())
    assert content(tmp_path / "back") == content(tmp_path / "backups" / backup_id)
    assert place.abandoned() == []


def test_other_bytes_under_an_unfinished_upload_are_sent_again(
    s3: places.S3, tmp_path: Path
) -> None:
    prefix = f"parts-{next(_numbers)}"
    cut = Watcher(lambda step: step.words == "sending state.db" and step.done > 2 * PART_BYTES)
    backup_id = backup(tmp_path / "before/backups", size=LARGE)
    with pytest.raises(CancelledError):
        offsite(s3.bucket(prefix=prefix), tmp_path / "before").push(backup_id, cut)
    backup(tmp_path / "backups", size=LARGE)

    there = offsite(s3.bucket(prefix=prefix), tmp_path)
    there.push(backup_id, Watcher())
    there.reading.fetch(backup_id, tmp_path / "back", Watcher())

    assert content(tmp_path / "back") == content(tmp_path / "backups" / backup_id)


def test_uploads_that_nobody_finishes_are_aborted(s3: places.S3, tmp_path: Path) -> None:
    prefix = f"parts-{next(_numbers)}"
    place = s3.bucket(prefix=prefix)
    cut = Watcher(lambda step: step.words == "sending state.db" and step.done > 2 * PART_BYTES)
    with pytest.raises(CancelledError):
        offsite(place, tmp_path).push(backup(tmp_path / "backups", size=LARGE), cut)

    assert place.tidy(3600) == 0
    assert len(place.abandoned()) == 1
    assert place.tidy(-3600) == 1
    assert place.abandoned() == []


def test_a_list_of_many_pages_is_read_to_its_end(s3: places.S3) -> None:
    place = s3.bucket(prefix=f"many-{next(_numbers)}")
    for number in range(5):
        put(place, f"{number}/{COPY}", b"x")

    pages = Paged(place)
    assert len(place.listed()) == 5
    assert pages.count == 3


class Paged:
    """Has a bucket ask for two names at a time, and counts."""

    def __init__(self, place: object) -> None:
        self.count = 0
        real = place._sure  # type: ignore[attr-defined]

        def sure(call: object) -> object:
            if "max-keys" in call.query:  # type: ignore[attr-defined]
                self.count += 1
                call.query["max-keys"] = "2"  # type: ignore[attr-defined]
            return real(call)

        place._sure = sure  # type: ignore[attr-defined]


def test_a_connection_that_breaks_off_is_gone_on_with_when_a_copy_comes(
    s3: places.S3, tmp_path: Path
) -> None:
    backup_id = backup(tmp_path / "backups", size=LARGE)
    prefix = f"back-{next(_numbers)}"
    offsite(s3.bucket(prefix=prefix), tmp_path).push(backup_id, Watcher())
    with tapped(s3.port) as tap:
        tap.cut_answers_after = 2 * PART_BYTES
        there = offsite(s3.bucket(prefix=prefix, port=tap.port), tmp_path)
        there.reading.fetch(backup_id, tmp_path / "back", Watcher())
        assert tap.cuts == 1

    assert content(tmp_path / "back") == content(tmp_path / "backups" / backup_id)
