"""Operator settings, read once for each change of them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import MappingProxyType

from bty_app.domain import settings as table
from bty_app.domain.boot import Limits
from bty_app.domain.events import Actor, Event, Kind, Subject
from bty_app.domain.image_source import without_credentials
from bty_app.domain.moments import stamp
from bty_app.services.clock import Clock, utc_now
from bty_app.services.revisions import Revisions
from bty_app.store import events
from bty_app.store import settings as rows
from bty_app.store.database import Database, Tx


class Settings:
    """The stored settings, kept in memory until their revision changes."""

    def __init__(
        self,
        database: Database,
        revisions: Revisions,
        *,
        configured: Mapping[str, str] = MappingProxyType({}),
        clock: Clock = utc_now,
    ) -> None:
        """`configured` has the values of the configuration keys that rows of the table name."""
        self._database = database
        self._revisions = revisions
        self._configured = configured
        self._clock = clock
        self._lock = threading.Lock()
        self._seen: str | None = None
        self._stored: dict[str, str] = {}

    def stored(self) -> dict[str, str]:
        """All stored settings by key."""
        revision = self._revisions.current("settings")
        with self._lock:
            if revision == self._seen:
                return self._stored
        stored = self._database.read(rows.every)
        with self._lock:
            self._seen, self._stored = revision, stored
        return stored

    def limits(self) -> Limits:
        """The bounds of a boot cycle."""
        return table.limits(self.stored())

    def silence_minutes(self) -> int:
        """After how many minutes without a word a flash is a fault."""
        return int(table.value(table.SILENCE_MINUTES, self.stored()))

    def text(self, setting: table.Setting) -> str:
        """The value of a setting of text: the stored one, else the configured one."""
        stored = str(table.value(setting, self.stored()))
        return stored or self._configured.get(setting.configured, "")

    def is_stored(self, setting: table.Setting) -> bool:
        """Whether an operator has set it, over what is configured."""
        return bool(table.value(setting, self.stored()))

    def change_upstream(self, wanted: Mapping[str, str], *, ip: str | None) -> None:
        """Set where things come from, by the keys of `UPSTREAM`; an empty text goes back.

        Raises:
            ValidationError: a value breaks its rule; nothing is changed.
        """
        by_key = {setting.key: setting for setting in table.UPSTREAM}
        checked = {
            key: table.checked(by_key[key], text) if text.strip() else ""
            for key, text in wanted.items()
        }
        at = stamp(self._clock())

        def change(tx: Tx) -> None:
            before = rows.every(tx)
            changes: dict[str, object] = {}
            for key, value in checked.items():
                old = before.get(key, "")
                if value == old:
                    continue
                changes[key.partition(".")[2]] = {
                    "old": without_credentials(old),
                    "new": without_credentials(value),
                }
                if value:
                    rows.put(tx, key, value, at=at)
                else:
                    rows.remove(tx, key)
            if changes:
                events.record(tx, _upstream_updated(changes, ip), at=at)

        self._database.write(change)


def _upstream_updated(changes: Mapping[str, object], ip: str | None) -> Event:
    return Event(
        Kind.SETTINGS_UPSTREAM_UPDATED,
        Actor.OPERATOR,
        f"upstream sources changed: {', '.join(changes)}",
        Subject("settings", "upstream"),
        ip,
        changes,
    )
