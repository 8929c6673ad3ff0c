"""Fetches of netboot artifacts as scripts know them: by tag, and as true as what is on disk."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from bty_app.domain.jobs import Job, State
from bty_app.domain.moments import stamp
from bty_app.store.artifact_sets import StoredSet

_FETCHING = "fetching "


@dataclass(frozen=True, slots=True)
class Fetch:
    """One fetch. Times are stamped; `sizes` are those of the files that are on disk."""

    tag: str
    state: State
    done: int
    total: int | None
    artifact: str | None
    started_at: str | None
    finished_at: str | None
    error: str | None
    source: str | None
    sizes: Mapping[str, int]


def fetches(
    jobs: Sequence[Job],
    sets: Sequence[StoredSet],
    current: str | None,
    sources: Mapping[str, str],
) -> list[Fetch]:
    """The newest fetch of each tag, then the sets that nobody has fetched since the start.

    A fetch that was completed is what its set is now: gone with it, and failed once it is damaged.

    Args:
        jobs: the newest first.
        sets: those on disk.
        current: the id of the set that machines boot.
        sources: where each job fetches from, by its id.
    """
    newest: dict[str, Job] = {}
    for job in jobs:
        newest.setdefault(job.key, job)
    in_order = sorted(sets, key=lambda found: found.id == current)
    by_version = {found.facts.version: found for found in in_order if found.facts}
    return list(_fetches(newest, by_version, sources))


def _fetches(
    newest: Mapping[str, Job], by_version: dict[str, StoredSet], sources: Mapping[str, str]
) -> Iterator[Fetch]:
    for tag, job in newest.items():
        stored = by_version.pop(tag.removeprefix("v"), None)
        if job.state is not State.COMPLETED:
            yield _under_way(tag, job, sources.get(job.id))
        elif stored is not None:
            yield _on_disk(tag, stored, job)
    for version, stored in by_version.items():
        yield _on_disk(f"v{version}", stored, None)


def _under_way(tag: str, job: Job, source: str | None) -> Fetch:
    words = job.step.words
    name = words.removeprefix(_FETCHING) if words.startswith(_FETCHING) else ""
    return Fetch(
        tag=tag,
        state=job.state,
        done=job.step.done,
        total=job.step.total,
        artifact=name if name and " " not in name else None,
        started_at=_at(job.started_at),
        finished_at=_at(job.ended_at),
        error=job.error or None,
        source=source,
        sizes={},
    )


def _on_disk(tag: str, stored: StoredSet, job: Job | None) -> Fetch:
    facts = stored.facts
    assert facts is not None  # noqa: S101 - only such sets are looked up by their version
    return Fetch(
        tag=tag,
        state=State.COMPLETED if stored.is_whole else State.FAILED,
        done=facts.size_bytes,
        total=facts.size_bytes,
        artifact=None,
        started_at=_at(job.started_at) if job else None,
        finished_at=_at(job.ended_at) if job else facts.installed_at,
        error=None if stored.is_whole else "; ".join(stored.damage),
        source=facts.source,
        sizes=facts.sizes,
    )


def _at(seconds: float | None) -> str | None:
    return None if seconds is None else stamp(datetime.fromtimestamp(seconds, UTC))
