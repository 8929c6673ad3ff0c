"""The catalog in the state directory of this host."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from bty_app import runtime_parts
from bty_app.cli.live_state import live_database
from bty_app.cli.reach.catalog import Report
from bty_app.config import Config
from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.catalog_events import diff_report, import_report
from bty_app.domain.origin_report import Checked
from bty_app.services.catalog import Catalog
from bty_app.services.catalog_imports import CatalogImports
from bty_app.services.catalog_upstream import CatalogUpstream
from bty_app.services.image_warming import Order
from bty_app.services.revisions import Revisions
from bty_app.store.database import Database


@contextmanager
def opened(config: Config) -> Iterator[Here]:
    """The catalog, for as long as the block lasts."""
    with live_database(config.paths.state_dir) as database:
        yield Here(database, config)


class Here:
    """Through the services."""

    def __init__(self, database: Database, config: Config) -> None:
        self._database = database
        self._config = config
        self._http = runtime_parts.outgoing()
        self._registry = runtime_parts.registry(config, self._http)
        self._catalog = Catalog(database, self._http, self._registry, Revisions())

    def entries(self) -> list[CatalogEntry]:
        return self._catalog.entries()

    def find(self, image: str) -> CatalogEntry:
        return self._catalog.find(image)

    def add(self, url: str, *, sha_url: str | None, ref: str | None) -> CatalogEntry:
        return self._catalog.add(url, sha_url=sha_url, ref=ref, ip=None)

    def remove(self, image: str) -> CatalogEntry:
        return self._catalog.remove(image, ip=None)

    def take_in(self, source: str, *, keep: bool) -> Report:
        place = self._config.paths.catalog_file
        imports = CatalogImports(self._database, self._http, self._registry, catalog_file=place)
        done = imports.import_from(source, ip=None, keep=keep)
        return import_report(done.source, done.merge)

    def diff(self, source: str | None) -> Report:
        return diff_report(self._upstream().diff(source))

    def fetch(self, source: str | None, *, allow_shrink: bool, force: bool) -> Report | None:
        upstream = self._upstream()
        taken = upstream.take(source, ip=None, allow_shrink=allow_shrink, force=force)
        return diff_report(taken) if taken else None

    def check(self, entry: CatalogEntry) -> Checked:
        return runtime_parts.catalog_checks(self._config, self._http).check(entry)

    def warm(self, image: str, *, force: bool, tell: Callable[[str], None]) -> str:
        entry, database = self._catalog.find(image), self._database
        warming = runtime_parts.warming(self._config, database, Revisions(), self._http)
        return warming.warm(entry, Order(force=force), tell).url

    def _upstream(self) -> CatalogUpstream:
        return runtime_parts.catalog_upstream(self._config, self._database, Revisions(), self._http)
