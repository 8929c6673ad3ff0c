"""The catalog that is followed: what it would change, and taking it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from bty_app.domain import catalog_events as audit
from bty_app.domain.catalog_diff import CatalogDiff, Gone, Offered, diff
from bty_app.domain.catalog_toml import MAX_CATALOG_BYTES, parse_catalog
from bty_app.domain.events import Actor
from bty_app.domain.image_source import without_credentials
from bty_app.domain.moments import stamp
from bty_app.domain.settings import CATALOG_URL
from bty_app.errors import BtyError, ConflictError, InvalidInputError
from bty_app.services import followed_file
from bty_app.services.audit import record_if_possible
from bty_app.services.catalog_source import CatalogSource, Loaded, Version, kept_version
from bty_app.services.clock import Clock, utc_now
from bty_app.services.settings import Settings
from bty_app.store import catalog, events, machines
from bty_app.store import settings as rows
from bty_app.store.database import Database, Tx
from bty_app.store.publish import publish_file

TAKEN = "catalog.taken"  # what was taken last: source, digest, etag, modified
MACHINES_NAMED = 20


@dataclass(frozen=True, slots=True)
class Taken:
    """The catalog that was taken last: from where, and when."""

    source: str
    at: str | None


class CatalogUpstream:
    """Follows `upstream.catalog_url`, or another source that is named. Any thread may call."""

    def __init__(
        self,
        database: Database,
        source: CatalogSource,
        settings: Settings,
        *,
        catalog_file: Path,
        clock: Clock = utc_now,
    ) -> None:
        self._database = database
        self._source = source
        self._settings = settings
        self._catalog_file = catalog_file
        self._clock = clock

    def source(self) -> str:
        """Where the catalog comes from, for people; empty when none is followed."""
        return without_credentials(self._settings.text(CATALOG_URL))

    def taken(self) -> Taken | None:
        """What was taken last."""
        told = self._database.read(_taken)
        source, at = told.get("source"), told.get("at")
        if not isinstance(source, str):
            return None
        return Taken(source, at if isinstance(at, str) else None)

    def diff(self, source: str | None = None) -> CatalogDiff:
        """What taking the catalog would change; nothing is written.

        Raises:
            As `look`.
        """
        return self.compare(self.look(source))

    def look(self, source: str | None = None) -> Offered:
        """The catalog as upstream has it now.

        Raises:
            InvalidInputError: it is no valid catalog, or none is followed.
            NotFoundError, TooLargeError, UnavailableError: it cannot be loaded.
        """
        place = self._place(source)
        loaded = self._source.load(place, limit=MAX_CATALOG_BYTES)
        assert loaded is not None  # noqa: S101 - asked without condition
        return _offered(place, loaded)

    def compare(self, offered: Offered) -> CatalogDiff:
        """What taking a catalog, which was looked at, would change now."""
        at = stamp(self._clock())
        return self._database.read(lambda tx: _diff(tx, offered, at))

    def take(
        self,
        source: str | None = None,
        *,
        ip: str | None,
        expected: str | None = None,
        allow_shrink: bool = False,
        force: bool = False,
    ) -> CatalogDiff | None:
        """Follow the catalog; None when its host says that it is the one that was taken last.

        Args:
            source: in place of the one that is set.
            ip: who asks.
            expected: refuse another catalog than the one of this digest, which was shown.
            allow_shrink: also when more than half of its images would be gone.
            force: compare it even if its host says that it is the one that was taken last.

        Raises:
            ConflictError: it is not the one expected, or it has shrunk.
            InvalidInputError: it is no valid catalog, and changed nothing; or none is followed.
            NotFoundError, TooLargeError, UnavailableError: it cannot be loaded.
        """
        place = self._place(source)
        by = audit.By(Actor.OPERATOR, ip)
        try:
            known = None if expected or force else self._known(without_credentials(place))
            loaded = self._source.load(place, limit=MAX_CATALOG_BYTES, known=known)
            if loaded is None:
                return None
            offered = _offered(place, loaded)
            _check_expected(offered, expected)
            return self._take(loaded, offered, by, allow_shrink=allow_shrink)
        except BtyError as error:
            failed = audit.import_failed(place, error, by)
            record_if_possible(self._database, failed, at=stamp(self._clock()))
            raise

    def _take(
        self, loaded: Loaded, offered: Offered, by: audit.By, *, allow_shrink: bool
    ) -> CatalogDiff:
        at = stamp(self._clock())

        def plan(tx: Tx) -> CatalogDiff:
            found = _diff(tx, offered, at)
            if found.shrinks and not allow_shrink:
                raise ConflictError(
                    f"{offered.source} lists {found.newly_gone} of {found.followed} images no"
                    " more; allow it to shrink if that is meant"
                )
            return found

        def change(tx: Tx) -> CatalogDiff:
            found = plan(tx)
            _apply(tx, found, at)
            told = {"source": offered.source, "digest": offered.digest, **asdict(loaded.version)}
            rows.put(tx, TAKEN, json.dumps({**told, "at": at}), at=at)
            catalog.set_imported_digest(tx, offered.digest, at=at)
            events.record(tx, audit.followed(found, by), at=at)
            return found

        self._database.read(plan)  # a refusal leaves the file as it is
        # First: after a failure in between, the next start takes the file in, as followed.
        followed_file.note(self._catalog_file, source=offered.source, digest=offered.digest)
        publish_file(self._catalog_file, loaded.data)
        return self._database.write(change)

    def _place(self, source: str | None) -> str:
        place = source or self._settings.text(CATALOG_URL)
        if not place:
            raise InvalidInputError(
                "no catalog is followed: set upstream.catalog_url, or name a source"
            )
        return place

    def _known(self, source: str) -> Version | None:
        """What `source` called the catalog that was taken from it last.

        None as well while there is something to do with the same catalog: an image that is gone,
        and that machines needed and need no more.
        """

        def query(tx: Tx) -> Version | None:
            taken = _taken(tx)
            if taken.get("source") != source or _unneeded(tx, source):
                return None
            return kept_version(taken)

        return self._database.read(query)


def _taken(tx: Tx) -> Mapping[str, object]:
    try:
        told = json.loads(rows.every(tx).get(TAKEN, "{}"))
    except ValueError:
        return {}
    return told if isinstance(told, dict) else {}


def _unneeded(tx: Tx, source: str) -> bool:
    gone = [e for e in catalog.listed(tx) if e.gone_at and e.upstream == source]
    return any(not catalog.bound_count(tx, entry.bty_image_ref) for entry in gone)


def _offered(place: str, loaded: Loaded) -> Offered:
    images = parse_catalog(loaded.data)
    digest = hashlib.sha256(loaded.data).hexdigest()
    return Offered(without_credentials(place), digest, images)


def _diff(tx: Tx, offered: Offered, at: str) -> CatalogDiff:
    found = diff(catalog.listed(tx), offered, catalog.bound_counts(tx), at=at)
    return replace(found, kept=tuple(_named(tx, gone) for gone in found.kept))


def _named(tx: Tx, gone: Gone) -> Gone:
    macs = machines.bound_to(tx, gone.entry.bty_image_ref, limit=MACHINES_NAMED)
    return replace(gone, machines=tuple(macs))


def _check_expected(offered: Offered, expected: str | None) -> None:
    if expected is not None and offered.digest != expected:
        raise ConflictError(f"{offered.source} has changed since it was shown: look again")


def _apply(tx: Tx, found: CatalogDiff, at: str) -> None:
    for entry in found.merge.added:
        catalog.insert(tx, entry)
    for entry in found.removed:
        catalog.delete(tx, entry.bty_image_ref)
    changed = {update.entry.bty_image_ref: update.entry for update in found.merge.updated}
    for entry in found.returned:
        changed[entry.bty_image_ref] = changed.get(entry.bty_image_ref, entry)
    for ref, entry in changed.items():
        changed[ref] = replace(entry, gone_at=None)
    for gone in found.kept:
        if gone.entry.gone_at is None:
            changed[gone.entry.bty_image_ref] = replace(gone.entry, gone_at=at)
    for entry in changed.values():
        catalog.update(tx, entry)
