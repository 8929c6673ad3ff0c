"""The loop of an unattended machine: against our server, and one that answers as the original."""

from __future__ import annotations

import itertools
import json
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from bty_app.errors import (
    BtyError,
    FlashError,
    FlashIntegrityError,
    FlashRefusedError,
    FlashWriteError,
    NotFoundError,
    UnavailableError,
)
from bty_app.flasher.disks import Disk
from bty_app.flasher.flashing import Acts, Flashing
from bty_app.flasher.order import Order, Source
from bty_app.flasher.plan import FlashPlan
from bty_app.flasher.run import Ending, Hands, Run
from bty_app.flasher.server import Server
from bty_app.flasher.waiting import Waiting
from bty_app.upstream.http import Http
from tests.flasher.fakes import DISK, OTHER, FakeErase, FakeFlash, Keyboard, Screen
from tests.flasher.original import Original, original
from tests.serving import MAC, Site, listening

FLASH = {"mode": "flash", "image": "http://h/a.img.gz", "target_disk_serial": "S1", "name": "deb"}
INVENTORY = {"mode": "inventory"}
Idle = Callable[[], None]


class NeverEndsError(Exception):
    """A test has seen enough of the loop."""


@dataclass
class Box:
    """A machine in a test."""

    url: str
    screen: Screen = field(default_factory=Screen)
    keyboard: Keyboard = field(default_factory=Keyboard)
    flash: FakeFlash = field(default_factory=FakeFlash)
    erase: FakeErase = field(default_factory=FakeErase)
    disks: list[Disk] = field(default_factory=lambda: [DISK, OTHER])
    probes: list[list[Disk]] = field(default_factory=list)
    lshw: object = field(default_factory=lambda: {"id": "box"})
    stays: bool = True
    reboots: int = 0
    booted: list[str] = field(default_factory=list)
    wizards: list[str] = field(default_factory=list)
    at_wizard: list[Callable[[Idle], Ending]] = field(default_factory=list)
    failing_order: Exception | None = None

    def run(self) -> Ending:
        waiting = Waiting(self.screen.console, self.keyboard.pressed)
        server = Server(Http(), self.url, MAC, wait=waiting, jitter=lambda: 0.5)
        hands = Hands(
            probe=self.probe,
            lshw=lambda: self.lshw,
            order=self.order,
            flashing=Flashing(
                Acts(self.flash, self.flash.check, self.erase), self.probe, self.screen.console
            ),
            after_flash=lambda disk: self.booted.append(disk.path),
            reboot=self.reboot,
            wizard=self.wizard,
        )
        return Run(server, self.screen.console, waiting, hands, stays=self.stays).run()

    def probe(self) -> list[Disk]:
        return self.probes.pop(0) if self.probes else self.disks

    def order(self, plan: FlashPlan) -> Order:
        if self.failing_order:
            raise self.failing_order
        sources = tuple(Source("http", place.url, place.label) for place in plan.places)
        order = Order(sources, plan.format or "img", plan.sha256)
        return replace(order, verify=plan.options.verify)

    def reboot(self) -> None:
        self.reboots += 1

    def wizard(self, catalog: str, idle: Idle) -> Ending:
        self.wizards.append(catalog)
        return self.at_wizard.pop(0)(idle) if self.at_wizard else Ending.QUIT


@pytest.fixture
def old() -> Iterator[Original]:
    with original() as host:
        yield host


@pytest.fixture
def box(old: Original) -> Box:
    return Box(old.url)


def plans(host: Original, *bodies: Mapping[str, object]) -> None:
    """These plans one after the other, and then an inventory, which ends the loop."""
    host.answers["plan"] = [(200, json.dumps(body).encode()) for body in bodies]


def failing(error: Exception) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


# -- what a plan orders besides --------------------------------------------------------------------


def test_a_plan_can_order_a_wipe_and_a_look_at_what_was_written(box: Box, old: Original) -> None:
    plans(old, FLASH | {"wipe": "overwrite", "verify": True})

    assert box.run() is Ending.REBOOT

    assert box.flash.checked == box.flash.orders
    assert box.erase.asked == [("/dev/sda", "overwrite")]
    told = json.loads(old.taken("status")[0])
    assert told["status"] == "done"
    assert "zeros written over every block" in told["reason"]
    assert told["reason"].endswith("everything was read back and compared")
    assert "wiped Disk One" in box.screen.said
    assert "all of it was read back, and is the same" in box.screen.said


