"""When an image that could not be fetched into the cache is tried again."""

from __future__ import annotations

from dataclasses import dataclass, replace

FIRST_PAUSE_SECONDS = 60.0
LONGEST_PAUSE_SECONDS = 3600.0
MEND_PAUSE_SECONDS = 6 * 3600.0  # between two fetches of what is in the cache, but is not right

_EVER = float("-inf")


@dataclass(frozen=True, slots=True)
class Tries:
    """The failures in a row for one image, while the catalog names `digest`.

    `is_told`: the audit log has this streak already.
    """

    digest: str | None
    failures: int = 0
    not_before: float = _EVER
    mend_not_before: float = _EVER
    is_told: bool = False
    is_cancelled: bool = False

    def may_try(self, now: float) -> bool:
        """Whether to try now."""
        return not self.is_cancelled and now >= self.not_before

    def may_mend(self, now: float) -> bool:
        """Whether to fetch anew what is there, but has other bytes."""
        return now >= self.mend_not_before

    def failed(self, now: float, *, has_other_bytes: bool) -> Tries:
        """It was tried and has failed; `has_other_bytes`: what came was not what is wanted."""
        pause = min(FIRST_PAUSE_SECONDS * 2 ** min(self.failures, 30), LONGEST_PAUSE_SECONDS)
        mend = now + MEND_PAUSE_SECONDS if has_other_bytes else self.mend_not_before
        return replace(
            self,
            failures=self.failures + 1,
            not_before=now + pause,
            mend_not_before=mend,
            is_told=True,
        )

    def cancelled(self) -> Tries:
        """Somebody ended it: it waits until it is asked for."""
        return replace(self, is_cancelled=True)

    def asked(self) -> Tries:
        """Somebody wants it now. A streak that is told stays told."""
        return replace(self, failures=0, not_before=_EVER, is_cancelled=False)


def tries_for(kept: Tries | None, digest: str | None) -> Tries:
    """What counts for the digest that the catalog names now."""
    return kept if kept is not None and kept.digest == digest else Tries(digest)
