"""A server, imports, backups, exports and restores at the same time: one linear history, and nobody
is told that something is locked (STATE-SAFETY 3.11).

`BTY_SOAK_SECONDS=60` lets it go on for a minute.
"""

from __future__ import annotations

import json
import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.appliances import Appliance, appliance

SECONDS = float(os.environ.get("BTY_SOAK_SECONDS", "8"))
PUT_BACK = "52:54:00:00:00:01"  # the machine that is restored, again and again
BUSY = 75


class Soak:
    """Work that goes on beside other work until time is up; what went wrong."""

    def __init__(self, site: Appliance) -> None:
        self.site = site
        self.token = site.token()
        self.saved: dict[str, str] = {}
        self.wrong: list[str] = []
        self.done: dict[str, int] = {}
        self._until = time.monotonic() + SECONDS

    def run(self, *works: Callable[[int], None]) -> None:
        """All of them side by side, each over and over."""
        threads = [threading.Thread(target=self._repeat, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    def _repeat(self, work: Callable[[int], None]) -> None:
        number = 0
        try:
            while time.monotonic() < self._until:
                work(number)
                number += 1
        except Exception as error:  # noqa: BLE001 - shown at the end
            self.wrong.append(f"{work.__name__}: {error!r}")
        self.done[work.__name__] = number

    def command(self, *words: str) -> subprocess.CompletedProcess[str]:
        """A command, which does it, or says that another one is at it."""
        done = self.site.bty(*words, status=None)
        if done.returncode not in (0, BUSY) or "locked" in done.stderr:
            self.wrong.append(f"{words}: {done.returncode} {done.stderr}")
        return done

    # -- what goes on ----------------------------------------------------------------------------

    def saves(self, number: int) -> None:
        mac, label = f"52:54:00:00:01:{number % 40:02x}", f"n{number}"
        given = {"boot_mode": "ipxe-exit", "labels": [label]}
        answer = self.site.ask("PUT", f"/machines/{mac}", given, token=self.token)
        if answer.status == 200:
            self.saved[mac] = label
        else:
            self.wrong.append(f"PUT: {answer.status} {answer.data!r}")

    def boots(self, number: int) -> None:
        mac = f"52:54:00:00:02:{number % 200:02x}"
        answer = self.site.ask("GET", f"/pxe/{mac}")
        if answer.status != 200:
            self.wrong.append(f"GET /pxe: {answer.status} {answer.data!r}")

    def imports(self, _number: int) -> None:
        self.command("import", str(self.site.home / "bundle"))

    def exports(self, number: int) -> None:
        self.command("export", str(self.site.home / f"export-{number}"))

    def backs_up(self, _number: int) -> None:
        self.command("backup")

    def restores(self, _number: int) -> None:
        listed = json.loads(self.command("backups", "list", "--json").stdout)
        if listed:
            name = listed[0]["id"]
            self.command("restore", name, "--only", PUT_BACK, "--yes")


@pytest.fixture
def site(quick_dir: Path) -> Iterator[Appliance]:
    with appliance(quick_dir / "site") as made:
        made.start()
        yield made


def rows(site: Appliance) -> dict[str, dict[str, Any]]:
    listed = json.loads(site.bty("machine", "list", "--json").stdout)
    return {machine["mac"]: machine for machine in listed}


def test_import_serve_backup_and_restore_at_once(site: Appliance) -> None:
    soak = Soak(site)
    given = {"boot_mode": "ipxe-exit", "labels": ["kept"]}
    assert site.ask("PUT", f"/machines/{PUT_BACK}", given, token=soak.token).status == 200
    site.bty("export", str(site.home / "bundle"))
    site.bty("backup")

    soak.run(soak.saves, soak.boots, soak.imports, soak.exports, soak.backs_up, soak.restores)

    assert soak.wrong == []
    assert all(soak.done.values()), soak.done
    known = rows(site)
    assert {mac: known[mac]["labels"] for mac in soak.saved} == {
        mac: [label] for mac, label in soak.saved.items()
    }
    assert known[PUT_BACK]["labels"] == ["kept"]
    assert "sound" in site.bty("verify").stdout
    for backup in json.loads(site.bty("backups", "list", "--json").stdout):
        assert "sound" in site.bty("verify", str(site.state / "backups" / backup["id"])).stdout
