from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain.rotation import (
    Stamp,
    Verdict,
    archive_name,
    in_file_name,
    is_archive_name,
    is_carried,
    quarantine_name,
    sane_version,
    verdict,
)

NOW = datetime(2026, 5, 25, 10, 15, 30, tzinfo=UTC)
RUNNING = Stamp("1.0", 7, 1)


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (Stamp("1.0", 7, 1), Verdict.KEEP),
        (Stamp("0.9", 7, 1), Verdict.ROTATE),
        (Stamp("1.1", 7, 1), Verdict.ROTATE),
        (Stamp("1.0", 0, 0), Verdict.ROTATE),
        (Stamp("1.0", 7, 2), Verdict.ROTATE),
        (Stamp("pre-versioning", 0, 0), Verdict.ROTATE),
        (Stamp(None, 0, 0), Verdict.REPLACE),
        (Stamp(None, 7, 1), Verdict.REPLACE),
    ],
)
def test_a_database_is_kept_only_when_all_of_its_stamp_is_ours(
    found: Stamp, expected: Verdict
) -> None:
    assert verdict(found, RUNNING) is expected


def test_an_archive_is_named_by_version_and_time() -> None:
    assert archive_name("0.27.4", NOW, ()) == "state.db.0.27.4.20260525T101530Z.bak"


def test_the_time_in_a_name_is_utc() -> None:
    elsewhere = NOW.astimezone(timezone(timedelta(hours=9)))

    assert archive_name("1", elsewhere, ()) == "state.db.1.20260525T101530Z.bak"
    assert quarantine_name(elsewhere, ()) == "20260525T101530Z"


def test_a_name_that_is_taken_gets_a_number_before_the_suffix() -> None:
    first = archive_name("1", NOW, ())
    second = archive_name("1", NOW, {first})
    third = archive_name("1", NOW, {first, second})

    assert second == "state.db.1.20260525T101530Z.1.bak"
    assert third == "state.db.1.20260525T101530Z.2.bak"
    assert quarantine_name(NOW, {"20260525T101530Z"}) == "20260525T101530Z.1"


@pytest.mark.parametrize(
    ("version", "part"),
    [
        ("0.65.18", "0.65.18"),
        ("0.60.0+local 1", "0.60.0_local_1"),
        ("../../etc", "_.._etc"),
        ("..", "unknown"),
        ("", "unknown"),
        ("é", "_"),
        ("x" * 100, "x" * 64),
    ],
)
def test_only_harmless_characters_reach_a_file_name(version: str, part: str) -> None:
    assert in_file_name(version) == part


@given(st.text(max_size=100))
def test_no_version_leads_out_of_the_directory(version: str) -> None:
    name = archive_name(version, NOW, ())

    assert is_archive_name(name)
    assert "/" not in name
    assert len(name) < 120


@pytest.mark.parametrize("name", ["state.db", "state.db.bak", "state.db.1.2026.bak", "x.bak"])
def test_other_names_are_no_archives(name: str) -> None:
    assert not is_archive_name(name)


@pytest.mark.parametrize("text", ["", " ", "a/b", "a\\b", "a\0b", "a\nb", "é", "x" * 65])
def test_what_cannot_be_a_release_is_unknown(text: str) -> None:
    assert sane_version(text) == "unknown"


@pytest.mark.parametrize("text", ["0.58.2", "0.90.0.dev1+g12ab", "1!2.0", "pre-versioning"])
def test_what_can_be_a_release_stays(text: str) -> None:
    assert sane_version(text) == text


@pytest.mark.parametrize(
    ("key", "carried"),
    [
        ("backup.enabled", True),
        ("backup.last_run_at", True),
        ("upstream.catalog_url", True),
        ("display.timezone", True),
        ("withcache.url", True),
        ("boot.grace_seconds", True),
        ("server.public_url", True),
        ("session.secret", False),
        ("withcache.url.more", False),
        ("backup", False),
    ],
)
def test_settings_that_only_configure_operations_are_carried(key: str, carried: bool) -> None:
    assert is_carried(key) is carried
