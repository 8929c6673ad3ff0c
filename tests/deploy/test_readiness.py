"""Waiting and watching: what counts as ready, as gone, and as a busy moment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pytest

from bty_app.deploy.readiness import wait_until_ready, watch
from bty_app.deploy.stack import Condition
from bty_app.errors import UnavailableError
from tests.deploy.worlds import PaperPace, World

UP, BUSY, GONE = (True, 0, ""), (True, 0, "503"), (False, 0, "refused")
AGAIN = (True, 1, "")


@dataclass(slots=True)
class Seen(World):
    """A world that looks as it is told, one look after the other; the last one stays."""

    looks_like: Iterator[tuple[bool, int, str]] = field(default_factory=lambda: iter(()))
    last: tuple[bool, int, str] = UP

    def condition(self) -> Condition:
        return Condition(self.last[0], self.last[1])

    def ready(self) -> str:
        self.last = next(self.looks_like, self.last)
        if self.last[2] == "raises":
            raise UnavailableError("no answer")
        return self.last[2]


def seen(*looks: Iterable[tuple[bool, int, str]]) -> Seen:
    found = [look for several in looks for look in several]
    return Seen(looks_like=iter(found), last=found[0])


@pytest.mark.parametrize(
    ("looks", "why"),
    [
        ([[BUSY] * 20, [UP]], ""),
        ([[GONE] * 2, [UP]], ""),
        ([[(True, 2, "refused")] * 5, [(True, 2, "")]], ""),
        ([[(True, 6, "refused")] * 2, [UP]], ""),
        ([[GONE] * 3], "it ended before it was ready (refused)"),
        ([[(True, 4, "refused")]], "it ended 4 times before it was ready"),
        ([[BUSY] * 99], "it was not ready within 30 seconds (503)"),
        ([[(True, 0, "raises")] * 99], "it was not ready within 30 seconds (no answer)"),
    ],
)
def test_a_start_has_its_time(looks: list[list[tuple[bool, int, str]]], why: str) -> None:
    assert wait_until_ready(seen(*looks), PaperPace(), 30) == why


@pytest.mark.parametrize(
    ("looks", "why"),
    [
        ([[UP] * 99], ""),
        ([[UP] * 9, [BUSY] * 5, [UP] * 99], ""),
        ([[UP] * 29, [BUSY] * 5, [UP]], ""),
        ([[(True, 2, "")] * 99], ""),
        ([[UP] * 9, [GONE]], "it ended after it had been ready"),
        ([[UP] * 9, [AGAIN]], "it ended after it had been ready, and was started again"),
        ([[UP] * 9, [BUSY] * 99], "it had been ready, and is not any more (503)"),
        ([[UP] * 28, [BUSY] * 99], "it had been ready, and is not any more (503)"),
    ],
)
def test_what_is_watched_must_stay_ready(
    looks: list[list[tuple[bool, int, str]]], why: str
) -> None:
    pace = PaperPace()

    assert watch(seen(*looks), pace, 30) == why

    assert pace.seconds >= 30 or why