@pytest.mark.parametrize("error", [FlashRefusedError, NotFoundError, FlashIntegrityError])
def test_nothing_is_wiped_for_an_image_that_is_refused(
    error: type[BtyError], box: Box, old: Original
) -> None:
    plans(old, FLASH | {"wipe": "overwrite"})
    box.flash.checks = [failing(error("it does not fit; nothing was written"))]

    assert box.run() is Ending.REBOOT  # by the inventory that the next plan is

    assert box.erase.asked == []
    assert box.flash.orders == []
    told = json.loads(old.taken("status")[0])
    assert told["status"] == "failed"
    assert told["reason"].endswith("it does not fit; nothing was written")


def test_a_flash_that_is_refused_after_the_wipe_says_what_the_disk_is(
    box: Box, old: Original
) -> None:
    plans(old, FLASH | {"wipe": "overwrite"})
    box.flash.acts = [failing(FlashRefusedError("it is gone; nothing was written"))]

    box.run()

    reason = json.loads(old.taken("status")[0])["reason"]
    assert "nothing was written" not in reason
    assert "it was wiped before (zeros written over every block)" in reason
    assert reason.endswith("the disk does not boot: flash it again")


def test_after_a_wipe_nothing_is_a_refusal_any_more() -> None:
    """A refusal says that the disk is as it was."""
    flash = FakeFlash([failing(FlashRefusedError("it is gone; nothing was written"))])
    acts = Acts(flash, flash.check, FakeErase())
    order = Order((Source("http", "http://h/a.img"),), "img")

    with pytest.raises(FlashError) as caught:
        Flashing(acts, lambda: [DISK], Screen().console).write(order, DISK, "overwrite")

    assert not isinstance(caught.value, FlashRefusedError)


def test_what_was_done_besides_is_in_the_record_of_our_server(server: Site, tmp_path: Path) -> None:
    server.services.settings.change({"flash.wipe": "overwrite", "flash.verify": "yes"}, ip=None)
    server.bind("bty-flash-once")
    server.boots()
    with listening(server.app, tmp_path) as port:
        box = Box(f"http://127.0.0.1:{port}")
        box.run()

    assert box.erase.asked == [("/dev/sda", "overwrite")]
    (event,) = server.events("machine.flashed")
    assert "zeros written over every block" in event["details"]["extras"]
    assert "everything was read back" in event["details"]["extras"]


def test_a_disk_that_cannot_be_wiped_as_ordered_is_not_flashed(box: Box, old: Original) -> None:
    plans(old, FLASH | {"wipe": "secure"})
    box.erase.failure = FlashRefusedError("it has no secure erase")

    box.run()

    assert box.flash.orders == []
    assert "no secure erase" in json.loads(old.taken("status")[0])["reason"]


# -- our server --------------------------------------------------------------------------------


def test_a_box_is_flashed_from_power_on_to_reboot(server: Site, tmp_path: Path) -> None:
    server.bind("bty-flash-once")
    server.boots()
    with listening(server.app, tmp_path) as port:
        box = Box(f"http://127.0.0.1:{port}")

        assert box.run() is Ending.REBOOT

    assert (
        server.kinds()[-3:]
        == [
            "machine.inventory",
            "netboot.pxe.plan",
            "machine.flashed",
        ]
        or server.kinds()[-1] == "machine.flashed"
    )
    assert server.kinds().count("machine.flashed") == 1
    assert server.phase() == "done"
    assert box.reboots == 1
    assert box.booted == ["/dev/sda"]
    (order, path), *_ = box.flash.orders
    assert (path, order.format, order.sha256) == ("/dev/sda", "img.zst", "b" * 64)
    assert "bty: auto-flash starting" in box.screen.lines
    assert "bty: flash complete; rebooting" in box.screen.lines


def test_a_failed_flash_is_reported_waited_out_and_tried_again(
    server: Site, tmp_path: Path
) -> None:
    server.bind("bty-flash-once")
    server.boots()
    with listening(server.app, tmp_path) as port:
        box = Box(f"http://127.0.0.1:{port}")
        box.flash.acts = [failing(FlashIntegrityError("the digest differs; it does not boot"))]
        # The pauses of the box take no time here: the server's do.
        box.keyboard.acts = dict.fromkeys(range(1, 5000), lambda: server.clock.forward(1))

        assert box.run() is Ending.REBOOT

    kinds = server.kinds()
    assert kinds.index("machine.flash_failed") < kinds.index("machine.flashed")
    (event,) = server.events("machine.flash_failed")
    assert event["details"]["reason"] == "the digest differs; it does not boot"
    assert len(box.flash.orders) == 2
    assert box.wizards == []


