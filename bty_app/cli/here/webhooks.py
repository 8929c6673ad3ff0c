"""The receivers of events, by the settings in the state directory of this host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bty_app import runtime_parts
from bty_app.cli.live_state import live_database
from bty_app.cli.reach.webhooks import Data
from bty_app.config import Config
from bty_app.services.revisions import Revisions
from bty_app.services.webhooks import Webhooks
from bty_app.web.api.webhooks import state_json, test_json


@contextmanager
def opened(config: Config) -> Iterator[Here]:
    """The receivers, for as long as the block lasts."""
    with live_database(config.paths.state_dir) as database:
        settings = runtime_parts.settings_of(config, database, Revisions())
        yield Here(runtime_parts.webhooks(config, database, settings))


class Here:
    """Through the service."""

    def __init__(self, webhooks: Webhooks) -> None:
        self._webhooks = webhooks

    def every(self) -> list[Data]:
        return [state_json(state) for state in self._webhooks.state()]

    def test(self) -> list[Data]:
        return [test_json(*tested) for tested in self._webhooks.test()]
