"""The pages that compare a backup with now, put it back, and take that back; and old databases."""

from __future__ import annotations

import re
import secrets
import shutil
from collections.abc import Iterator
from html import unescape
from pathlib import Path
from typing import Any

import falcon
import falcon.testing
import pytest

from bty_app import __version__
from bty_app.domain.events import Query
from bty_app.domain.machine import BootMode
from bty_app.domain.tokens import Scope
from bty_app.services.backup_files import BackupPlan, write_backup
from bty_app.store import events, machines, rotation
from tests.fleet_state import BEGIN, OTHER_REF, Fleet, bind, forget, image, seen, setting
from tests.fleet_state import mac as number
from tests.services.test_recover import make_damaged
from tests.web.site import REF, Site, Visit, site

HERE = "/ui/backups/then"


@pytest.fixture
def house(quick_dir: Path) -> Iterator[Site]:
    with site(quick_dir / "state") as made:
        yield made


@pytest.fixture
def backup(house: Site, quick_dir: Path) -> str:
    """A backup, and what has changed since."""
    write(house, bind(1, labels=["a"]), bind(2, BootMode.FLASH_ALWAYS), bind(3), image(REF, "one"))
    plan = BackupPlan("then", "manual", __version__, BEGIN)
    state = quick_dir / "state"
    write_backup(state / "state.db", state / "backups", plan)
    write(house, bind(1, ref=OTHER_REF, labels=["b"], serial="<b>"), forget(2))
    return "then"


def write(house: Site, *changes: object) -> None:
    for change in changes:
        house.database.write(change)  # type: ignore[arg-type]


def confirm(visit: Visit, path: str, **more: str) -> Any:
    """Read the page, and submit the form that it has."""
    text = visit.get(path).text
    hidden = dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', text))
    fields = {k: unescape(v) for k, v in hidden.items() if k not in {"ids", "return_to"}}
    return visit.post(path.partition("?")[0], sure="1", **(fields | more))


def bound(house: Site, n: int) -> str | None:
    machine = house.database.read(lambda tx: machines.get(tx, number(n)))
    return machine.image_ref if machine else None


def test_a_backup_is_compared_with_now(house: Site, backup: str) -> None:
    visit = house.visit()

    text = visit.get(f"{HERE}/compare").text

    assert "2 machines differ" in text
    assert number(1) in text
    assert number(3) not in text
    assert "&lt;b&gt;" in text
    assert "<b>" not in text
    one = visit.get(f"{HERE}/compare?q=00:02").text
    assert "1 machine differs" in one
    assert number(1) not in one
    assert "No machine" in visit.get(f"{HERE}/compare?q=zz").text


def test_what_a_backup_knew_of_one_machine(house: Site, backup: str) -> None:
    visit = house.visit()

    text = visit.get(f"{HERE}/machines/{number(1)}").text

    assert "Put this machine back" in text
    assert "differs" in text
    gone = visit.get(f"{HERE}/machines/{number(2)}").text
    assert "There is no record of this machine now" in gone
    assert visit.get(f"{HERE}/machines/{number(9)}").status_code == 404


def test_a_backup_is_put_back_and_that_is_undone(house: Site, backup: str) -> None:
    visit = house.visit()
    before = house.services.revisions.current("machines")
    shown = visit.get(f"{HERE}/restore").text

    answer = confirm(visit, f"{HERE}/restore")

    assert "come back as Inventory" in shown or "comes back as Inventory" in shown
    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/restore/undo?done=1")
    assert bound(house, 1) == REF
    assert house.services.revisions.current("machines") != before
    machine = house.database.read(lambda tx: machines.get(tx, number(2)))
    assert machine is not None
    assert machine.boot_mode is BootMode.INVENTORY
    undo = visit.get("/ui/restore/undo?done=1").text
    assert "Done. Below is the way back." in undo
    assert confirm(visit, "/ui/restore/undo").status_code == 303
    assert bound(house, 1) == OTHER_REF
    assert bound(house, 2) is None
    kinds = [row.kind for row in house.services.audit.listed(Query(limit=2))]
    assert kinds == ["backup.restored", "backup.restored"]


def test_one_machine_is_put_back(house: Site, backup: str) -> None:
    visit = house.visit()

    answer = confirm(visit, f"{HERE}/restore?mac={number(1)}")

    assert answer.status_code == 303
    assert bound(house, 1) == REF
    assert bound(house, 2) is None


