"""State directories to measure on, made through the product itself."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from tests.bench import machines
from tests.bench.programs import Server, bty

_CATALOG = """version = 1

[[images]]
name = "debian-13"
src = "https://images.example.com/debian-13.img.zst"
sha256 = "{digest}"
"""


def prepare(pyz: Path, scratch: Path, known: Iterable[tuple[int, bool]]) -> Path:
    """A state directory with these machines (number, with a hardware tree or not) and an image."""
    state_dir = scratch / "state"
    machines.write_bundle(scratch / "bundle", known)
    (scratch / "catalog.toml").write_text(_CATALOG.format(digest="5" * 64))
    bty(pyz, state_dir, "import", str(scratch / "bundle"))
    bty(pyz, state_dir, "catalog", "import", str(scratch / "catalog.toml"))
    return state_dir


def bind(server: Server, numbers: Iterable[int]) -> None:
    """Order a flash of these machines."""
    cookie = server.log_in()
    _status, images, _cookie = server.ask("GET", "/images")
    ref = json.loads(images)[0]["ref"]
    for number in numbers:
        wanted = {
            "boot_mode": "bty-flash-once",
            "bty_image_ref": ref,
            "target_disk_serial": machines.serial(number),
            "labels": [f"rack {number % 40}"],
        }
        path = f"/machines/{machines.mac(number)}"
        status, body, _cookie = server.ask("PUT", path, body=wanted, cookie=cookie)
        if status != 200:
            raise RuntimeError(f"PUT {path} answered {status}: {body[:200]!r}")


def last_event(server: Server) -> int:
    """The id of the newest audit row."""
    status, body, _cookie = server.ask("GET", "/events?limit=1", cookie=server.log_in())
    if status != 200:
        raise RuntimeError(f"GET /events answered {status}")
    found = json.loads(body)["events"]
    return int(found[0]["id"]) if found else 0
