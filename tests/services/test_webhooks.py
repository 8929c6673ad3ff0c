"""Receivers of events: real servers on loopback that fail, stall and come back."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from bty_app.domain import webhooks as rules
from bty_app.domain.boot_stages import STAGE_NAMES, Seen, Stage
from bty_app.domain.events import Actor, Event, Kind
from bty_app.domain.moments import stamp
from bty_app.domain.settings import WEBHOOK_TARGETS
from bty_app.domain.webhooks import Target
from bty_app.services import webhooks as service
from bty_app.services.revisions import Revisions
from bty_app.services.settings import Settings
from bty_app.services.webhooks import Webhooks
from bty_app.store import boot_stages, events, machines
from bty_app.store.database import Database, Tx
from bty_app.upstream.http import Http
from tests.docs.pages import DOCS
from tests.fresh_state import make_state
from tests.serving import MAC, Clock

KEY = "a key of the test"


@dataclass
class Receiver:
    """What it answers with, and what it got; `stalls` until it is released."""

    port: int = 0
    status: int = 200
    location: str = ""
    stalls: bool = False
    released: threading.Event = field(default_factory=threading.Event)
    got: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/secret-path"

    def ids(self) -> list[int]:
        return [json.loads(body)["id"] for _headers, body in self.got]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if made.stalls:
                made.released.wait(20)
                return
            made.got.append((dict(self.headers.items()), body))
            self.send_response(made.status)
            if made.location:
                self.send_header("Location", made.location)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_any: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    made.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield made
    made.released.set()
    server.shutdown()
    server.server_close()
    thread.join(5)


@dataclass
class House:
    database: Database
    settings: Settings
    hooks: Webhooks
    clock: Clock

    def tell(self, kind: Kind = Kind.MACHINE_FLASH_FAILED, summary: str = "no") -> int:
        event = Event(kind, Actor.SYSTEM, summary, details={"ü": 1})
        at = "2026-11-22T19:00:00.000000+00:00"
        return self.database.write(lambda tx: events.record(tx, event, at=at))

    def boots(self, *stages: Stage) -> None:
        """A machine is seen in these stages."""
        at = self.clock.now

        def change(tx: Tx) -> None:
            machines.seen(tx, MAC, at=stamp(at), ip="192.0.2.7")
            seen = [Seen(at, stage, "192.0.2.7", {"file": "a"}) for stage in stages]
            assert boot_stages.append(tx, MAC, seen)

        self.database.write(change)

    def kinds(self) -> list[str]:
        return [event.kind for event in self.database.read(lambda tx: list(events.every(tx)))]

    def turn(self, seconds: float = 0) -> None:
        self.clock.forward(seconds)
        self.hooks.turn()


@contextmanager
def house_at(place: Path, targets: str | None, command: Target | None = None) -> Iterator[House]:
    path = place / "state.db"
    if not path.exists():
        make_state(place)
    revisions, clock = Revisions(), Clock()
    with Database(path, on_commit=revisions.bump) as database:
        settings = Settings(database, revisions, clock=clock)
        if targets is not None:
            settings.change({WEBHOOK_TARGETS.key: targets}, ip=None)
        hooks = Webhooks(database, settings, Http(), key=KEY, command=command, clock=clock)
        yield House(database, settings, hooks, clock)


@pytest.fixture
def house(quick_dir: Path, receiver: Receiver) -> Iterator[House]:
    with house_at(quick_dir, f"*failed,machine.flashed {receiver.url}") as made:
        made.turn()  # it begins with what happens from now on
        yield made


def test_what_matches_is_sent_once_and_in_order(house: House, receiver: Receiver) -> None:
    wanted = [house.tell(), house.tell(Kind.MACHINE_FLASHED)]
    house.tell(Kind.PXE_OFFERED)
    wanted.append(house.tell(Kind.BACKUP_FAILED))

    for _ in range(3):
        house.turn()

    assert receiver.ids() == wanted


def test_a_message_is_signed_as_the_manual_says(house: House, receiver: Receiver) -> None:
    number = house.tell(summary="disk is gone")
    house.turn()
    headers, body = receiver.got[0]

    given = dict(part.split("=") for part in headers["X-Bty-Signature"].split(","))
    expected = hmac.new(KEY.encode(), f"{given['t']}.".encode() + body, hashlib.sha256)

    assert given["v1"] == expected.hexdigest()
    assert int(given["t"]) == int(house.clock.now.timestamp())
    assert headers["X-Bty-Delivery"] == str(number)
    assert headers["Content-Type"] == "application/json"
    told = json.loads(body)
    assert told["text"] == "bty: machine.flash_failed: disk is gone"
    assert told["details"] == {"ü": 1}


def test_a_failure_is_tried_again_with_growing_pauses(house: House, receiver: Receiver) -> None:
    receiver.status = 500
    number = house.tell()
    house.turn()
    house.turn(1)
    assert len(receiver.got) == 1
    house.turn(1)
    assert len(receiver.got) == 2
    house.turn(3)
    assert len(receiver.got) == 2
    house.turn(1)
    assert len(receiver.got) == 3

    receiver.status = 204
    house.turn(8)
    assert receiver.ids()[:4] == [number] * 4
    progress = house.hooks.state()[0].progress
    assert progress is not None
    assert (progress.last_error, progress.tries) == (None, 0)


def test_a_failure_is_an_event_once_an_hour_and_so_is_its_end(
    house: House, receiver: Receiver
) -> None:
    receiver.status = 503
    house.tell()
    for _ in range(11):  # 55 minutes
        house.turn(300)
    assert house.kinds().count("webhook.delivery.failed") == 1
    house.turn(600)
    assert house.kinds().count("webhook.delivery.failed") == 2

    receiver.status = 200
    house.turn(300)
    house.turn()
    assert house.kinds().count("webhook.recovered") == 1


def test_a_restart_loses_nothing(quick_dir: Path, receiver: Receiver) -> None:
    with house_at(quick_dir, f"*failed {receiver.url}") as before:
        before.turn()
        receiver.status = 500
        wanted = [before.tell(), before.tell()]
        before.turn()
    receiver.got.clear()
    receiver.status = 200
    with house_at(quick_dir, None) as after:
        wanted.append(after.tell())
        after.turn(60)

    told = [number for number in receiver.ids() if number in wanted]
    assert told == wanted


def test_a_server_that_stalls_is_given_up_and_recovers(
    house: House, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "SECONDS", 0.3)
    receiver.stalls = True
    number = house.tell()
    house.turn()
    progress = house.hooks.state()[0].progress
    assert progress is not None
    assert progress.tries == 1
    receiver.stalls = False
    receiver.released.set()

    monkeypatch.setattr(service, "SECONDS", 4.0)
    house.turn(10)

    assert receiver.ids()[0] == number


def test_a_redirect_is_not_followed(house: House, receiver: Receiver) -> None:
    receiver.status, receiver.location = 307, f"http://127.0.0.1:{receiver.port}/elsewhere"
    house.tell()
    house.turn()

    assert len(receiver.got) == 1
    state = house.hooks.state()[0]
    assert state.progress is not None
    assert "redirects" in (state.progress.last_error or "")


def test_one_dead_receiver_keeps_none_of_the_others(quick_dir: Path, receiver: Receiver) -> None:
    with house_at(quick_dir, f"* http://127.0.0.1:1/x; *failed {receiver.url}") as house:
        house.turn()
        number = house.tell()
        house.turn()

    assert number in receiver.ids()


def test_what_is_too_far_behind_is_left_out_and_counted(
    house: House, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(service, "BACKLOG", 2)
    numbers = [house.tell() for _ in range(5)]
    house.turn()

    assert receiver.ids() == numbers[3:]
    progress = house.hooks.state()[0].progress
    assert progress is not None
    assert progress.skipped == 3


def test_the_secret_of_an_address_is_nowhere(house: House, receiver: Receiver) -> None:
    receiver.status = 500
    house.tell()
    house.turn()
    shown = next(row for row in house.settings.shown() if row.setting is WEBHOOK_TARGETS)
    rows = house.database.read(lambda tx: list(events.every(tx)))
    state = house.hooks.state()[0]
    everything = f"{shown} {rows} {state.target.shown} {state.progress}"

    assert "secret-path" not in everything
    assert f"http://127.0.0.1:{receiver.port}/…" in shown.value


def test_a_program_gets_the_event_without_a_shell(quick_dir: Path) -> None:
    kept = quick_dir / "kept"
    script = 'import sys; open(sys.argv[1], "ab").write(sys.stdin.buffer.read())'
    words = ("/usr/bin/env", "python3", "-c", script, str(kept))
    with house_at(quick_dir, None, Target(("*failed",), command=words)) as house:
        house.turn()
        number = house.tell(summary="$(reboot)")
        house.turn()

    assert json.loads(kept.read_text("utf-8"))["id"] == number


def test_a_program_that_fails_or_is_not_there_is_said(quick_dir: Path) -> None:
    for words, why in ((("/bin/false",), "status 1"), (("/nowhere",), "cannot be run")):
        with house_at(quick_dir, None, Target(("*",), command=words)) as house:
            assert why in house.hooks.test()[0][1]


def test_a_test_is_sent_and_its_end_is_told(house: House, receiver: Receiver) -> None:
    assert house.hooks.test()[0][1] == ""
    receiver.status = 404
    assert house.hooks.test()[0][1] == "it answers 404"
    told = json.loads(receiver.got[0][1])
    assert told["kind"] == "webhook.test"
    assert list(told) == [
        *("text", "id", "ts", "kind", "subject_kind", "subject_id", "actor", "source_ip"),
        *("summary", "details"),
    ]


@pytest.mark.parametrize(
    "text",
    [
        "https://host/",
        "*failed ftp://host/",
        "*failed http://host:0/",
        "*failed http://",
        "*failed http://hö/",
        "[a] http://host/",
        "* http://host/ extra",
        "a http://h/; b http://h/",
        ";".join(f"* http://h/{n}" for n in range(9)),
    ],
)
def test_targets_that_cannot_be(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        rules.targets(text)


def test_masked_targets_cannot_be_stored(receiver: Receiver) -> None:
    text: Any = rules.masked(f"* {receiver.url}")

    with pytest.raises(ValueError, match="patterns"):
        rules.targets(text)


STAGES = "machine.stage.ipxe.*,machine.stage.flash.*,*failed"


@pytest.fixture
def staged(quick_dir: Path, receiver: Receiver) -> Iterator[House]:
    with house_at(quick_dir, f"{STAGES} {receiver.url}") as made:
        made.boots(Stage.BOOTSTRAP)
        made.turn()
        yield made


def told(receiver: Receiver) -> list[str]:
    return [json.loads(body)["kind"].removeprefix(rules.STAGES) for _headers, body in receiver.got]


def test_stages_of_a_boot_are_told_and_are_no_rows_of_the_audit(
    staged: House, receiver: Receiver
) -> None:
    before = staged.kinds()
    staged.boots(Stage.DHCP_OFFERED, Stage.SCRIPT, Stage.FLASHED)
    for _ in range(3):
        staged.turn()

    assert told(receiver) == ["ipxe.script", "flash.done"], "from now on, once, what is wanted"
    headers, body = receiver.got[0]
    said = json.loads(body)
    assert staged.kinds() == before
    assert (headers["X-Bty-Delivery"], headers["X-Bty-Event"]) == (
        f"stage-{said['id']}",
        "machine.stage.ipxe.script",
    )
    assert said["text"] == f"bty: machine.stage.ipxe.script: {MAC}: Script given"
    assert (said["subject_id"], said["source_ip"], said["details"]) == (
        MAC,
        "192.0.2.7",
        {"file": "a"},
    )
    given = dict(part.split("=") for part in headers["X-Bty-Signature"].split(","))
    signed = hmac.new(KEY.encode(), f"{given['t']}.".encode() + body, hashlib.sha256)
    assert given["v1"] == signed.hexdigest()


@pytest.mark.parametrize("pattern", ["*", "*failed", "machine.*"])
def test_stages_are_told_only_to_who_asks_for_them(
    quick_dir: Path, receiver: Receiver, pattern: str
) -> None:
    with house_at(quick_dir, f"{pattern} {receiver.url}") as house:
        house.turn()
        house.boots(Stage.FLASH_FAILED)
        house.turn()

    assert not [kind for kind in told(receiver) if kind.startswith("flash")]


def test_stages_wait_for_a_receiver_that_is_away_through_a_restart_but_no_longer_than_an_hour(
    quick_dir: Path, receiver: Receiver
) -> None:
    with house_at(quick_dir, f"{STAGES} {receiver.url}") as house:
        house.turn()
        receiver.status = 500
        house.boots(Stage.BOOTSTRAP)
        house.turn()
        house.clock.forward(3500)
        house.boots(Stage.SCRIPT)
        house.turn()
        assert house.kinds().count("webhook.delivery.failed") == 1
        at = house.clock.now
    receiver.got.clear()
    receiver.status = 200
    with house_at(quick_dir, None) as again:
        again.clock.now = at
        again.turn(200)

    stages = [kind for kind in told(receiver) if not kind.endswith("failed")]
    assert stages == ["ipxe.script"]


def test_a_failure_of_both_is_one_event_an_hour(staged: House, receiver: Receiver) -> None:
    receiver.status = 500
    staged.tell()
    staged.boots(Stage.SCRIPT)
    for _ in range(11):
        staged.turn(300)

    assert staged.kinds().count("webhook.delivery.failed") == 1
    (state,) = staged.hooks.state()
    assert state.progress is not None
    assert state.progress.last_error == "it answers 500"


def test_stages_of_a_state_that_was_put_back_are_counted_anew(
    staged: House, receiver: Receiver
) -> None:
    staged.boots(Stage.SCRIPT)
    staged.turn()
    staged.database.write(lambda tx: tx.run("DELETE FROM boot_stages"))
    staged.database.write(lambda tx: tx.run("DELETE FROM sqlite_sequence"))
    staged.turn()
    staged.boots(Stage.FLASHED)
    staged.turn()

    assert told(receiver) == ["ipxe.script", "flash.done"]


def test_a_program_is_told_of_stages(quick_dir: Path) -> None:
    got = quick_dir / "got"
    words = ("/bin/sh", "-c", 'cat >> "$0"', str(got))
    command = Target(("machine.stage.live.*",), command=words)
    with house_at(quick_dir, None, command) as house:
        house.turn()
        house.boots(Stage.CLIENT, Stage.PLAN, Stage.FLASHED)
        house.turn()

    assert got.read_text().count('"kind":"machine.stage.live.') == 2


def test_the_manual_names_every_stage() -> None:
    page = (DOCS / "how-to" / "send-events-to-chat-and-monitoring.md").read_text()

    rows = [f"| `machine.stage.{stage.value}` | {STAGE_NAMES[stage]} |" for stage in Stage]
    assert [row for row in rows if row not in page] == []
