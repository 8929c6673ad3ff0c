from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain.offsite import (
    BucketTarget,
    CopiedFile,
    Copy,
    DirectoryTarget,
    Taken,
    WebTarget,
    check_id,
    copy_text,
    fates,
    missing,
    parse_copy,
    parse_target,
)
from bty_app.errors import InvalidInputError

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
FILE = CopiedFile("inventory.json", "inventory.json.sealed", 5, "a" * 64)
COPY = Copy("2026-11-22", "i", "scheduled", NOW, "0" * 16, (FILE,))


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("file:///mnt/nas/bty/", DirectoryTarget("/mnt/nas/bty")),
        ("file:///a%20b", DirectoryTarget("/a b")),
        (
            "s3://copies/lab/1?endpoint=https://nas:9000&region=eu-1",
            BucketTarget("https://nas:9000", "copies", "lab/1", "eu-1"),
        ),
        (
            "s3://copies?region=eu-central-1",
            BucketTarget("https://s3.eu-central-1.amazonaws.com", "copies", "", "eu-central-1"),
        ),
        ("https://dav.example:8443/bty/", WebTarget("https://dav.example:8443/bty")),
        ("http://[2001:db8::1]/x", WebTarget("http://[2001:db8::1]/x")),
    ],
)
def test_a_url_says_where(url: str, target: object) -> None:
    assert parse_target(url) == target


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/srv",
        "file://host/srv",
        "file:///",
        "file:///a/../etc",
        "file:///a/%2e%2e/etc",
        "s3:///prefix",
        "s3://UPPER/x",
        "s3://b/x?endpoint=ftp://h",
        "s3://b/x?endpoint=https://h/path",
        "s3://b/x?secret=1",
        "s3://b/x?endpoint=https://me:pw@h",
        "https://me:pw@host/x",
        "https://host/x?token=1",
        "https://host/x#y",
        "https:///x",
        "https://host:0/x",
        "https://host:99999/x",
        "https://ho st/x",
        "https://h\u00f6st/x",
        "ftp://host/x",
        "https://[::1/x",
    ],
)
def test_what_is_no_place_is_refused(url: str) -> None:
    with pytest.raises(InvalidInputError):
        parse_target(url)


@given(st.text(max_size=60))
def test_any_text_is_a_place_or_refused(text: str) -> None:
    for url in (text, f"s3://b/{text}", f"https://h/{text}", f"file:///{text}"):
        try:
            parse_target(url)
        except InvalidInputError:
            continue


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", ".tmp-x", "a" * 101, "ä", "a b"])
def test_an_id_is_the_name_of_one_folder(name: str) -> None:
    with pytest.raises(InvalidInputError):
        check_id(name)


def test_what_a_copy_says_is_read_as_it_was_written() -> None:
    assert parse_copy(copy_text(COPY, NOW), COPY.backup_id) == COPY


def _changed(**more: object) -> bytes:
    return json.dumps({**json.loads(copy_text(COPY, NOW)), **more}).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b"\xff",
        b"[" * 20_000,
        _changed(bty_offsite_version=2),
        _changed(backup_id="other"),
        _changed(backup_id=None),
        _changed(trigger="x" * 201),
        _changed(created_at="2026-11-22T03:00:00"),
        _changed(created_at="soon"),
        _changed(created_at=5),
        _changed(files=[]),
        _changed(files={}),
        _changed(files=5),
        _changed(files=[{}]),
        *(
            _changed(files=[{"name": "state.db", "stored": "state.db", **file}])
            for file in (
                {"size": 1, "sha256": "A" * 64},
                {"size": -1, "sha256": "a" * 64},
                {"size": True, "sha256": "a" * 64},
                {"size": 1.5, "sha256": "a" * 64},
                {"size": 1, "sha256": "a" * 64, "stored": "../x"},
                {"size": 1, "sha256": "a" * 64, "name": "../x", "stored": "../x"},
                {"size": 1, "sha256": "a" * 64, "name": "x", "stored": "x"},
                {"size": 1, "sha256": "a" * 64, "name": ["x"]},
            )
        ),
        _changed(
            files=[{"name": "state.db", "stored": "state.db", "size": 1, "sha256": "a" * 64}] * 2
        ),
    ],
)
def test_what_does_not_say_a_copy_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInputError):
        parse_copy(data, COPY.backup_id)


@given(st.recursive(st.none() | st.integers() | st.text(), lambda x: st.dictionaries(st.text(), x)))
def test_any_json_is_a_copy_or_refused(value: object) -> None:
    for data in (json.dumps(value).encode(), _changed(files=[value]), _changed(created_at=value)):
        with pytest.raises(InvalidInputError):
            parse_copy(data, COPY.backup_id)


def copy(days: int, trigger: str = "scheduled", instance: str = "i") -> Copy:
    at = NOW - timedelta(days=days)
    return Copy(f"day-{days}", instance, trigger, at, "", (FILE,))


def taken(days: int, trigger: str = "scheduled") -> Taken:
    return Taken(f"day-{days}", "i", trigger, NOW - timedelta(days=days))


def test_the_newest_of_this_servers_schedule_stay() -> None:
    copies = [copy(n) for n in range(1, 6)] + [copy(8, "manual"), copy(9, instance="other")]

    gone = [f.item.id for f in fates(copies, "i", 2, NOW) if not f.stays]

    assert gone == ["day-3", "day-4", "day-5"]
    assert all(fate.stays for fate in fates(copies, "i", 0, NOW))


def test_what_is_missing_is_copied_oldest_first_unless_it_would_go_at_once() -> None:
    here = [taken(n) for n in range(1, 6)] + [taken(8, "manual")]

    assert missing(here, [], 0, NOW) == ("day-8", "day-5", "day-4", "day-3", "day-2", "day-1")
    assert missing(here, [], 2, NOW) == ("day-8", "day-2", "day-1")
    assert missing(here, [copy(1), copy(8, "manual")], 2, NOW) == ("day-2",)
    assert missing(here, [copy(1), copy(2)], 2, NOW) == ("day-8",)
    assert missing([], [copy(1)], 2, NOW) == ()
    assert missing([], [], 0, NOW) == ()


@given(st.sets(st.integers(0, 30)), st.sets(st.integers(0, 30)), st.integers(1, 8))
def test_what_is_copied_is_never_removed_right_after(
    here: set[int], there: set[int], keep: int
) -> None:
    new = missing([taken(n) for n in here], [copy(n) for n in there], keep, NOW)
    copies = [copy(n) for n in there | {int(name[4:]) for name in new}]

    gone = {f.item.id for f in fates(copies, "i", keep, NOW) if not f.stays}

    assert not gone & set(new)