def test_a_box_to_be_taken_stock_of_is_rebooted(server: Site, tmp_path: Path) -> None:
    server.contact()
    server.fetch()
    with listening(server.app, tmp_path) as port:
        box = Box(f"http://127.0.0.1:{port}")

        assert box.run() is Ending.REBOOT

    machine = server.operate("GET", f"/machines/{MAC}").json
    assert [disk["serial"] for disk in machine["known_disks"]] == ["S1", "S2"]
    assert server.phase() == "done"
    assert box.flash.orders == []


def test_a_machine_that_was_deleted_is_discovered_by_its_plan_and_told_then(
    server: Site, tmp_path: Path
) -> None:
    with listening(server.app, tmp_path) as port:
        box = Box(f"http://127.0.0.1:{port}")

        assert box.run() is Ending.REBOOT

    assert server.kinds().count("machine.inventory") == 1
    assert "not taken: the server has no record of this machine" in box.screen.said.replace(
        "\n", " "
    )


# -- dispatch ----------------------------------------------------------------------------------


def test_the_inventory_is_told_before_the_plan_is_asked_for(old: Original, box: Box) -> None:
    box.run()

    assert old.asked == [("POST", "inventory"), ("GET", "plan")]
    assert json.loads(old.taken("inventory")[0])["lshw"] == {"id": "box"}
    assert box.reboots == 1


def test_exit_ends_the_client_and_in_a_live_environment_waits_for_work(
    old: Original, box: Box
) -> None:
    plans(old, {"mode": "exit"}, {"mode": "exit"})
    assert replace(box, stays=False).run() is Ending.NOTHING_TO_DO
    assert box.reboots == 0

    plans(old, {"mode": "exit"}, {"mode": "exit"})
    assert box.run() is Ending.REBOOT
    assert len(box.keyboard.waits) == 120
    assert "Waiting for the server to have something." in box.screen.said


def test_a_server_may_have_the_box_wait(old: Original, box: Box) -> None:
    plans(old, {"mode": "interactive", "catalog": "http://h/c", "retry_after": 40})

    assert box.run() is Ending.REBOOT

    assert sum(box.keyboard.waits) == 40
    assert box.wizards == []


@pytest.mark.parametrize(
    ("plan", "catalog", "why"),
    [
        ({"mode": "interactive", "catalog": "http://h/c.toml"}, "http://h/c.toml", ""),
        ({"mode": "interactive"}, None, ""),
        ({"mode": "flash", "target_disk_serial": "S"}, None, "the server names no image"),
        (FLASH | {"target_disk_serial": ""}, None, "the server names no disk"),
        ({"mode": "\x1b[2Jdance"}, None, "which is unknown"),
    ],
)
def test_a_person_chooses_where_the_server_does_not(
    old: Original, box: Box, plan: dict[str, object], catalog: str | None, why: str
) -> None:
    plans(old, plan)
    box.stays = False

    assert box.run() is Ending.QUIT

    assert box.wizards == [catalog or f"{old.url}/catalog.toml"]
    assert why in box.screen.said
    assert "\x1b" not in box.screen.text


def test_nobody_at_the_wizard_is_no_reason_to_miss_an_order(old: Original, box: Box) -> None:
    interactive: dict[str, object] = {"mode": "interactive"}
    plans(old, interactive, interactive, FLASH, FLASH)

    def nobody(idle: Idle) -> Ending:
        idle()
        old.answers["plan"].insert(0, (503, b""))
        idle()  # the server is away for a moment
        idle()
        raise NeverEndsError

    box.at_wizard = [nobody]

    assert box.run() is Ending.REBOOT
    assert len(box.flash.orders) == 1


def test_who_quits_the_wizard_of_a_live_environment_is_not_asked_again_at_once(
    old: Original, box: Box
) -> None:
    plans(old, {"mode": "interactive"})

    assert box.run() is Ending.REBOOT

    assert len(box.wizards) == 1
    assert sum(box.keyboard.waits) == 60


def test_what_was_flashed_by_hand_is_rebooted_into(old: Original, box: Box) -> None:
    plans(old, {"mode": "interactive"})
    box.at_wizard = [lambda _idle: Ending.REBOOT]

    assert box.run() is Ending.REBOOT
    assert box.reboots == 1
    assert old.asked.count(("GET", "plan")) == 1


# -- waiting -----------------------------------------------------------------------------------


