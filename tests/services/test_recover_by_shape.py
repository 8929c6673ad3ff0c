"""A database whose list of tables is lost: its rows are found by their shape, and that is said."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from bty_app import __version__
from bty_app.cli.main import main
from bty_app.domain.image_source import image_ref
from bty_app.domain.jobs import Quiet
from bty_app.domain.recovering import Choice, Part
from bty_app.errors import InvalidInputError
from bty_app.services.recover import Reading, Recover
from bty_app.store import carved_state
from bty_app.store.creation import sidecar
from tests.fleet_state import BY, Fleet, bind, mac, rows, seen, setting
from tests.golden.goldens import ORIGINAL, releases, unpack
from tests.original_state import AT, make_original

EVERYTHING = Choice(frozenset(Part))
SALVAGED = Reading(salvage=True)
SRC = "https://images.example.com/debian.img.zst"
MACHINES = 120

Spoil = Callable[[bytes], bytes]


def noise(count: int) -> bytes:
    return random.Random(7).randbytes(count)  # noqa: S311


def entries_gone(content: bytes) -> bytes:
    """The header is there, and a page without a table behind it."""
    return content[:103] + b"\0\0" + content[105:]


def first_page_noise(content: bytes) -> bytes:
    return noise(4096) + content[4096:]


def first_page_zero(content: bytes) -> bytes:
    return bytes(4096) + content[4096:]


def schema_noise(content: bytes) -> bytes:
    return content[:100] + noise(3996) + content[4096:]


SPOILS = [entries_gone, first_page_noise, first_page_zero, schema_noise]


@pytest.fixture
def fleet(quick_dir: Path) -> Fleet:
    return Fleet(quick_dir / "state").make()


@pytest.fixture
def recover(fleet: Fleet) -> Recover:
    return Recover(fleet.place, version=__version__, clock=fleet.clock)


def ours(place: Path) -> Path:
    """Machines with hardware on pages of their own, labels, an image, a setting, events."""
    old = Fleet(place).make()
    old.write(setting("boot.max_attempts", "7"))
    old.sql(
        "INSERT INTO catalog_entries (bty_image_ref, src, name, added_at) VALUES (?, ?, 'd', ?)",
        *(image_ref(SRC), SRC, AT),
    )
    old.write(*(seen(n) for n in range(1, MACHINES + 1)))
    old.write(*(bind(n, ref=image_ref(SRC), labels=["rack-3", f"n{n}"]) for n in range(1, 31)))
    lshw = json.dumps({"id": "x", "pad": "y" * 9000})
    old.sql("UPDATE machines SET hw_lshw = ?, hw_lshw_at = ?", lshw, AT)
    return old.state_db


def original(place: Path) -> Path:
    lshw = json.dumps({"id": "x", "pad": "y" * 9000})
    machines: list[tuple[object, ...]] = [
        (mac(n), '[{"path": "/dev/sda"}]', AT, lshw, AT) for n in range(1, MACHINES + 1)
    ]
    path = make_original(place, machines, "0.65.18")
    connection = apsw.Connection(str(path))
    connection.execute(
        "INSERT INTO settings VALUES ('display.timezone', 'Europe/Berlin', ?)", (AT,)
    )
    connection.execute("INSERT INTO machine_labels SELECT mac, 'rack-3' FROM machines")
    connection.execute(
        "INSERT INTO events (ts, kind, actor, summary)"
        " VALUES (?, 'machine.created', 'operator', 's')",
        (AT,),
    )
    connection.close()
    return path


@pytest.mark.parametrize("spoil", SPOILS)
@pytest.mark.parametrize("make", [ours, original])
def test_all_that_is_not_on_the_lost_page_comes_back(
    quick_dir: Path,
    fleet: Fleet,
    recover: Recover,
    make: Callable[[Path], Path],
    spoil: Spoil,
) -> None:
    path = make(quick_dir / "old")
    wanted = recover.preview(path, EVERYTHING).findings
    path.write_bytes(spoil(path.read_bytes()))
    before = path.read_bytes()

    done = recover.apply(path, EVERYTHING, SALVAGED, by=BY)

    assert done.findings.counts == wanted.counts
    assert done.findings.version == wanted.version
    assert wanted.counts[Part.HARDWARE] == MACHINES
    assert done.findings.reasons == wanted.reasons
    assert "matched by their shape" in done.findings.by_shape
    by_table = {loss.table: loss for loss in done.findings.losses}
    assert (by_table["machines"].read, by_table["machines"].partial) == (MACHINES, 0)
    assert rows(fleet.state_db, "SELECT count(*) FROM machines") == [(MACHINES,)]
    assert path.read_bytes() == before
    [(details,)] = rows(fleet.state_db, "SELECT details FROM events WHERE kind = 'state.recovered'")
    assert json.loads(str(details))["by_shape"] == done.findings.by_shape


@pytest.mark.parametrize("version", [*releases(), ORIGINAL])
def test_releases_that_there_were_are_known_by_their_shapes(
    quick_dir: Path, recover: Recover, version: str
) -> None:
    path = unpack(version, quick_dir / "golden") / "state.db"
    wanted = recover.preview(path, EVERYTHING).findings
    path.write_bytes(first_page_noise(path.read_bytes()))

    found = recover.preview(path, EVERYTHING, SALVAGED).findings

    assert found.counts == wanted.counts
    assert found.version == wanted.version
    assert version == ORIGINAL or all(wanted.counts.values())


def test_what_was_committed_to_the_log_alone_is_found_as_well(
    quick_dir: Path, recover: Recover
) -> None:
    path = ours(quick_dir / "old")
    connection = apsw.Connection(str(path))
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.pragma("journal_mode", "wal")
    connection.execute("UPDATE machines SET target_disk_serial = 'LATER', updated_at = '2099'")
    connection.close()
    assert sidecar(path, "-wal").stat().st_size
    path.write_bytes(first_page_noise(path.read_bytes()))

    offer = recover.apply(path, EVERYTHING, SALVAGED, by=BY)

    assert offer.findings.counts[Part.BINDINGS] == MACHINES


def test_pages_of_the_log_count_before_those_of_the_file(quick_dir: Path) -> None:
    path = ours(quick_dir / "old")
    connection = apsw.Connection(str(path))
    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    connection.execute("UPDATE machines SET target_disk_serial = 'LATER'")
    connection.close()
    log = carved_state.log_aside(path)
    sidecar(path, "-wal").unlink()

    with carved_state.rebuilt(path, log, Quiet()) as (found, _carved):
        sql = "SELECT DISTINCT target_disk_serial FROM machines"
        assert found.execute(sql).fetchall() == [("LATER",)]


def test_of_two_rows_about_one_machine_the_newer_one_counts(
    quick_dir: Path, recover: Recover
) -> None:
    path = ours(quick_dir / "old")
    before = path.read_bytes()
    connection = apsw.Connection(str(path))
    sql = "UPDATE machines SET target_disk_serial = 'LATER', updated_at = '2099-01-01T00:00:00'"
    connection.execute(sql)
    connection.pragma("wal_checkpoint(TRUNCATE)")
    connection.close()
    after = path.read_bytes()
    for one, other in ((before, after), (after, before)):
        path.write_bytes(first_page_noise(one) + other[4096:])

        offer = recover.preview(path, Choice(frozenset({Part.BINDINGS})), SALVAGED)

        assert offer.findings.counts[Part.BINDINGS] == MACHINES


def test_machines_that_only_an_index_knows_are_named_as_lost(
    quick_dir: Path, recover: Recover
) -> None:
    path = ours(quick_dir / "old")
    connection = apsw.Connection(str(path))
    sql = "SELECT pageno FROM dbstat WHERE name = 'machines' AND pagetype = 'leaf' ORDER BY 1"
    [(page,), *_rest] = connection.execute(sql).fetchall()
    connection.close()
    content = bytearray(first_page_noise(path.read_bytes()))
    content[(int(str(page)) - 1) * 4096 :][:4096] = noise(4096)
    start = (int(str(page)) - 1) * 4096
    content[start : start + 4096] = noise(4096)
    path.write_bytes(content)

    found = recover.preview(path, EVERYTHING, SALVAGED).findings

    loss = found.losses[0]
    assert loss.read < MACHINES
    assert len(loss.named) == MACHINES - loss.read
    assert loss.named[0] in {mac(n) for n in range(1, MACHINES + 1)}


def test_a_row_whose_large_values_are_lost_comes_without_them(
    quick_dir: Path, fleet: Fleet, recover: Recover
) -> None:
    path = ours(quick_dir / "old")
    connection = apsw.Connection(str(path))
    sql = "SELECT pageno FROM dbstat WHERE name = 'machines' AND pagetype = 'overflow'"
    pages = [int(str(page)) for (page,) in connection.execute(sql)]
    connection.close()
    content = bytearray(first_page_noise(path.read_bytes()))
    for page in pages:
        content[(page - 1) * 4096 : page * 4096] = b"\xff" * 4096
    path.write_bytes(content)

    done = recover.apply(path, EVERYTHING, SALVAGED, by=BY)

    assert (done.findings.losses[0].read, done.findings.losses[0].partial) == (0, MACHINES)
    assert done.findings.counts[Part.BINDINGS] == 30
    assert rows(fleet.state_db, "SELECT count(*) FROM machine_labels") == [(60,)]


def test_a_row_that_was_removed_does_not_come_back_while_the_header_knows_its_page(
    quick_dir: Path, recover: Recover
) -> None:
    path = ours(quick_dir / "old")
    connection = apsw.Connection(str(path))
    connection.execute("DELETE FROM machines WHERE mac > ?", (mac(10),))
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    path.write_bytes(schema_noise(path.read_bytes()))

    found = recover.preview(path, EVERYTHING, SALVAGED).findings

    assert found.losses[0].read + found.losses[0].partial == 10


@pytest.mark.parametrize(
    "content", [b"", b"x", noise(50_000), b"SQLite format 3\0" + noise(40_000)]
)
def test_noise_is_refused_in_one_line(quick_dir: Path, recover: Recover, content: bytes) -> None:
    path = quick_dir / "noise.bak"
    path.write_bytes(content)

    with pytest.raises(InvalidInputError, match="no row of a machine"):
        recover.preview(path, EVERYTHING, SALVAGED)


@pytest.mark.parametrize("seed", range(25))
def test_no_damage_makes_it_fall(quick_dir: Path, recover: Recover, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    content = bytearray(first_page_noise(ours(quick_dir / "old").read_bytes()))
    for _hit in range(chance.randrange(1, 400)):
        at = chance.randrange(len(content) - 64)
        hit = chance.randbytes(chance.randrange(64))
        content[at : at + len(hit)] = hit
    path = quick_dir / "hit.bak"
    path.write_bytes(content)

    done = recover.apply(path, EVERYTHING, SALVAGED, by=BY)

    assert done.findings.by_shape


def test_the_command_says_so_before_anything_comes_over(
    quick_dir: Path, fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    path = ours(quick_dir / "old")
    path.write_bytes(first_page_noise(path.read_bytes()))

    status = main(["--state-dir", str(fleet.place), "recover", "--salvage", "--all", str(path)])

    said = capsys.readouterr().out
    assert status == 0
    assert "rows were matched by their shape" in said
    assert f"salvaged machines: {MACHINES} rows whole, 0 in part\n" in said
    assert rows(fleet.state_db, "SELECT count(*) FROM machines") == [(0,)]
