"""The backups page, the card of the schedule, and the routes for scripts."""

from __future__ import annotations

import io
import re
import tarfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from bty_app.domain.backups import SCHEDULED
from bty_app.domain.jobs import Quiet
from bty_app.domain.migration import Mark
from bty_app.domain.moments import stamp
from bty_app.domain.restoring import Wanted
from bty_app.errors import ConflictError
from bty_app.services.backups import Order
from bty_app.store import settings
from bty_app.store.move_mark import put
from tests.fleet_state import BY
from tests.web.site import Site, site

FIRST = "2026-05-24T08-00-00Z"


@pytest.fixture
def house(quick_dir: Path) -> Iterator[Site]:
    with site(quick_dir / "state") as made:
        yield made


def back_up(house: Site, name: str = FIRST, trigger: str = "manual") -> None:
    house.services.backup_jobs.backups.create(Order(trigger, name), Quiet())


def work(house: Site) -> None:
    job = house.services.jobs.next()
    assert job is not None
    job()


def page(house: Site) -> str:
    answer = house.visit().get("/ui/backups")
    assert answer.status_code == 200
    return re.sub(r"\s+", " ", answer.text)


def test_an_empty_page_says_so_and_offers_the_first_one(house: Site) -> None:
    text = page(house)

    assert "No backup yet" in text
    assert "Back up now" in text
    assert str(house.database.path.parent / "backups") in text


def test_back_up_now_makes_one_in_a_process_of_its_own(house: Site) -> None:
    house.hands.now = datetime.now(UTC)  # the process has a clock of its own
    visit = house.visit()
    assert visit.post("/ui/backups").headers["location"] == "/ui/backups?done=asked"
    assert "Waits" in page(house)
    work(house)
    text = page(house)

    assert "Backups are in order" in text
    assert "by hand" in text
    assert "0 machines, read back" in text
    (job,) = house.services.jobs.listed("backup")
    assert job.error == ""


def test_the_newest_events_stand_at_the_bottom(house: Site) -> None:
    back_up(house)
    text = page(house)

    *_, last = re.findall(r'<div class="card">\s*<h2>.*?</div>', text)
    assert "What happened" in last
    assert f"backup {FIRST}" in last
    assert 'href="/ui/events?subject_kind=backup"' in last


def test_every_column_says_something(house: Site) -> None:
    back_up(house)
    [row] = re.findall(r'<tr role="row">\s*<th scope="row".*?</tr>', page(house))
    cells = dict(re.findall(r'data-label="([^"]*)">(.*?)</td>', row))

    assert set(cells) == {"Why", "Size", "Machines", "Proven", "Kept", "Do"}
    for name, cell in cells.items():
        assert re.sub(r"<[^>]*>", "", cell).strip(), name


def test_pin_unpin_and_remove(house: Site) -> None:
    back_up(house)
    visit = house.visit()

    visit.post(f"/ui/backups/{FIRST}/pin")
    assert ">pinned<" in page(house)
    assert f"/ui/backups/{FIRST}/remove" not in page(house)
    refused = visit.post(f"/ui/backups/{FIRST}/remove")
    assert (refused.status_code, "unpin it first" in refused.text) == (409, True)
    visit.post(f"/ui/backups/{FIRST}/unpin")
    asking = visit.get(f"/ui/backups/{FIRST}/remove").text
    assert "It is the only backup." in asking
    assert visit.post(f"/ui/backups/{FIRST}/remove").status_code == 303
    assert house.services.backup_jobs.backups.shelf.ids() == []
    assert visit.get(f"/ui/backups/{FIRST}/remove").status_code == 404


def test_a_drill_is_a_job_and_its_outcome_stands_in_the_table(house: Site) -> None:
    back_up(house)
    house.visit().post(f"/ui/backups/{FIRST}/drill")
    work(house)

    assert "stood a drill" in page(house)


def test_what_is_damaged_is_said_and_is_an_alarm(house: Site) -> None:
    back_up(house)
    shelf = house.services.backup_jobs.backups.shelf
    (shelf.path(FIRST) / "inventory.json").write_text("<b>{}")
    house.services.backup_jobs.backups.check(FIRST)

    assert "damaged" in page(house)
    assert "is not proven" in page(house) or "overdue" in page(house)
    ready = house.client().simulate_get("/readyz").json
    assert ready["status"] == "ready"
    assert len(ready["warnings"]) == 1
    metrics = house.client().simulate_get("/metrics").text
    assert "bty_backup_alarm 1" in metrics
    assert "bty_backup_age_seconds -1" in metrics


