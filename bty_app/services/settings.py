"""Operator settings: read once for each change of them, and changed."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from bty_app.domain import settings as table
from bty_app.domain import settings_events as audit
from bty_app.domain.boot import Limits
from bty_app.domain.catalog_events import By
from bty_app.domain.events import Actor
from bty_app.domain.flash_options import FlashOptions
from bty_app.domain.flash_rules import Rules
from bty_app.domain.moments import stamp
from bty_app.domain.setting import Setting
from bty_app.errors import ConflictError, StorageError, ValidationError
from bty_app.services.audit import record_if_possible
from bty_app.services.clock import Clock, utc_now
from bty_app.services.revisions import Revisions
from bty_app.store import events
from bty_app.store import settings as rows
from bty_app.store.database import Database, Tx

CHANGED_HERE = "changed here"
_DEFAULT = "default"


@dataclass(frozen=True, slots=True)
class Shown:
    """A setting as people see it: without the password of a URL.

    `where` is where the value comes from, `default` what it would be had nobody changed it here,
    and `problem` why what is stored counts as not set.
    """

    setting: Setting
    value: str
    where: str
    default: str
    problem: str

    @property
    def is_changed(self) -> bool:
        """Whether something is stored."""
        return self.where == CHANGED_HERE

    def as_data(self) -> dict[str, object]:
        """It for scripts."""
        return {
            "key": self.setting.key,
            "value": self.value,
            "from": self.where,
            "default": self.default,
            "help": self.setting.help,
            "problem": self.problem or None,
        }


class Settings:
    """The stored settings, kept in memory until their revision changes. Any thread may call."""

    def __init__(
        self,
        database: Database,
        revisions: Revisions,
        *,
        configured: Mapping[str, str] = MappingProxyType({}),
        provenance: Mapping[str, str] = MappingProxyType({}),
        clock: Clock = utc_now,
    ) -> None:
        """`configured` has the values of the configuration keys that rows of the table name, and
        `provenance` where those come from.
        """
        self._database = database
        self._revisions = revisions
        self._configured = configured
        self._provenance = provenance
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: str | None = None
        self._stored: dict[str, str] = {}

    # -- reading -------------------------------------------------------------------------------

    def stored(self) -> dict[str, str]:
        """All stored settings by key; those that were read last while none can be read."""
        revision = self._revisions.current("settings")
        with self._lock:
            known, seen = self._stored, self._seen
        if revision == seen:
            return known
        try:
            stored = self._database.read(rows.every)
        except (StorageError, ConflictError):
            if seen is None:
                raise
            return known
        with self._lock:
            self._seen, self._stored = revision, stored
        return stored

    def limits(self) -> Limits:
        """The bounds of a boot cycle."""
        return table.limits(self.stored())

    def rules(self) -> Rules:
        """The rules of the site that bound flashes."""
        return table.rules(self.stored())

    def flash_options(self) -> FlashOptions:
        """What is done besides when an image is written."""
        return table.flash_options(self.stored())

    def undo_minutes(self) -> int:
        """For how many minutes an act on many machines can be undone."""
        return int(table.value(table.UNDO_MINUTES, self.stored()))

    def events_keep_days(self) -> int:
        """For how many days events are kept; 0 for ever."""
        return int(table.value(table.EVENTS_KEEP_DAYS, self.stored()))

    def silence_minutes(self) -> int:
        """After how many minutes without a word a flash is a fault."""
        return int(table.value(table.SILENCE_MINUTES, self.stored()))

    def up_minutes(self) -> int:
        """After how many minutes a flashed system that has not said that it is up is a fault."""
        return int(table.value(table.UP_MINUTES, self.stored()))

    def flash_done(self) -> str:
        """When a flash counts as done where nothing is said of the machine itself."""
        return str(table.value(table.FLASH_DONE, self.stored()))

    def text(self, setting: Setting) -> str:
        """The value of a setting of text: the stored one, else the configured one."""
        stored = str(table.value(setting, self.stored()))
        return stored or self._configured.get(setting.configured, "")

    def shown(self) -> list[Shown]:
        """Every row of the table, as it is now."""
        stored = self._database.read(rows.every)
        return [self._shown(setting, stored.get(setting.key)) for setting in table.SETTINGS]

    def _shown(self, setting: Setting, stored: str | None) -> Shown:
        configured = self._configured.get(setting.configured, "")
        default = setting.mask(configured or str(setting.default))
        if stored is None:
            where = self._provenance.get(setting.configured, _DEFAULT)
            return Shown(setting, default, where, default, "")
        value = setting.mask(stored)
        problem = table.problem(setting, stored)
        if problem:
            problem = f"it {problem}; until then the default counts"
        return Shown(setting, value, CHANGED_HERE, default, problem)

    # -- changing ------------------------------------------------------------------------------

    def change(self, wanted: Mapping[str, str], *, ip: str | None) -> list[str]:
        """Store each text under its key, and go back to the default where it is empty; return
        the keys of those that are another now. All or nothing.

        Raises:
            ValidationError: there is no such setting, or a text breaks its rule.
            StorageError, ConflictError: they could not be stored.
        """
        texts = {key: _checked(key, text) for key, text in wanted.items()}
        at, by = stamp(self._clock()), By(Actor.OPERATOR, ip)

        def change(tx: Tx) -> list[str]:
            stored = rows.every(tx)
            changes = {
                key: audit.Change(stored.get(key), text)
                for key, text in texts.items()
                if stored.get(key) != text
            }
            for key, found in changes.items():
                if found.new is None:
                    rows.remove(tx, key)
                else:
                    rows.put(tx, key, found.new, at=at)
            if changes:
                events.record(tx, audit.updated(changes, by), at=at)
            return sorted(changes)

        try:
            return self._database.write(change)
        except (StorageError, ConflictError) as error:
            failed = audit.update_failed(texts, error.message, by)
            record_if_possible(self._database, failed, at=at)
            raise


def _checked(key: str, text: str) -> str | None:
    """The text in its stored form; None for nothing."""
    setting = table.SETTINGS_BY_KEY.get(key)
    if setting is None:
        raise ValidationError(f"there is no setting {key[:80]!r}")
    return table.checked(setting, text) if text.strip() else None
