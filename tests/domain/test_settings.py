"""Settings that an operator changes while the server runs."""

from __future__ import annotations

import pytest

from bty_app.domain import backup_settings as backups
from bty_app.domain import settings as table
from bty_app.domain.boot import Limits
from bty_app.domain.flash_options import NO_OPTIONS, FlashOptions
from bty_app.errors import ValidationError

EDGES = [
    (table.GRACE_SECONDS, 0, 86_400),
    (table.MAX_ATTEMPTS, 1, 100),
    (table.SILENCE_MINUTES, 1, 1_440),
    (table.UP_MINUTES, 1, 10_080),
    (table.FLASHES_PER_HOUR, 0, 100_000),
    (table.ORDER_EXPIRES, 0, 8_760),
    (table.FLASH_STALL, 5, 3_600),
    (table.UNDO_MINUTES, 0, 1_440),
    (backups.KEEP, 1, 1_000),
    (backups.KEEP_DAILY, 0, 1_000),
    (backups.KEEP_WEEKLY, 0, 1_000),
    (backups.KEEP_MONTHLY, 0, 1_000),
    (backups.ALARM_HOURS, 0, 8_760),
]


TEXTS = [
    (
        table.CATALOG_URL,
        ["https://h/catalog.toml", "oras://r/o/c:1", "/srv/catalog.toml"],
        ["a b", "a\nb", "x" * 3000],
    ),
    (
        table.WITHCACHE_URL,
        ["http://192.0.2.1:8081", "https://cache.example.com/base", "http://[::1]:8081"],
        ["cache", "ftp://h", "http://me:pw@h", "http://h/?q", "http://h\nx", "http://h/$(x)"],
    ),
    (
        table.NETBOOT_REPO,
        ["safl/bty", "https://example.com/bty", "/srv/releases"],
        ["bty", "a/b/c", "ftp://h/x", "https://h/?q", "https://h/a b"],
    ),
    (table.NETBOOT_TAG, ["latest", "v0.77.2", "0.9_rc-1"], ["", "-x", "../x", "a b", "v" * 65]),
]

RULES = [
    (table.EVENTS_KEEP_DAYS, ["0", "30", "36500"], ["29", "36501", "", "-1", "٣٠"]),
    (table.FLASH_HOURS, ["", "22:00-06:00", "00:00-23:59"], ["22-6", "24:00-01:00", "1:00-1:00"]),
    (table.FLASH_ZONE, ["UTC", "Europe/Berlin"], ["Mars/Base", "../etc/passwd", "x" * 3000]),
    (table.NEVER_LABELS, ["", "storage", "rack 4, storage"], ["a\nb", "x" * 3000]),
    (
        table.FLASH_WIPE,
        ["no", "auto", "discard", "secure", "overwrite"],
        ["yes", "dd", "Secure", "x" * 3000],
    ),
    (table.FLASH_VERIFY, ["no", "yes"], ["true", "1", "x" * 3000]),
    (table.FLASH_DONE, ["written", "booted"], ["up", "", "x" * 3000]),
    (
        table.WEBHOOK_TARGETS,
        ["", "*failed,machine.flashed https://example.com/a; * http://192.0.2.5/b"],
        ["*", "* ftp://h/a", "* https://h/a b"],
    ),
    (backups.CADENCE, ["daily", "weekly", "manual"], ["", "hourly", "1"]),
    (backups.AT, ["03:00", "23:59"], ["", "24:00", "3", "03:60", "03:00:00"]),
    (backups.WEEKDAY, ["monday", "sunday"], ["", "sun", "7"]),
    (backups.ZONE, ["UTC", "Europe/Berlin"], ["Mars/Base", "../etc/passwd"]),
    (backups.INCLUDE_STATE, ["yes", "no"], ["", "maybe"]),
    (backups.SKIP_UNCHANGED, ["yes", "no"], ["", "maybe"]),
    (
        backups.PING_URL,
        ["", "https://example.com/ping/3f2a", "http://192.0.2.1:8000/x?y=z"],
        ["ftp://h/x", "https://h/a b", "https://h/\na", "https://" + "x" * 2000],
    ),
]


def test_every_setting_is_in_the_table_once_with_a_valid_default_and_help() -> None:
    keys = [setting.key for setting in table.SETTINGS]

    assert sorted(keys) == sorted({*keys})
    tested = {setting.key for setting, _, _ in EDGES} | {key.key for key, _, _ in TEXTS + RULES}
    assert tested == set(keys)
    for setting in table.SETTINGS:
        if not setting.configured:
            assert setting.parse(str(setting.default)) == setting.default
        assert setting.help.endswith(".")


@pytest.mark.parametrize(("setting", "low", "high"), EDGES)
def test_a_number_is_taken_within_its_bounds(setting: table.Setting, low: int, high: int) -> None:
    for number in (low, high):
        assert table.checked(setting, f" {number} ") == str(number)
        assert table.value(setting, {setting.key: str(number)}) == number
    for text in (str(low - 1), str(high + 1), "", "x", "1.5", "-1", "\u0661", "9" * 5000):
        with pytest.raises(ValidationError, match=f"{setting.key}.* from {low} to {high}"):
            table.checked(setting, text)


@pytest.mark.parametrize(("setting", "good", "bad"), TEXTS)
def test_an_address_is_taken_by_its_rule(
    setting: table.Setting, good: list[str], bad: list[str]
) -> None:
    for text in good:
        assert table.value(setting, {setting.key: table.checked(setting, text)}) == text
    for text in bad:
        with pytest.raises(ValidationError, match=f"{setting.key}: .* is not a"):
            table.checked(setting, text)
        assert table.value(setting, {setting.key: text}) == ""


@pytest.mark.parametrize("bad", ["", "x", "-1", "9" * 5000, "1 ", "0x10"])
def test_a_bad_stored_value_counts_as_not_set(bad: str) -> None:
    assert table.limits({"boot.grace_seconds": bad, "boot.max_attempts": bad}) == Limits()


def test_without_stored_values_the_bounds_are_the_documented_ones() -> None:
    assert table.limits({}) == Limits(grace_seconds=120, max_attempts=5)
    assert table.limits({"boot.grace_seconds": "0", "boot.max_attempts": "1"}) == Limits(0, 1)
    assert table.value(table.SILENCE_MINUTES, {}) == 10


@pytest.mark.parametrize(("setting", "good", "bad"), RULES)
def test_a_rule_is_taken_in_its_own_form(
    setting: table.Setting, good: list[str], bad: list[str]
) -> None:
    for text in good:
        assert str(table.value(setting, {setting.key: table.checked(setting, text)})) == text
    for text in bad:
        with pytest.raises(ValidationError, match=setting.key):
            table.checked(setting, text)


def test_nothing_is_wiped_or_read_back_unless_that_is_set() -> None:
    assert table.flash_options({}) == NO_OPTIONS
    assert table.flash_options({"flash.wipe": "dd", "flash.verify": "true"}) == NO_OPTIONS
    stored = {"flash.wipe": "secure", "flash.verify": "yes", "flash.stall_seconds": "90"}
    assert table.flash_options(stored) == FlashOptions("secure", verify=True, stall_seconds=90)
