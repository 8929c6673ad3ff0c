"""The page of one machine: its boots, its hardware, what a save erases, and a second operator."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from bty_app.domain.boot_stages import Stage
from bty_app.domain.events import Query
from bty_app.domain.machine import Assignment, BootMode, Serial
from bty_app.store import hardware_history
from tests.domain.test_hardware import disk, tree
from tests.web.site import DISKS, MAC, REF, Site

IP = "127.0.0.1"
FLASH = {
    "boot_mode": "bty-flash-once",
    "bty_image_ref": REF,
    "target_disk_serial": "S64ENX0T123456",
}
ARMED = Assignment(
    boot_mode=BootMode.FLASH_ONCE, image_ref=REF, target_disk_serial=Serial("S64ENX0T123456")
)
EVIL = "\u202e<script>alert(1)</script>\u0007"


def report(house: Site, disks: object, lshw: object = None) -> None:
    answer = house.client().simulate_post(
        f"/pxe/{MAC}/inventory", json={"disks": disks, "lshw": lshw}
    )
    assert answer.status_code == 204


def was(text: str) -> str:
    found = re.search(r'name="was" value="([^"]*)"', text)
    assert found is not None
    return found[1].replace("&#34;", '"')


def changed_events(house: Site) -> list[Any]:
    return list(house.services.audit.listed(Query(kind="machine.hardware.changed")))


def page(house: Site) -> str:
    return house.visit().get(f"/ui/machines/{MAC}").text


def test_a_boot_through_http_is_a_timeline(house: Site) -> None:
    house.add_machine()
    client = house.client()
    client.simulate_get("/pxe-bootstrap.ipxe", remote_addr=IP)
    client.simulate_get(f"/pxe/{MAC}", remote_addr=IP)
    client.simulate_get(f"/pxe/{MAC}?preview=1", remote_addr=IP)
    client.simulate_head("/client.pyz", remote_addr=IP)
    client.simulate_get("/client.pyz", remote_addr=IP)
    client.simulate_get(f"/pxe/{MAC}/plan", remote_addr=IP)
    client.simulate_post(f"/pxe/{MAC}/progress", json={"phase": "writing"}, remote_addr=IP)
    client.simulate_post(
        f"/pxe/{MAC}/status", json={"status": "failed", "reason": "disk died"}, remote_addr=IP
    )
    client.simulate_post(
        f"/pxe/{MAC}/booted", body="pub_key=x", headers={"Content-Type": "x/y"}, remote_addr=IP
    )

    (boot,) = house.visit().get(f"/api/v1/machines/{MAC}/timeline").json["boots"]

    assert [stage["stage"] for stage in boot["stages"]] == [
        "ipxe.bootstrap",
        "ipxe.script",
        "live.client",
        "live.plan",
        "flash.phase",
        "flash.failed",
        "os.booted",
    ]
    assert boot["state"] == "ended"
    text = page(house)
    assert "Its operating system said that it is up." in text
    assert "disk died" in text
    (event,) = house.services.audit.listed(Query(kind="machine.booted"))
    assert event.subject_id == MAC


def test_the_stage_that_never_came_is_named_with_its_remedy(house: Site) -> None:
    house.add_machine()
    house.services.stages.note(Stage.INITRD_DONE, MAC, IP, bytes=34 * 2**20, of=34 * 2**20)
    house.hands.forward(hours=1)

    text = page(house)

    assert "the live environment never asked" in text
    assert "no driver or firmware for this network card" in text
    assert "34.0 MiB" in text


def test_a_new_stage_is_news_for_an_open_page(house: Site) -> None:
    house.add_machine()
    visit = house.visit()
    poll = re.search(r'hx-get="(/ui/machines/[^"]+/state[^"]+)"', page(house))
    assert poll is not None
    assert visit.get(poll[1]).status_code == 204

    house.services.stages.note(Stage.BOOTSTRAP, MAC, IP)

    assert visit.get(poll[1]).status_code == 200
    assert "iPXE has started" in page(house)


def test_the_timeline_needs_a_login_and_a_machine(house: Site) -> None:
    assert house.client().simulate_get(f"/api/v1/machines/{MAC}/timeline").status_code == 401
    assert house.visit().get(f"/api/v1/machines/{MAC}/timeline").status_code == 404
    assert house.visit().get("/api/v1/machines/x/timeline").status_code == 400


def test_booted_is_bounded_and_of_known_machines(house: Site) -> None:
    client = house.client()
    assert client.simulate_post(f"/pxe/{MAC}/booted").status_code == 404
    house.add_machine()
    assert client.simulate_post(f"/pxe/{MAC}/booted", body="x" * 65_537).status_code == 413
    assert client.simulate_post(f"/pxe/{MAC}/booted", body="x" * 65_536).status_code == 204
    assert client.simulate_post("/pxe/zz/booted").status_code == 400


def test_hardware_that_was_swapped_is_told_and_kept(house: Site) -> None:
    house.add_machine(disks=[])
    report(house, [disk("S1")], tree())
    report(house, [disk("S1", "1.7T")], tree(clock=1))
    house.hands.forward(days=1)
    report(house, [disk("S9", "2T", "Samsung")], None)

    (swapped, added) = changed_events(house)
    assert "disk swapped: 1.8T WDC (serial S1) for 2T Samsung (serial S9)" in swapped.summary
    assert "disk added: 1.8T WDC (serial S1)" in added.summary
    text = page(house)
    assert "disk swapped: 1.8T WDC (serial S1) for 2T Samsung (serial S9)" in text
    history = house.services.hardware.history(MAC)
    assert len(history) == 2
    kept = house.visit().get(f"/ui/machines/{MAC}/hardware/{history[1].id}")
    assert kept.json == {"disks": json.loads(kept.text)["disks"], "lshw": tree()}
    assert "attachment" in kept.headers["content-disposition"]


def test_the_history_is_bounded(house: Site) -> None:
    house.add_machine()
    for number in range(hardware_history.KEPT + 5):
        house.hands.forward(minutes=1)
        report(house, [disk(f"S{number}")])

    assert len(house.services.hardware.history(MAC)) == hardware_history.KEPT
    assert house.visit().get(f"/ui/machines/{MAC}/hardware/1").status_code == 404


def test_cards_tree_and_timeline_show_what_a_box_says_as_text(house: Site) -> None:
    house.add_machine()
    hostile = tree(board=EVIL, macs=[EVIL])
    hostile["product"] = hostile["children"][0]["children"][0]["vendor"] = EVIL * 1000
    hostile["children"][0]["children"].append({"id": EVIL, EVIL: {EVIL: EVIL}, "children": [7, {}]})
    report(house, DISKS, hostile)
    house.services.stages.seen(MAC, EVIL, "dhcp.ignored", house.hands(), EVIL * 100)

    for path in ("", "/hardware", "/delete", "/again", "/state"):
        answer = house.visit().get(f"/ui/machines/{MAC}{path}")
        assert answer.status_code == 200
        assert "<script>alert" not in answer.text
        assert "\u202e" not in answer.text, path
        assert "\u0007" not in answer.text
        assert len(answer.text) < 100_000


def test_a_tree_of_any_size_and_depth_is_shown_in_bounds(house: Site) -> None:
    house.add_machine()
    deep: dict[str, Any] = {"id": "bottom"}
    for number in range(28):
        deep = {"id": f"n{number}", "children": [deep]}
    report(house, DISKS, [deep, *({"id": f"leaf{n}"} for n in range(4000))])

    text = house.visit().get(f"/ui/machines/{MAC}/hardware").text

    assert "n27" in text
    assert "bottom" not in text
    assert "There is more below" in text
    assert "download it to see all" in text


def test_what_will_be_erased_is_shown_before_it_is_armed(house: Site) -> None:
    house.add_image()
    lshw = tree()
    lshw["children"][0]["children"][-1]["serial"] = "S64ENX0T123456"
    house.add_machine()
    assert "What is on it is not known" in erased(house)
    report(house, DISKS, lshw)

    text = erased(house)

    assert "/dev/sda1" in text
    assert "ext4" in text
    assert "Linux swap" in text
    assert "It has no digest" in text


def erased(house: Site) -> str:
    query = "&".join(f"{key}={value}" for key, value in FLASH.items())
    return house.visit().get(f"/ui/machines/{MAC}/preview?{query}").text


def test_an_image_that_cannot_be_is_marked_and_refused(house: Site) -> None:
    house.add_image()
    house.add_machine(disks=[{**DISKS[0], "size": "2G"}], wanted=ARMED)
    other = Assignment(boot_mode=BootMode.IPXE_EXIT, target_disk_serial=ARMED.target_disk_serial)
    house.services.machines.save(MAC, other, ip=None)

    assert "impossible, it is larger than the chosen disk" in page(house)
    answer = house.visit().post(f"/ui/machines/{MAC}", **FLASH)

    assert answer.status_code == 422
    assert "this image cannot be flashed here: it is larger than the chosen disk" in answer.text


def test_an_image_can_be_chosen_that_another_disk_has_room_for(house: Site) -> None:
    house.add_image()
    small = {**DISKS[0], "size": "2G", "serial": "SMALL"}
    house.add_machine(disks=[small], wanted=Assignment(target_disk_serial=Serial("SMALL")))
    assert option(house).endswith("disabled>")

    report(house, [small, DISKS[0]])

    assert not option(house).endswith("disabled>")
    assert "impossible, it is larger than the chosen disk" in page(house)
    house.services.machines.save(MAC, ARMED, ip=None)
    assert "too small for the chosen image" in page(house)


def option(house: Site) -> str:
    found = re.search(rf'<option value="{REF}"[^>]*>', page(house))
    assert found is not None
    return found[0]


def test_an_image_of_another_architecture_is_refused(house: Site) -> None:
    house.add_image(name="debian-arm64.img")
    house.database.write(lambda tx: tx.run("UPDATE catalog_entries SET arch = 'arm64'"))
    house.add_machine()
    report(house, DISKS, tree())

    assert "impossible, it is for arm64, this machine is x86_64" in page(house)
    assert house.visit().post(f"/ui/machines/{MAC}", **FLASH).status_code == 422
    assert "<dt>Architecture</dt><dd>x86_64</dd>" in page(house)
    record = house.visit().get(f"/api/v1/machines/{MAC}").json
    assert record["architecture"] == "x86_64"


def test_an_image_that_turns_out_to_be_for_other_machines_is_said_with_its_remedy(
    house: Site,
) -> None:
    house.add_image()
    house.add_machine(disks=DISKS)
    report(house, DISKS, tree())
    house.services.machines.save(MAC, ARMED, ip=None)
    house.database.write(lambda tx: tx.run("UPDATE catalog_entries SET arch = 'arm64'"))

    text = page(house)

    assert (
        "Its image is not flashed: it is for arm64, this machine is x86_64: choose another image"
    ) in text


def test_a_second_operator_is_told_and_nothing_is_overwritten(house: Site) -> None:
    house.add_image()
    house.add_machine()
    visit = house.visit()
    before = was(page(house))
    house.services.machines.save(MAC, Assignment(BootMode.TUI, labels=("theirs",)), ip=None)

    answer = visit.post(f"/ui/machines/{MAC}", **FLASH, labels="mine", was=before)

    assert answer.status_code == 409
    assert "somebody else has saved this machine meanwhile" in answer.text
    assert "mode, labels" in answer.text
    assert 'value="mine"' in answer.text
    assert house.services.machines.get(MAC).machine.boot_mode is BootMode.TUI

    again = visit.post(f"/ui/machines/{MAC}", **FLASH, labels="mine", was=was(answer.text))

    assert again.status_code == 303
    assert house.services.machines.get(MAC).labels == ("mine",)


@pytest.mark.parametrize("nonsense", ["{", "[]", '{"evil": 1}', '{"boot_mode": "x"}'])
def test_a_hidden_field_that_is_not_ours_is_refused(house: Site, nonsense: str) -> None:
    house.add_machine()

    answer = house.visit().post(f"/ui/machines/{MAC}", boot_mode="bty-tui", was=nonsense)

    assert answer.status_code in {400, 422}
    assert house.services.machines.get(MAC).machine.boot_mode is BootMode.INVENTORY


def test_a_held_machine_has_one_act_that_shows_first_what_it_does(house: Site) -> None:
    house.add_image()
    house.add_machine(wanted=ARMED)
    house.database.write(lambda tx: tx.run("UPDATE machines SET phase = 'held', attempts = 5"))
    visit = house.visit()
    assert f'href="/ui/machines/{MAC}/again"' in page(house)

    asked = visit.get(f"/ui/machines/{MAC}/again").text
    assert "erases the 476.9 GiB Samsung SSD 980" in asked
    assert house.services.machines.get(MAC).machine.attempts == 5
    answer = visit.post(f"/ui/machines/{MAC}/again", was=was(asked))

    assert answer.headers["location"] == f"/ui/machines/{MAC}?armed=1"
    machine = house.services.machines.get(MAC).machine
    assert (machine.phase.value, machine.attempts) == ("idle", 0)


def test_arming_anew_what_is_set_otherwise_by_now_is_refused(house: Site) -> None:
    house.add_image()
    house.add_machine(wanted=ARMED)
    visit = house.visit()
    before = was(visit.get(f"/ui/machines/{MAC}/again").text)
    house.services.machines.save(MAC, Assignment(BootMode.TUI), ip=None)

    assert visit.post(f"/ui/machines/{MAC}/again", was=before).status_code == 409
    assert house.services.machines.get(MAC).machine.boot_mode is BootMode.TUI


def test_the_page_shows_script_and_plan_and_changes_nothing(house: Site) -> None:
    house.add_machine()
    before = house.services.machines.get(MAC)

    text = page(house)

    assert "#!ipxe" in text
    assert "&#34;mode&#34;: &#34;inventory&#34;" in text
    assert house.services.machines.get(MAC) == before
    assert house.services.stages.of(MAC) == []


def test_deleting_says_that_history_and_timeline_go(house: Site) -> None:
    house.add_machine()
    report(house, [disk("S1")])
    visit = house.visit()

    text = visit.get(f"/ui/machines/{MAC}/delete").text

    assert "history of its hardware: 1 inventory" in text
    assert "timeline of its boots: 1 boot" in text
    house.services.stages.flush()
    visit.post(f"/ui/machines/{MAC}/delete")
    assert house.services.hardware.history(MAC) == []
    assert visit.get(f"/api/v1/machines/{MAC}/timeline").status_code == 404
    assert len(changed_events(house)) == 1


def test_an_order_that_ends_by_itself_says_when(house: Site) -> None:
    house.add_image()
    house.add_machine()
    wanted = Assignment(BootMode.FLASH_ONCE, REF, Serial("S64ENX0T123456"))
    house.services.machines.save(MAC, wanted, ip=None)
    visit = house.visit()
    assert "ends by itself" not in visit.get(f"/ui/machines/{MAC}").text

    visit.post("/ui/settings", **{"flash.order_expires_hours": "3"})

    text = visit.get(f"/ui/machines/{MAC}").text
    assert re.search(r"ends by itself <time [^>]*>2026-11-22 23:00<", text)
    house.hands.forward(hours=4)
    text = house.visit().get(f"/ui/machines/{MAC}").text
    assert re.search(r"ended by itself <time [^>]*>2026-11-22 23:00<", text)
