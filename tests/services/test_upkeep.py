"""Statistics of the tables are brought up to date once a day, beside everything else."""

from __future__ import annotations

from pathlib import Path

import apsw

from bty_app.services.upkeep import EVERY_SECONDS, Upkeep
from bty_app.store.database import Database
from tests.fresh_state import make_state


def statistics(path: Path) -> dict[str, str]:
    connection = apsw.Connection(str(path))
    try:
        found = connection.execute("SELECT idx, stat FROM sqlite_stat1 WHERE tbl = 'settings'")
        return {str(index): str(text).split()[0] for index, text in found}
    except apsw.SQLError:  # no table of statistics yet
        return {}
    finally:
        connection.close()


def test_a_table_that_grew_is_looked_at_after_a_day_and_not_before(tmp_path: Path) -> None:
    make_state(tmp_path)
    now = 1000.0
    with Database(tmp_path / "state.db") as database:
        upkeep = Upkeep(database, steady=lambda: now)
        add = "INSERT INTO settings VALUES (?, 'x', 'x')"
        database.write(lambda tx: [tx.run(add, f"a{n}") for n in range(500)])
        before = statistics(tmp_path / "state.db")

        assert not upkeep.turn()
        now += EVERY_SECONDS
        assert upkeep.turn()
        assert not upkeep.turn()
        after = statistics(tmp_path / "state.db")

    assert before == {}
    assert after == {"sqlite_autoindex_settings_1": "500"}
