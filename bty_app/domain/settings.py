"""Settings that an operator changes while the server runs: name, default, rule, help.

The program, the pages and the documentation read this table. A stored value that breaks its
rule counts as not set: a bad row never stops a boot.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC
from zoneinfo import ZoneInfo

from bty_app.domain import webhooks
from bty_app.domain.backup_settings import BACKUP
from bty_app.domain.boot import Limits
from bty_app.domain.flash_options import (
    OWN_DONES,
    STALL_SECONDS,
    USUAL_STALL_SECONDS,
    WIPE_METHODS,
    WRITTEN,
    FlashOptions,
)
from bty_app.domain.flash_rules import Hours, Rules, parse_hours
from bty_app.domain.machine import parse_assignment
from bty_app.domain.release import check_source, check_tag
from bty_app.domain.setting import Setting, no_or_within, time_zone, value, whole_number
from bty_app.errors import ValidationError

__all__ = [
    "SETTINGS",
    "SETTINGS_BY_KEY",
    "Setting",
    "checked",
    "limits",
    "problem",
    "rules",
    "value",
]


def _source(text: str) -> str:
    if not text or len(text) > 2048 or not text.isprintable() or " " in text:
        raise ValueError("a source without spaces, such as https://host/catalog.toml")
    return text


def _named(rule: Callable[[str], str], what: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        try:
            return rule(text)
        except ValueError as error:
            raise ValueError(f"{what}: {error}") from error

    return parse


def _one_of(*words: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        if text not in words:
            raise ValueError(f"one of {', '.join(words)}")
        return text

    return parse


def _base_url(text: str) -> str:
    # It goes into plans and boot scripts: no space, quotes, credentials, query or fragment.
    plain = re.fullmatch(r"https?://[A-Za-z0-9.:_\[\]-]+(/[A-Za-z0-9._~/-]*)?", text, re.ASCII)
    if not plain or len(text) > 512:
        raise ValueError("a URL such as http://192.0.2.1:8081")
    return text.rstrip("/")


def _hours(text: str) -> str:
    if text.strip():
        parse_hours(text)
    return text.strip()


def _label_list(text: str) -> str:
    labels = [part.strip() for part in text.split(",") if part.strip()]
    try:
        return ", ".join(parse_assignment({"labels": labels}).labels)
    except ValidationError:
        raise ValueError("at most 16 labels, separated by commas") from None


GRACE_SECONDS = Setting(
    "boot.grace_seconds",
    120,
    whole_number(0, 86_400),
    "A repeated contact within this many seconds gets the same answer and advances nothing.",
)
MAX_ATTEMPTS = Setting(
    "boot.max_attempts",
    5,
    whole_number(1, 100),
    "After this many attempts without success a machine is held, with a visible fault.",
)
SILENCE_MINUTES = Setting(
    "boot.silence_minutes",
    10,
    whole_number(1, 1_440),
    "A flash that reports progress and then says nothing for this many minutes is a fault;"
    " a live environment that never reports progress has six times as long.",
)

FLASHES_PER_HOUR = Setting(
    "flash.per_hour",
    0,
    whole_number(0, 100_000),
    "No more flashes than this begin within any hour; others wait their turn. 0: no bound.",
)
FLASH_HOURS = Setting(
    "flash.hours",
    "",
    _hours,
    "Flashes begin within these hours of the day only, such as 22:00-06:00. Empty: at any time.",
)
FLASH_ZONE = Setting(
    "flash.zone",
    "UTC",
    time_zone,
    "The time zone of those hours, such as Europe/Berlin.",
)
NEVER_LABELS = Setting(
    "flash.never_labels",
    "",
    _label_list,
    "Machines with one of these labels (separated by commas) are never flashed.",
)
ORDER_EXPIRES = Setting(
    "flash.order_expires_hours",
    0,
    whole_number(0, 8760),
    "An order to flash that has not begun within this many hours counts no more; one to flash at"
    " every boot begins no new flash after them. 0: orders do not expire.",
)
FLASH_WIPE = Setting(
    "flash.wipe",
    "no",
    _one_of("no", *WIPE_METHODS),
    "How a disk is erased before an image is written: secure (NVMe format or sanitize, ATA secure"
    " erase), overwrite, discard, or auto for the strongest that it has. A disk that cannot is"
    " not flashed.",
)
FLASH_VERIFY = Setting(
    "flash.verify",
    "no",
    _one_of("no", "yes"),
    "Whether everything is read back from the disk and compared after an image was written.",
)
FLASH_DONE = Setting(
    "flash.done",
    WRITTEN,
    _one_of(*OWN_DONES),
    "When a flash counts as done: written, or booted, which is when its system has said that it is"
    " up by POST /pxe/MAC/booted.",
)
UP_MINUTES = Setting(
    "boot.up_minutes",
    30,
    whole_number(1, 10_080),
    "Where a flash is done once its system is up: one that has said nothing this many minutes after"
    " it was written is a fault.",
)
FLASH_STALL = Setting(
    "flash.stall_seconds",
    USUAL_STALL_SECONDS,
    whole_number(*STALL_SECONDS),
    "A machine that flashes breaks a connection off that brings fewer than 64 KiB in this many"
    " seconds, and asks again or elsewhere. More for a mirror that has to wake up first.",
)
EVENTS_KEEP_DAYS = Setting(
    "events.keep_days",
    0,
    no_or_within(30, 36_500),
    "Events older than this many days are removed, the oldest first, up to the first failure that"
    " nobody has acknowledged. 0: all are kept. At least 30.",
)
UNDO_MINUTES = Setting(
    "bulk.undo_minutes",
    30,
    whole_number(0, 1440),
    "For this many minutes an act on many machines can be undone. 0: not at all.",
)

CATALOG_URL = Setting(
    "upstream.catalog_url",
    "",
    _source,
    "The catalog that is fetched: an http, https, oras or file URL, or a path.",
    configured="upstream.catalog_url",
)
WITHCACHE_URL = Setting(
    "withcache.url",
    "",
    _base_url,
    "The withcache that images come from.",
    configured="withcache.url",
)
NETBOOT_REPO = Setting(
    "upstream.netboot_repo",
    "",
    _named(check_source, "a source of releases"),
    "Where releases of netboot artifacts are: owner/repository, the URL of a mirror, or the path"
    " of a directory.",
    configured="upstream.netboot_repo",
)
NETBOOT_TAG = Setting(
    "upstream.netboot_tag",
    "",
    _named(check_tag, "a tag"),
    "The release to fetch; `latest` is that of the running version.",
    configured="upstream.netboot_tag",
)

WEBHOOK_TARGETS = Setting(
    "webhook.targets",
    "",
    webhooks.checked,
    "Where events are sent as they happen: patterns of their kinds and a URL, more behind a"
    " semicolon, such as: *failed,machine.flashed https://example.com/a; * http://192.0.2.5/b.",
    mask=webhooks.masked,
)

UPSTREAM = (CATALOG_URL, WITHCACHE_URL, NETBOOT_REPO, NETBOOT_TAG)
FLASH_RULES = (FLASHES_PER_HOUR, FLASH_HOURS, FLASH_ZONE, NEVER_LABELS, ORDER_EXPIRES)
SETTINGS = (
    *(GRACE_SECONDS, MAX_ATTEMPTS, SILENCE_MINUTES, UP_MINUTES),
    *FLASH_RULES,
    *(FLASH_WIPE, FLASH_VERIFY, FLASH_DONE, FLASH_STALL),
    EVENTS_KEEP_DAYS,
    UNDO_MINUTES,
    *UPSTREAM,
    WEBHOOK_TARGETS,
    *BACKUP,
)
SETTINGS_BY_KEY = {setting.key: setting for setting in SETTINGS}
SILENCE_FACTOR_WITHOUT_PROGRESS = 6


def checked(setting: Setting, text: str) -> str:
    """`text` in its stored form.

    Raises:
        ValidationError: it breaks the setting's rule.
    """
    try:
        return str(setting.parse(text.strip()))
    except ValueError as error:
        shown = setting.mask(text)[:40]
        raise ValidationError(f"{setting.key}: {shown!r} is not {error}") from error


def problem(setting: Setting, text: str) -> str:
    """Which rule `text` breaks, as a sentence; empty when it breaks none."""
    try:
        setting.parse(text.strip())
    except ValueError as error:
        return f"must be {error}"
    return ""


def limits(stored: Mapping[str, str]) -> Limits:
    """The bounds of a boot cycle."""
    return Limits(
        grace_seconds=value(GRACE_SECONDS, stored), max_attempts=value(MAX_ATTEMPTS, stored)
    )


def rules(stored: Mapping[str, str]) -> Rules:
    """The rules of the site that bound flashes."""
    hours = str(value(FLASH_HOURS, stored))
    zone = str(value(FLASH_ZONE, stored))
    found: Hours | None = parse_hours(hours) if hours else None
    labels = str(value(NEVER_LABELS, stored)).split(", ")
    return Rules(
        per_hour=value(FLASHES_PER_HOUR, stored),
        hours=found,
        zone=UTC if zone == "UTC" or not found else ZoneInfo(zone),
        never_labels=frozenset(label for label in labels if label),
        expires_hours=value(ORDER_EXPIRES, stored),
    )


def flash_options(stored: Mapping[str, str]) -> FlashOptions:
    """What is done besides when an image is written."""
    wipe = str(value(FLASH_WIPE, stored))
    return FlashOptions(
        wipe=None if wipe == "no" else wipe,
        verify=value(FLASH_VERIFY, stored) == "yes",
        stall_seconds=value(FLASH_STALL, stored),
    )
