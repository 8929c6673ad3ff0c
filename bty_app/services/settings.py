"""Operator settings, read once for each change of them."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from types import MappingProxyType

from bty_app.domain import settings as table
from bty_app.domain.boot import Limits
from bty_app.services.revisions import Revisions
from bty_app.store import settings as rows
from bty_app.store.database import Database


class Settings:
    """The stored settings, kept in memory until their revision changes."""

    def __init__(
        self,
        database: Database,
        revisions: Revisions,
        *,
        configured: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """`configured` has the values of the configuration keys that rows of the table name."""
        self._database = database
        self._revisions = revisions
        self._configured = configured
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
