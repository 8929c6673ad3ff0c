"""The server's endpoints as calls: against ours, and against one that answers as the original."""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from bty_app.domain.progress import ProgressReport
from bty_app.errors import InvalidInputError
from bty_app.flasher.disks import Disk
from bty_app.flasher.plan import ExitPlan, FlashPlan, InteractivePlan, InventoryPlan, Place
from bty_app.flasher.reasons import shortened
from bty_app.flasher.retry import AwayError, Patience
from bty_app.flasher.server import Server, Told, base_url
from bty_app.upstream.http import Http
from tests.flasher.original import Original, original
from tests.programs import free_port
from tests.serving import MAC, Site, listening

SOON = Patience(in_all=100.0)
DISK = Disk(path="/dev/sda", size_bytes=2**30, serial="S1", model="M", device_numbers=(8, 0))


class Waits:
    """Pauses that take no time; each calls what is planned for it."""

    def __init__(self, *acts: object) -> None:
        self.seconds: list[float] = []
        self.reasons: list[str] = []
        self.acts = list(acts)

    def __call__(self, seconds: float, why: str) -> None:
        self.seconds.append(seconds)
        self.reasons.append(why)
        assert len(self.seconds) < 1000, "it waits for ever"
        if self.acts:
            act = self.acts.pop(0)
            assert callable(act)
            act()


def client(url: str, waits: Waits | None = None) -> Server:
    return Server(Http(), url, MAC, wait=waits or Waits(), jitter=lambda: 0.5)


@pytest.fixture
def old() -> Iterator[Original]:
    with original() as host:
        yield host


@pytest.fixture
def ours(server: Site, tmp_path: Path) -> Iterator[tuple[Site, str]]:
    with listening(server.app, tmp_path) as port:
        yield server, f"http://127.0.0.1:{port}"


# -- our server --------------------------------------------------------------------------------


def test_a_whole_flash_is_told_to_our_server(ours: tuple[Site, str]) -> None:
    site, url = ours
    site.save(boot_mode="bty-flash-once")
    site.bind("bty-flash-once")
    site.boots()
    asking = client(url)

    assert asking.report_inventory([DISK], {"id": "box", "class": "system"}) is Told.TAKEN
    plan = asking.plan()
    asking.report_progress(ProgressReport("writing", 10, 100, 5))
    told = asking.report_done()

    assert plan == FlashPlan(
        places=(Place("http://images.test/debian.img.zst", "origin"),),
        serial="S1",
        name="debian",
        format="img.zst",
        sha256="b" * 64,
    )
    assert told is Told.TAKEN
    kinds = site.kinds()
    assert kinds.count("machine.flashed") == 1
    assert site.phase() == "done"
    machine = site.operate("GET", f"/machines/{MAC}").json
    assert machine["known_disks"][0]["serial"] == "S1"


def test_our_server_has_no_record_of_a_machine_that_was_deleted(ours: tuple[Site, str]) -> None:
    _site, url = ours
    waits = Waits()
    asking = client(url, waits)

    assert asking.report_inventory([DISK]) is Told.NO_RECORD
    assert asking.report_done() is Told.NO_RECORD
    assert asking.report_failed("x") is Told.NO_RECORD
    assert waits.seconds == []


def test_a_failure_with_a_long_and_dirty_reason_reaches_our_server(ours: tuple[Site, str]) -> None:
    site, url = ours
    site.bind("bty-flash-once")
    site.boots()
    site.plan()

    told = client(url).report_failed("the disk\nfailed \x1b[2J" + "x" * 1000)

    assert told is Told.TAKEN
    reason = site.events("machine.flash_failed")[0]["details"]["reason"]
    assert reason.startswith("the disk failed [2Jxxx")
    assert len(reason) == 500


