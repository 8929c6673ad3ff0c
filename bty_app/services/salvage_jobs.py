"""Damaged databases read in a process of its own: that takes long, and machines must not wait.

`bty recover --salvage` is the other end. What it found is the data of the job.
"""

from __future__ import annotations

from collections.abc import Callable

from bty_app.domain.catalog_events import By
from bty_app.domain.jobs import Job, Outcome, Teller
from bty_app.domain.recovering import Choice
from bty_app.errors import ValidationError
from bty_app.services.jobs import Jobs
from bty_app.services.own_program import OwnProgram
from bty_app.services.recover import SHOWN, Recover

KIND = "salvage"


class SalvageJobs:
    """Any thread may call."""

    def __init__(
        self,
        jobs: Jobs,
        program: OwnProgram,
        recover: Recover,
        on_change: Callable[[], None] = lambda: None,
    ) -> None:
        self._jobs = jobs
        self._program = program
        self._recover = recover
        self._on_change = on_change

    def look(self, name: str, choice: Choice) -> Job:
        """Read what is left of the old database of this name, and what would come over of it.

        Raises:
            NotFoundError: there is none.
            ConflictError: it is being read already, or too many jobs wait.
        """
        words = self._words(name, choice)
        return self._submit(name, choice, words, f"read what is left of {name}")

    def carry(self, name: str, choice: Choice, digest: str, by: By) -> Job:
        """Carry it over, if that still is what was shown.

        Raises:
            NotFoundError, ConflictError: as `look`.
            MovedError: this appliance is being moved, or has moved.
        """
        self._recover.check()
        words = [*self._words(name, choice), "--yes", "--digest", digest]
        if by.ip:
            words += ["--ip", by.ip]
        return self._submit(name, choice, words, f"carry over what is left of {name}")

    def latest(self, name: str) -> Job | None:
        """The newest job about this one."""
        return self._jobs.latest(KIND, name)

    def _words(self, name: str, choice: Choice) -> list[str]:
        if not choice.parts:
            raise ValidationError("name what to carry over: hardware, labels, bindings, …")
        path = self._recover.path_of(name)
        words = ["recover", str(path), "--salvage", "--rows", str(SHOWN)]
        words += [f"--{part.value}" for part in sorted(choice.parts)]
        words += ["--keep-boot-modes"] * choice.keep_boot_modes
        words += ["--prefer-archive"] * choice.prefer_archive
        return words + (["--only", *choice.macs] if choice.macs else [])

    def _submit(self, name: str, choice: Choice, words: list[str], title: str) -> Job:
        picked = {
            "parts": sorted(part.value for part in choice.parts),
            "keep_boot_modes": choice.keep_boot_modes,
            "prefer_archive": choice.prefer_archive,
        }

        def work(teller: Teller) -> Outcome:
            found = self._program.run(words, teller)
            if found["done"]:
                self._on_change()
            rows = sum(
                counts["new"] + counts["filled"] + counts["replaced"]
                for counts in found["parts"].values()
            )
            said = f"{rows:,} rows {'came' if found['done'] else 'can come'} over"
            return Outcome(said, {**found, "picked": picked})

        return self._jobs.submit(KIND, name, title, work)