def test_a_server_that_is_away_is_waited_for_and_the_console_says_so(
    old: Original, box: Box
) -> None:
    old.answers["inventory"] = [(502, b"")]
    old.answers["plan"] = [(503, b""), (200, b"<html>"), (404, b"404 page not found")]

    assert box.run() is Ending.REBOOT

    said = box.screen.said
    for words in ("it answers 502", "it answers 503", "makes sense", "it answers 404"):
        assert words in said
    assert "Press a key for the wizard." in said


def test_a_key_leads_to_the_wizard_while_the_server_is_away(old: Original, box: Box) -> None:
    old.answers["plan"] = [(503, b"")] * 50
    box.keyboard.press_at = {3}
    box.at_wizard = [lambda _idle: Ending.REBOOT]

    assert box.run() is Ending.REBOOT
    assert box.wizards == [f"{old.url}/catalog.toml"]


def test_a_line_that_can_be_renewed_counts_the_seconds(old: Original, box: Box) -> None:
    box.screen = Screen(renews=True)
    old.answers["plan"] = [(503, b"")] * 3

    box.run()

    assert "\rtrying again in 4 s; press a key for the wizard" in box.screen.text
    assert box.screen.text.count("it answers 503") == 1  # said once, for as long as it is so


# -- a flash -----------------------------------------------------------------------------------


def test_the_report_of_a_flash_is_repeated_until_it_is_taken(old: Original, box: Box) -> None:
    plans(old, FLASH)
    old.answers["status"] = [(500, b"")] * 4

    assert box.run() is Ending.REBOOT

    assert old.taken("status") == [b'{"status": "done"}']
    assert "The flash is done and not yet told" in box.screen.said


def test_a_person_may_reboot_a_flashed_box_whose_server_is_gone(old: Original, box: Box) -> None:
    plans(old, FLASH)
    old.answers["status"] = [(500, b"")] * 400
    box.keyboard.press_at = {30}

    assert box.run() is Ending.REBOOT
    assert "not taken: the server did not answer" in box.screen.said
    assert box.reboots == 1


def test_a_first_generation_server_hears_done(old: Original, box: Box) -> None:
    old.generation = 1
    plans(old, FLASH, FLASH)
    box.flash.acts = [failing(FlashWriteError("the disk failed"))]

    assert box.run() is Ending.REBOOT

    assert old.taken("done") == [b""]
    assert "a server of this age takes no reports of failures" in box.screen.said


REFUSED = [
    ([], "no disk has the serial 'S1'"),
    ([replace(DISK, path="/dev/sdz"), DISK], "have the same serial"),
    ([replace(DISK, in_use=("sda1 is mounted at /",))], "is in use: sda1 is mounted at /"),
    ([replace(DISK, read_only=True)], "is read-only"),
]


@pytest.mark.parametrize(("disks", "why"), REFUSED)
def test_a_disk_that_must_not_be_written_is_not_and_the_server_hears_why(
    old: Original, box: Box, disks: list[Disk], why: str
) -> None:
    plans(old, FLASH)
    box.disks = disks

    box.run()

    assert box.flash.orders == []
    assert "auto-flash starting" not in box.screen.text
    assert why in json.loads(old.taken("status")[0])["reason"]


@pytest.mark.parametrize(
    ("now", "why"),
    [
        ([OTHER], "is not there any more"),
        ([replace(DISK, size_bytes=5)], "is another disk now: its size"),
        ([replace(DISK, in_use=("sda1 is mounted at /mnt",))], "is in use"),
    ],
)
def test_a_disk_that_changes_before_the_first_byte_is_left_alone(
    old: Original, box: Box, now: list[Disk], why: str
) -> None:
    plans(old, FLASH)
    box.probes = [[DISK], [DISK], now]

    box.run()

    assert box.flash.orders == []
    assert why in json.loads(old.taken("status")[0])["reason"]


@pytest.mark.parametrize(
    "error",
    [
        UnavailableError("h cannot be fetched"),
        NotFoundError("h does not have it"),
        FlashRefusedError("the image is larger than the disk"),
        FlashWriteError("/dev/sda failed"),
        ZeroDivisionError("a bug"),
        OSError(5, "Input/output error"),
    ],
)
def test_whatever_fails_is_reported_first_and_then_the_server_is_asked_again(
    old: Original, box: Box, error: Exception
) -> None:
    plans(old, FLASH, FLASH)
    box.flash.acts = [failing(error)]
    asked_when_reported: list[int] = []
    box.keyboard.acts = {1: lambda: asked_when_reported.append(len(old.taken("status")))}

    assert box.run() is Ending.REBOOT

    assert asked_when_reported == [1]  # before the first wait, and before any key
    first, second = map(json.loads, old.taken("status"))
    assert first["status"] == "failed"
    assert str(error.args[-1]) in first["reason"]
    assert second == {"status": "done"}


