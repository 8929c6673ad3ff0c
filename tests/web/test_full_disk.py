"""A full disk: machines are answered from stored state, and nothing destructive begins (P-29)."""

from __future__ import annotations

import contextlib
import ctypes
import errno
import html
import os
import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import serving
from tests.serving import KERNEL, MAC, Site
from tests.web.test_pxe import FLASH_PLAN, GUARDED, LIVE_ENV, commands, disk

pytestmark = pytest.mark.system

_LIBC = ctypes.CDLL(None, use_errno=True)
_LAZILY = 2  # MNT_DETACH


@pytest.fixture
def small_disk(quick_dir: Path) -> Iterator[Path]:
    """A file system of 64 MiB: more than `/readyz` wants free, and soon filled."""
    place = quick_dir / "disk"
    place.mkdir()
    where = os.fsencode(place)
    if _LIBC.mount(b"tmpfs", where, b"tmpfs", 0, b"size=64m") != 0:
        pytest.fail(f"needs root, to mount a small disk: {os.strerror(ctypes.get_errno())}")
    try:
        yield place
    finally:
        _LIBC.umount2(where, _LAZILY)


@pytest.fixture
def site(small_disk: Path) -> Iterator[Site]:
    with serving.site(small_disk / "state") as found:
        yield found


@contextlib.contextmanager
def full(site: Site) -> Iterator[None]:
    """The disk without a free byte."""
    ballast = site.state_dir.parent / "ballast"
    with ballast.open("wb", buffering=0) as file:
        for size in (2**20, 4096, 1):
            with contextlib.suppress(OSError):
                while file.write(b"x" * size):
                    pass
    with pytest.raises(OSError, match="No space") as refused, ballast.open("ab", 0) as file:
        file.write(b"x" * 8192)
    assert refused.value.errno == errno.ENOSPC
    try:
        yield
    finally:
        ballast.unlink()


def test_contacts_plans_and_files_are_answered_and_nothing_is_begun(site: Site) -> None:
    site.bind("bty-flash-once")
    before = site.machine()

    with full(site):
        script = commands(site.contact())
        plan = site.plan()
        kernel = site.fetch(KERNEL)
        unknown = site.contact("02:00:00:00:00:01")

    assert script == disk()
    assert plan == {"mode": "exit"}
    assert (kernel.status_code, len(kernel.content)) == (200, 4096)
    assert "(not-storable)" in unknown
    assert site.machine() == before


def test_contacts_and_plans_of_then_are_told_once_there_is_room(site: Site) -> None:
    site.bind("bty-flash-once")
    with full(site):
        site.contact()
        site.plan()

    assert site.services.late.flush() == 2
    assert site.kinds()[-2:] == ["netboot.pxe.offered", "netboot.pxe.plan"]
    assert all("happened_at" in event["details"] for event in site.events()[-2:])


def test_a_flash_under_way_goes_on_and_a_failed_one_waits(site: Site) -> None:
    site.bind("bty-flash-once")
    site.boots()

    with full(site):
        under_way = (commands(site.contact()), site.plan())
    site.plan()
    site.status("failed")
    with full(site):
        failed = (commands(site.contact()), site.plan())

    assert under_way == (LIVE_ENV, FLASH_PLAN)
    assert "chain --replace" in failed[0][-1]
    assert failed[1]["mode"] == "interactive"


def test_a_half_written_disk_is_not_booted_while_the_disk_here_is_full(site: Site) -> None:
    site.bind("bty-flash-always")
    site.boots()
    site.plan()
    site.bind("bty-flash-always")

    with full(site):
        script = commands(site.contact())

    assert "sanboot" not in "".join(script)
    assert "exit" not in "".join(script)
    assert script != GUARDED


def test_writes_are_refused_with_a_sentence_and_readiness_says_why(site: Site) -> None:
    site.bind("bty-flash-once")
    site.boots()

    with full(site):
        done = site.done()
        inventory = site.inventory(disks=[])
        saved = site.save(boot_mode="ipxe-exit")
        upload = site.operate("PUT", "/boot/new", body=b"x" * 10_000)
        ready, alive = site.get("/readyz"), site.get("/healthz")
        machine = site.operate("GET", f"/machines/{MAC}")
        dashboard = site.operate("GET", "/ui/dashboard")

    for refused in (done, inventory, saved, upload):
        assert refused.status_code == 503, refused.text
        assert refused.headers["retry-after"] == "5"
        assert "full" in refused.json["detail"] or "space" in refused.json["detail"].lower()
    assert ready.status_code == 503
    assert any("MiB free" in problem for problem in ready.json["problems"])
    assert any("full" in problem for problem in ready.json["problems"])
    assert alive.status_code == 200
    assert machine.status_code == 200
    assert "MiB free under" in dashboard.text
    assert "nothing is begun" in dashboard.text
    assert [path.name for path in (site.state_dir / "boot").iterdir() if "new" in path.name] == []


def test_with_room_again_it_recovers_by_itself(site: Site) -> None:
    site.bind("bty-flash-once")
    site.boots()
    with full(site):
        assert site.done().status_code == 503
        assert site.get("/readyz").status_code == 503
    site.clock.forward(6)

    ready = site.get("/readyz")
    done = site.done()

    assert (ready.status_code, done.status_code) == (200, 204)
    assert site.phase() == "done"
    assert site.kinds()[-1] == "machine.flashed"
    assert commands(site.contact()) == disk()


def test_the_dashboard_shows_illness_and_recovery_to_who_only_looks_on(site: Site) -> None:
    """As the page's own script asks: with the revision that it has."""
    told = "MiB free under"

    def asked(shown: str) -> str:
        """What is shown after one more question; pages share a part for up to a second."""
        found = re.search(r'hx-get="([^"]+)"', shown)
        assert found is not None
        answer = site.operate("GET", html.unescape(found[1]))
        assert answer.status_code in (200, 204)
        return str(answer.text) if answer.status_code == 200 else shown

    def followed(shown: str, *, until_told: bool) -> str:
        site.clock.forward(6)
        deadline = time.monotonic() + 10
        while (told in shown) is not until_told:
            assert time.monotonic() < deadline
            shown = asked(shown)
        return shown

    well = str(site.operate("GET", "/ui/dashboard").text)
    assert asked(well) == well, "nothing new"
    with full(site):
        ill = followed(well, until_told=True)
    followed(ill, until_told=False)


def test_machines_are_discovered_again_once_there_is_room(site: Site) -> None:
    with full(site):
        site.contact()
        assert site.machine() is None

    script = commands(site.contact())

    assert script == LIVE_ENV
    assert site.kinds() == ["machine.discovered", "netboot.pxe.offered"]