def test_the_archive_is_a_tar_of_the_parts(house: Site) -> None:
    back_up(house)
    answer = house.visit().get(f"/api/v1/backups/{FIRST}/archive.tar")

    assert answer.headers["content-length"] == str(len(answer.content))
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
        found = {member.name: member.size for member in archive}
        assert sorted(found) == [
            f"{FIRST}/{name}"
            for name in ("SHA256SUMS", "inventory.json", "manifest.json", "state.db")
        ]
        inside = archive.extractfile(f"{FIRST}/state.db")
        assert inside is not None
        path = house.services.backup_jobs.backups.shelf.path(FIRST)
        assert inside.read() == (path / "state.db").read_bytes()


def test_the_schedule_is_previewed_and_saved(house: Site) -> None:
    for day in range(1, 6):
        house.hands.forward(days=1)
        house.services.settings.change({"bulk.undo_minutes": str(day)}, ip=None)
        back_up(house, f"2026-11-2{day}T08-00-00Z", "scheduled")
    visit = house.visit()
    keep = {"backup.keep_daily": "0", "backup.keep_weekly": "0", "backup.keep_monthly": "0"}
    wanted = {"backup.retention_count": "2", "backup.cadence": "weekly", **keep}

    shown = visit.post("/ui/settings/backup", preview="1", **wanted).text
    assert "3 would go with the next backup" in shown
    assert "one of the newest 2" in shown
    assert house.database.read(settings.every).get("backup.retention_count") is None
    saved = visit.post("/ui/settings/backup", **wanted)
    assert saved.headers["location"] == "/ui/settings?saved=1#backup-schedule"
    assert house.database.read(settings.every)["backup.retention_count"] == "2"
    bad = visit.post("/ui/settings/backup", **{"backup.at": "25:00"})
    assert (bad.status_code, "must be a time of the day" in bad.text) == (422, True)
    assert 'id="backup-schedule"' in visit.get("/ui/settings").text


def test_the_form_of_the_original_is_understood(house: Site) -> None:
    visit = house.visit()
    fields = {"backup_cadence": "weekly", "backup_retention_count": "3"}

    visit.post("/ui/settings/backup", backup_enabled="1", **fields)
    stored = house.database.read(settings.every)
    assert (stored["backup.cadence"], stored["backup.retention_count"]) == ("weekly", "3")
    visit.post("/ui/settings/backup", **fields)
    assert house.database.read(settings.every)["backup.cadence"] == "manual"


def test_scripts_have_it_all(house: Site) -> None:
    back_up(house)
    visit = house.visit()
    here = "/api/v1/backups"

    listed = visit.get(here).json
    assert [row["id"] for row in listed["backups"]] == [FIRST]
    assert visit.get(f"{here}/{FIRST}").json["machines"] == 0
    assert visit.get(f"{here}/..%2Fstate.db").status_code == 404


def test_scripts_are_told_until_when_backups_count_and_that_the_clock_is_doubted(
    house: Site,
) -> None:
    def told() -> tuple[object, object, object]:
        found = house.visit().get("/api/v1/backups").json
        return found["good_until"], found["doubt"], found["waits_for_clock"]

    assert told() == (None, None, False)
    back_up(house)
    taken = house.hands.now
    assert told() == (stamp(taken), None, False)
    house.hands.now += timedelta(hours=3)
    house.services.backup_jobs.backups.create(Order(SCHEDULED, "2026-05-24T11-00-00Z"), Quiet())
    house.hands.now += timedelta(hours=24)
    later = house.hands.now
    house.services.backup_jobs.backups.create(Order(SCHEDULED, "2026-05-25T11-00-00Z"), Quiet())
    assert told() == (stamp(later), None, False), "nothing has changed since"
    assert len(house.services.backup_jobs.backups.shelf.ids()) == 2

    house.hands.now = datetime(1970, 1, 2, tzinfo=UTC)
    _until, why, _waits = told()
    assert "which cannot be: it has not been set" in str(why)


def test_the_dashboard_asks_for_a_backup_where_none_is_scheduled(house: Site) -> None:
    house.visit().post("/ui/settings/backup", **{"backup.cadence": "manual"})

    assert (
        "there is no backup, and none is scheduled"
        in house.visit().get("/ui/dashboard").text.lower()
    )


