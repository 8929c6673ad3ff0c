"""Answers that are kept for a moment."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from bty_app.errors import UnavailableError
from bty_app.services.recent import CAPACITY, Recent


class Clockwork:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def counted(answers: list[str]) -> Callable[[], str]:
    def find_out() -> str:
        answers.append("x")
        return f"answer {len(answers)}"

    return find_out


def test_an_answer_is_kept_for_its_seconds_and_no_longer() -> None:
    clock, asked = Clockwork(), list[str]()
    recent: Recent[str] = Recent(seconds=60, failed_seconds=5, steady=clock)

    assert recent.get("k", counted(asked)) == "answer 1"
    clock.now = 59.9
    assert recent.get("k", counted(asked)) == "answer 1"
    clock.now = 60.0
    assert recent.get("k", counted(asked)) == "answer 2"
    assert recent.get("other", counted(asked)) == "answer 3"


def test_a_failure_is_told_again_and_tried_again_sooner() -> None:
    clock, asked = Clockwork(), list[str]()
    recent: Recent[str] = Recent(seconds=60, failed_seconds=5, steady=clock)

    def fails() -> str:
        asked.append("x")
        raise UnavailableError("dead")

    for _ in range(3):
        with pytest.raises(UnavailableError, match="dead"):
            recent.get("k", fails)
    assert len(asked) == 1
    clock.now = 5.0
    assert recent.get("k", lambda: "back") == "back"


def test_what_many_want_is_asked_once() -> None:
    recent: Recent[str] = Recent(seconds=60, failed_seconds=5)
    asked, found = list[str](), list[str]()
    all_wait = threading.Barrier(9)
    go = threading.Event()

    def slow() -> str:
        asked.append("x")
        assert go.wait(10)
        return "once"

    def want() -> None:
        all_wait.wait(10)
        found.append(recent.get("k", slow))

    threads = [threading.Thread(target=want) for _ in range(8)]
    for thread in threads:
        thread.start()
    all_wait.wait(10)
    go.set()
    for thread in threads:
        thread.join(10)

    assert found == ["once"] * 8
    assert len(asked) == 1


def test_the_memory_is_bounded() -> None:
    recent: Recent[str] = Recent(seconds=60, failed_seconds=5)
    asked: list[str] = []

    for number in range(CAPACITY + 1):
        recent.get(str(number), lambda: "x")
    recent.get("0", counted(asked))

    assert asked
