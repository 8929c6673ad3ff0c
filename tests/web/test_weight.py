"""What a page costs whoever opens it, with all that it loads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from bty_app import __version__
from bty_app.domain.boot_stages import Stage
from bty_app.domain.events import Kind
from bty_app.domain.inventory import parse_inventory
from bty_app.domain.machine import Assignment, BootMode, Serial
from tests.domain.test_hardware import tree
from tests.web import walk
from tests.web.past import add_past
from tests.web.site import DISKS, MAC, REF, Site, mac, site

MOST = 150_000
ASSET = re.compile(r'(?:src|href)="(/static/[^"]+)"')
SERIAL = "S64ENX0T123456"


@pytest.fixture
def fleet(quick_dir: Path) -> Iterator[Site]:
    """Some racks in use: machines under way, images, events, hardware and boots of one of them."""
    with site(quick_dir / "state") as made:
        made.add_fleet(200)
        for number in range(60):
            made.add_image(f"debian-13-server-{number}-amd64.img.zst", f"{number:08x}{number:056x}")
        made.add_machine()
        found = parse_inventory({"disks": DISKS * 4, "lshw": tree()})
        made.services.reports.inventory(MAC, found, ip="192.0.2.7")
        wanted = Assignment(BootMode.FLASH_ONCE, REF, Serial(SERIAL), labels=("edge", "rack 4"))
        for number in range(100):
            made.services.machines.save(mac(number), wanted, ip=None)
        for number in range(12):
            made.hands.forward(hours=1)
            made.services.machines.save(MAC, wanted, ip=None)
            made.services.contacts.answer(MAC, ip="192.0.2.7")
            for stage in (Stage.DHCP_OFFERED, Stage.TFTP_DONE, Stage.BOOTSTRAP, Stage.CLIENT):
                made.services.stages.note(stage, MAC, "192.0.2.7", file="ipxe.efi", bytes=10**6)
            made.services.stages.flush()
            made.services.reports.failed(MAC, f"timeout number {number}", ip="192.0.2.7")
        made.add_artifacts("7.0", __version__)
        for number in range(100):
            made.add_event(
                Kind.MACHINE_FLASH_FAILED, f"{MAC} reports that its flash failed: no. {number}"
            )
        made.add_bulk()
        add_past(made)
        yield made


def test_no_page_is_heavier_than_it_may_be(fleet: Site) -> None:
    visit, weights = fleet.visit(), {}
    sizes: dict[str, int] = {}
    for path in walk.pages():
        page = visit.get(walk.filled(path))
        assets = set(ASSET.findall(page.text))
        for asset in assets - set(sizes):
            sizes[asset] = len(visit.get(asset).content)
        weights[path] = len(page.content) + sum(sizes[asset] for asset in assets)
        assert page.status_code == 200, path

    assert {path: weight for path, weight in weights.items() if weight > MOST} == {}
    assert max(weights.values()) > 75_000  # assets were counted


def test_a_hundred_rows_to_mark_by_hand_and_what_an_act_does_to_them(fleet: Site) -> None:
    """As a browser gets them: what a page loads is zipped, the page itself never is."""
    visit, weights = fleet.visit(), {}
    marked = [("mac", str(mac(number))) for number in range(100)]
    act = [("act", "set"), ("boot_mode", "bty-flash-once"), ("bty_image_ref", REF)]
    query = urlencode([*marked, *act, ("target", "only")])
    for address in ("/ui/machines?per_page=100", f"/ui/machines/bulk?{query}"):
        page = visit.get(address)
        assert page.text.count("52:54:00:00:00:") >= 100
        zipped = [visit.get(at, **{"Accept-Encoding": "gzip"}) for at in ASSET.findall(page.text)]
        weights[address[:20]] = len(page.content) + sum(len(asset.content) for asset in zipped)

    assert {address: weight for address, weight in weights.items() if weight > MOST} == {}
