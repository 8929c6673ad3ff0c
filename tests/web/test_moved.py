"""What an appliance that leaves or has moved says to people, scripts and machines."""

from __future__ import annotations

import pytest

from bty_app.domain.migration import MARK_FILE, Mark
from bty_app.store import move_mark
from tests.serving import KERNEL, MAC, Site

TO = "http://192.0.2.20:8080"
PAGES = ("/ui/dashboard", "/ui/machines", "/ui/catalog", "/ui/netboot", "/ui/events", "/ui/account")


@pytest.fixture
def moved(server: Site) -> Site:
    server.bind("bty-flash-once")
    move_mark.put(server.state_dir, Mark(TO))
    return server


def test_every_page_says_it_and_a_person_can_still_log_in(moved: Site) -> None:
    for page in PAGES:
        answer = moved.operate("GET", page, headers={"Accept": "text/html"})
        assert answer.status_code == 200
        assert f"This appliance has moved to {TO}" in answer.text, page


def test_a_page_says_where_it_is_and_how_it_comes_back(moved: Site) -> None:
    move_mark.put(moved.state_dir, Mark(TO, "2026-11-22T20:00:00+00:00", "ab" * 32))
    banner = moved.operate("GET", "/ui/dashboard", headers={"Accept": "text/html"}).text
    assert 'href="/ui/moved"' in banner
    page = moved.operate("GET", "/ui/moved", headers={"Accept": "text/html"}).text
    for words in (f'href="{TO}"', "2026-11-22", "ab" * 32, "bty migrate --cancel", "Backups"):
        assert words in page
    move_mark.remove(moved.state_dir)
    page = moved.operate("GET", "/ui/moved", headers={"Accept": "text/html"}).text
    assert "This appliance serves here" in page


def test_a_mark_that_says_nothing_makes_no_address(moved: Site) -> None:
    for content in (b"", b'{"to": "javascript:alert(1)", "at": "x"}'):
        (moved.state_dir / MARK_FILE).write_bytes(content)
        answer = moved.operate("GET", "/ui/moved", headers={"Accept": "text/html"})
        assert answer.status_code == 200
        assert "javascript" not in answer.text
        assert "another host" in answer.text


def test_a_change_is_refused_with_the_new_address(moved: Site) -> None:
    refused = moved.save(boot_mode="ipxe-exit")

    assert refused.status_code == 503
    assert TO in refused.json["detail"]


def test_a_machine_with_an_order_to_flash_is_sent_on_and_gets_no_plan_here(moved: Site) -> None:
    before = moved.machine()

    script = moved.contact()

    assert f"chain --replace {TO}/pxe/{MAC.replace(':', '-')} || goto again" in script
    assert "kernel" not in script
    for method, path in (
        ("GET", f"/pxe/{MAC}/plan"),
        ("POST", f"/pxe/{MAC}/done"),
        ("GET", f"/pxe/{MAC}/plan?preview=1"),
    ):
        answer = moved.ask(method, path)
        assert answer.status_code == 503
        assert TO in answer.json["detail"]
    assert moved.get(f"/boot/{KERNEL}?mac={MAC}").status_code == 200
    assert moved.machine() == before, "nothing was recorded and nothing began"


def test_an_unknown_machine_is_sent_on_as_well(moved: Site) -> None:
    assert f"chain --replace {TO}/pxe/52-54-00-99-99-99" in moved.contact("52:54:00:99:99:99")
    head = moved.ask("HEAD", f"/pxe/{MAC}")
    assert head.status_code == 200


def test_while_it_leaves_a_machine_gets_an_answer_that_begins_nothing(server: Site) -> None:
    server.bind("bty-flash-once")
    server.services.departure.leave(TO, anyway=False, ip=None)

    script = server.contact()

    assert "kernel" not in script
    assert server.phase() == "idle"
    page = server.operate("GET", "/ui/machines")
    assert f"This appliance is being moved to {TO}" in page.text
    server.services.departure.stay()
    assert "kernel" in server.contact()


def test_taken_back_it_serves_again_without_a_restart(moved: Site) -> None:
    assert "chain --replace" in moved.contact()

    (moved.state_dir / MARK_FILE).unlink()

    assert "kernel" in moved.contact()
    assert moved.save(boot_mode="ipxe-exit").status_code == 200


def test_a_file_of_the_copy_is_sent_in_parts_by_its_digest(server: Site) -> None:
    parts = server.operate(
        "POST", "/api/v1/migration/leaving", json={"to": TO}, headers={"Sec-Fetch-Site": "none"}
    ).json["files"]
    part = next(part for part in parts if part["name"] == "state.db")
    path, tag = "/api/v1/migration/copy/state.db", f'"{part["sha256"]}"'

    rest = server.operate("GET", path, headers={"Range": "bytes=100-", "If-Range": tag})
    whole = server.operate("GET", path, headers={"Range": "bytes=100-", "If-Range": '"other"'})

    assert (rest.status_code, len(rest.content)) == (206, part["size_bytes"] - 100)
    assert (whole.status_code, len(whole.content)) == (200, part["size_bytes"])
    assert whole.headers["ETag"] == tag
    assert whole.content[100:] == rest.content
