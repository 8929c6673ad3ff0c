"""Looks at regular intervals whether there is something to do."""

from __future__ import annotations

import logging
import threading
import time

import pytest

from bty_app.errors import StorageError
from bty_app.workers.scheduler import Scheduler


def test_a_turn_runs_every_task_in_order() -> None:
    ran: list[str] = []
    scheduler = Scheduler({"a": lambda: ran.append("a"), "b": lambda: ran.append("b")}, seconds=9)

    scheduler.turn()
    scheduler.turn()

    assert ran == ["a", "b", "a", "b"]


def test_a_task_that_fails_is_told_and_tried_again_and_stops_no_other(
    caplog: pytest.LogCaptureFixture,
) -> None:
    ran: list[str] = []

    def fails() -> None:
        ran.append("fails")
        raise StorageError("the disk is full")

    scheduler = Scheduler({"fails": fails, "works": lambda: ran.append("works")}, seconds=9)

    with caplog.at_level(logging.WARNING):
        scheduler.turn()
        scheduler.turn()

    assert ran == ["fails", "works"] * 2
    assert [vars(record)["fields"] for record in caplog.records] == [
        {"task": "fails", "error": "the disk is full"}
    ] * 2


def test_a_bug_in_a_task_ends_the_worker() -> None:
    scheduler = Scheduler({"bug": lambda: 1 // 0}, seconds=0)

    with pytest.raises(ZeroDivisionError):
        scheduler.run()


def test_it_takes_turns_until_it_is_stopped() -> None:
    third = threading.Event()
    turns: list[int] = []

    def task() -> None:
        turns.append(1)
        if len(turns) >= 3:
            third.set()

    scheduler = Scheduler({"task": task}, seconds=0.001)
    thread = threading.Thread(target=scheduler.run, daemon=True)
    thread.start()

    assert third.wait(10)
    scheduler.stop()
    thread.join(10)

    assert not thread.is_alive()


def test_a_stop_does_not_wait_for_the_next_turn() -> None:
    scheduler = Scheduler({}, seconds=3600)
    thread = threading.Thread(target=scheduler.run, daemon=True)
    thread.start()

    begun = time.perf_counter()
    scheduler.stop()
    thread.join(10)

    assert not thread.is_alive()
    assert time.perf_counter() - begun < 5


def test_it_is_woken_at_once() -> None:
    turned = threading.Event()
    scheduler = Scheduler({"turn": turned.set}, seconds=3600)
    thread = threading.Thread(target=scheduler.run)
    thread.start()
    try:
        scheduler.wake()
        assert turned.wait(10)
    finally:
        scheduler.stop()
        thread.join(10)
    assert not thread.is_alive()
