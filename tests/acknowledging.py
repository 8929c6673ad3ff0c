"""Commits rows to a state directory without end, and says the number of each once it is durable."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

from bty_app.store import locks, settings
from bty_app.store.database import Database

AT = "2026-11-22T19:07:18.000000+00:00"


def main(state_dir: Path) -> None:
    with locks.shared(state_dir), Database(state_dir / "state.db") as database:
        for number in itertools.count():
            database.write(
                lambda tx, n=number: settings.put(tx, f"row-{n}", f"{n}" * 50, at=AT)  # type: ignore[misc]
            )
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
