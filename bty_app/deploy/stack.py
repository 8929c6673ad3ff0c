"""What an upgrade needs of the thing that runs bty on this host.

Three things do: compose, systemd with Quadlet units, and a systemd unit of the single file. An
upgrade is the same for all of them; how it is carried out is the stack's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Release:
    """One release, as it can be started again at any time.

    `reference` is an image by its digest or id, or the path of a single file named by its version.
    """

    version: str
    reference: str


@dataclass(frozen=True, slots=True)
class Condition:
    """How bty is at the moment, by the word of what runs it; `restarts` since it was installed."""

    running: bool
    restarts: int


@dataclass(frozen=True, slots=True)
class Done:
    """A command of bty that was run, and how it ended."""

    status: int
    stdout: str
    stderr: str


class Stack(Protocol):
    """bty on this host. Every method raises a BtyError whose sentence says what to do."""

    def current(self) -> Release:
        """The release that is installed, whether it runs or not."""

    def changes(self, version: str) -> str:
        """What `install` of that version would change in the files of this host, as lines for
        people; empty where nothing. Changes nothing, fetches nothing.
        """

    def fetch(self, version: str) -> Release:
        """Get the release of that version onto this host (pull, build, copy). Stops nothing."""

    def run(self, release: Release, words: Sequence[str]) -> Done:
        """Run `bty words…` of that release once, on the state directory of this host, beside a
        running server or without one.
        """

    def install(self, release: Release) -> None:
        """Make this release the one that is started from now on; durable when it returns."""

    def stop(self) -> None:
        """Stop bty, and wait until it has ended."""

    def start(self) -> None:
        """Start what is installed. Does not wait until it is ready."""

    def condition(self) -> Condition:
        """How it is now."""

    def said(self) -> str:
        """The last lines of its log."""

    def ready(self) -> str:
        """Empty when `/readyz` says yes for the installed release; else what it said instead."""