def test_an_order_that_cannot_be_made_is_a_failure_like_others(old: Original, box: Box) -> None:
    plans(old, FLASH)
    box.failing_order = UnavailableError("the registry does not answer")

    box.run()

    assert json.loads(old.taken("status")[0])["reason"] == "the registry does not answer"


def test_a_registry_that_is_away_for_a_while_is_waited_for(old: Original, box: Box) -> None:
    plans(old, FLASH)
    box.failing_order = UnavailableError("registry.example.com does not answer")
    box.keyboard.acts = {3: lambda: setattr(box, "failing_order", None)}

    assert box.run() is Ending.REBOOT

    assert "registry.example.com does not answer" in box.screen.said
    assert len(box.flash.orders) == 1
    assert old.taken("status") == [b'{"status": "done"}']


def test_pauses_between_failures_grow_up_to_a_quarter_of_an_hour(old: Original, box: Box) -> None:
    plans(old, *[FLASH] * 8)
    box.keyboard.most = 10_000
    marks: list[int] = []

    def fail() -> None:
        marks.append(len(box.keyboard.waits))
        raise FlashWriteError("no")

    box.flash.acts = [fail] * 8
    box.run()

    pauses = [after - before for before, after in itertools.pairwise(marks)]
    assert pauses == [30, 60, 120, 240, 480, 900, 900]


def test_another_plan_begins_with_a_short_pause_again(old: Original, box: Box) -> None:
    plans(old, FLASH, FLASH, FLASH | {"image": "http://h/b.img"})
    box.flash.acts = [failing(FlashWriteError("no"))] * 3

    box.run()

    assert sum(box.keyboard.waits) == 30 + 60 + 30


def test_a_key_after_a_failure_leads_to_the_wizard(old: Original, box: Box) -> None:
    plans(old, FLASH)
    box.flash.acts = [failing(FlashWriteError("no"))]
    box.keyboard.press_at = {5}
    box.at_wizard = [lambda _idle: Ending.REBOOT]

    assert box.run() is Ending.REBOOT
    assert len(box.wizards) == 1


def test_ctrl_c_in_a_flash_ends_it_and_is_reported(old: Original, box: Box) -> None:
    plans(old, FLASH)
    box.flash.acts = [lambda: os.kill(os.getpid(), signal.SIGINT)]

    assert box.run() is Ending.REBOOT

    reason = json.loads(old.taken("status")[0])["reason"]
    assert reason == (
        "Disk One (serial S1, /dev/sda): stopped at the console;"
        " the disk does not boot: flash it again"
    )
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_a_server_that_restarts_in_the_middle_of_a_flash_loses_nothing(
    server: Site, tmp_path: Path
) -> None:
    server.bind("bty-flash-once")
    server.boots()
    with original() as front:
        front.answers["plan"] = [(200, json.dumps(server.plan()).encode())]
        box = Box(front.url)
        box.flash.acts = [front.close]

        def come_back() -> None:
            assert server.done().status_code == 204
            raise NeverEndsError

        box.keyboard.acts = {12: come_back}
        with pytest.raises(NeverEndsError):
            box.run()

    assert "Connection refused" in box.screen.said
    assert box.reboots == 0  # not before the report is taken


def test_hostile_words_of_a_server_do_not_reach_the_terminal(old: Original, box: Box) -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\u202e"
    plans(old, FLASH | {"name": evil, "target_disk_serial": evil, "format": evil})

    box.run()

    assert not set(box.screen.text) & set("\x1b\x07\u202e")


# -- disks that come and go --------------------------------------------------------------------


def test_an_inventory_is_told_again_only_when_it_changes(old: Original, box: Box) -> None:
    plans(old, *[{"mode": "exit"}] * 4)
    box.probes = [[DISK], [DISK], [DISK, OTHER], [DISK, OTHER]]
    box.disks = [DISK, OTHER]

    box.run()

    assert len(old.taken("inventory")) == 2


def test_without_lshw_the_disks_are_told(old: Original, box: Box) -> None:
    box.lshw = None

    box.run()

    assert set(json.loads(old.taken("inventory")[0])) == {"disks"}
