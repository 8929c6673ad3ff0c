"""A restore by another process, while this one has the database open, reads and writes."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

from bty_app.services.verify import verify_live
from bty_app.store import events, machines
from bty_app.store.database import ALL_TOPICS, Database
from tests.fleet_state import OTHER_REF, REF, Fleet, bind, mac, seen

ROOT = Path(__file__).parents[2]
MANY = 200


def test_readers_and_writers_notice_and_lose_nothing(quick_dir: Path) -> None:
    fleet = Fleet(quick_dir / "state").make()
    fleet.write(*(bind(n) for n in range(MANY)))
    backup = fleet.back_up()
    fleet.write(*(bind(n, ref=OTHER_REF) for n in range(MANY)))
    noticed, ended = threading.Event(), threading.Event()
    written: list[int] = []

    def heard(topics: frozenset[str]) -> None:
        if topics == ALL_TOPICS:
            noticed.set()

    with Database(fleet.state_db, on_commit=heard) as database:

        def work() -> None:
            number = MANY
            while not ended.is_set():
                database.write(seen(number % MANY + MANY))  # type: ignore[arg-type]
                written.append(number % MANY + MANY)
                number += 1

        thread = threading.Thread(target=work)
        thread.start()
        done = _restore(fleet, backup)
        ended.set()
        thread.join()

        assert done.returncode == 0, done.stderr
        assert noticed.wait(10)
        machine = database.read(lambda tx: machines.get(tx, mac(1)))
        last = database.read(events.last_chain)

    assert machine is not None
    assert machine.image_ref == REF
    assert len(last) == 64
    assert len(written) > 10
    assert fleet.rows("SELECT count(*) FROM machines WHERE bty_image_ref = ?", REF) == [(MANY,)]
    assert verify_live(fleet.place).sound


def _restore(fleet: Fleet, backup: Path) -> subprocess.CompletedProcess[str]:
    words = ["restore", "--state-dir", str(fleet.place), "--yes", str(backup)]
    macs = [word for n in range(MANY) for word in ("--only", mac(n))]
    return subprocess.run(
        [sys.executable, "-m", "bty_app", *words, *macs],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        timeout=60,
        env={**os.environ, "BTY_CONFIG_DIR": str(fleet.place / "none")},
    )
