"""`tuning.journal = delete`: the real program over a database without a write-ahead log."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import apsw
import pytest
import urllib3

from tests.appliances import Appliance, appliance

CHOSEN = {"BTY_TUNING_JOURNAL": "delete"}
# A change that is half in the database, and its journal on the disk: as a kill leaves it.
HALF = """
import os, signal, sys, apsw
c = apsw.Connection(sys.argv[1])
c.pragma("cache_size", 5)
c.execute("BEGIN IMMEDIATE")
c.execute("UPDATE machines SET boot_mode = 'bty-tui'")
c.execute("CREATE TABLE junk (a)")
for _ in range(300):
    c.execute("INSERT INTO junk VALUES (randomblob(3000))")
c.cache_flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def site(quick_dir: Path) -> Iterator[Appliance]:
    with appliance(quick_dir / "site", **CHOSEN) as made:
        yield made


@contextmanager
def database(site: Appliance) -> Iterator[apsw.Connection]:
    connection = apsw.Connection(str(site.state / "state.db"))
    try:
        yield connection
    finally:
        connection.close()


def journal(site: Appliance) -> str:
    with database(site) as connection:
        return str(connection.pragma("journal_mode"))


def macs(site: Appliance) -> set[str]:
    with database(site) as connection:
        return {str(mac) for (mac,) in connection.execute("SELECT mac FROM machines")}


def mac(number: int) -> str:
    return f"52:54:00:00:{number >> 8:02x}:{number & 255:02x}"


def contacts_until_killed(site: Appliance, first: int) -> set[str]:
    """New machines come by, in two threads; the server is killed. Who got an answer comes back."""
    answered: set[str] = set()

    def come(number: int) -> None:
        while True:
            try:
                site.script(mac(number))
            except (urllib3.exceptions.HTTPError, AssertionError):
                return
            answered.add(mac(number))
            number += 2

    threads = [threading.Thread(target=come, args=(first + n,)) for n in range(2)]
    for thread in threads:
        thread.start()
    while len(answered) < 15:
        threads[0].join(0.02)
    site.stop(signal.SIGKILL)
    for thread in threads:
        thread.join()
    return answered


def test_what_was_answered_outlives_kills_and_a_hot_journal(site: Appliance) -> None:
    answered: set[str] = set()
    for turn in range(3):
        site.start()
        assert not (site.state / "state.db-wal").exists()
        answered |= contacts_until_killed(site, turn * 1000)
    path = str(site.state / "state.db")
    subprocess.run([sys.executable, "-c", HALF, path], check=False, env=os.environ)
    assert (site.state / "state.db-journal").stat().st_size > 512
    site.start()

    assert answered <= macs(site)
    assert journal(site) == "delete"
    with database(site) as connection:
        assert connection.pragma("integrity_check") == "ok"
        assert not connection.execute("SELECT 1 FROM sqlite_schema WHERE name = 'junk'").fetchall()
        assert not connection.execute(
            "SELECT 1 FROM machines WHERE boot_mode = 'bty-tui'"
        ).fetchall()
    assert site.bty("verify").stdout.endswith("machines)\n")


def test_backup_restore_and_commands_beside_the_server(site: Appliance) -> None:
    site.start()
    for number in range(3):
        site.script(mac(number))
    made = json.loads(site.bty("backup", "--json").stdout)
    site.more.clear()  # a shell that knows nothing of the choice
    assert "tables compared" in site.bty("verify", made["path"]).stdout
    site.bty("verify", "--drill", made["path"])
    site.bty("machine", "label", mac(0), "--add", "rack-1")
    site.bty("machine", "forget", mac(1))
    site.script(mac(9))
    site.bty("restore", made["id"], "--yes")

    assert macs(site) == {mac(0), mac(1), mac(2)}
    assert journal(site) == "delete"
    token = site.token()
    answer = site.ask("POST", "/api/v1/backups", {}, token=token)
    assert answer.status == 202, answer.data
    said = {
        f["check"]: f
        for f in json.loads(site.bty("doctor", "--json", status=None).stdout)["findings"]
    }
    assert said["journal"]["level"] == "note"
    assert "no write-ahead log" in said["journal"]["sentence"]
    assert "warning: the database has no write-ahead log" in (site.home / "log").read_text()
    site.stop()
    site.bty("restore", made["id"], "--yes")
    assert journal(site) == "delete"
    assert sorted(path.name for path in site.state.glob("state.db*")) == ["state.db"]


def test_the_database_of_another_release_is_archived(site: Appliance) -> None:
    site.start()
    site.script(mac(1))
    site.stop()
    with database(site) as connection:
        connection.execute("UPDATE bty_version SET version = '0.1.0'")
    site.start()

    assert journal(site) == "delete"
    (archive,) = site.state.glob("state.db.0.1.0.*.bak")
    assert macs(site) == {mac(1)}
    assert site.bty("verify", str(archive)).stdout
    (backup,) = json.loads(site.bty("backups", "list", "--json").stdout)
    assert backup["digests"]


def test_the_log_comes_and_goes_with_the_choice(site: Appliance) -> None:
    """Each way, also from what a kill left."""
    site.start()
    answered = contacts_until_killed(site, 0)
    site.more.clear()
    site.start()
    assert journal(site) == "wal"
    answered |= contacts_until_killed(site, 1000)
    assert (site.state / "state.db-wal").stat().st_size
    site.more.update(CHOSEN)
    site.start()

    assert journal(site) == "delete"
    assert answered <= macs(site)
    site.stop()
    assert sorted(path.name for path in site.state.glob("state.db*")) == ["state.db"]


def test_the_log_is_not_left_under_another_program(site: Appliance) -> None:
    site.more.clear()
    site.start()
    site.stop()
    site.more.update(CHOSEN)
    with database(site) as other:
        other.execute("BEGIN; SELECT * FROM machines").fetchall()
        done = site.bty("serve", status=75)

    assert "is in use by python" in done.stderr
    assert journal(site) == "wal"


def test_it_excludes_litestream(site: Appliance) -> None:
    site.more["BTY_LITESTREAM_URL"] = "file:///srv/replica"

    for words in (("serve",), ("litestream", "config")):
        assert "exclude each other" in site.bty(*words, status=78).stderr
