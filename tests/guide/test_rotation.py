"""What the guide says of an upgrade's rotation, seen by an operator."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bty_app import __version__
from bty_app.domain.image_source import image_ref
from bty_app.store import sqlite
from tests.appliances import Appliance, appliance
from tests.crashlab.originals import make_original
from tests.fresh_state import make_state
from tests.original_state import AT

MAC = "52:54:00:12:34:56"
REF = image_ref("https://images.example.com/debian.img.zst")
SELECT = "SELECT mac, bty_image_ref, boot_mode FROM machines"
ARCHIVE = re.compile(r"state\.db\.(0\.\d+\.\d+)\.\d{8}T\d{6}Z\.bak")


@dataclass(frozen=True)
class Upgraded:
    """A server that has taken over the database of `before`."""

    server: Appliance
    before: str
    archive: Path
    token: str

    def reset(self) -> dict[str, object]:
        [event] = self.server.ask(
            "GET", "/events?kind=system.schema.reset", token=self.token
        ).json()["events"]
        return dict(event)


def bound(path: Path) -> None:
    """A machine waits for a flash; someone has left a boot file and a bundle."""
    connection = sqlite.writable(path)
    connection.execute(
        "INSERT INTO machines (mac, bty_image_ref, boot_mode, target_disk_serial, hw_lshw,"
        " hw_lshw_at, created_at, updated_at)"
        " VALUES (?, ?, 'bty-flash-once', 'S1', '{\"id\": \"box\"}', ?, ?, ?)",
        (MAC, REF, AT, AT, AT),
    )
    connection.close()
    boot, bundle = path.parent / "boot", path.parent / "backups" / "2026-05-24T08-00-00Z"
    for folder in (boot, bundle):
        folder.mkdir(parents=True)
    (boot / "bty-netboot-pc-x86_64-v0.1.vmlinuz").write_bytes(b"kernel")
    (bundle / "inventory.json").write_text('{"bty_export_version": 3, "machines": []}')


@pytest.fixture(params=["0.91.0", "0.65.18"])
def upgraded(request: pytest.FixtureRequest, quick_dir: Path) -> Iterator[Upgraded]:
    """Of a release of ours, and of the original."""
    before: str = request.param
    with appliance(quick_dir / "here") as server:
        server.state.mkdir(mode=0o700, parents=True)
        path = server.state / "state.db"
        if before == "0.65.18":
            make_original(path, version=before)
        else:
            make_state(server.state, version=before)
        bound(path)
        server.start()
        [archive] = server.state.glob("state.db.*.bak")
        yield Upgraded(server, before, archive, server.token())


def test_the_old_database_is_beside_the_fresh_one(upgraded: Upgraded) -> None:
    found = ARCHIVE.fullmatch(upgraded.archive.name)
    assert found is not None
    assert found[1] == upgraded.before
    assert not list(upgraded.server.state.glob("state.db.*.bak-*"))
    connection = sqlite.writable(upgraded.server.state / "state.db")
    assert connection.execute("SELECT version FROM bty_version").fetchall() == [(__version__,)]
    connection.close()
    reset = upgraded.reset()
    details = reset["details"]
    assert isinstance(details, dict)
    assert details["from_version"] == upgraded.before
    assert details["to_version"] == __version__
    assert details["archived_at"] == str(upgraded.archive)
    assert reset["acknowledged"] is False


def test_it_waits_on_the_dashboard_until_it_is_acknowledged_among_the_events(
    upgraded: Upgraded,
) -> None:
    server, event = upgraded.server, upgraded.reset()
    assert "system.schema.reset" in server.bty("events", "--open", "--json").stdout

    done = server.ask("POST", f"/events/{event['id']}/ack", token=upgraded.token)

    assert done.status in {200, 204}, done.data
    assert upgraded.reset()["acknowledged"] is True


def test_what_lies_beside_the_database_is_not_touched(upgraded: Upgraded) -> None:
    state = upgraded.server.state
    kept = state / "backups" / "2026-05-24T08-00-00Z" / "inventory.json"

    assert (state / "boot" / "bty-netboot-pc-x86_64-v0.1.vmlinuz").read_bytes() == b"kernel"
    assert kept.read_text() == '{"bty_export_version": 3, "machines": []}'
    served = upgraded.server.ask("GET", "/boot/bty-netboot-pc-x86_64-v0.1.vmlinuz")
    assert served.data == b"kernel", "the live environment of before is served on"
    doctor = upgraded.server.bty("doctor", "--json", status=None).stdout
    said = {row["check"]: row for row in json.loads(doctor)["findings"]}
    assert said["live-environment"]["level"] in {"warning", "fault"}


def test_bindings_are_discarded_and_the_machine_comes_back_by_itself(upgraded: Upgraded) -> None:
    upgraded.server.script(MAC)
    found = upgraded.server.ask("GET", f"/machines/{MAC}", token=upgraded.token).json()

    assert (found["boot_mode"], found["bty_image_ref"]) == ("bty-inventory", None)


def test_the_archive_is_read_with_the_sqlite3_command_and_removed_like_any_file(
    upgraded: Upgraded,
) -> None:
    program = shutil.which("sqlite3")
    assert program, "the program sqlite3 is missing: tests/run installs it"
    read = subprocess.run(
        [program, upgraded.archive, SELECT], check=True, capture_output=True, text=True
    )
    assert read.stdout == f"{MAC}|{REF}|bty-flash-once\n"
    assert [path.name for path in upgraded.server.state.glob("*.bak-*")] == []

    upgraded.archive.unlink()

    server = upgraded.server
    server.stop()
    server.start()
    assert server.ask("GET", "/readyz").status == 200
    assert not list(server.state.glob("state.db.*.bak"))
    assert "bak" not in server.bty("doctor", status=None).stdout
