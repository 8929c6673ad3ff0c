"""Files as bad disks and bad copies leave them: a start sets them aside or serves what they hold,
every command says it in one line, and what is readable can be salvaged (STATE-SAFETY 3.11).
"""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import apsw
import pytest

from bty_app import __version__
from bty_app.cli.main import main
from bty_app.domain.recovering import Part
from bty_app.store import creation, old_state
from bty_app.store.database import Database
from bty_app.store.rotation import Outcome, open_state
from tests.crashlab.originals import OLD_VERSION, ROWS, killed_writer, make_original

NOW = datetime(2026, 11, 22, 19, 7, 18, tzinfo=UTC)
AT = "2026-11-22T19:07:18.570473+00:00"
PAGE = 4096

Damage = Callable[[bytes], bytes]


def over(start: int, what: bytes) -> Damage:
    """These bytes there."""
    return lambda content: content[:start] + what + content[start + len(what) :]


def noise(content: bytes) -> bytes:
    """In every fifth page of the last third, where the rows are."""
    chance, found = random.Random(7), bytearray(content)  # noqa: S311 - which bytes, no secret
    for page in range(len(content) * 2 // 3 // PAGE + 3, len(content) // PAGE, 5):
        at = page * PAGE + chance.randrange(PAGE - 200)
        found[at : at + 200] = chance.randbytes(200)
    return bytes(found)


# sqlite.org/fileformat2.html 1.3: what stands where in the header.
DAMAGES: dict[str, Damage] = {
    "zeroed header": over(0, bytes(100)),
    "zeroed first page": over(0, bytes(PAGE)),
    "zeroed file": lambda content: bytes(len(content)),
    "zeroed second half": lambda content: content[: len(content) // 2].ljust(len(content), b"\0"),
    "cut within the header": lambda content: content[:60],
    "cut within the first page": lambda content: content[:1000],
    "cut after the first page": lambda content: content[:PAGE],
    "cut in the middle of a page": lambda content: content[: len(content) // 2 + 7],
    "without its last page": lambda content: content[:-PAGE],
    "page size of one": over(16, b"\x00\x03"),
    "page size of another": over(16, b"\x02\x00"),
    "format of the future": over(18, b"\x09\x09"),
    "reserved bytes": over(20, b"\xff"),
    "huge size": over(28, b"\x7f\xff\xff\xff"),
    "huge freelist": over(32, b"\x00\x00\x00\x03\x7f\xff\xff\xff"),
    "freelist out of the file": over(32, b"\x7f\xff\xff\xf0\x00\x00\x00\x09"),
    "schema format of the future": over(44, b"\x00\x00\x00\x63"),
    "another encoding": over(56, b"\x00\x00\x00\x02"),
    "garbled schema": over(1500, b"CREATE GARBAGE" * 150),
    "noise in the middle": noise,
    "text before it": lambda content: b"\n" + content,
}


@pytest.fixture(autouse=True)
def no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's own configuration has no say here."""
    (tmp_path / "no-config").mkdir()
    monkeypatch.setenv("BTY_CONFIG_DIR", str(tmp_path / "no-config"))


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """A database with machines in it: of this release, of an older one, of the original."""
    made = {}
    for name, version in (("ours", __version__), ("older", OLD_VERSION), ("original", "0.65.18")):
        path = tmp_path_factory.mktemp(name) / "state.db"
        if name == "original":
            make_original(path, version=version)
        else:
            creation.build_fresh(path, version=version, at=AT)
        killed_writer(path, "none")
        made[name] = path.read_bytes()
    return made


def leaves(content: bytes) -> list[int]:
    """The pages that have the rows of machines, from 0 on."""
    with closing(apsw.Connection(":memory:")) as connection:
        connection.deserialize("main", content)
        sql = "SELECT pageno - 1 FROM dbstat WHERE name = 'machines' AND pagetype = 'leaf'"
        return [int(str(row[0])) for row in connection.execute(f"{sql} ORDER BY 1")]


def run(state: Path, *words: object) -> int:
    return main([str(word) for word in (words[0], "--state-dir", state, *words[1:])])


def _errors(err: str) -> list[str]:
    return [line for line in err.splitlines() if line.startswith("bty:")]


@pytest.mark.parametrize("whose", ["ours", "older", "original"])
@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_database_stops_no_start_and_is_no_traceback(
    tmp_path: Path,
    sound: dict[str, bytes],
    damage: str,
    whose: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    state, copy = tmp_path / "state", tmp_path / "copy"
    state.mkdir()
    damaged = DAMAGES[damage](sound[whose])
    (state / "state.db").write_bytes(damaged)
    shutil.copytree(state, copy)

    # Every command that looks at it before a server did.
    for words in (["verify"], ["export", tmp_path / "bundle"], ["backup"], ["machine", "list"]):
        status = main(["--state-dir", str(copy), *map(str, words)])
        out, err = capsys.readouterr()
        assert status in (0, 1, 65, 74, 75), (words, err)
        assert status == 0 or len(_errors(err)) <= 1, err
        assert "Traceback" not in out + err

    opening = open_state(state, version=__version__, now=NOW, backup=None)

    if opening.outcome is Outcome.QUARANTINED:
        assert opening.set_aside is not None
        kept = (state / opening.set_aside / "state.db").read_bytes()
        assert kept == damaged
        evidence = state / opening.set_aside / "state.db"
    else:  # it can be opened: damage that only reading on finds, or that SQLite passes over
        assert opening.outcome in (Outcome.OPENED, Outcome.ROTATED, Outcome.CREATED)
        evidence = state / (opening.archive or "state.db")
    with Database(state / "state.db") as database:
        assert database.read(lambda tx: tx.value("SELECT count(*) FROM settings")) is not None
    if opening.outcome in (Outcome.QUARANTINED, Outcome.ROTATED):
        status = run(state, "recover", "--salvage", "--all", "--yes", evidence)
        out, err = capsys.readouterr()
        assert status in (0, 65), err
        assert "--salvage reads" not in err, "that is what was tried"
        assert "Traceback" not in out + err
        assert run(state, "verify") == 0


@pytest.mark.parametrize("whose", ["older", "original"])
def test_most_of_what_noise_left_is_salvaged(
    tmp_path: Path, sound: dict[str, bytes], whose: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "state.db").write_bytes(noise(sound[whose]))
    opening = open_state(tmp_path / "s", version=__version__, now=NOW, backup=None)
    assert opening.set_aside is not None

    evidence = tmp_path / "s" / opening.set_aside / "state.db"
    assert run(tmp_path / "s", "recover", "--salvage", "--all", "--yes", evidence) == 0

    with Database(tmp_path / "s" / "state.db") as database:
        count = database.read(lambda tx: tx.value("SELECT count(*) FROM machines"))
    assert count > ROWS // 4
    capsys.readouterr()


@pytest.mark.parametrize("seed", range(6))
def test_noise_in_one_page_costs_the_rows_of_that_page_alone(
    tmp_path: Path, sound: dict[str, bytes], seed: int
) -> None:
    """Row ids in it may be noise too: a scan then ends, or skips what follows, without an error."""
    content, rows_of_a_page = sound["older"], 2
    chance = random.Random(seed)  # noqa: S311 - which bytes, no secret
    for page in leaves(content):
        damaged = bytearray(content)
        for _ in range(4):
            at = page * PAGE + chance.randrange(PAGE - 60)
            damaged[at : at + 60] = chance.randbytes(60)
        beginning = page * PAGE + 8 + chance.randrange(4)  # where the cells are
        damaged[beginning : beginning + 1] = chance.randbytes(1)
        (tmp_path / f"{page}.db").write_bytes(damaged)

        found = old_state.read(tmp_path / f"{page}.db", tmp_path / f"{page}.found", salvage=True)

        assert found.counts[Part.BINDINGS] >= ROWS - rows_of_a_page, page


def test_what_lies_between_two_damaged_pages_is_found(
    tmp_path: Path, sound: dict[str, bytes]
) -> None:
    """A scan from either end may stop at the one that it meets first, and without an error."""
    content, rows_of_a_page = sound["older"], 2
    pages = leaves(content)
    for seed in range(40):
        chance, damaged = random.Random(seed), bytearray(content)  # noqa: S311 - no secret
        for page in (pages[1], pages[-2]):
            for _ in range(4):
                at = page * PAGE + chance.randrange(PAGE - 60)
                damaged[at : at + 60] = chance.randbytes(60)
            beginning = page * PAGE + 8 + chance.randrange(4)
            damaged[beginning : beginning + 1] = chance.randbytes(1)
        (tmp_path / f"{seed}.db").write_bytes(damaged)

        found = old_state.read(tmp_path / f"{seed}.db", tmp_path / f"{seed}.found", salvage=True)

        assert found.counts[Part.BINDINGS] >= ROWS - 2 * rows_of_a_page, seed


@pytest.mark.parametrize("content", [b"", b"\x00" * 32768, b"\xff" * 32768, b"x" * 100])
@pytest.mark.parametrize("whose", ["ours", "older"])
def test_a_stale_index_of_the_log_loses_nothing(
    tmp_path: Path, sound: dict[str, bytes], content: bytes, whose: str
) -> None:
    """-shm is an index of the log, and is made anew from it."""
    path = tmp_path / "state.db"
    version = __version__ if whose == "ours" else OLD_VERSION
    creation.build_fresh(path, version=version, at=AT)
    killed_writer(path, "wal")
    path.with_name("state.db-shm").write_bytes(content)

    opening = open_state(tmp_path, version=__version__, now=NOW, backup=None)

    kept = tmp_path / (opening.archive or "state.db")
    connection = apsw.Connection(str(kept), flags=apsw.SQLITE_OPEN_READWRITE)
    sql = "SELECT count(*) FROM machines WHERE updated_at = 'later'"
    assert connection.execute(sql).fetchall() == [(ROWS,)]
    connection.close()


def test_a_stale_index_of_another_log_loses_nothing(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        creation.build_fresh(tmp_path / name / "state.db", version=__version__, at=AT)
        killed_writer(tmp_path / name / "state.db", "wal", rows=ROWS if name == "one" else 8)
    shutil.copy(tmp_path / "two" / "state.db-shm", tmp_path / "one" / "state.db-shm")

    open_state(tmp_path / "one", version=__version__, now=NOW, backup=None)

    with Database(tmp_path / "one" / "state.db") as database:
        sql = "SELECT count(*) FROM machines WHERE updated_at = 'later'"
        assert database.read(lambda tx: tx.value(sql)) == ROWS


def test_a_server_starts_over_noise_and_says_so(tmp_path: Path) -> None:
    """The real program: one line on the way, and the evidence in quarantine."""
    state = tmp_path / "state"
    state.mkdir()
    (state / "state.db").write_bytes(b"noise" * 5000)
    program = (
        "import json, sys; from datetime import datetime, UTC; from pathlib import Path;"
        "from bty_app.store.rotation import open_state; from bty_app import __version__;"
        "print(json.dumps(open_state(Path(sys.argv[1]), version=__version__,"
        " now=datetime.now(UTC), backup=None).sentence))"
    )

    done = subprocess.run(
        [sys.executable, "-c", program, str(state)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    assert "moved to quarantine/" in json.loads(done.stdout)
