"""What is known of an image, in words for a row of the catalog."""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from bty_app.domain.cache_state import CacheKind, CacheState
from bty_app.domain.jobs import Job
from bty_app.services.catalog_checks import Checked
from bty_app.web.ui.words import Tone

_DIFFERENT = {"disk_image_sha": "another digest", "size_bytes": "another size"}


@dataclass(frozen=True, slots=True)
class Mark:
    """A state: its tone, its words, more of them on hover."""

    tone: Tone
    words: str
    more: str = ""


def cache_mark(state: CacheState, job: Job | None) -> Mark | None:
    """Where the image stands in the cache; None when there is no cache.

    `job` is the one that warms it, if one does.
    """
    if job is not None:
        return Mark(Tone.WORK, "warming", job.step.words)
    match state.kind:
        case CacheKind.NOT_CONFIGURED:
            return None
        case CacheKind.UNKNOWN:
            return Mark(Tone.REST, "not known")
        case CacheKind.COLD:
            return Mark(Tone.REST, "cold", "the cache does not have it: it comes from its origin")
        case CacheKind.WARMING:
            return Mark(Tone.WORK, "warming")
        case CacheKind.WARM:
            return Mark(Tone.GOOD, "warm", "the cache has these very bytes")
        case CacheKind.DIFFERS:
            return Mark(Tone.FAULT, "has other bytes", f"of digest {state.sha256 or 'unknown'}")
        case CacheKind.AWAY:
            return Mark(Tone.FAULT, "no answer", "the cache does not answer")
        case _:
            assert_never(state.kind)


def check_mark(checked: Checked) -> Mark:
    """What the origin said when it was last asked."""
    if checked.error is not None:
        return Mark(Tone.FAULT, "no good answer", checked.words())
    if checked.differs:
        said = " and ".join(_DIFFERENT[change.field] for change in checked.differs)
        return Mark(Tone.FAULT, said, checked.words())
    return Mark(Tone.GOOD, "as the catalog says")