def test_orders_to_flash_come_back_when_that_is_asked_for(house: Site, backup: str) -> None:
    visit = house.visit()
    address = re.findall(r'href="([^"]+)">With orders', visit.get(f"{HERE}/restore").text)[0]

    shown = visit.get(unescape(address)).text
    answer = confirm(visit, unescape(address))

    assert "Without orders to flash" in shown
    assert "is flashed at the next network boot" in shown
    assert answer.status_code == 303
    machine = house.database.read(lambda tx: machines.get(tx, number(2)))
    assert machine is not None
    assert machine.boot_mode is BootMode.FLASH_ALWAYS


def test_what_changed_meanwhile_is_shown_again(house: Site, backup: str) -> None:
    visit = house.visit()
    digest = re.findall(r'name="digest" value="(\w+)"', visit.get(f"{HERE}/restore").text)[0]
    write(house, bind(3, ref=OTHER_REF))

    answer = visit.post(f"{HERE}/restore", digest=digest, sure="1")

    assert answer.status_code == 409
    assert "something has changed" in answer.text
    assert bound(house, 1) == OTHER_REF


def test_nothing_is_done_without_a_yes(house: Site, backup: str) -> None:
    visit = house.visit()
    digest = re.findall(r'name="digest" value="(\w+)"', visit.get(f"{HERE}/restore").text)[0]

    answer = visit.post(f"{HERE}/restore", digest=digest)

    assert answer.status_code == 422
    assert bound(house, 1) == OTHER_REF
    assert visit.post(f"{HERE}/restore", digest=digest, sure="1", csrf_token="x").status_code == 403


@pytest.mark.parametrize("name", ["nothing", "..", "%2e%2e", "..%2fbackups%2fthen", ".tmp-x"])
def test_backups_are_found_by_plain_names_alone(house: Site, backup: str, name: str) -> None:
    visit = house.visit()

    for page in ("compare", "restore", f"machines/{number(1)}"):
        assert visit.get(f"/ui/backups/{name}/{page}").status_code == 404


def test_without_a_restore_there_is_none_to_undo(house: Site) -> None:
    assert "There is none that could be undone" in house.visit().get("/ui/restore/undo").text


def test_strangers_see_and_do_nothing(house: Site, backup: str) -> None:
    client = house.client()

    for path in (f"{HERE}/compare", f"{HERE}/restore", "/ui/restore/undo", "/ui/recover"):
        assert client.simulate_get(path).status_code == 303
    assert client.simulate_post("/api/v1/backups/then/restore", json={}).status_code == 401


def test_scripts_of_administrators_restore(house: Site, backup: str) -> None:
    def ask(path: str, scope: Scope, **fields: object) -> falcon.testing.Result:
        _made, token = house.services.tokens.create(secrets.token_hex(4), scope.value, "", ip=None)
        return house.client().simulate_post(
            path, json=fields, headers={"Authorization": f"Bearer {token}"}
        )

    path = f"/api/v1/backups/{backup}/restore"

    assert ask(path, Scope.OPERATE).status_code == 403
    shown = ask(path, Scope.ADMIN, macs=[number(1)]).json
    assert shown["tables"] == {"machines": {"added": 0, "removed": 0, "changed": 1}}
    assert bound(house, 1) == OTHER_REF
    assert ask(path, Scope.ADMIN, digest=shown["digest"]).status_code == 409
    done = ask(path, Scope.ADMIN, macs=[number(1)], digest=shown["digest"]).json
    assert done["done"] is True
    assert bound(house, 1) == REF
    [event] = house.database.read(
        lambda tx: events.listed(tx, Query(kind="backup.restored", limit=1))
    )
    assert '"token":' in (event.details or ""), "the script is named"
    undo = ask("/api/v1/restore/undo", Scope.ADMIN).json
    assert ask("/api/v1/restore/undo", Scope.ADMIN, digest=undo["digest"]).status_code == 200
    assert bound(house, 1) == OTHER_REF
    assert ask(path, Scope.ADMIN, mac="x").status_code == 422
    assert ask(path, Scope.ADMIN, keep_boot_modes=1).status_code == 422


# -- old databases -------------------------------------------------------------------------------


@pytest.fixture
def upgraded(quick_dir: Path) -> Iterator[Site]:
    """A server after an upgrade: what the release before knew is in an archive."""
    old = Fleet(quick_dir / "state").make()
    old.write(bind(1, labels=["a"]), bind(2, BootMode.FLASH_ALWAYS))
    old.write(setting("flash.per_hour", "7"), setting("auth.password_fingerprint", "x"))
    old.sql("UPDATE bty_version SET version = '0.1.0'")
    rotation.open_state(old.place, version=__version__, now=BEGIN, backup=None)
    with site(old.place) as made:
        yield made


