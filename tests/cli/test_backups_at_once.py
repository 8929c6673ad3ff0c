"""A server that may do more than one thing with backups at a time, and a command beside it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from bty_app.store.backup_shelf import Shelf
from tests.appliances import Appliance, appliance

API = "/api/v1/backups"


@pytest.fixture
def site(quick_dir: Path) -> Iterator[Appliance]:
    with appliance(quick_dir / "site", BTY_TUNING_BACKUP_MAX_PARALLEL="3") as made:
        made.start()
        yield made


def ended(site: Appliance, token: str) -> list[dict[str, object]]:
    """All jobs, once none goes on."""
    until = time.monotonic() + 90
    while True:
        answer = site.ask("GET", "/api/v1/jobs", token=token)
        jobs: list[dict[str, object]] = json.loads(answer.data)["jobs"]
        if all(job["ended_at"] for job in jobs):
            return jobs
        assert time.monotonic() < until, jobs
        time.sleep(0.1)


def test_made_read_back_and_removed_at_once(site: Appliance) -> None:
    token = site.token()
    for number in range(6):
        site.script(f"52:54:00:00:00:0{number}")
    first = json.loads(site.bty("backup", "--json").stdout)["id"]
    statuses = []

    def ask(method: str, path: str) -> None:
        statuses.append(
            site.ask(method, path, {} if method == "POST" else None, token=token).status
        )

    works = [
        *(("POST", API) for _ in range(3)),
        *(("POST", f"{API}/{first}/verify") for _ in range(2)),
        ("POST", f"{API}/{first}/verify?drill=1"),
        ("DELETE", f"{API}/{first}"),
    ]
    threads = [threading.Thread(target=ask, args=work) for work in works]
    threads.append(threading.Thread(target=site.bty, args=("backup",)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    jobs = ended(site, token)

    assert set(statuses) <= {200, 202, 204, 404, 409}, statuses
    assert statuses.count(202) >= 4, statuses
    for job in jobs:
        error = str(job["error"] or "")
        assert job["status"] in ("completed", "failed"), job
        assert not error or first in error or "is being made" in error, job
    assert "sound" in site.bty("verify").stdout
    for backup in json.loads(site.bty("backups", "list", "--json").stdout):
        assert backup["problems"] == [], backup
        assert "sound" in site.bty("verify", backup["path"]).stdout
    left = [path.name for path in (site.state / "backups").iterdir() if path.name[0] == "."]
    assert sorted(left) == [".lock", ".marks.lock"]


def test_an_upgrade_is_not_refused_because_a_backup_is_being_made(site: Appliance) -> None:
    site.bty("backup")
    with Shelf(site.state / "backups").alone():
        facts = json.loads(site.bty("upgrade", "--look", "--json").stdout)

    assert facts["problems"] == []
