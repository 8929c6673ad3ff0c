"""What the guide says of copies of the state, with its own commands and a real server."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from bty_app.domain.image_source import image_ref
from tests.appliances import Appliance, appliance

MAC = "52:54:00:12:34:56"
SRC = "https://images.example.com/debian.img.zst"
REF = image_ref(SRC)
BOUND = {
    "boot_mode": "bty-flash-once",
    "bty_image_ref": REF,
    "target_disk_serial": "S1",
    "labels": ["rack-3"],
}


@pytest.fixture
def server(quick_dir: Path) -> Iterator[Appliance]:
    """A server that knows an image, a bound machine and a setting; its schedule is off."""
    with appliance(quick_dir / "here") as made:
        made.start()
        catalog = made.home / "catalog.toml"
        catalog.write_text(
            f'version = 1\n[[images]]\nname = "debian"\nsrc = "{SRC}"\nsha256 = "{"5" * 64}"\n'
        )
        made.bty("settings", "set", "backup.cadence", "manual")
        made.bty("settings", "set", "backup.zone", "Europe/Berlin")
        made.bty("catalog", "import", str(catalog))
        catalog.unlink()
        token = made.token()
        assert made.ask("PUT", f"/machines/{MAC}", BOUND, token=token).status == 200
        yield made


@pytest.fixture
def other(quick_dir: Path) -> Iterator[Appliance]:
    with appliance(quick_dir / "there") as made:
        yield made


def sqlite3(*words: str) -> str:
    """The command of that name."""
    program = shutil.which("sqlite3")
    assert program, "the program sqlite3 is missing: tests/run installs it"
    return subprocess.run([program, *words], check=True, capture_output=True, text=True).stdout


def is_whole(server: Appliance) -> None:
    """All that the fixture made is there."""
    token = server.token()
    found = server.ask("GET", f"/machines/{MAC}", token=token).json()
    assert {name: found[name] for name in BOUND} == BOUND
    [image] = server.ask("GET", "/catalog/entries", token=token).json()
    assert image["bty_image_ref"] == REF
    assert "Europe/Berlin" in server.bty("settings", "list").stdout
    assert "machine.created" in server.bty("events", "--json").stdout


def put(file: Path, there: Appliance) -> None:
    """As an operator: the file, under its name, with the server stopped."""
    there.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    subprocess.run(["cp", file, there.state / "state.db"], check=True)
    there.start()


def test_the_command_of_sqlite_copies_beside_a_server_that_writes(
    server: Appliance, other: Appliance
) -> None:
    copy = server.home / "bty-state-2026-05-24.db"
    for number in range(50):
        server.script(f"02:00:00:00:00:{number:02x}")
    writer = subprocess.Popen(
        ["sh", "-c", f"while curl -sf {server.url}/pxe/02:00:00:00:01:00 >/dev/null; do :; done"]
    )
    try:
        sqlite3(f"{server.state}/state.db", f".backup '{copy}'")
    finally:
        writer.kill()
        writer.wait()

    assert "sound" in server.bty("verify", str(copy)).stdout
    assert sqlite3(str(copy), "SELECT count(*) FROM machines").strip() in {"51", "52"}
    server.bty("machine", "forget", MAC)
    server.bty("restore", "--yes", str(copy))
    assert server.ask("GET", f"/machines/{MAC}", token=server.token()).status == 200
    put(copy, other)
    assert other.ask("GET", f"/machines/{MAC}", token=other.token()).status == 200


def test_a_server_that_was_stopped_leaves_one_whole_file(
    server: Appliance, other: Appliance
) -> None:
    server.stop()
    assert not list(server.state.glob("state.db-*"))
    copy = server.home / "bty-state-backup.db"
    subprocess.run(["cp", "-a", server.state / "state.db", copy], check=True)

    put(copy, other)

    is_whole(other)


def test_state_db_alone_brings_all_of_it_back(server: Appliance, other: Appliance) -> None:
    """Neither boot files, nor catalog.toml, nor the secrets."""
    server.stop()
    put(server.state / "state.db", other)

    is_whole(other)
    assert "no live environment" in other.bty("doctor", status=1).stdout
    other.stop()
    for name in ("session-secret", "admin-password"):
        (other.state / name).unlink()
    other.start()
    is_whole(other)
    assert (other.state / "session-secret").stat().st_mode & 0o777 == 0o600


def test_the_whole_directory_is_packed_and_unpacked(server: Appliance, other: Appliance) -> None:
    (server.state / "boot").mkdir(exist_ok=True)
    (server.state / "boot" / "mine.bin").write_bytes(b"a boot file")
    backup = json.loads(server.bty("backup", "--json").stdout)["id"]
    server.stop()
    whole = server.home / "whole.tar.gz"
    subprocess.run(["tar", "-C", server.home, "-czf", whole, "state"], check=True)
    other.home.mkdir(exist_ok=True)

    subprocess.run(["tar", "-C", other.home, "-xpzf", whole], check=True)
    other.start()

    is_whole(other)
    assert (other.state / "boot" / "mine.bin").read_bytes() == b"a boot file"
    assert "sound" in other.bty("verify", f"{other.state}/backups/{backup}").stdout


def test_no_bytes_of_an_image_are_in_it(server: Appliance) -> None:
    """A machine gets its order, and what it is given leads to the image elsewhere."""
    server.script(MAC)
    plan = server.ask("GET", f"/pxe/{MAC}/plan").json()

    assert plan["mode"] == "flash"
    assert plan["image"] == SRC
    files = [path for path in server.state.rglob("*") if path.is_file()]
    assert not [path for path in files if path.suffix in {".img", ".zst", ".gz", ".qcow2"}]