def test_the_dashboard_shows_the_last_proven_backup(house: Site) -> None:
    assert "Last proven backup" not in house.visit().get("/ui/dashboard").text
    back_up(house)

    assert "Last proven backup" in house.visit().get("/ui/dashboard").text


@pytest.fixture
def copied(quick_dir: Path) -> Iterator[Site]:
    (quick_dir / "copies").mkdir()
    with site(quick_dir / "state", copies=quick_dir / "copies") as made:
        yield made


def test_each_backup_leads_to_compare_and_restore_and_a_restore_to_its_undo(house: Site) -> None:
    back_up(house)
    house.services.backup_jobs.backups.create(
        Order("manual", "bundle-alone", include_state=False), Quiet()
    )
    assert "Undo it" not in page(house)
    house.services.restore.apply(house.services.restore.path_of(FIRST), Wanted(), by=BY)
    text = page(house)

    assert f'href="/ui/backups/{FIRST}/compare"' in text
    assert f'href="/ui/backups/{FIRST}/restore"' in text
    assert "/ui/backups/bundle-alone/restore" not in text
    assert "before a restore" in text
    assert 'href="/ui/restore/undo"' in text
    assert "Backups are in order" in text, "the safety copy was read back like any other"


def test_without_a_place_for_copies_the_card_says_so(house: Site) -> None:
    assert "offsite.url" in page(house)
    refused = house.visit().post("/ui/backups/offsite")
    assert (refused.status_code, "no place for copies" in refused.text) == (400, True)


def test_a_backup_is_copied_by_itself_and_on_request(copied: Site, quick_dir: Path) -> None:
    visit = copied.visit()
    visit.post("/ui/backups")
    work(copied)
    assert "Copying" in page(copied)
    assert "Copy now" not in page(copied)
    work(copied)
    assert "All there" in page(copied)
    assert len(list((quick_dir / "copies").glob("*/offsite.json"))) == 1

    assert visit.get("/ui/backups/offsite").headers["location"] == "/ui/backups"
    sent = visit.post("/ui/backups/offsite")
    assert sent.headers["location"] == "/ui/backups?done=copies"
    again = visit.post("/ui/backups/offsite")
    assert again.status_code == 409
    (job,) = [job for job in copied.services.jobs.listed("offsite") if job.is_active]
    visit.post(f"/ui/jobs/{job.id}/cancel", return_to="/ui/backups")
    assert "Copy now" in page(copied)


def test_copies_that_fail_are_told_and_keep_no_backup(copied: Site, quick_dir: Path) -> None:
    (quick_dir / "copies").rmdir()
    copied.visit().post("/ui/backups")
    work(copied)
    work(copied)

    assert "Failing" in page(copied)
    assert "Try again now" in page(copied)
    warnings = copied.client().simulate_get("/readyz").json["warnings"]
    assert warnings == ["the last try to copy backups elsewhere failed"]


@pytest.mark.parametrize("path", ["/ui/backups", "/ui/backups/offsite", f"/ui/backups/{FIRST}/pin"])
def test_where_the_appliance_has_moved_nothing_is_done_to_backups(
    copied: Site, path: str, quick_dir: Path
) -> None:
    back_up(copied)
    copied.hands.forward(days=9)
    put(quick_dir / "state", Mark("http://192.0.2.20:8080"))
    refused = copied.visit().post(path)

    assert (refused.status_code, "has moved to" in refused.text) == (503, True)
    assert copied.services.jobs.listed() == []
    assert not copied.services.backup_jobs.backups.shelf.find(FIRST).marks.pinned_at
    (warning,) = copied.client().simulate_get("/readyz").json["warnings"]
    assert "has moved" in warning


def test_it_does_not_leave_while_a_backup_is_made(house: Site) -> None:
    house.visit().post("/ui/backups")

    with pytest.raises(ConflictError, match="a backup is being made: move when that is done"):
        house.services.departure.leave("http://192.0.2.20:8080", anyway=True, ip=None)


def test_the_doctor_is_quiet_about_what_is_off_and_about_a_safety_copy(house: Site) -> None:
    about = {"backups", "offsite", "webhooks", "withcache", "replica", "moved"}

    def found() -> list[str]:
        findings = house.services.doctor.findings()
        return [f.sentence for f in findings if f.check in about and f.level.needs_an_act]

    assert found() == []
    assert house.client().simulate_get("/readyz").json["warnings"] == []
    back_up(house)
    house.hands.now = datetime.now(UTC)
    house.services.restore.apply(house.services.restore.path_of(FIRST), Wanted(), by=BY)
    assert found() == []
