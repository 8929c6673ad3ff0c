"""The settings in the state directory of this host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bty_app import runtime_parts
from bty_app.cli.live_state import live_database
from bty_app.cli.reach.settings import Data
from bty_app.config import Config
from bty_app.services.revisions import Revisions
from bty_app.services.settings import Settings


@contextmanager
def opened(config: Config) -> Iterator[Here]:
    """The settings, for as long as the block lasts."""
    with live_database(config.paths.state_dir) as database:
        yield Here(runtime_parts.settings_of(config, database, Revisions()))


class Here:
    """Through the service."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def every(self) -> list[Data]:
        return [row.as_data() for row in self._settings.shown()]

    def change(self, key: str, value: str) -> bool:
        return bool(self._settings.change({key: value}, ip=None))