def test_reports_come_through_a_server_that_restarts(server: Site, tmp_path: Path) -> None:
    server.bind("bty-flash-once")
    server.boots()
    server.plan()
    port = free_port()
    waits = Waits()
    asking = client(f"http://127.0.0.1:{port}", waits)

    with original(port=port) as restarting:  # a proxy's answers while nothing is behind it
        restarting.answers["status"] = [(502, b"bad gateway"), (404, b"404 page not found\n")]
        waits.acts = [lambda: None, restarting.close]
        told_in_vain = asking.report_done(patience=Patience(in_all=50.0))
    with listening(server.app, tmp_path) as real:
        told = client(f"http://127.0.0.1:{real}").report_done()

    assert told_in_vain is Told.AWAY
    assert any("502" in why for why in waits.reasons)
    assert any("404" in why for why in waits.reasons)
    assert any("refused" in why for why in waits.reasons)
    assert told is Told.TAKEN


# -- the original ------------------------------------------------------------------------------


def test_the_original_takes_an_inventory_with_exactly_its_keys(old: Original) -> None:
    disks = [
        Disk(
            path=f"/dev/sd{number}",
            size_bytes=2**40 + number,
            serial="S" * 129 if number == 3 else f"S{number}",
            model="m" * 200,
            vendor="v\x07" * 100,
            tran="sata",
            device_numbers=(8, number),
        )
        for number in range(64)
    ]

    assert client(old.url).report_inventory(disks, [{"id": "x"}]) is Told.TAKEN

    sent = json.loads(old.taken("inventory")[0])
    assert set(sent) == {"disks", "lshw"}
    assert sent["disks"][0]["size"] == "1T"
    assert len(sent["disks"][0]["model"]) == 128
    assert sent["disks"][3]["serial"] is None


def test_a_big_storage_box_tells_the_original_of_64_disks(old: Original) -> None:
    disks = [Disk(path=f"/dev/d{n}", size_bytes=1, device_numbers=(8, n)) for n in range(90)]

    assert client(old.url).report_inventory(disks) is Told.TAKEN

    assert [len(json.loads(body)["disks"]) for body in old.taken("inventory")] == [64]


def test_the_second_generation_takes_the_status_with_a_shortened_reason(old: Original) -> None:
    asking = client(old.url)

    assert asking.report_done() is Told.TAKEN
    assert asking.report_failed("é" * 900) is Told.TAKEN

    assert old.taken("status") == [
        b'{"status": "done"}',
        json.dumps({"status": "failed", "reason": "é" * 499 + "…"}).encode(),
    ]


def test_the_first_generation_is_told_by_done_and_has_no_place_for_failures(old: Original) -> None:
    old.generation = 1
    asking = client(old.url)

    assert asking.report_failed("broken") is Told.NO_CHANNEL
    assert asking.report_done() is Told.TAKEN

    assert old.taken("done") == [b""]
    assert old.asked.count(("POST", "status")) == 1


def test_a_deleted_record_is_no_reason_to_fall_back(old: Original) -> None:
    old.known = False

    assert client(old.url).report_done() is Told.NO_RECORD

    assert ("POST", "done") not in old.asked


def test_progress_is_offered_to_the_original_once(old: Original) -> None:
    asking = client(old.url)

    for percent in range(5):
        asking.report_progress(ProgressReport("writing", percent, 100))

    assert old.asked == [("POST", "progress")]


def test_a_progress_report_that_nobody_takes_is_no_failure_and_is_offered_again(
    old: Original,
) -> None:
    old.answers["progress"] = [
        (503, b""),
        (404, b'{"detail":"no machine record for x"}'),
        (204, b""),
    ]
    asking = client(old.url)

    for _ in range(3):
        asking.report_progress(ProgressReport("writing"))

    assert len(old.asked) == 3


