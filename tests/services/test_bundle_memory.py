"""Export and import of many machines stay small: measured in processes of their own."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from bty_app import __version__
from bty_app.store import creation, sqlite
from tests.domain.test_bundle import AT, DISK

MACHINES = 2500
LIMIT_KIB = 100 * 1024  # the promise is 150 MB at forty times as many: what grows must be tiny
MEASURED = (
    "import sys\nfrom bty_app.cli.main import main\nstatus = main(sys.argv[1:])\n"
    "peak = next(line for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
    "print(peak.split()[1], file=sys.stderr)\nsys.exit(status)\n"
)


def tree(size: int) -> dict[str, Any]:
    """An lshw tree of about `size` bytes."""
    node = {"id": "pci", "class": "bridge", "claimed": True, "width": 64, "clock": 33000000}
    device = node | {"configuration": {"driver": "nvme", "latency": "0"}, "vendor": "Intel Corp."}
    one = len(json.dumps(device, separators=(",", ":")))
    return node | {"children": [device] * (size // one)}


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("many")
    lshw = json.dumps(tree(17_000), separators=(",", ":"))
    disks = json.dumps([DISK] * 4, separators=(",", ":"))
    creation.create(place / "state.db", version=__version__, at=AT)
    connection = sqlite.writable(place / "state.db", sqlite.Journal.WAL)
    with connection:
        connection.executemany(
            "INSERT INTO machines (mac, created_at, updated_at, known_disks, known_disks_at,"
            " hw_lshw, hw_lshw_at) VALUES (?, 'a', 'a', ?, ?, ?, ?)",
            (
                (f"02:00:00:00:{n >> 8:02x}:{n & 255:02x}", disks, AT, lshw, AT)
                for n in range(MACHINES)
            ),
        )
    connection.close()
    return place


def peak_kib(*words: object) -> int:
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, *map(str, words)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return int(done.stderr.split()[-1])


def test_many_machines_pass_through_little_memory(state: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    place = tmp_path / "s"

    peaks = {
        "export": peak_kib("export", "--state-dir", state, out),
        "preview": peak_kib("import", "--dry-run", "--state-dir", place, out),
        "import": peak_kib("import", "--state-dir", place, out),
        "reset": peak_kib("import", "--reset-existing", "--state-dir", place, out),
        "verify": peak_kib("verify", "--state-dir", place),
        "verify bundle": peak_kib("verify", "--state-dir", place, out),
    }
    newer = (out / "inventory.json").read_text().replace("2026-11-22T19", "2027-11-22T19")
    (out / "inventory.json").write_text(newer)
    peaks["update"] = peak_kib("import", "--state-dir", place, out)

    assert (out / "inventory.json").stat().st_size > MACHINES * 17_000
    assert {name: peak for name, peak in peaks.items() if peak > LIMIT_KIB} == {}
