"""Starts all workers, stops all; the first that fails ends the program."""

from __future__ import annotations

import threading

import pytest

from bty_app.workers.supervisor import Supervisor, WorkerFailedError


class Steady:
    """A worker that works until it is stopped."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.started, self.stopping, self.ended = (threading.Event() for _ in range(3))

    def run(self) -> None:
        self.started.set()
        assert self.stopping.wait(10)
        self.ended.set()

    def stop(self) -> None:
        self.stopping.set()


class Failing(Steady):
    """A worker that ends by itself, once all others run."""

    def __init__(self, others: list[Steady], error: BaseException | None) -> None:
        super().__init__("failing")
        self.others, self.error = others, error

    def run(self) -> None:
        for other in self.others:
            assert other.started.wait(10)
        if self.error:
            raise self.error


def test_all_run_until_the_stop_and_all_end() -> None:
    workers = [Steady("a"), Steady("b")]
    supervisor = Supervisor(workers)
    thread = threading.Thread(target=supervisor.run, daemon=True)
    thread.start()
    assert all(worker.started.wait(10) for worker in workers)
    assert not any(worker.stopping.is_set() for worker in workers)

    supervisor.stop()
    thread.join(10)

    assert not thread.is_alive()
    assert all(worker.ended.is_set() for worker in workers)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ValueError("no disk"), "the worker failing failed: no disk"),
        (None, "the worker failing failed: it ended by itself"),
    ],
)
def test_the_first_that_ends_by_itself_stops_the_rest_and_is_the_error(
    error: BaseException | None, words: str
) -> None:
    others = [Steady("a"), Steady("b")]

    with pytest.raises(WorkerFailedError, match=words) as failed:
        Supervisor([*others, Failing(others, error)]).run()

    assert failed.value.__cause__ is error
    assert all(worker.ended.is_set() for worker in others)


def test_a_stop_before_the_start_is_not_lost() -> None:
    worker = Steady("a")
    supervisor = Supervisor([worker])
    supervisor.stop()

    supervisor.run()

    assert worker.ended.is_set()


def test_workers_run_in_threads_of_their_names() -> None:
    class Named(Steady):
        def run(self) -> None:
            self.thread = threading.current_thread().name
            super().run()

    worker = Named("a-name")
    supervisor = Supervisor([worker])
    supervisor.stop()
    supervisor.run()

    assert worker.thread == "a-name"
