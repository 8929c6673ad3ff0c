"""Netboot artifacts in the state directory of this host."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from bty_app import runtime_parts
from bty_app.cli.live_state import live_database
from bty_app.cli.reach.artifacts import Data, Told
from bty_app.config import Config
from bty_app.domain.catalog_events import By
from bty_app.domain.events import Actor
from bty_app.domain.jobs import Teller
from bty_app.services.artifact_jobs import artifact_state, said
from bty_app.services.revisions import Revisions
from bty_app.store.database import Database

_OPERATOR = By(Actor.OPERATOR, None)


@contextmanager
def opened(config: Config) -> Iterator[Here]:
    """The artifacts, for as long as the block lasts."""
    with live_database(config.paths.state_dir) as database:
        yield Here(database, config)


class Here:
    """Through the services."""

    def __init__(self, database: Database, config: Config) -> None:
        self._config = config
        self._settings = runtime_parts.settings_of(config, database, Revisions())
        self._artifacts = runtime_parts.artifacts(
            config, database, self._settings, runtime_parts.outgoing()
        )

    def state(self) -> Data:
        files = runtime_parts.boot_files(self._config)
        return artifact_state(self._artifacts, files, self._settings).as_json()

    def fetch(self, source: str | None, tag: str | None, teller: Teller) -> Told:
        release = self._artifacts.release(source, tag)
        done = self._artifacts.fetch(release, teller, _OPERATOR)
        return done.facts.version, said(done)

    def install(self, path: Path, teller: Teller) -> Told:
        if path.is_dir():
            done = self._artifacts.install_directory(path.resolve(), teller, _OPERATOR)
        else:
            done = self._artifacts.install_file(path, teller, _OPERATOR)
        return done.facts.version, said(done)

    def check(self, teller: Teller) -> Mapping[str, list[str]]:
        return self._artifacts.damage(teller)

    def roll_back(self) -> str:
        return self._artifacts.roll_back(_OPERATOR).version