def test_an_upgrade_offers_the_bindings_until_they_are_carried_over(upgraded: Site) -> None:
    visit = upgraded.visit()
    dashboard = visit.get("/ui/dashboard").text
    address = re.findall(r'href="(/ui/recover/[^"]+)">2 bindings wait', dashboard)
    assert len(address) == 1
    shown = visit.get(address[0]).text

    answer = confirm(visit, f"{address[0]}?part=bindings")

    assert number(1) in shown
    assert answer.status_code == 303
    assert bound(upgraded, 1) == REF
    machine = upgraded.database.read(lambda tx: machines.get(tx, number(2)))
    assert machine is not None
    assert (machine.image_ref, machine.boot_mode) == (REF, BootMode.INVENTORY)
    assert "bindings wait" not in visit.get("/ui/dashboard").text
    assert "Old databases" in visit.get("/ui/recover").text
    assert address[0].rpartition("/")[2] in visit.get("/ui/recover").text


def test_what_is_picked_is_what_comes_over(upgraded: Site) -> None:
    visit = upgraded.visit()
    name = upgraded.services.recover.archives()[0]
    path = f"/ui/recover/{name}"

    shown = visit.get(f"{path}?part=settings").text
    answer = confirm(visit, f"{path}?part=settings")

    assert "flash.per_hour" in shown
    assert "breaks a rule" not in shown, "what a release keeps for itself is no setting"
    assert answer.status_code == 303
    assert bound(upgraded, 1) is None
    assert visit.get("/ui/recover/state.db").status_code == 404
    assert visit.get("/ui/recover/..%2fstate.db").status_code == 404


def other(house: Site, name: str, version: str) -> None:
    """A backup of another release, in which machine 1 was bound."""
    state = house.database.path.parent
    elsewhere = Fleet(state / "elsewhere").make()
    elsewhere.write(bind(1, labels=["a"]), bind(2, BootMode.FLASH_ALWAYS), seen(1, "[]"))
    elsewhere.sql("UPDATE bty_version SET version = ?", version)
    plan = BackupPlan(name, "pre-upgrade", version, BEGIN)
    write_backup(elsewhere.state_db, state / "backups", plan)


def test_a_backup_of_another_release_is_compared_and_one_machine_comes_back(house: Site) -> None:
    other(house, "before", "0.1.0")
    visit = house.visit()
    path = "/ui/backups/before/recover"
    assert f'href="{path}"' in visit.get("/ui/backups").text

    shown = visit.get(path).text
    assert "Of release <bdi>0.1.0</bdi>" in shown
    assert number(1) in shown
    assert number(2) in shown
    assert "Last proven" in shown
    one = f"{path}?mac={number(1)}"
    assert number(2) not in visit.get(one).text
    done = confirm(visit, f"{one}&part=bindings")

    assert done.status_code == 303
    assert bound(house, 1) == REF
    assert house.database.read(lambda tx: machines.get(tx, number(2))) is None
    assert visit.get(f"{path}?mac=x").status_code == 400


def test_a_bundle_alone_is_compared_by_hardware(house: Site) -> None:
    state = house.database.path.parent
    bundle = state / "backups" / "2026-05-24T08-00-00Z"
    shutil.copytree(Path(__file__).parents[1] / "data/bundles/two-machines", bundle)
    visit = house.visit()
    path = "/ui/backups/2026-05-24T08-00-00Z/recover"

    shown = visit.get(path).text
    assert "2 there: 2 come over" in shown
    assert "bindings, labels, catalog and settings are not in it" in shown
    assert confirm(visit, f"{path}?part=hardware").status_code == 303

    assert house.database.read(lambda tx: tx.value("SELECT count(hw_lshw) FROM machines")) > 0
    (bundle / "inventory.json").write_text("{}")
    refused = visit.get(path)
    assert (refused.status_code, "bty_export_version" in refused.text) == (400, True)


def test_every_page_of_a_backup_says_when_it_was_proven(house: Site, backup: str) -> None:
    for page in ("compare", "restore", f"machines/{number(1)}", "remove"):
        text = house.visit().get(f"/ui/backups/{backup}/{page}").text
        assert "Last proven" in text, page


def salvaged(house: Site, **asked: str) -> str:
    """Ask for it on the page, let the job be done, and give the page."""
    path = "/ui/recover/20261122T190718Z/salvage"
    assert house.visit().post(path, **asked).headers["location"] == path
    waiting = house.visit().get(path).text
    assert 'formaction="/ui/jobs/' in waiting
    assert 'hx-get="/ui/recover/20261122T190718Z/salvage/state?rev=' in waiting
    work = house.services.jobs.next()
    assert work is not None
    work()
    return re.sub(r"\s+", " ", unescape(house.visit().get(path).text))


