"""What the guide says of scheduled backups, with the real server."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path

from tests.appliances import Appliance, appliance

NAME = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ")
SOON = 50.0  # seconds: less than the 60 between two looks of the scheduler


def until(found: Callable[[], object], within: float = SOON) -> float:
    """Wait for it; how long that took."""
    begun = time.monotonic()
    while not found():
        assert time.monotonic() - begun < within, "it did not happen"
        time.sleep(0.1)
    return time.monotonic() - begun


def backups(place: Path) -> list[Path]:
    return sorted(place.glob("2*Z")) if place.is_dir() else []


def events(server: Appliance, token: str, **wanted: str) -> list[dict[str, object]]:
    query = "&".join(f"{name}={value}" for name, value in wanted.items())
    answer = server.ask("GET", f"/events?{query}", token=token).json()
    return list(answer["events"] if isinstance(answer, dict) else answer)


def test_a_changed_schedule_counts_at_once_and_needs_no_restart(quick_dir: Path) -> None:
    """Off the disk of the system, named by its moment, the bundle of an export."""
    place = quick_dir / "another disk"
    with appliance(quick_dir / "here", BTY_PATHS_BACKUP_DIR=str(place)) as server:
        server.start()
        server.bty("settings", "set", "backup.cadence", "manual")
        token = server.token()
        server.script("52:54:00:12:34:56")
        assert not backups(place)

        changed = server.ask("PATCH", "/api/v1/settings", {"backup.cadence": "daily"}, token=token)
        assert changed.status == 200, changed.data
        until(lambda: backups(place))

        [kept] = backups(place)
        assert NAME.fullmatch(kept.name)
        assert not (server.state / "backups").exists()
        out = server.home / "out"
        server.bty("export", str(out))
        ours, exported = (
            json.loads((where / "inventory.json").read_text())["machines"] for where in (kept, out)
        )
        assert ours == exported
        assert [machine["mac"] for machine in ours] == ["52:54:00:12:34:56"]
        until(lambda: events(server, token, kind="backup.created"))
        [made] = events(server, token, kind="backup.created")
        assert (made["subject_kind"], made["subject_id"]) == ("backup", kept.name)


def test_a_failure_is_in_the_audit_log_and_prunes_nothing(quick_dir: Path) -> None:
    blocked = quick_dir / "no directory"
    blocked.write_text("")
    with appliance(quick_dir / "here", BTY_PATHS_BACKUP_DIR=str(blocked)) as server:
        server.start()
        token = server.token()

        until(lambda: events(server, token, kind="backup.failed"), within=150)

        [failed] = events(server, token, kind="backup.failed")
        assert failed["subject_kind"] == "backup"
        assert "no directory" in str(failed["summary"])
        assert not events(server, token, kind="backup.pruned")
