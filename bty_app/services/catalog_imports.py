"""Manifests are taken in: from a path or URL, from an upload, from the catalog file at start."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bty_app.domain import catalog_events as audit
from bty_app.domain.catalog import Merge, merged
from bty_app.domain.catalog_toml import MAX_CATALOG_BYTES, MAX_UPLOAD_BYTES, parse_catalog
from bty_app.domain.events import Actor
from bty_app.domain.moments import stamp
from bty_app.errors import BtyError, NotFoundError
from bty_app.services import followed_file
from bty_app.services.audit import record_if_possible
from bty_app.services.catalog_source import load, read_file
from bty_app.services.clock import Clock, utc_now
from bty_app.store import catalog, events
from bty_app.store.database import Database, Tx
from bty_app.store.publish import publish_file
from bty_app.upstream.http import Http
from bty_app.upstream.registry import Registry

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did."""

    source: str
    merge: Merge


class CatalogImports:
    """Takes manifests into the catalog. Any thread may call."""

    def __init__(
        self,
        database: Database,
        http: Http,
        registry: Registry,
        *,
        catalog_file: Path,
        clock: Clock = utc_now,
    ) -> None:
        """`catalog_file` holds the manifest that is taken in at each start of the server."""
        self._database = database
        self._http = http
        self._registry = registry
        self._catalog_file = catalog_file
        self._clock = clock
        self._replacing_file = threading.Lock()

    def import_from(self, source: str, *, ip: str | None, keep: bool = False) -> Imported:
        """Take in the manifest at a path or URL, oras:// included (CONTRACT 8.1, 8.4).

        Args:
            source: where it is.
            ip: who asks.
            keep: whether it becomes the catalog file that a fresh database begins with.

        Raises:
            InvalidInputError: it is no valid catalog, and changed nothing.
            NotFoundError, TooLargeError, UnavailableError: it cannot be loaded.
        """
        limit = MAX_UPLOAD_BYTES if keep else MAX_CATALOG_BYTES
        by = audit.By(Actor.OPERATOR, ip)
        with self._failure_recorded(source, by):
            data = load(source, self._http, self._registry, limit=limit)
            return self._take_in(data, source, by, limit=limit, keep=keep)

    def import_bytes(
        self, data: bytes, *, name: str, ip: str | None, keep: bool = True
    ) -> Imported:
        """Take in an uploaded manifest, of at most 1 MiB; where it is to be kept, it becomes the
        catalog file.

        Raises:
            InvalidInputError: it is no valid catalog, and changed nothing.
            StorageError: the catalog file cannot be written.
        """
        by = audit.By(Actor.OPERATOR, ip)
        with self._failure_recorded(name, by):
            return self._take_in(data, name, by, limit=MAX_UPLOAD_BYTES, keep=keep)

    def import_catalog_file(self) -> Imported | None:
        """Take in the catalog file, unless it is what was taken in last: None then.

        What an operator has removed since stays removed, and a fresh database gets everything;
        where the file was fetched from an upstream catalog, what is new goes on following that.
        A file that cannot be taken in is an event and a line in the log, for machines must boot.
        """
        by = audit.By(Actor.SYSTEM, None)
        source = str(self._catalog_file)
        try:
            data = read_file(self._catalog_file, limit=MAX_CATALOG_BYTES)
            if self._database.read(catalog.imported_digest) == _digest(data):
                return None
            return self._take_in(data, source, by, limit=MAX_CATALOG_BYTES, keep=False)
        except NotFoundError:
            return None
        except BtyError as error:
            log.warning("the catalog file is not taken in: %s", error.message)
            self._record_failure(source, by, error)
            return None

    def _take_in(
        self, data: bytes, source: str, by: audit.By, *, limit: int, keep: bool
    ) -> Imported:
        listed = parse_catalog(data, limit=limit)
        upstream = None
        if by.actor is Actor.SYSTEM:
            upstream = followed_file.source_of(self._catalog_file, digest=_digest(data))
        at = stamp(self._clock())

        def change(tx: Tx) -> Imported:
            known = {str(entry.bty_image_ref): entry for entry in catalog.listed(tx)}
            merge = merged(known, listed, added_at=at)
            for entry in merge.added:
                catalog.insert(tx, replace(entry, upstream=upstream))
            for update in merge.updated:
                catalog.update(tx, update.entry)
            if keep or by.actor is Actor.SYSTEM:
                catalog.set_imported_digest(tx, _digest(data), at=at)
            events.record(tx, audit.imported(source, merge, by), at=at)
            return Imported(source, merge)

        with self._replacing_file if keep else contextlib.nullcontext():
            if keep:  # first: after a failure between the two, the next start takes the file in
                publish_file(self._catalog_file, data)
            return self._database.write(change)

    @contextmanager
    def _failure_recorded(self, source: str, by: audit.By) -> Iterator[None]:
        try:
            yield
        except BtyError as error:
            self._record_failure(source, by, error)
            raise

    def _record_failure(self, source: str, by: audit.By, error: BtyError) -> None:
        event = audit.import_failed(source, error, by)
        record_if_possible(self._database, event, at=stamp(self._clock()))


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
