"""Netboot artifacts: a set is brought here, checked, and installed as a whole or not at all.

State is what is on disk: nothing that was recorded once says that a set is there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from bty_app import __version__
from bty_app.domain import artifact_events as audit
from bty_app.domain.artifact_set import (
    MAX_MANIFEST_BYTES,
    Manifest,
    SetFacts,
    check_complete,
    joined,
    kept_beside,
    parse_manifest,
)
from bty_app.domain.artifacts import ARCHITECTURES, live_file, manifest_versions
from bty_app.domain.catalog_events import By
from bty_app.domain.events import Actor, Event
from bty_app.domain.jobs import Step, Teller
from bty_app.domain.moments import stamp
from bty_app.domain.release import Release, release_of
from bty_app.domain.settings import NETBOOT_REPO, NETBOOT_TAG
from bty_app.domain.signature import MAX_SIGNATURE_BYTES, SigningKey, check_signature
from bty_app.errors import (
    BtyError,
    CancelledError,
    InvalidInputError,
    NotFoundError,
    StorageError,
)
from bty_app.services.archive import unpack
from bty_app.services.artifact_sources import Directory, Remote, Source, opened_file
from bty_app.services.audit import record_if_possible
from bty_app.services.backup_files import sha256_of
from bty_app.services.bringing import Bringing
from bty_app.services.clock import Clock, utc_now
from bty_app.services.settings import Settings
from bty_app.store.artifact_sets import ArtifactSets, StoredSet
from bty_app.store.database import Database
from bty_app.store.publish import make_directories, scratch_directory
from bty_app.upstream.http import Http

SYSTEM = By(Actor.SYSTEM, None)


@dataclass(frozen=True, slots=True)
class Installed:
    """What was installed. `again`: it was there already, and every file of it was checked."""

    set_id: str
    facts: SetFacts
    again: bool


class Artifacts:
    """The use cases. Any thread may call; one of them at a time changes what is installed."""

    def __init__(
        self,
        database: Database,
        settings: Settings,
        http: Http,
        boot_dir: Path,
        *,
        key: SigningKey | None = None,
        clock: Clock = utc_now,
    ) -> None:
        """With a `key`, only a set whose manifest it signed is installed."""
        self._database = database
        self._settings = settings
        self._http = http
        self._boot_dir = boot_dir
        self._key = key
        self._clock = clock
        self.sets = ArtifactSets(boot_dir)

    def release(self, source: str | None = None, tag: str | None = None) -> Release:
        """What would be fetched: of `source` and `tag`, or of those that are set.

        Raises:
            InvalidInputError: they cannot be a source and a tag.
        """
        return release_of(
            source or self._settings.text(NETBOOT_REPO),
            tag or self._settings.text(NETBOOT_TAG),
            running=__version__,
        )

    def requested(self, release: Release, by: By) -> None:
        """Record that somebody wants this release."""
        self._record(audit.fetch_requested(release.tag, by))

    def fetch(self, release: Release, teller: Teller, by: By = SYSTEM) -> Installed:
        """Bring a release here and install it; what an attempt before has brought is not asked
        for again.

        Raises:
            CancelledError: it was cancelled.
            ConflictError: another one is under way.
            InvalidInputError: the release is not what its manifest says, or is not signed.
            NotFoundError, TooLargeError, UnavailableError: it cannot be fetched.
            StorageError: the disk does not take it.
        """
        source: Source
        if release.is_local:
            source = Directory([Path(place) for place in release.places])
        else:
            source = Remote(self._http, release.places, teller.is_wanted)
        with self._failure_recorded(release.tag, by):
            self._record(audit.fetch_started(release.tag, source.shown))
            manifests = list(self._manifests(source, release.version))
            return self._install(source, manifests, release.tag, teller, by)

    def install_directory(self, path: Path, teller: Teller, by: By) -> Installed:
        """Install the only set that is in a directory.

        Raises:
            As `fetch`.
        """
        with self._failure_recorded(path.name, by):
            return self._install_all_of(Directory([path]), teller, by)

    def install_archive(self, file: BinaryIO, name: str, teller: Teller, by: By) -> Installed:
        """Install the set in a tar archive, compressed by gzip, bzip2, xz or not at all.

        Raises:
            As `fetch`.
        """
        make_directories(self._boot_dir)
        with (
            self._failure_recorded(name, by),
            scratch_directory(self._boot_dir, "archive") as place,
        ):
            unpack(file, place, teller)
            return self._install_all_of(Directory([place], shown=name), teller, by)

    def install_file(self, path: Path, teller: Teller, by: By) -> Installed:
        """Install the set in the tar archive `path`.

        Raises:
            As `fetch`.
        """
        with opened_file(path) as file:
            return self.install_archive(file, path.name, teller, by)

    def damage(self, teller: Teller) -> dict[str, list[str]]:
        """What is wrong with the files of each set, every one read and compared.

        Raises:
            CancelledError: it was cancelled.
        """
        return {found.id: list(deep_damage(found, teller)) for found in self.sets.listed()}

    def roll_back(self, by: By) -> SetFacts:
        """Let machines boot the set before the current one.

        Raises:
            ConflictError: a fetch or an installation is under way.
            NotFoundError: there is none, or it is damaged.
            StorageError: the boot directory cannot be written.
        """
        try:
            with self.sets.held():
                now, before = self.sets.roll_back()
        except BtyError as error:
            self._record(audit.roll_back_failed(self.sets.current() or "none", error, by))
            raise
        facts = self.sets.get(now).facts
        assert facts is not None  # noqa: S101 - a set without them counts as damaged
        self._record(audit.rolled_back(now, before, by))
        return facts

    def _install_all_of(self, source: Directory, teller: Teller, by: By) -> Installed:
        names = source.names()
        versions = {arch: manifest_versions(names, arch) for arch in ARCHITECTURES}
        found = [version for listed in versions.values() for version in listed]
        if not found or any(len(listed) > 1 for listed in versions.values()):
            wanted = live_file("<version>", "sha256")
            has = f"manifests of {', '.join(found)}" if found else "none"
            raise InvalidInputError(f"{source.shown}: needs one {wanted}, and has {has}")
        manifests = [
            manifest
            for arch, listed in versions.items()
            for version in listed
            if (manifest := self._manifest(source, version, arch))
        ]
        check_complete(manifests, names)
        return self._install(source, manifests, f"v{manifests[0].version}", teller, by)

    def _install(
        self, source: Source, manifests: Sequence[Manifest], tag: str, teller: Teller, by: By
    ) -> Installed:
        with self.sets.held():
            before = self.sets.current()
            manifest = joined(manifests, self._kept_beside(manifests, before, teller))
            bringing = Bringing(source, self.sets, teller)
            staging, sizes, fetched = bringing.bring(manifest)
            facts = SetFacts(
                version=manifest.version,
                source=source.shown,
                installed_at=stamp(self._clock()),
                signed_by=self._key.name if self._key else None,
                digests=manifest.digests,
                sizes=sizes,
            )
            self.sets.install(staging, manifest, facts)
        again = before == manifest.set_id and not fetched
        self._record(audit.installed(tag, facts, by, again=again))
        return Installed(manifest.set_id, facts, again)

    def _kept_beside(
        self, manifests: Sequence[Manifest], current: str | None, teller: Teller
    ) -> Mapping[str, str]:
        """What of the current set stays: whole, and proven as what comes has to be."""
        found = self.sets.get(current) if current else None
        facts = found.facts if found else None
        if found is None or facts is None or (self._key and facts.signed_by != self._key.name):
            return {}
        kept = kept_beside(manifests, facts.digests)
        only = replace(found, facts=replace(facts, digests=kept))
        return {} if kept and any(deep_damage(only, teller)) else kept

    def _manifests(self, source: Source, version: str) -> Iterator[Manifest]:
        """All that the place has of this version."""
        found = [self._manifest(source, version, arch) for arch in ARCHITECTURES]
        if not any(found):
            raise NotFoundError(f"{source.shown} has no {live_file(version, 'sha256')}")
        yield from (manifest for manifest in found if manifest)

    def _manifest(self, source: Source, version: str, arch: str) -> Manifest | None:
        name = live_file(version, "sha256", arch)
        data = source.small(name, limit=MAX_MANIFEST_BYTES)
        if data is None:
            return None
        if self._key is not None:
            signature = source.small(name + self._key.suffix, limit=MAX_SIGNATURE_BYTES)
            if signature is None:
                raise InvalidInputError(
                    f"{source.shown} has no {name}{self._key.suffix}: netboot.signing_key asks for"
                    " a signature"
                )
            try:
                check_signature(self._key, data, signature)
            except InvalidInputError as error:
                raise InvalidInputError(f"{name}: {error.message}") from error
        return parse_manifest(data, version=version, arch=arch)

    @contextmanager
    def _failure_recorded(self, tag: str, by: By) -> Iterator[None]:
        try:
            yield
        except CancelledError:
            self._record(audit.fetch_cancelled(tag, by))
            raise
        except BtyError as error:
            self._record(audit.fetch_failed(tag, error, by))
            raise

    def _record(self, event: Event) -> None:
        """What is on disk counts, whether or not it can be recorded."""
        record_if_possible(self._database, event, at=stamp(self._clock()))


def deep_damage(found: StoredSet, teller: Teller) -> Iterator[str]:
    """What is wrong with the files of a set, every one read and compared."""
    yield from found.damage
    for name, digest in (found.facts.digests if found.facts and not found.damage else {}).items():
        teller.tell(Step(f"reading {name}"))
        try:
            right = sha256_of(found.path / name) == digest
        except StorageError as error:
            yield error.message
            continue
        if not right:
            yield f"{name} is not as its manifest says"