def test_a_damaged_database_is_salvaged_and_what_is_lost_is_shown_first(house: Site) -> None:
    state = house.database.path.parent
    for place in ("state.db.0.65.18.20261122T190718Z.bak", "quarantine/20261122T190718Z/state.db"):
        (state / place).parent.mkdir(parents=True, exist_ok=True)
        make_damaged(state / place)
    visit = house.visit()
    listing = visit.get("/ui/recover").text
    assert 'href="/ui/recover/20261122T190718Z/salvage"' in listing

    plain = visit.get("/ui/recover/state.db.0.65.18.20261122T190718Z.bak")
    assert plain.status_code != 200
    assert "See what can be salvaged" in plain.text
    path = "/ui/recover/20261122T190718Z/salvage"
    assert "Read what is left" in visit.get(path).text
    shown = salvaged(house, part="hardware")

    assert "What is not listed as read is lost" in shown
    assert re.search(r"machines: \d+ whole, [\d,]+ in part, .*row ids unreadable", shown)
    assert "and what is lost" in shown
    lost = re.findall(r"<li><bdi>([0-9a-f:]{17})</bdi></li>", shown)
    assert lost
    assert house.database.read(lambda tx: tx.value("SELECT count(*) FROM machines")) == 0
    digest = re.findall(r'name="digest" value="([^"]*)"', shown)[0]
    unsure = visit.post(path, part="hardware", digest=digest, carry="1")
    assert unsure.status_code == 422
    done = salvaged(house, part="hardware", digest=digest, sure="1", carry="1")
    assert re.search(r"Done: \d+ rows came over", done)
    here = house.database.read(
        lambda tx: {str(row[0]) for row in tx.rows("SELECT mac FROM machines")}
    )
    assert len(here) > 400
    assert not here & set(lost)
    assert house.visit().get("/ui/recover/20261122T190719Z/salvage").status_code == 404


def test_an_open_page_hears_of_what_was_salvaged_and_a_stale_look_carries_nothing(
    house: Site,
) -> None:
    state = house.database.path.parent
    (state / "quarantine/20261122T190718Z").mkdir(parents=True)
    make_damaged(state / "quarantine/20261122T190718Z/state.db")
    shown = salvaged(house, part="hardware")
    digest = re.findall(r'name="digest" value="([^"]*)"', shown)[0]
    visit, poll = house.visit(), "/ui/recover/20261122T190718Z/salvage/state"
    assert visit.get(f"{poll}?rev=old").headers["hx-refresh"] == "true"

    house.add_machine(number(1))
    stale = salvaged(house, part="hardware", digest=digest, sure="1", carry="1")

    assert "something has changed since this was shown" in stale
    assert "Read what is left" in stale


def test_scripts_salvage_with_a_job(house: Site) -> None:
    state = house.database.path.parent
    (state / "quarantine/20261122T190718Z").mkdir(parents=True)
    make_damaged(state / "quarantine/20261122T190718Z/state.db")
    _made, token = house.services.tokens.create("t", "admin", "", ip=None)
    path = "/api/v1/archives/20261122T190718Z/salvage"
    headers = {"Authorization": f"Bearer {token}"}

    def done(**asked: object) -> Any:
        body = {"parts": ["hardware"], **asked}
        begun = house.client().simulate_post(path, json=body, headers=headers)
        assert begun.status_code == 202, begun.text
        work = house.services.jobs.next()
        assert work is not None
        work()
        job = f"/api/v1/jobs/{begun.json['id']}"
        return house.client().simulate_get(job, headers=headers).json

    looked = done()
    assert looked["data"]["losses"]
    carried = done(digest=looked["data"]["digest"])

    assert carried["data"]["done"] is True
    assert house.database.read(lambda tx: tx.value("SELECT count(*) FROM machines")) > 400
    [event] = (
        house.client().simulate_get("/events?kind=state.recovered", headers=headers).json["events"]
    )
    assert event["details"]["token"]["name"] == "t", "the process acts for who asked"


def test_scripts_of_administrators_recover(upgraded: Site) -> None:
    _made, token = upgraded.services.tokens.create("t", "admin", "", ip=None)
    name = upgraded.services.recover.archives()[0]
    path, headers = f"/api/v1/archives/{name}/recover", {"Authorization": f"Bearer {token}"}

    shown = upgraded.client().simulate_post(path, json={"parts": ["bindings"]}, headers=headers)
    done = upgraded.client().simulate_post(
        path, json={"parts": ["bindings"], "digest": shown.json["digest"]}, headers=headers
    )

    assert shown.json["parts"]["bindings"]["filled"] == 2
    assert (done.status_code, done.json["done"], done.json["disarmed"]) == (200, True, 1)
    assert bound(upgraded, 1) == REF
    bad = upgraded.client().simulate_post(path, json={"parts": ["disks"]}, headers=headers)
    assert bad.status_code == 422
