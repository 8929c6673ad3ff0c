"""What operators do with netboot artifacts through the server: in the background, or at once."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import BinaryIO

from bty_app.domain.artifacts import Live, installed_sentence
from bty_app.domain.catalog_events import By
from bty_app.domain.events import Actor
from bty_app.domain.image_source import without_credentials
from bty_app.domain.jobs import Job, Outcome, Quiet, Teller
from bty_app.domain.release import LATEST, Release, check_tag
from bty_app.domain.settings import NETBOOT_REPO, NETBOOT_TAG
from bty_app.errors import ConflictError, NotFoundError, ValidationError
from bty_app.services.artifact_fetches import Fetch, fetches
from bty_app.services.artifacts import Artifacts, Installed
from bty_app.services.boot_files import BootFiles, BootProgram
from bty_app.services.jobs import Jobs
from bty_app.services.settings import Settings
from bty_app.store.artifact_sets import StoredSet

__all__ = ["KIND", "ArtifactJobs", "ArtifactState", "Quiet", "StoredSet", "artifact_state", "said"]

KIND = "artifacts"
CHECK = "artifacts-check"


@dataclass(frozen=True, slots=True)
class ArtifactState:
    """What is on disk, and what would be fetched. `current` and `previous` are ids of `sets`;
    `mending_tag` is the release whose fetch mends what is wrong with `live`, if one does.
    """

    live: Live
    sets: tuple[StoredSet, ...]
    current: str | None
    previous: str | None
    by_hand: tuple[str, ...]
    programs: tuple[BootProgram, ...]
    source: str
    tag: str
    mending_tag: str | None

    @property
    def can_roll_back(self) -> bool:
        """Whether there is a whole set before the current one."""
        ready = {found.id for found in self.sets if found.is_whole}
        return self.current is not None and self.previous in ready - {self.current}

    def as_json(self) -> dict[str, object]:
        """As plain JSON data."""
        arm64 = self.live.arm64
        return {
            "live_environment": {**_live_json(self.live), "arm64": arm64 and _live_json(arm64)},
            "current": self.current,
            "previous": self.previous,
            "sets": [_set_json(found) for found in self.sets],
            "by_hand": list(self.by_hand),
            "boot_programs": [asdict(program) for program in self.programs],
            "source": self.source,
            "tag": self.tag,
        }


def artifact_state(artifacts: Artifacts, files: BootFiles, settings: Settings) -> ArtifactState:
    """What there is now."""
    sets, live = artifacts.sets, files.live_now()
    return ArtifactState(
        live=live,
        sets=tuple(sets.listed()),
        current=sets.current(),
        previous=sets.previous(),
        by_hand=files.found().by_hand,
        programs=tuple(files.programs()),
        source=without_credentials(settings.text(NETBOOT_REPO)),
        tag=settings.text(NETBOOT_TAG),
        mending_tag=_mending_tag(live, asked_for=files.asked_for),
    )


def _live_json(live: Live) -> dict[str, object]:
    told = asdict(live)
    del told["arm64"]  # of the other architecture
    return told


def _set_json(found: StoredSet) -> dict[str, object]:
    facts = {**asdict(found.facts), "live": found.facts.live} if found.facts else None
    return {"id": found.id, "facts": facts, "damage": list(found.damage)}


class ArtifactJobs:
    """Any thread may call."""

    def __init__(
        self, artifacts: Artifacts, files: BootFiles, jobs: Jobs, settings: Settings
    ) -> None:
        self._artifacts = artifacts
        self._files = files
        self._jobs = jobs
        self._settings = settings
        self._sources: dict[str, str] = {}  # by the id of the job

    def state(self) -> ArtifactState:
        """What there is now."""
        return artifact_state(self._artifacts, self._files, self._settings)

    def fetches(self) -> list[Fetch]:
        """The fetches that are known, and the sets that are on disk, by their tags."""
        sets = self._artifacts.sets
        return fetches(self._jobs.listed(KIND), sets.listed(), sets.current(), dict(self._sources))

    def cancel(self, tag: str) -> Fetch:
        """End the fetch of `tag` where it is under way; what has ended stays as it is.

        Raises:
            NotFoundError: there is no such fetch, and no set of it.
            ValidationError: that cannot be a tag.
        """
        wanted = self._resolved(tag)
        job = self._jobs.latest(KIND, wanted)
        if job is not None and job.is_active:
            self._jobs.cancel(job.id)
        known = next((fetch for fetch in self.fetches() if fetch.tag == wanted), None)
        if known is None:
            raise NotFoundError(f"no fetch of {wanted} is known, and no set of it is here")
        return known

    def fetch(self, *, source: str | None = None, tag: str | None = None, ip: str | None) -> Job:
        """Queue the fetch of a release; one of the same tag that is under way is returned.

        Raises:
            ConflictError: too many jobs wait.
            InvalidInputError: `source` and `tag` cannot be these.
        """
        release = self._artifacts.release(source, tag)
        title = f"fetch the netboot artifacts {release.tag}"
        by = By(Actor.OPERATOR, ip)
        try:
            job = self._jobs.submit(KIND, release.tag, title, lambda t: self._fetched(release, t))
        except ConflictError:
            known = self._jobs.latest(KIND, release.tag)
            if known is None or not known.is_active:
                raise
            return known
        self._sources[job.id] = without_credentials(release.places[0])
        for old in self._sources.keys() - {known.id for known in self._jobs.listed(KIND)}:
            self._sources.pop(old, None)
        self._artifacts.requested(release, by)
        return job

    def upload(self, file: BinaryIO, name: str, *, ip: str | None) -> Installed:
        """Install the set in an archive that an operator sends; returns when it is done.

        Raises:
            As `Artifacts.install_archive`.
        """
        by = By(Actor.OPERATOR, ip)
        return self._artifacts.install_archive(file, name, Quiet(), by)

    def roll_back(self, *, ip: str | None) -> str:
        """Let machines boot the set before the current one; return its version.

        Raises:
            As `Artifacts.roll_back`.
        """
        return self._artifacts.roll_back(By(Actor.OPERATOR, ip)).version

    def _resolved(self, tag: str) -> str:
        try:
            check_tag(tag)
        except ValueError as error:
            raise ValidationError(f"tag: {tag[:80]!r} must be {error}") from error
        return self._artifacts.release(None, tag).tag if tag == LATEST else tag

    def check(self) -> Job:
        """Compare every file of the installed sets; the same under way is returned.

        Raises:
            ConflictError: too many jobs wait.
        """

        def work(teller: Teller) -> Outcome:
            found = self._artifacts.damage(teller)
            bad = sum(bool(damage) for damage in found.values())
            sentence = f"{bad} of {len(found)} sets are damaged" if bad else "every set is whole"
            return Outcome(sentence, {"damage": {name: list(each) for name, each in found.items()}})

        try:
            return self._jobs.submit(CHECK, CHECK, "check the netboot artifacts", work)
        except ConflictError:
            known = self._jobs.latest(CHECK, CHECK)
            if known is None or not known.is_active:
                raise
            return known

    def _fetched(self, release: Release, teller: Teller) -> Outcome:
        done = self._artifacts.fetch(release, teller)
        return Outcome(said(done), {"version": done.facts.version, "sentence": said(done)})


def _mending_tag(live: Live, *, asked_for: str) -> str | None:
    if live.not_ready:
        return f"v{live.version}"
    return LATEST if live.differs and not asked_for else None


def said(done: Installed) -> str:
    """What an installation did, as a sentence."""
    return installed_sentence(done.facts.live, again=done.again)
