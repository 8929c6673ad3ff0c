"""How long a deploy waits for a server, and what it says when it gives up."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import pytest

from bty_app.deploy.stack import Condition, Stack
from bty_app.deploy.waiting import Clock, until_ready
from bty_app.errors import UnavailableError


class Server:
    """A server whose life is a function of the seconds since its start."""

    def __init__(self, ready: Callable[[float], str], life: Callable[[float], Condition]) -> None:
        self.passed = 0.0
        self._ready, self._life = ready, life
        self.clock = Clock(lambda: self.passed, self._sleep)

    def _sleep(self, seconds: float) -> None:
        self.passed += seconds

    def ready(self) -> str:
        return self._ready(self.passed)

    def condition(self) -> Condition:
        return self._life(self.passed)


def _wait(server: Server) -> None:
    until_ready(cast("Stack", server), seconds=60, clock=server.clock)


def _up(_passed: float) -> Condition:
    return Condition(running=True, restarts=0, said="one\nlast word\n")


def test_it_waits_until_the_server_is_ready() -> None:
    server = Server(lambda at: "" if at >= 20 else "not yet", _up)

    _wait(server)

    assert server.passed == 20


def test_a_server_that_never_is_ready_is_given_up_with_what_it_says() -> None:
    server = Server(lambda _at: "not ready: the disk is full", _up)

    with pytest.raises(UnavailableError, match=r"after 60 s: not ready: the disk is full.*last wo"):
        _wait(server)

    assert 60 <= server.passed < 62


def test_one_that_is_down_is_given_up_soon() -> None:
    server = Server(lambda _at: "nothing answers", lambda _at: Condition(False, 0, "no such key"))

    with pytest.raises(UnavailableError, match=r"does not run.*no such key"):
        _wait(server)

    assert server.passed < 12


def test_a_moment_between_two_starts_is_no_end() -> None:
    server = Server(lambda at: "" if at >= 15 else "no", lambda at: Condition(int(at) % 5 > 2, 1))

    _wait(server)


def test_one_that_starts_again_and_again_is_given_up() -> None:
    server = Server(lambda _at: "no", lambda at: Condition(True, int(at), "bad configuration"))

    with pytest.raises(UnavailableError, match=r"again and again.*bad configuration"):
        _wait(server)

    assert server.passed < 6
