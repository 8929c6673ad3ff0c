"""The `doctor` command, run as its users do."""

from __future__ import annotations

import json
import os
import socket
from pathlib import Path
from typing import Any

import pytest

from bty_app import __version__
from bty_app.store import catalog
from bty_app.store.database import Database
from tests.cli.test_main import bty
from tests.fresh_state import make_state
from tests.netboot_set import made_set, put
from tests.serving import ENTRY

UNSHARE = ("unshare", "--net", "--map-root-user")


@pytest.fixture
def home(quick_dir: Path) -> Path:
    put(quick_dir / "ipxe", {"undionly.kpxe": b"x", "ipxe.efi": b"x"})
    (quick_dir / "catalog.toml").write_text("version = 1\n")
    return quick_dir


def doctor(home: Path, *arguments: str) -> tuple[int, str, str]:
    """In a network namespace of its own: with --deep it asks the DHCP servers of its networks."""
    environment = {
        "BTY_SERVER_PORT": "0",
        "BTY_NETBOOT_IPXE_DIR": str(home / "ipxe"),
        "BTY_UPSTREAM_CATALOG_URL": str(home / "catalog.toml"),
    }
    done = bty("doctor", *arguments, home=home, environment=environment, before=UNSHARE)
    return done.returncode, done.stdout, done.stderr


def levels(found: dict[str, Any]) -> dict[str, str]:
    return {finding["check"]: finding["level"] for finding in found["findings"]}


def test_a_missing_installation_is_findings_and_no_traceback(home: Path) -> None:
    status, out, err = doctor(home)

    assert (status, err) == (1, "")
    assert "warning  database          there is no database yet\n" in out
    assert "to do: start `bty serve` once\n" in out
    assert "fault    live-environment  no live environment is installed\n" in out
    assert not (home / "state").exists(), "it changes nothing"


def test_a_good_installation_has_status_0_beside_a_server_as_well(home: Path) -> None:
    path = make_state(home / "state")
    put(home / "state" / "boot", made_set(__version__))
    with Database(path) as database:
        database.write(lambda tx: catalog.insert(tx, ENTRY))

        status, out, err = doctor(home, "--json", "--deep")

    assert (status, err) == (0, "")
    found = json.loads(out)
    assert (found["version"], found["level"]) == (__version__, "note")
    assert levels(found) == {
        "database": "ok",
        "journal": "ok",
        "backups": "note",
        "directories": "ok",
        "live-environment": "ok",
        "ipxe": "note",
        "ports": "ok",
        "catalog": "ok",
        "upstream-catalog": "ok",
        "withcache": "ok",
        "webhooks": "ok",
        "offsite": "note",
        "dhcp": "note",
    }
    assert list(found["findings"][0]) == ["check", "level", "sentence", "remedy"]


@pytest.mark.parametrize("what", ["another version", "no database"])
def test_a_database_that_cannot_be_opened_is_a_finding(home: Path, what: str) -> None:
    if what == "another version":
        make_state(home / "state", version="0.1")
    else:
        (home / "state").mkdir()
        (home / "state" / "state.db").write_bytes(b"no database at all" * 100)
    before = (home / "state" / "state.db").read_bytes()

    status, out, err = doctor(home, "--json")

    found = json.loads(out)
    assert (status, err) == (1, "")
    assert levels(found)["database"] == ("warning" if what == "another version" else "fault")
    assert levels(found)["upstream-catalog"] == "ok", "what is configured counts"
    assert (home / "state" / "state.db").read_bytes() == before


def test_nothing_that_a_stranger_says_writes_on_the_terminal(home: Path) -> None:
    (home / "catalog.toml").write_text(
        'version = 1\n[[images]]\nname = "\x9b2J\u2028"\n', encoding="utf-8"
    )

    _status, out, _err = doctor(home)

    assert "is not valid" in out
    assert not {"\x9b", "\u2028"} & set(out)


def test_the_ports_are_looked_at_and_who_has_them(home: Path) -> None:
    (home / "state").mkdir()
    with socket.socket() as http:
        http.bind(("127.0.0.1", 0))
        http.listen()
        port = http.getsockname()[1]
        done = bty(
            *("doctor", "--json"),
            home=home,
            environment={"BTY_SERVER_PORT": str(port), "BTY_UPSTREAM_CATALOG_URL": "/none"},
        )

    [found] = [f for f in json.loads(done.stdout)["findings"] if str(port) in f["sentence"]]
    assert (found["check"], found["level"]) == ("ports", "fault")
    assert f"TCP port {port} is held by" in found["sentence"]
    assert f"(pid {os.getpid()}), and HTTP needs it" in found["sentence"]
