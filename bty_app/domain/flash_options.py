"""What is done besides when an image is written: before it and after it; and when it is done."""

from __future__ import annotations

from dataclasses import dataclass, replace

WIPE_METHODS = ("auto", "discard", "secure", "overwrite")
STALL_SECONDS = (5, 3600)  # the least and the most after which a source can count as dead
USUAL_STALL_SECONDS = 30


@dataclass(frozen=True, slots=True)
class FlashOptions:
    """`wipe` is how the disk is erased before, or None; `verify` reads everything back; a source
    that brings next to nothing in `stall_seconds` is asked anew, or another one is.
    """

    wipe: str | None = None
    verify: bool = False
    stall_seconds: int = USUAL_STALL_SECONDS


NO_OPTIONS = FlashOptions()


@dataclass(frozen=True, slots=True)
class OwnOptions:
    """What is said for one machine alone; None where it is done as at the whole site.

    `wipe` is "no" or one of `WIPE_METHODS`; `verify` is "no" or "yes"; `done` is when a flash is
    done: "written", or "booted", which is when its system says that it is up (SPEC 6).
    """

    wipe: str | None = None
    verify: str | None = None
    done: str | None = None

    def over(self, site: FlashOptions) -> FlashOptions:
        """What is done at this machine, at a site that does `site`."""
        wipe = site.wipe if self.wipe is None else self.wipe
        return replace(
            site,
            wipe=None if wipe == "no" else wipe,
            verify=site.verify if self.verify is None else self.verify == "yes",
        )


AS_THE_SITE = OwnOptions()
OWN_WIPES = ("no", *WIPE_METHODS)
OWN_VERIFIES = ("no", "yes")
WRITTEN, BOOTED = OWN_DONES = ("written", "booted")


def besides(options: FlashOptions) -> str:
    """What is done to the disk besides, as part of a sentence; empty when nothing is."""
    wiped = f"wiped before ({options.wipe})" if options.wipe else ""
    read = "read back after" if options.verify else ""
    done = " and ".join(part for part in (wiped, read) if part)
    return done and f"the disk is {done}"
