"""The machines page over a large fleet: what one answer costs the server.

`python -m tests.bench.fleet` prints one JSON document: for each view the middle and the slowest
of some answers, in milliseconds, from the request to the whole page, each made anew.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

from bty_app.domain.inventory import canonical_json
from bty_app.domain.mac import Mac
from bty_app.store import machines as rows
from bty_app.store.database import Database, Tx
from tests.bench import machines
from tests.bench.programs import ROOT
from tests.web.site import REF, Site, site

FLEET = 100_000
ROUNDS = 5
SLICE = 2000
VIEWS = {
    "first": "",
    "mac_search": "q=52:54:9e",
    "serial_search": "q=S64ENX0T0999",
    "nothing_found": "q=nothing-has-this",
    "by_last_seen": "sort=last_seen_at&dir=desc",
    "by_last_flashed": "sort=last_flashed_at&dir=asc",
    "by_address": "sort=last_seen_ip",
    "page_1000": "page=1000",
    "page_1000_by_last_seen": "sort=last_seen_at&dir=desc&page=1000",
    "label": "label=rack-7",
    "mode": "mode=bty-flash-once",
    "phase": "phase=booted",
    "in_fault": "state=fault",
    "waiting": "state=waits",
    "image": f"image={REF}",
    "image_by_last_seen": f"image={REF}&sort=last_seen_at&dir=desc",
    "seen_today": "seen=1d",
    "not_seen": "seen=never",
}


def fill(database: Database, count: int) -> None:
    """Machines with disks and trees, labels, modes, images, and times of contact."""
    tree = canonical_json(machines.lshw(1, 4096))

    def change(tx: Tx, first: int) -> None:
        for number in range(first, min(first + SLICE, count)):
            mac = Mac(machines.mac(number))
            day, second = 1 + number % 22, number % 60
            at = f"2026-11-{day:02d}T19:07:{second:02d}.570473+00:00"
            ip = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
            rows.seen(tx, mac, at=at, ip=ip)
            disks = canonical_json(machines.disks(number))
            rows.set_inventory(tx, mac, disks=disks, lshw=tree, at=at)
            rows.set_labels(tx, mac, [f"rack-{number % 1000}", "fleet"], at=at)
            if number % 3 == 0:
                tx.run(
                    "UPDATE machines SET boot_mode = ?, bty_image_ref = ?,"
                    " target_disk_serial = ?, phase = ? WHERE mac = ?",
                    *("bty-flash-once", REF, machines.serial(number)),
                    *("booted" if number % 300 == 0 else "idle", mac),
                )

    for first in range(0, count, SLICE):
        database.write(lambda tx, first=first: change(tx, first))  # type: ignore[misc]


def measure(house: Site, rounds: int = ROUNDS) -> dict[str, object]:
    """The cost of each view, its part of the page made anew each time."""
    visit, found = house.visit(), {}
    addresses = {name: f"/ui/machines?{query}" for name, query in VIEWS.items()}
    for name, address in {**addresses, "dashboard": "/ui/dashboard"}.items():
        took: list[float] = []
        for number in range(rounds):
            # Something has changed: nothing that was kept may be shown.
            house.services.revisions.bump(frozenset({"machines"}))
            began = time.perf_counter()
            answer = visit.get(address)
            took.append((time.perf_counter() - began) * 1000)
            if answer.status_code != 200 or (number == 0 and 'id="live"' not in answer.text):
                raise RuntimeError(f"{address}: {answer.status}")
        found[name] = {"middle_ms": round(median(took), 1), "max_ms": round(max(took), 1)}
    return dict(found)


def report(count: int, rounds: int, scratch: Path) -> dict[str, object]:
    """Fill and measure, in a directory below `scratch`."""
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as made, site(Path(made) / "s") as house:
        house.add_image()
        fill(house.database, count)
        return {"machines": count, "views": measure(house, rounds)}


def main() -> int:
    """Fill, measure, print."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fleet", description=__doc__)
    parser.add_argument("--machines", type=int, default=FLEET)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--scratch", type=Path, default=ROOT / "dist" / "bench")
    asked = parser.parse_args()
    sys.stdout.write(
        json.dumps(report(asked.machines, asked.rounds, asked.scratch), indent=2) + "\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
