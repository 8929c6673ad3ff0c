"""What each release leaves on a disk, kept for as long as bty lives: `tests/data/golden`.

One file a release: `state.db` as its server left it, a `bundle/` of its export, and a full backup
under `backups/`. The original's is built of what is known of it.
"""

from __future__ import annotations

import shutil
import tarfile
from pathlib import Path

from tests import original_state

DIRECTORY = Path(__file__).parents[1] / "data" / "golden"
BUNDLES = Path(__file__).parents[1] / "data" / "bundles"
BACKUP = "2026-11-20T03-00-00Z"
MACHINES = ("02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03")
BOUND, NEVER_SAVED = MACHINES[0], MACHINES[2]
LABELS = ("gpu", "rack-3")
SERIAL = "PHYF0001"
IMAGE = "https://example.com/debian-13.img.zst"
ZONE = "Europe/Berlin"
ORIGINAL = "0.65.18"


def releases() -> list[str]:
    """Those of ours that there is a golden of."""
    return sorted(path.name.removesuffix(".tar.xz") for path in DIRECTORY.glob("*.tar.xz"))


def path_of(version: str) -> Path:
    """Where the golden of this release is kept."""
    return DIRECTORY / f"{version}.tar.xz"


def unpack(version: str, place: Path) -> Path:
    """The golden of this release in `place`, which is made."""
    if version == ORIGINAL:
        return _original(place)
    place.mkdir(parents=True)
    with tarfile.open(path_of(version)) as archive:
        archive.extractall(place, filter="data")
    return place


def _original(place: Path) -> Path:
    disks = f'[{{"path": "/dev/sda", "serial": "{SERIAL}"}}]'
    at = original_state.AT
    rows: list[tuple[object, ...]] = [(mac, disks, at, '{"id": "box"}', at) for mac in MACHINES]
    path = original_state.make_original(place, rows, ORIGINAL)
    connection = original_state.connect(path)
    connection.execute(
        "UPDATE machines SET bty_image_ref = ?, target_disk_serial = ? WHERE mac = ?",
        ("a" * 64, SERIAL, BOUND),
    )
    for label in LABELS:
        connection.execute("INSERT INTO machine_labels VALUES (?, ?)", (BOUND, label))
    connection.execute(
        "INSERT INTO settings VALUES ('display.timezone', ?, ?)", (ZONE, original_state.AT)
    )
    connection.close()
    shutil.copytree(BUNDLES / "two-machines", place / "bundle")
    shutil.copytree(BUNDLES / "two-machines", place / "backups" / BACKUP)
    return place
