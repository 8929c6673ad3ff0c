"""`machine wait`: a script flashes a machine and goes on when it is done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from bty_app.cli.machine_wait import Verdict, Wait, verdict
from bty_app.cli.reach.machines import Data, Seen
from bty_app.domain.machine import Phase, State
from bty_app.errors import BtyError, ConflictError, NotFoundError, UnavailableError
from bty_app.store import settings
from tests.cli.test_main import bty
from tests.serving import MAC, Site

STRANGER = "52:54:00:99:99:99"


@dataclass
class Days:
    """Time that passes when it is waited for; something happens each time."""

    happens: Iterator[Callable[[], object]]
    seconds: float = 0.0

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        next(self.happens, lambda: None)()


@dataclass
class Reach:
    """Over the real API of a server; `failing` are the next requests that find it away."""

    site: Site
    failing: int = 0
    answers: dict[str, Any] = field(default_factory=dict)

    def get(self, mac: str) -> Seen:
        if self.failing:
            self.failing -= 1
            raise UnavailableError("the server does not answer")
        found = self.site.operate("GET", f"/api/v1/machines/{mac}")
        if found.status_code == 404:
            raise NotFoundError(f"no machine record for {mac}")
        return Seen({**found.json, **self.answers}, None)


def waited(
    reach: Reach, *steps: Callable[[], object], minutes: float = 60, mac: str = MAC
) -> tuple[dict[str, Data], list[str]]:
    told: list[str] = []
    days = Days(iter(steps))
    wait = Wait(reach, told.append, days.now, days.sleep)  # type: ignore[arg-type]  # gets alone
    return wait.until([mac], minutes), told


def test_it_waits_from_the_order_to_the_flash_and_tells_each_change(server: Site) -> None:
    server.bind("bty-flash-once")
    found, told = waited(
        Reach(server), lambda: None, server.boots, lambda: server.status("done"), server.contact
    )

    assert found[MAC]["state"] == "done"
    assert told == [f"{MAC} waits (idle)", f"{MAC} live (booted)", f"{MAC} done (done)"]


def test_where_the_word_of_its_system_counts_it_waits_for_that(server: Site) -> None:
    server.database.write(lambda tx: settings.put(tx, "flash.done", "booted", at="x"))
    server.bind("bty-flash-once")
    server.boots()

    _, told = waited(
        Reach(server), lambda: server.status("done"), lambda: server.post(f"/pxe/{MAC}/booted")
    )

    assert told[-2:] == [f"{MAC} unproven (done)", f"{MAC} done (done)"]


def test_a_failed_attempt_is_waited_out_since_another_follows(server: Site) -> None:
    server.bind("bty-flash-once")
    server.boots()

    def again() -> None:
        server.clock.forward(120)
        server.boots()

    _, told = waited(
        Reach(server),
        lambda: server.status("failed", reason="x"),
        again,
        lambda: server.status("done"),
    )

    assert f"{MAC} fault (failed)" in told
    assert told[-1] == f"{MAC} done (done)"


def test_what_does_not_mend_by_itself_ends_it(server: Site) -> None:
    server.bind("bty-flash-once", serial=None)

    with pytest.raises(BtyError, match=r"in fault: .*its page says why") as found:
        waited(Reach(server))

    assert found.value.code == "failed"


def test_the_time_is_over(server: Site) -> None:
    server.bind("bty-flash-once")

    with pytest.raises(ConflictError, match=r"not done after 1 minutes: .* waits"):
        waited(Reach(server), minutes=1)


def test_a_server_that_starts_anew_meanwhile_is_asked_again(server: Site) -> None:
    server.bind("bty-flash-once")
    server.boots()
    reach = Reach(server)

    def away() -> None:
        reach.failing = 3
        server.status("done")

    found, told = waited(reach, away)

    assert found[MAC]["state"] == "done"
    assert told.count(f"{MAC}: the server does not answer") == 3


def test_one_that_nobody_knows_is_no_thing_to_wait_for(server: Site) -> None:
    with pytest.raises(NotFoundError):
        waited(Reach(server), mac=STRANGER)


def test_an_older_server_is_named(server: Site) -> None:
    server.bind("bty-flash-once")

    class Old(Reach):
        def get(self, mac: str) -> Seen:
            data = dict(super().get(mac).data)
            del data["state"]
            return Seen(data, None)

    with pytest.raises(ConflictError, match="older"):
        waited(Old(server))


@pytest.mark.parametrize("state", State)
@pytest.mark.parametrize("phase", Phase)
def test_every_state_has_its_verdict(state: State, phase: Phase) -> None:
    found = verdict({"state": state.value, "phase": phase.value})

    assert (found is Verdict.DONE) == (state in {State.DONE, State.RESTS})
    assert (found is Verdict.FAULT) == (state is State.FAULT and phase is not Phase.FAILED)


def test_the_command_ends_as_it_says(server: Site, tmp_path: Path) -> None:
    server.bind("bty-flash-once")
    home = tmp_path
    here = {"BTY_PATHS_STATE_DIR": str(server.state_dir)}

    late = bty("machine", "wait", MAC, "--timeout", "0", home=home, environment=here)
    server.boots()
    server.status("done")
    done = bty("machine", "wait", MAC.upper(), "--json", home=home, environment=here)
    server.bind("bty-flash-once", serial=None)
    fault = bty("machine", "wait", MAC, home=home, environment=here)
    wrong = bty("machine", "wait", MAC, "--timeout", "nan", home=home, environment=here)

    assert (late.returncode, done.returncode) == (75, 0)
    assert (fault.returncode, wrong.returncode) == (1, 2)
    assert '"state": "done"' in done.stdout
    assert "in fault" in fault.stderr
    assert "Traceback" not in late.stderr + fault.stderr + wrong.stderr
