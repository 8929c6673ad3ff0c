"""API tokens in the state directory of this host."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from bty_app.cli.live_state import live_database
from bty_app.cli.reach.tokens import Data
from bty_app.config import Config
from bty_app.services.tokens import Tokens


@contextmanager
def opened(config: Config) -> Iterator[Here]:
    """The tokens, for as long as the block lasts."""
    with live_database(config.paths.state_dir) as database:
        yield Here(Tokens(database))


class Here:
    """Through the service."""

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def every(self) -> list[Data]:
        return [token.as_data() for token in self._tokens.listed()]

    def create(self, name: str, scope: str, expires: str) -> Data:
        made, text = self._tokens.create(name, scope, expires, ip=None)
        return made.as_data() | {"token": text}

    def revoke(self, wanted: str) -> Data:
        return self._tokens.revoke(wanted, ip=None).as_data()
