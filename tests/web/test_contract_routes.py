"""Every route of the contract is there, or the reference says why not (CONTRACT 3, 7.3, 9)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import falcon.testing
import pytest

from bty_app.domain.jobs import Quiet
from bty_app.services.backups import Order
from bty_app.store import settings
from tests.docs.pages import DOCS
from tests.web.site import AT, MAC, REF, Site, Visit, form, site

BACKUP = "2026-05-24T08-00-00Z"
ASKED = "2026-11-22T20-00-00Z"
# As the contract lists them. What most of them need is missing: refused, but not with 404 or 405.
OFFERED = (
    "GET /",
    "GET /healthz",
    "GET /version",
    "GET /pxe-bootstrap.ipxe",
    f"GET /pxe/{MAC}",
    f"GET /pxe/{MAC}/plan",
    f"POST /pxe/{MAC}/inventory",
    f"POST /pxe/{MAC}/status",
    f"POST /pxe/{MAC}/done",
    "GET /boot/netboot.bin",
    "HEAD /boot/netboot.bin",
    "PUT /boot/netboot.bin",
    "GET /images",
    "GET /catalog.toml",
    "GET /openapi.json",
    "GET /machines",
    f"GET /machines/{MAC}",
    f"PUT /machines/{MAC}",
    f"GET /machines/{MAC}/lshw.json",
    f"GET /machines/{MAC}/disks.json",
    "GET /catalog/entries",
    "POST /catalog/entries",
    "POST /catalog/import?source=/nothing",
    "GET /boot/releases",
    "POST /boot/releases",
    "DELETE /boot/releases/v9.9",
    "GET /workers/backups",
    "POST /workers/backups",
    f"DELETE /workers/backups/{ASKED}",
    "GET /events",
    "POST /events/1/ack",
    "GET /ui",
    "GET /ui/login",
    "GET /ui/dashboard",
    "GET /ui/machines",
    "GET /ui/machines?filter=discovered&q=5&sort=boot_mode&dir=desc&page=1&per_page=10",
    "GET /ui/machines?filter=assigned&sort=bty_image_ref",
    "GET /ui/machines?sort=last_seen_ip",
    "GET /ui/machines?sort=last_flashed_at",
    "GET /ui/machines?sort=last_seen_at",
    f"GET /ui/machines/{MAC}",
    "GET /ui/images",
    "GET /ui/netboot",
    "GET /ui/backups",
    f"GET /ui/backups/{BACKUP}/download",
    "GET /ui/events?q=machine",
    "GET /ui/settings",
    "GET /ui/account",
    "POST /ui/login",
    "POST /ui/catalog/entries",
    "POST /ui/catalog/upload",
    "POST /ui/catalog/fetch-release",
    "POST /ui/catalog/entries/check",
    f"POST /ui/images/{REF}/prewarm",
    "POST /ui/settings/upstream",
    "POST /ui/settings/backup",
    "POST /ui/netboot/fetch-release",
    "POST /ui/events/acknowledge",
    f"DELETE /ui/backups/{BACKUP}",
    f"DELETE /catalog/entries?src={REF}",
    f"POST /ui/machines/{MAC}",
    f"POST /ui/machines/{MAC}/delete",
    f"PUT /machines/{MAC}",
    f"DELETE /machines/{MAC}",
    "POST /ui/logout",
)
# Of the contract, and dropped on purpose; docs/reference/differences.md says why.
BODIES: dict[str, object] = {
    "POST /boot/releases": {"tag": "v9.9"},
    "POST /workers/backups": {"trigger": "manual"},
    "PUT /machines/" + MAC: {"boot_mode": "bty-flash-once", "bty_image_ref": REF},
    "POST /catalog/entries": {"image_url": "ftp://x/y.img"},
}
FIELDS = {
    "POST /ui/catalog/entries/check": {"src": REF},
    "POST /ui/machines/" + MAC: {"boot_mode": "bty-inventory"},
}
DROPPED = (
    "GET /docs",
    "GET /redoc",
    "GET /events/machines",
    "GET /events/workers",
    "GET /images/{key}/{name}",
    "POST /admin/withcache/refresh",
    "POST /admin/nbdmux/refresh",
    "POST /ui/settings/display",
    "POST /ui/settings/ramboot",
    "POST /ui/settings/config/edit",
    "POST /ui/images/{ref}/unwarm",
)


RUN = [
    *("backup_id", "status", "started_at", "finished_at", "machines", "bytes_done", "dest_path"),
    *("trigger", "error"),
]


@pytest.fixture
def house(quick_dir: Path) -> Iterator[Site]:
    with site(quick_dir / "state") as made:
        (quick_dir / "state" / "boot").mkdir(exist_ok=True)
        (quick_dir / "state" / "boot" / "netboot.bin").write_bytes(b"kernel")
        made.add_image()
        made.add_machine()
        body = {"disks": [], "lshw": {"id": "x"}}
        made.client().simulate_post(f"/pxe/{MAC}/inventory", json=body)
        made.services.backup_jobs.backups.create(Order("manual", BACKUP), Quiet())
        yield made


def ask(visit: Visit, line: str) -> falcon.testing.Result:
    """What the operator is answered, by the route table of the contract."""
    method, _, address = line.partition(" ")
    path, _, query = address.partition("?")
    cookie = {"Cookie": f"bty-token={visit.token}"}
    more: dict[str, Any] = {"headers": cookie, "query_string": query}
    if path.startswith("/ui/") and method != "GET":
        token = visit.csrf_token()
        headers = cookie | {"X-CSRF-Token": token}
        more |= form(headers, **FIELDS.get(line, {})) if method == "POST" else {"headers": headers}
    elif line in BODIES:
        more["json"] = BODIES[line]
    return falcon.testing.simulate_request(visit.site.app, method, path, **more)


def test_every_route_of_the_contract_answers(house: Site) -> None:
    visit = house.visit()

    answers = {line: ask(visit, line) for line in OFFERED}

    assert {
        line: answer.text
        for line, answer in answers.items()
        if answer.status_code in {404, 405} or answer.status_code >= 500
    } == {}


def test_the_reference_says_why_others_are_not_offered(house: Site) -> None:
    visit = house.visit()
    told = re.findall(r"`([A-Z]+ /[^`]*)`", (DOCS / "reference" / "differences.md").read_text())

    assert [line for line in DROPPED if line not in told] == []
    assert {
        line: answer.status_code
        for line in DROPPED
        if (answer := ask(visit, re.sub(r"{[a-z]+}", REF, line))).status_code not in {404, 405}
    } == {}


def test_a_backup_is_asked_for_and_told_as_the_contract_says(house: Site, quick_dir: Path) -> None:
    house.hands.now = datetime.fromisoformat("2026-11-22T20:00:00+00:00")
    visit = house.visit()

    nothing = ask(visit, "GET /workers/backups").json
    asked = ask(visit, "POST /workers/backups")
    again = ask(visit, "POST /workers/backups")
    work = house.services.jobs.next()
    assert work is not None
    work()
    (done,) = ask(visit, "GET /workers/backups").json["backups"]

    root = quick_dir / "state" / "backups"
    bundle = root / ASKED / "inventory.json"
    assert nothing == {"backups_root": str(root), "max_parallel": 1, "backups": []}
    assert (asked.status_code, again.status_code) == (202, 202)
    assert (
        asked.json
        == again.json
        == dict.fromkeys(RUN)
        | {
            "backup_id": ASKED,
            "status": "queued",
            "bytes_done": 0,
            "dest_path": str(bundle),
            "trigger": "manual",
        }
    )
    assert list(asked.json) == list(done) == RUN
    assert (done["status"], done["machines"], done["error"]) == ("completed", 1, None)
    assert done["bytes_done"] == bundle.stat().st_size
    assert done["started_at"] == house.hands.now.timestamp()


def test_a_backup_that_waits_is_cancelled_and_one_that_has_ended_stays(house: Site) -> None:
    visit = house.visit()
    ask(visit, "POST /workers/backups")
    line = f"DELETE /workers/backups/{ASKED}"

    cancelled, again = ask(visit, line), ask(visit, line)
    asked = ask(visit, "POST /workers/backups").json
    unknown = ask(visit, "DELETE /workers/backups/2001-01-01T00-00-00Z")

    assert (cancelled.status_code, cancelled.json["status"]) == (200, "cancelled")
    assert again.json == cancelled.json
    assert asked["backup_id"] == f"{ASKED}-1", "one name, one backup"
    assert unknown.status_code == 404


@pytest.mark.parametrize("body", [None, {"trigger": "perhaps"}, {"more": 1}])
def test_a_backup_of_another_trigger_is_refused(house: Site, body: object) -> None:
    cookie = {"Cookie": f"bty-token={house.visit().token}"}

    answer = house.client().simulate_post("/workers/backups", json=body, headers=cookie)

    assert answer.status_code == 422
    assert house.services.jobs.listed() == []


def test_the_bundle_of_a_backup_is_downloaded_and_the_backup_removed(
    house: Site, quick_dir: Path
) -> None:
    visit = house.visit()
    bundle = (quick_dir / "state" / "backups" / BACKUP / "inventory.json").read_bytes()

    got = ask(visit, f"GET /ui/backups/{BACKUP}/download")
    unasked = house.client().simulate_delete(
        f"/ui/backups/{BACKUP}", headers={"Cookie": f"bty-token={visit.token}"}
    )
    gone = ask(visit, f"DELETE /ui/backups/{BACKUP}")

    assert got.content == bundle
    assert got.headers["content-disposition"] == f'attachment; filename="{BACKUP}.json"'
    assert unasked.status_code == 403, "only a page of ours may ask"
    assert (gone.status_code, list(gone.json)) == (200, ["backup_id", "machines", "bytes_on_disk"])
    assert (gone.json["backup_id"], gone.json["machines"]) == (BACKUP, 1)
    assert ask(visit, f"GET /ui/backups/{BACKUP}/download").status_code == 404
    assert ask(visit, "GET /ui/backups/..%2f../download").status_code == 404


def test_an_image_is_warmed_as_the_form_of_the_original_asks(house: Site) -> None:
    base = "http://127.0.0.1:9"
    house.database.write(lambda tx: settings.put(tx, "withcache.url", base, at=AT))

    answer = ask(house.visit(), f"POST /ui/images/{REF}/prewarm")

    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/catalog")
    assert [job.key for job in house.services.jobs.listed("warm")] == [REF]
