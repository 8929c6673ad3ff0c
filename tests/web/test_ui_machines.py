"""The machines page, and the page of one machine."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

import pytest

from bty_app.domain.events import Kind, machine_subject
from bty_app.domain.flash_options import OwnOptions
from bty_app.domain.mac import Mac
from bty_app.domain.machine import Assignment, BootMode, Serial
from bty_app.store import machines
from bty_app.store.database import Tx
from bty_app.web.machine_query import MachineQuery
from tests.web.site import DISKS, MAC, REF, Site, Visit, site

FLASH = {
    "boot_mode": "bty-flash-once",
    "bty_image_ref": REF,
    "target_disk_serial": "S64ENX0T123456",
}


@pytest.fixture
def house(tmp_path: Path) -> Iterator[Site]:
    with site(tmp_path / "state") as made:
        yield made


def shown_in(text: str) -> list[str]:
    return re.findall(r'id="m-([0-9a-f:]{17})"', text)


def rack(house: Site, count: int = 30) -> None:
    def change(tx: Tx) -> None:
        for number in range(count):
            mac = Mac(f"52:54:00:00:00:{number:02x}")
            machines.seen(tx, mac, at=f"2026-11-22T19:{59 - number:02d}:00.000000+00:00", ip=None)

    house.database.write(change)


def test_machines_are_paged_and_the_page_is_in_the_address(house: Site) -> None:
    rack(house)

    text = house.visit().get("/ui/machines?per_page=10&page=3").text

    assert shown_in(text) == [f"52:54:00:00:00:{number:02x}" for number in range(20, 30)]
    assert "Page 3 of 3" in text
    assert "30 machines" in text


def test_a_page_beyond_the_last_is_the_last(house: Site) -> None:
    rack(house)

    text = house.visit().get("/ui/machines?per_page=25&page=900").text

    assert len(shown_in(text)) == 5


def test_machines_are_sorted_by_the_server(house: Site) -> None:
    rack(house, 3)

    text = house.visit().get("/ui/machines?sort=last_seen_at&dir=asc").text

    assert shown_in(text)[0] == "52:54:00:00:00:02"
    assert 'aria-sort="ascending"' in text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=34:56", True),
        ("q=52-54-00-12", True),
        ("q=s64enx", True),
        ("q=192.0.2", True),
        ("q=RACK", True),
        ("q=r_ck", False),
        ("q=%25", False),
        ("q=%21", False),
        ("q=nothing", False),
        ("mode=bty-flash-once", True),
        ("mode=bty-tui", False),
        ("label=rack+4", True),
        ("label=rack", False),
        ("filter=assigned", True),
        ("filter=discovered", False),
        ("q=34:56&mode=bty-tui", False),
        ("sort=evil&dir=up&page=x&per_page=7&mode=zz&filter=zz", True),
        ("page=99999999999999999999", True),
        ("q=%ff%00&page=-1", False),
    ],
)
def test_machines_are_searched_and_filtered(house: Site, query: str, found: bool) -> None:
    house.add_image()
    house.add_machine(
        wanted=Assignment(
            boot_mode=BootMode.FLASH_ONCE,
            image_ref=REF,
            target_disk_serial=Serial("S64ENX0T123456"),
            labels=("rack 4",),
        )
    )

    answer = house.visit().get(f"/ui/machines?{query}")

    assert answer.status_code == 200
    assert (shown_in(answer.text) == [MAC]) == found


def test_the_address_says_only_what_is_unusual() -> None:
    assert MachineQuery().address() == ""
    assert MachineQuery(q="a b&c", page=2).address() == "q=a+b%26c&page=2"


def test_a_poll_gets_nothing_until_something_changes(house: Site) -> None:
    house.add_machine()
    visit = house.visit()
    page = visit.get("/ui/machines?q=52").text
    poll = re.search(r'hx-get="(/ui/machines/rows[^"]+)"', page)
    assert poll is not None
    address = poll[1].replace("&amp;", "&")
    assert "q=52" in address
    assert visit.get(address).status_code == 204

    house.add_machine(Mac("52:54:00:00:00:99"))

    answer = visit.get(address)
    assert answer.status_code == 200
    assert 'id="failures"' in answer.text


def test_a_shared_part_knows_of_no_session(house: Site) -> None:
    house.add_machine()
    visit = house.visit()

    part = visit.get("/ui/machines/rows").text

    assert "csrf" not in part
    assert visit.csrf_token() not in part


@pytest.mark.parametrize("spelling", ["52-54-00-12-34-56", "52:54:00:12:34:56".upper()])
def test_any_spelling_of_the_mac_leads_to_its_page(house: Site, spelling: str) -> None:
    house.add_machine()

    assert MAC in house.visit().get(f"/ui/machines/{spelling}").text


def test_the_page_says_the_state_and_shows_the_disks(house: Site) -> None:
    house.add_image()
    house.add_machine(
        wanted=Assignment(
            boot_mode=BootMode.FLASH_ONCE,
            image_ref=REF,
            target_disk_serial=Serial("S64ENX0T123456"),
        )
    )

    text = house.visit().get(f"/ui/machines/{MAC}").text

    assert (
        "to be flashed with debian-13.img.zst onto the 476.9 GiB Samsung SSD 980 (nvme), serial"
        " S64ENX0T123456. Everything on that disk will be erased."
    ) in text
    assert "cannot be flashed: it has no serial" in text


def test_a_form_is_saved_and_the_machine_armed_anew(house: Site) -> None:
    house.add_image()
    house.add_machine()
    house.database.write(lambda tx: tx.run("UPDATE machines SET phase = 'held', attempts = 5"))

    answer = house.visit().post(
        f"/ui/machines/{MAC}", **FLASH, labels=" rack 4 ,edge,, edge", sanboot_drive="0x81"
    )

    assert (answer.status_code, answer.headers["location"]) == (303, f"/ui/machines/{MAC}?saved=1")
    shown = house.services.machines.get(MAC)
    assert shown.machine.boot_mode is BootMode.FLASH_ONCE
    assert shown.machine.target_disk_serial == "S64ENX0T123456"
    assert shown.machine.sanboot_drive == "0x81"
    assert shown.labels == ("edge", "rack 4")
    assert (shown.machine.phase.value, shown.machine.attempts) == ("idle", 0)


def test_a_typed_serial_takes_the_place_of_a_chosen_one(house: Site) -> None:
    house.add_image()
    house.add_machine()

    house.visit().post(f"/ui/machines/{MAC}", **FLASH, typed_serial=" OTHER-1 ")

    assert house.services.machines.get(MAC).machine.target_disk_serial == "OTHER-1"


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"bty_image_ref": ""}, "choose the image that is to be flashed"),
        ({"bty_image_ref": "f" * 64}, "this image is not in the catalog: choose another"),
        ({"bty_image_ref": "x"}, "must be null or 64 lower-case"),
        ({"target_disk_serial": ""}, "choose the disk that is to be erased, or type its serial"),
        ({"typed_serial": "a\nchain http://evil"}, "must not contain control characters"),
        ({"typed_serial": "x" * 129}, "at most 128 characters"),
        ({"target_disk_serial": "RO1"}, "this disk cannot be flashed: it is read-only"),
        (
            {"target_disk_serial": "TWIN"},
            "this disk cannot be flashed: another disk has the same serial",
        ),
        ({"labels": "fine, <b>"}, "each has 1 to 64 letters"),
        ({"labels": ",".join(f"l{n}" for n in range(17))}, "at most 16 labels"),
        ({"boot_mode": "bty-evil"}, "is not one of"),
        ({"sanboot_drive": "C:"}, "must be null or 0x and one or two digits"),
    ],
)
def test_what_cannot_be_is_refused_beside_its_field_and_kept(
    house: Site, changes: dict[str, str], sentence: str
) -> None:
    usual = DISKS[0]
    house.add_image()
    house.add_machine(
        disks=[
            *DISKS,
            usual | {"serial": "RO1", "readonly": True},
            usual | {"serial": "TWIN"},
            usual | {"serial": "TWIN", "path": "/dev/sdz"},
        ]
    )
    before = house.services.machines.get(MAC)

    answer = house.visit().post(f"/ui/machines/{MAC}", **(FLASH | {"labels": "kept"} | changes))

    assert answer.status_code == 422
    assert sentence in answer.text
    assert re.search(r'(aria-invalid="true"|class="bad") aria-describedby="problem-', answer.text)
    if "labels" not in changes:
        assert 'value="kept"' in answer.text
    assert house.services.machines.get(MAC) == before


def test_other_modes_need_neither_image_nor_disk(house: Site) -> None:
    house.add_machine()

    answer = house.visit().post(f"/ui/machines/{MAC}", boot_mode="bty-tui")

    assert answer.status_code == 303


def test_a_binding_whose_image_is_gone_can_be_seen_and_kept(house: Site) -> None:
    house.add_machine(wanted=Assignment(boot_mode=BootMode.IPXE_EXIT, image_ref="d" * 64))

    text = house.visit().get(f"/ui/machines/{MAC}").text

    assert "not in the catalog: dddddddddddd" in text
    assert house.visit().post(f"/ui/machines/{MAC}", bty_image_ref="d" * 64).status_code == 303


def preview(visit: Visit, **fields: str) -> str:
    return visit.get(f"/ui/machines/{MAC}/preview?{urlencode(fields)}").text


def test_the_preview_says_what_saving_would_erase_and_changes_nothing(house: Site) -> None:
    house.add_image()
    house.add_machine()
    before = house.services.machines.get(MAC)
    visit = house.visit()

    assert (
        "its next network boot erases the 476.9 GiB Samsung SSD 980 (nvme), serial S64ENX0T123456"
        " and writes debian-13.img.zst onto it." in preview(visit, **FLASH)
    )
    assert "repeats at later" in preview(visit, **(FLASH | {"boot_mode": "bty-flash-always"}))
    assert "No disk of its last inventory" in preview(visit, **FLASH, typed_serial="X")
    assert "Nothing on its disks is erased" in preview(visit, boot_mode="bty-tui")
    assert "cannot be saved like this" in preview(visit, boot_mode="bty-flash-once")
    assert house.services.machines.get(MAC) == before


def test_a_machine_is_wiped_and_read_back_as_said_of_it_and_its_plan_says_so(house: Site) -> None:
    house.add_image()
    house.add_machine()
    house.services.settings.change({"flash.wipe": "auto"}, ip=None)
    visit = house.visit()

    own = FLASH | {"flash_wipe": "overwrite", "flash_verify": "yes", "flash_done": "booted"}
    assert "onto it. The disk is wiped before (auto)." in preview(visit, **FLASH)
    assert "wiped before (overwrite) and read back after." in preview(visit, **own)
    assert "onto it.</p>" in preview(visit, **(FLASH | {"flash_wipe": "no"}))
    assert "must be null (as the site has it) or no, auto" in preview(visit, flash_wipe="burn")

    assert visit.post(f"/ui/machines/{MAC}", **own).status_code == 303
    page = visit.get(f"/ui/machines/{MAC}").text
    assert "<option selected>overwrite</option>" in page
    assert "as the site: auto" in page
    assert "&#34;wipe&#34;: &#34;overwrite&#34;" in page
    assert "wiped before (overwrite)" in visit.get(f"/ui/machines/{MAC}/again").text
    assert house.services.machines.get(MAC).machine.own == OwnOptions("overwrite", "yes", "booted")


def test_deleting_asks_first_and_shows_what_is_lost(house: Site) -> None:
    house.add_image()
    house.add_machine(wanted=Assignment(image_ref=REF, labels=("rack 4",)))
    visit = house.visit()

    text = visit.get(f"/ui/machines/{MAC}/delete").text
    assert "debian-13.img.zst" in text
    assert "rack 4" in text
    assert "with 2 disks" in text
    assert house.services.machines.get(MAC).labels == ("rack 4",)

    answer = visit.post(f"/ui/machines/{MAC}/delete")
    assert answer.headers["location"] == "/ui/machines?deleted=52%3A54%3A00%3A12%3A34%3A56"
    again = visit.post(f"/ui/machines/{MAC}/delete")
    assert again.headers["location"] == "/ui/machines?missing=52%3A54%3A00%3A12%3A34%3A56"
    assert f"{MAC} was deleted" in visit.get(answer.headers["location"]).text


def test_the_state_is_polled_by_revision(house: Site) -> None:
    house.add_machine()
    visit = house.visit()
    page = visit.get(f"/ui/machines/{MAC}").text
    poll = re.search(r'hx-get="(/ui/machines/[^"]+/state[^"]+)"', page)
    assert poll is not None
    assert visit.get(poll[1]).status_code == 204

    house.add_event(Kind.MACHINE_FLASHED, "x", subject=machine_subject(MAC))

    assert visit.get(poll[1]).status_code == 200


@pytest.mark.parametrize("path", ["", "/state", "/preview", "/delete"])
def test_an_unknown_machine_is_not_found(house: Site, path: str) -> None:
    assert house.visit().get(f"/ui/machines/{MAC}{path}").status_code == 404


@pytest.mark.parametrize("known_disks", ["not json", "[]", "{}", "[1]", '[{"path": 1}]', "null"])
def test_a_damaged_inventory_breaks_no_page(house: Site, known_disks: str) -> None:
    house.add_machine()
    house.database.write(lambda tx: tx.run("UPDATE machines SET known_disks = ?", known_disks))
    visit = house.visit()

    assert visit.get("/ui/machines").status_code == 200
    assert visit.get(f"/ui/machines/{MAC}").status_code == 200


HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'; DROP TABLE machines; --",
    "{{ 7*7 }}{% raw %}",
    "${7*7}#{7*7}",
    "\u202egpj.exe\u2066",
    "</textarea></select></title><svg/onload=alert(1)>",
    "&lt;b&gt;&#x27;",
]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_others_say_is_shown_as_text(house: Site, hostile: str) -> None:
    evil = {**DISKS[0], "serial": hostile, "model": hostile, "path": hostile[:200], "size": "1G"}
    house.add_image(name=hostile)
    house.add_machine(
        disks=[evil],
        wanted=Assignment(
            boot_mode=BootMode.FLASH_ONCE, image_ref=REF, target_disk_serial=Serial(hostile)
        ),
    )
    house.database.write(
        lambda tx: [
            tx.run("UPDATE machines SET last_seen_ip = ?, last_flashed_at = ?", hostile, hostile),
            tx.run("INSERT INTO machine_labels VALUES (?, ?)", MAC, hostile),
            tx.run(
                "INSERT INTO machine_progress VALUES (?, ?, ?, 1, 2, 3, ?)",
                *(MAC, hostile, hostile, hostile),
            ),
            tx.run("UPDATE machines SET phase = 'booted'"),
        ]
    )
    subject = machine_subject(hostile)
    house.add_event(Kind.MACHINE_FLASH_FAILED, hostile, subject=subject, source_ip=hostile)
    house.add_event(Kind.SCHEMA_RESET, hostile)
    visit = house.visit()

    for path in (
        "/ui/machines",
        f"/ui/machines/{MAC}",
        f"/ui/machines/{MAC}/delete",
        "/ui/events",
        "/ui/machines/rows",
    ):
        answer = visit.get(path)
        assert answer.status_code == 200
        assert "49" not in re.findall(r">\s*(49)\s*<", answer.text)
        for raw in ("<script>alert", "<img src=x", "<svg/onload", '="><', "</textarea>"):
            assert raw not in answer.text, path


@pytest.mark.parametrize("hostile", HOSTILE)
def test_what_the_address_says_is_shown_as_text(house: Site, hostile: str) -> None:
    visit = house.visit()
    names = ("q", "label", "mode", "sort", "dir", "deleted", "missing", "open", "before")
    query = urlencode(dict.fromkeys(names, hostile))

    for path in ("/ui/machines", "/ui/events"):
        text = visit.get(f"{path}?{query}").text
        for raw in ("<script>alert", "<img src=x", "<svg/onload", "</textarea>"):
            assert raw not in text


def test_the_page_with_all_its_assets_is_light(house: Site) -> None:
    rack(house, 50)
    visit = house.visit()
    page = visit.get("/ui/machines").text
    loaded = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', page))

    weight = len(page.encode()) + sum(len(visit.get(path).content) for path in loaded)

    assert len(loaded) == 5
    assert weight < 150_000, json.dumps(sorted(loaded))
