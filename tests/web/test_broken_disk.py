"""A disk that cannot be read: machines are answered from memory, and nothing destructive begins."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import apsw
import pytest

from bty_app.domain.boot import Decision, FirmwareExit, LocalDisk, Reason, Wait
from bty_app.domain.machine import Phase
from bty_app.domain.remembered import remembered
from bty_app.services.last_answers import LastAnswers
from bty_app.services.late_events import LateEvents
from tests import serving
from tests.programs import free_port, running
from tests.serving import MAC, Site
from tests.web.test_pxe import commands, disk

OTHER = "02:00:00:00:00:01"
WAITS = "(from-memory)"
_NAME = "of-a-broken-disk"


class _File(apsw.VFSFile):
    """A file on the disk below, which fails when it is told to."""

    def __init__(self, disk: BrokenDisk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        super().__init__(disk.base_vfs, name, flags)

    def xRead(self, amount: int, offset: int) -> bytes:  # noqa: N802 - SQLite's name
        self._disk.used()
        return super().xRead(amount, offset)

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802
        self._disk.used()
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802
        self._disk.used()
        super().xSync(flags)


class BrokenDisk(apsw.VFS):
    """The disk under SQLite, which answers every use with an I/O error while `is_broken`."""

    def __init__(self) -> None:
        self.base_vfs = apsw.vfs_names()[0]
        self.is_broken = False
        super().__init__(_NAME, self.base_vfs, makedefault=True)

    def used(self) -> None:
        if self.is_broken:
            raise apsw.IOError

    def xOpen(self, name: Any, flags: list[int]) -> _File:  # noqa: N802
        return _File(self, name, flags)


@pytest.fixture
def disk_below() -> Iterator[BrokenDisk]:
    below = BrokenDisk()
    try:
        yield below
    finally:
        below.is_broken = False
        below.unregister()


@pytest.fixture
def site(disk_below: BrokenDisk, quick_dir: Path) -> Iterator[Site]:
    with serving.site(quick_dir / "state") as found:
        yield found


@contextmanager
def broken(below: BrokenDisk) -> Iterator[None]:
    below.is_broken = True
    try:
        yield
    finally:
        below.is_broken = False


def asked(site: Site, path: str) -> serving.Result:
    """By a thread that has nothing of the database in its memory."""
    with ThreadPoolExecutor(1) as fresh:
        return fresh.submit(site.get, path).result()


def contact(site: Site, mac: str = MAC) -> str:
    answer = asked(site, f"/pxe/{mac}")
    assert answer.status_code == 200, answer.text
    return str(answer.text)


def test_a_machine_that_was_sent_to_its_disk_boots_it(site: Site, disk_below: BrokenDisk) -> None:
    site.bind("ipxe-exit")
    before = commands(site.contact())

    with broken(disk_below):
        script = contact(site)

    assert before == disk()
    assert commands(script)[-1] == before[-1]
    assert WAITS in script


def test_a_machine_that_may_have_begun_a_flash_waits(site: Site, disk_below: BrokenDisk) -> None:
    site.bind("bty-flash-once")
    site.contact()

    with broken(disk_below):
        told = contact(site)

    assert "sanboot" not in told
    assert "exit" not in told
    assert "chain --replace" in told


def test_a_machine_that_asked_for_its_plan_since_does_not_boot_its_disk(
    site: Site, disk_below: BrokenDisk
) -> None:
    site.bind("ipxe-exit")
    site.contact()
    site.bind("bty-flash-once")
    site.plan()

    with broken(disk_below):
        told = contact(site)

    assert "sanboot" not in told
    assert "exit" not in told


def test_settings_that_may_have_changed_are_those_that_were_read_last(
    site: Site, disk_below: BrokenDisk
) -> None:
    with broken(disk_below):
        site.services.revisions.bump(frozenset({"settings"}))
        told = contact(site, OTHER)

    assert "chain --replace" in told


def test_a_machine_that_nobody_has_seen_waits(site: Site, disk_below: BrokenDisk) -> None:
    with broken(disk_below):
        told = contact(site, OTHER)

    assert "sanboot" not in told
    assert "exit" not in told


def test_plans_and_pages_are_refused_with_a_sentence(site: Site, disk_below: BrokenDisk) -> None:
    site.bind("bty-flash-once")
    with broken(disk_below):
        answers = [asked(site, path) for path in (f"/pxe/{MAC}/plan", "/metrics", "/readyz")]

    assert [answer.status_code for answer in answers] == [503, 503, 503]
    assert all("traceback" not in answer.text.lower() for answer in answers)


def test_what_was_answered_is_recorded_when_it_can_be(site: Site, disk_below: BrokenDisk) -> None:
    site.bind("ipxe-exit")
    site.contact()
    happened_at = site.clock.now.isoformat()[:19]
    with broken(disk_below):
        contact(site)
        warnings = asked(site, "/readyz").json["warnings"]
    site.clock.forward(600)

    assert site.services.late.flush() == 1
    assert warnings == ["1 facts of machines wait in memory to be recorded"]
    late = site.events("netboot.pxe.offered")[-1]
    assert late["details"]["happened_at"].startswith(happened_at)
    assert late["details"]["reason"] == "from-memory"
    assert not late["ts"].startswith(happened_at)
    assert site.get("/readyz").json["warnings"] == []
    assert site.services.late.flush() == 0


def test_what_there_is_no_room_for_is_counted_and_told_once(
    site: Site, disk_below: BrokenDisk
) -> None:
    late = LateEvents(site.database, site.clock, waiting=2)
    site.bind("ipxe-exit")
    site.contact()
    with broken(disk_below):
        contact(site)
    ((event, at),) = site.services.late._waiting
    for n in range(5):
        late.keep(event, at=f"{at}{n}", why="the disk is full")

    assert late.counts() == (2, 3)
    assert late.flush() == 3
    (told,) = site.events("system.audit.failed")
    assert told["details"]["dropped"] == 3
    assert told["details"]["first"].endswith("2")
    assert told["details"]["last"].endswith("4")
    assert late.counts() == (0, 0)
    assert late.flush() == 0


def test_a_flush_that_fails_loses_nothing(site: Site, disk_below: BrokenDisk) -> None:
    site.bind("ipxe-exit")
    site.contact()
    with broken(disk_below):
        contact(site)
        with pytest.raises(Exception, match="database cannot be used"):
            site.services.late.flush()

    assert site.services.late.counts() == (1, 0)
    assert site.services.late.flush() == 1


def test_memory_is_bounded_and_repeats_only_what_writes_nothing() -> None:
    last = LastAnswers(most=2)
    to_disk = Decision(LocalDisk("0x80"), Reason.BY_MODE, Phase.DONE)
    for mac in ("a", "b", "c"):
        last.keep(mac, to_disk)  # type: ignore[arg-type]

    assert last.of("a") is None  # type: ignore[arg-type]
    assert last.of("c") is to_disk  # type: ignore[arg-type]
    assert remembered(to_disk) == Decision(to_disk.offer, Reason.FROM_MEMORY, Phase.DONE)
    exits = Decision(FirmwareExit(), Reason.ORPHAN_REF, Phase.IDLE)
    assert remembered(exits).offer == FirmwareExit()
    for other in (None, Decision(Wait(5), Reason.HELD, Phase.HELD)):
        assert isinstance(remembered(other).offer, Wait)


@pytest.mark.system
def test_a_real_server_whose_reads_and_writes_fail_goes_on(quick_dir: Path) -> None:
    """The system calls of the running server answer EIO, then they work again."""
    port = free_port()
    state = quick_dir / "state"
    environment = os.environ | {
        "BTY_PATHS_STATE_DIR": str(state),
        "BTY_SERVER_HOST": "127.0.0.1",
        "BTY_SERVER_PORT": str(port),
    }
    command = [sys.executable, "-m", "bty_app", "serve"]
    with running(command, quick_dir / "log", port, environment):
        pid = int((state / "serve.lock").read_text().split("pid ")[1].split(",")[0])
        first = _fetched(port, f"/pxe/{MAC}")
        with _failing(pid):
            second = [_fetched(port, f"/pxe/{OTHER}") for _ in range(8)]
            ready = _fetched(port, "/readyz")
        time.sleep(5.1)  # what /readyz knows is five seconds old
        after, recovered = _fetched(port, "/readyz"), _fetched(port, f"/pxe/{OTHER}")

    assert b"200 OK" in first
    for answer in second:
        assert b"200 OK" in answer, answer
        assert b"kernel" not in answer
    assert b"503" in ready.splitlines()[0]
    assert b"200 OK" in after, after
    assert b"200 OK" in recovered


def _fetched(port: int, path: str) -> bytes:
    with closing(serving.connected(port)) as line:
        line.sendall(serving.request("GET", path, host=f"127.0.0.1:{port}"))
        answer = b""
        while part := line.recv(65536):
            answer += part
        return answer


@contextmanager
def _failing(pid: int) -> Iterator[None]:
    """Every read and write at a place of a file fails; SQLite makes no others."""
    calls = "pread64,pwrite64,fsync,fdatasync"
    command = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={calls}"]
    command += ["-e", f"inject={calls}:error=EIO", "-p", str(pid)]
    tracer = subprocess.Popen(command)
    try:
        until = time.monotonic() + 10
        while f"TracerPid:\t{tracer.pid}" not in Path(f"/proc/{pid}/status").read_text():
            assert tracer.poll() is None, "strace cannot trace the server"
            assert time.monotonic() < until, "strace does not begin"
            time.sleep(0.05)
        yield
    finally:
        tracer.terminate()
        tracer.wait(10)