# -- a server that is away, or wrong -----------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        ((500, b"oops"), "it answers 500"),
        ((503, b"{}"), "it answers 503"),
        ((429, b"{}"), "it answers 429"),
        ((404, b"404 page not found"), "no plan yet: it answers 404"),
        ((403, b"forbidden"), "no plan yet: it answers 403"),
        ((200, b"<html>"), "no plan that makes sense"),
        ((200, b"[]"), "no plan that makes sense"),
        ((200, b'{"mode": 7}'), "it has no mode"),
        ((200, b'{"mode":"flash","mode":"exit"}'), "stands twice"),
        ((200, b'{"a":' * 5000), "no plan that makes sense"),
        ((200, b"\xff\xfe{}"), "not UTF-8"),
        ((200, b" " * 300_000), "is larger than"),
        ((None, b"garbage that is no HTTP\r\n\r\n"), "cannot be fetched"),
    ],
)
def test_the_plan_is_asked_for_again_and_the_wait_has_a_reason(
    old: Original, answer: tuple[int | None, bytes], why: str
) -> None:
    old.answers["plan"] = [answer, (200, b'{"mode":"inventory"}')]
    waits = Waits()

    assert client(old.url, waits).plan() == InventoryPlan()

    assert len(waits.seconds) == 1
    assert why in waits.reasons[0]


def test_pauses_grow_and_stay_bounded_and_are_never_the_same_for_all(old: Original) -> None:
    low, high = Waits(), Waits()

    for waits, jitter in ((low, 0.0), (high, 1.0)):
        old.answers["plan"] = [(500, b"")] * 10
        Server(Http(), old.url, MAC, wait=waits, jitter=partial(float, jitter)).plan()

    assert low.seconds == [0.5, 1, 2, 4, 8, 15, 15, 15, 15, 15]
    assert high.seconds == [1.5, 3, 6, 12, 24, 45, 45, 45, 45, 45]


def test_a_server_may_say_when_to_come_back_but_not_in_a_year(old: Original) -> None:
    old.headers = {"Retry-After": "7"}
    old.answers["plan"] = [(503, b"")] * 2
    waits = Waits(lambda: old.headers.update({"Retry-After": "99999999"}))

    client(old.url, waits).plan()

    assert waits.seconds[0] == 7 * 1.125
    assert waits.seconds[1] == 300 * 1.125


def test_patience_has_an_end_where_it_must() -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    waits = Waits()

    with pytest.raises(AwayError, match="refused"):
        client(nobody, waits).plan(patience=SOON)

    assert sum(waits.seconds) <= 100
    assert client(nobody).report_done(patience=SOON) is Told.AWAY
    assert client(nobody).report_inventory([DISK], patience=SOON) is Told.AWAY


def test_a_refusal_is_not_repeated(old: Original) -> None:
    old.answers["status"] = [(422, b'{"detail":[]}')]
    waits = Waits()

    assert client(old.url, waits).report_done() is Told.REFUSED

    assert waits.seconds == []


def test_dates_are_handed_on_from_refusals_as_well(old: Original) -> None:
    dates: list[str] = []
    asking = Server(Http(), old.url, MAC, wait=Waits(), jitter=lambda: 0, on_date=dates.append)
    old.answers["plan"] = [(500, b"")]

    asking.plan()

    assert len(dates) == 2


def test_the_defaults_of_the_original_are_plans_too(old: Original) -> None:
    for body, plan in (
        (b'{"mode":"exit"}', ExitPlan()),
        (b'{"mode":"interactive","catalog":"http://h/c"}', InteractivePlan("http://h/c")),
    ):
        old.answers["plan"] = [(200, body)]
        assert client(old.url).plan() == plan


# -- texts -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("bty-server", "http://bty-server"),
        ("10.0.0.1:8080/", "http://10.0.0.1:8080"),
        (" https://bty.example.com/sub/ ", "https://bty.example.com/sub"),
    ],
)
def test_a_server_is_named_as_the_original_takes_it(text: str, url: str) -> None:
    assert base_url(text) == url


@pytest.mark.parametrize("text", ["", "ftp://x", "http://", "a b", "x\x1b[2J"])
def test_what_is_no_server_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        base_url(text)


def test_a_reason_is_one_line_of_at_most_500_characters() -> None:
    assert shortened("a\nb\x1b c") == "a b c"
    assert shortened("x" * 500) == "x" * 500
    assert len(shortened("x" * 501)) == 500
