"""Operators list, add and remove images; machines read what results."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from bty_app.domain import catalog_edit
from bty_app.domain import catalog_events as audit
from bty_app.domain.cache_state import CacheKind, CacheState
from bty_app.domain.catalog import CatalogEntry, NewImage, added_entry, new_image, only_one, ref_of
from bty_app.domain.catalog_toml import render_catalog
from bty_app.domain.image_name import name_fault
from bty_app.domain.image_source import (
    MAX_SRC_CHARS,
    is_registry,
    without_credentials,
)
from bty_app.domain.mac import Mac
from bty_app.domain.moments import stamp
from bty_app.domain.oci import DEFAULT_FORMAT
from bty_app.domain.sha_manifest import MAX_MANIFEST_BYTES, listed_digest
from bty_app.errors import (
    BtyError,
    ConflictError,
    InvalidInputError,
    NotFoundError,
    StorageError,
    ValidationError,
)
from bty_app.services.audit import record_if_possible
from bty_app.services.clock import Clock, utc_now
from bty_app.services.revisions import Revisions
from bty_app.store import catalog, events, machines
from bty_app.store.database import Database, Tx
from bty_app.upstream.http import Http
from bty_app.upstream.registry import Registry

HEAD_SECONDS = 10.0
SHA_SECONDS = 30.0
MACHINES_NAMED = 20

log = logging.getLogger(__name__)
_NO_CACHE = CacheState(CacheKind.NOT_CONFIGURED)


@dataclass(frozen=True, slots=True)
class Published:
    """What machines are shown, as of one revision of the catalog and the cache.

    `cached` has the refs of the images whose very bytes the cache has.
    """

    revision: str
    entries: tuple[CatalogEntry, ...]
    toml: bytes
    cached: frozenset[str] = frozenset()


class Catalog:
    """The use cases of the catalog. Any thread may call."""

    def __init__(
        self,
        database: Database,
        http: Http,
        registry: Registry,
        revisions: Revisions,
        clock: Clock = utc_now,
        *,
        state: Callable[[CatalogEntry], CacheState] = lambda _entry: _NO_CACHE,
    ) -> None:
        """`state` says at once where an image stands with the cache."""
        self._database = database
        self._http = http
        self._registry = registry
        self._revisions = revisions
        self._clock = clock
        self._state = state
        self._published: Published | None = None

    # -- reading -------------------------------------------------------------------------------

    def entries(self) -> list[CatalogEntry]:
        """All entries as they are now, in the order in which they were added."""
        return self._database.read(catalog.listed)

    def published(self) -> Published:
        """What machines are shown; rendered once for each change of the catalog or the cache."""
        revision = self._revisions.current(
            "catalog", "cache", "settings"
        )  # before reading: newer data is no harm
        kept = self._published
        if kept is not None and kept.revision == revision:
            return kept
        entries = tuple(self.entries())
        states = [self._state(entry) for entry in entries]
        rendered = render_catalog(map(_served, entries, states))
        for row in rendered.skipped:
            log.warning("catalog.toml leaves out %r: %s", row.name, row.reason)
        warm = (e for e, state in zip(entries, states, strict=True) if state.kind is CacheKind.WARM)
        cached = frozenset(entry.bty_image_ref for entry in warm)
        self._published = Published(revision, entries, rendered.text.encode(), cached)
        return self._published

    def find(self, image: str) -> CatalogEntry:
        """The only image with this name, source or ref.

        Raises:
            NotFoundError: there is none.
            ConflictError: several have this name.
        """
        return only_one(self.entries(), image)

    def entry(self, ref: str) -> CatalogEntry:
        """The image with this ref.

        Raises:
            NotFoundError: it is not in the catalog.
        """
        return self._database.read(lambda tx: _known(tx, ref))

    def in_use(self) -> dict[str, int]:
        """How many machines are bound to each ref that any is bound to."""
        return self._database.read(catalog.bound_counts)

    def bound_to(self, ref: str) -> tuple[int, list[Mac]]:
        """How many machines are bound to the image, and the first of them."""

        def query(tx: Tx) -> tuple[int, list[Mac]]:
            macs = machines.bound_to(tx, ref, limit=MACHINES_NAMED)
            return catalog.bound_count(tx, ref), macs

        return self._database.read(query)

    # -- one entry -----------------------------------------------------------------------------

    def add(
        self, image_url: str, *, sha_url: str | None, ref: str | None, ip: str | None
    ) -> CatalogEntry:
        """Add the image at an http(s) URL or an oras:// reference (CONTRACT 8.4).

        A registry must tell its digest; of a URL, size and digest are kept where they are told.

        Raises:
            ValidationError: the request itself is wrong.
            ConflictError: the image is in the catalog already.
            InvalidInputError: what `sha_url` or the registry serves does not say the digest.
            NotFoundError: the registry does not have it.
            TooLargeError, UnavailableError: `sha_url` cannot be fetched, or the registry asked.
        """
        image = new_image(image_url, sha_url=sha_url, ref=ref)
        try:
            return self._add(image, ip=ip)
        except StorageError:
            raise  # there is nowhere to record it
        except BtyError as error:
            failure = audit.add_failed(image, error, ip=ip)
            record_if_possible(self._database, failure, at=stamp(self._clock()))
            raise

    def edit(
        self,
        ref: str,
        wanted: Mapping[str, object],
        *,
        expected: Mapping[str, object],
        ip: str | None,
    ) -> CatalogEntry:
        """Say otherwise what an image is; which one it is, its src and ref, stays.

        Args:
            ref: its identity.
            wanted: the fields to change, by the rules of catalog.toml; None takes one away.
            expected: what these fields were when the operator looked.
            ip: who asks.

        Raises:
            NotFoundError: it is not in the catalog.
            ValidationError: a field cannot be edited, breaks its rule, or is not in `expected`.
            ConflictError: a field is not as expected any more, or another image has the name.
        """
        fields = catalog_edit.parsed(wanted)
        at = stamp(self._clock())

        def change(tx: Tx) -> CatalogEntry:
            entry, changes = catalog_edit.edited(_known(tx, ref), fields, expected)
            if not changes:
                return entry
            if any(change.field == "name" for change in changes):
                _check_name(tx, entry)
            catalog.update(tx, entry)
            events.record(tx, audit.edited(entry, changes, ip=ip), at=at)
            return entry

        return self._database.write(change)

    def remove(self, src: str, *, ip: str | None) -> CatalogEntry:
        """Remove the image with this source, or with this ref.

        Raises:
            ValidationError: `src` is neither a source nor a ref.
            NotFoundError: it is not in the catalog.
            ConflictError: machines are bound to it; the sentence names them.
        """
        ref = ref_of(src)
        at = stamp(self._clock())

        def change(tx: Tx) -> CatalogEntry:
            entry = _known(tx, ref)
            _check_unbound(tx, entry)
            catalog.delete(tx, ref)
            events.record(tx, audit.deleted(entry, ip=ip), at=at)
            return entry

        return self._database.write(change)

    def _add(self, image: NewImage, *, ip: str | None) -> CatalogEntry:
        self._database.read(lambda tx: _check_new(tx, image))  # before the network is asked
        found = self._in_registry(image) if is_registry(image.src) else self._at_url(image)
        at = stamp(self._clock())
        entry = replace(found, added_at=at)

        def change(tx: Tx) -> CatalogEntry:
            _check_new(tx, image)
            catalog.insert(tx, entry)
            events.record(tx, audit.added(entry, ip=ip), at=at)
            return entry

        return self._database.write(change)

    def _at_url(self, image: NewImage) -> CatalogEntry:
        digest = self._digest(image) if image.sha_url else None
        try:
            size = self._http.size(image.src, seconds=HEAD_SECONDS)
        except InvalidInputError as error:
            raise ValidationError(f"image_url: {error.message}") from error
        return added_entry(image, sha256=digest, size_bytes=size, added_at="")

    def _in_registry(self, image: NewImage) -> CatalogEntry:
        found = self._registry.resolve(image.src, seconds=HEAD_SECONDS)
        title = found.title if found.title and not name_fault(found.title) else image.name
        named = replace(image, name=title)
        entry = added_entry(named, sha256=found.digest, size_bytes=found.size, added_at="")
        return replace(entry, resolved_src=found.blob_url, format=found.format or DEFAULT_FORMAT)

    def _digest(self, image: NewImage) -> str:
        data = self._http.get(image.sha_url or "", limit=MAX_MANIFEST_BYTES, seconds=SHA_SECONDS)
        try:
            return listed_digest(data, image.name)
        except InvalidInputError as error:
            raise InvalidInputError(f"sha_url: {error.message}") from error


def _served(entry: CatalogEntry, state: CacheState) -> CatalogEntry:
    """The image as machines get it: from the cache where that has these very bytes."""
    if state.url is None or len(state.url) > MAX_SRC_CHARS:
        return entry
    return replace(entry, src=state.url)


def _known(tx: Tx, ref: str) -> CatalogEntry:
    entry = catalog.by_ref(tx, ref)
    if entry is None:
        raise NotFoundError(f"no catalog entry for {without_credentials(ref)[:200]}")
    return entry


def _check_name(tx: Tx, entry: CatalogEntry) -> None:
    same = (e for e in catalog.listed(tx) if e.name == entry.name)
    if any(e.bty_image_ref != entry.bty_image_ref for e in same):
        raise ConflictError(f"name: another image is called {entry.name[:80]!r} already")


def _check_new(tx: Tx, image: NewImage) -> None:
    known = catalog.by_ref(tx, image.ref)
    if known is not None:
        shown = without_credentials(known.src)
        raise ConflictError(f"this image is in the catalog already, as {known.name!r} from {shown}")


def _check_unbound(tx: Tx, entry: CatalogEntry) -> None:
    count = catalog.bound_count(tx, entry.bty_image_ref)
    if not count:
        return
    macs = machines.bound_to(tx, entry.bty_image_ref, limit=MACHINES_NAMED)
    more = f" and {count - len(macs)} more" if count > len(macs) else ""
    raise ConflictError(
        f"{count} machine(s) are bound to {entry.name!r}: {', '.join(macs)}{more};"
        " bind them to another image first"
    )
