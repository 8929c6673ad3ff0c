"""The `catalog` command, run as its users do."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import apsw
import pytest
import tomli_w

from bty_app.domain.image_source import image_ref
from bty_app.store import catalog
from bty_app.store.database import Database
from tests.cli.test_main import bty
from tests.fresh_state import make_state
from tests.other_host import answer, other_host

SHA = "5" * 64
SRC = "http://ex.com/deb-amd64.img.gz"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    make_state(tmp_path / "state")
    images = [{"name": "deb-amd64.img.gz", "src": SRC, "sha256": SHA, "size_bytes": 7}]
    text = tomli_w.dumps({"version": 1, "images": images})
    (tmp_path / "some.toml").write_text(text, encoding="utf-8")
    return tmp_path


def catalog_command(home: Path, *arguments: str) -> tuple[int, str, str]:
    done = bty("catalog", *arguments, home=home)
    return done.returncode, done.stdout, done.stderr


def test_an_image_is_imported_listed_and_removed(home: Path) -> None:
    source = str(home / "some.toml")
    assert catalog_command(home, "import", source) == (0, "", "1 new, 0 changed, 0 unchanged\n")

    table = catalog_command(home, "list")
    status, text, _ = catalog_command(home, "list", "--json")

    assert table == (
        0,
        "NAME              FORMAT  SIZE  SHA256        REF           SOURCE\n"
        f"deb-amd64.img.gz  img.gz  7     555555555555  {image_ref(SRC)[:12]}  {SRC}\n",
        "",
    )
    assert status == 0
    assert [(row["bty_image_ref"], row["arch"]) for row in json.loads(text)] == [
        (image_ref(SRC), "x86_64")
    ]
    assert catalog_command(home, "remove", image_ref(SRC)) == (0, "", "removed deb-amd64.img.gz\n")
    assert catalog_command(home, "list", "--json") == (0, "[]\n", "")


def test_an_import_can_be_kept_and_reported_as_json(home: Path) -> None:
    status, text, _ = catalog_command(home, "import", str(home / "some.toml"), "--keep", "--json")

    assert (status, json.loads(text)["imported"]) == (0, 1)
    assert (home / "state" / "catalog.toml").read_bytes() == (home / "some.toml").read_bytes()


def test_an_import_says_what_changed(home: Path) -> None:
    source = home / "some.toml"
    catalog_command(home, "import", str(source))
    source.write_text(source.read_text().replace("size_bytes = 7", "size_bytes = 8"))

    assert catalog_command(home, "import", str(source)) == (
        0,
        "",
        "0 new, 1 changed, 0 unchanged\ndeb-amd64.img.gz: size_bytes was 7, is 8\n",
    )


def test_an_image_is_added_from_another_host(home: Path) -> None:
    with other_host() as host:
        host.routes["/a.img"] = answer(b"xyz")
        host.routes["/sums"] = answer(f"{SHA} *a.img\n".encode())

        done = catalog_command(home, "add", host.url("/a.img"), "--sha-url", host.url("/sums"))

        assert done == (0, f"{image_ref(host.url('/a.img'))}\n", "added a.img\n")
        assert "User-Agent: bty/" in host.heads[0]


def test_it_works_beside_a_program_that_has_the_database_open(home: Path) -> None:
    with Database(home / "state" / "state.db") as running:
        assert catalog_command(home, "import", str(home / "some.toml"))[0] == 0

        assert len(running.read(catalog.listed)) == 1


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        (("remove", "http://h/none"), 66, "no catalog entry"),
        (("remove", "nonsense"), 65, "image source"),
        (("add", "http://host:notaport/x.img"), 65, "port"),
        (("import", "/nonexistent"), 66, "no such file"),
        (("import", "http://127.0.0.1:1/c"), 69, "cannot be fetched"),
    ],
)
def test_a_failure_is_one_line_and_an_exit_status(
    home: Path, arguments: tuple[str, ...], status: int, reason: str
) -> None:
    code, out, err = catalog_command(home, *arguments)

    assert (code, out, err.count("\n")) == (status, "", 1)
    assert reason in err


def test_an_unknown_act_is_a_usage_error(home: Path) -> None:
    assert catalog_command(home, "frobnicate")[0] == 2
    assert catalog_command(home)[0] == 2


def test_no_state_is_said_and_none_is_made(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()

    code, _, err = catalog_command(tmp_path, "list")

    assert code == 66
    assert "there is no state yet" in err
    assert list((tmp_path / "state").iterdir()) == []


def test_the_state_of_another_version_is_refused_and_not_touched(tmp_path: Path) -> None:
    path = make_state(tmp_path / "state", version="0.65.18")
    connection = apsw.Connection(str(path))
    connection.pragma("journal_mode", "delete")
    connection.close()
    before = hashlib.sha256(path.read_bytes()).hexdigest()

    code, _, err = catalog_command(tmp_path, "list")

    assert code == 75
    assert "0.65.18" in err
    assert hashlib.sha256(path.read_bytes()).hexdigest() == before


def test_an_upstream_catalog_is_shown_and_then_followed(home: Path) -> None:
    source = str(home / "some.toml")
    shown = catalog_command(home, "diff", source)
    nothing_yet = catalog_command(home, "list", "--json")[1]

    assert shown == (0, "+ deb-amd64.img.gz\n", f"{source}: 0 unchanged\n")
    assert nothing_yet == "[]\n"
    assert catalog_command(home, "fetch", source) == shown
    assert catalog_command(home, "diff", source) == (0, "", f"{source}: 1 unchanged\n")
    Path(source).write_text("version = 1\n", encoding="utf-8")
    status, text, _ = catalog_command(home, "fetch", source, "--json")
    assert (status, json.loads(text)["removed"]) == (0, ["deb-amd64.img.gz"])


def test_a_catalog_in_a_registry_that_is_away_is_one_line(home: Path) -> None:
    status, text, said = catalog_command(home, "fetch", "oras://127.0.0.1:9/o/c:1")

    assert (status, text) == (69, "")
    assert said.count("\n") == 1
    assert "https://127.0.0.1:9/v2/o/c/manifests/1 cannot be fetched" in said


def test_only_a_known_image_is_warmed_and_only_where_there_is_a_cache(home: Path) -> None:
    catalog_command(home, "import", str(home / "some.toml"))

    assert catalog_command(home, "warm", "none")[0] == 66
    status, _, said = catalog_command(home, "warm", "deb-amd64.img.gz")
    assert (status, "set withcache.url" in said) == (75, True)


def test_a_check_says_what_an_origin_has_and_its_status_is_for_scripts(home: Path) -> None:
    with other_host() as host:
        host.routes["/a.img"] = answer(b"xyz")
        host.routes["/b.img"] = answer(b"stays")
        for name in ("a.img", "b.img"):
            catalog_command(home, "add", host.url(f"/{name}"))
        assert catalog_command(home, "check", "a.img") == (0, "a.img: as the catalog says\n", "")
        host.routes["/a.img"] = answer(b"wxyz")

        code, out, _ = catalog_command(home, "check", "--all")

        assert (code, out) == (
            1,
            "a.img: size_bytes is 4, not 3\nb.img: as the catalog says\n",
        )
    code, out, _ = catalog_command(home, "check", "--all", "--json")
    assert (code, json.loads(out)[0]["origin"]["reachable"]) == (1, False)
    assert catalog_command(home, "check")[0] == 65
    assert catalog_command(home, "check", "a.img", "--all")[0] == 65


def test_a_catalog_cannot_write_on_the_terminal(home: Path) -> None:
    source = home / "some.toml"
    catalog_command(home, "import", str(source))
    before = source.read_text()
    source.write_text(before + 'description = "x\\n\\u202ey"\n', encoding="utf-8")

    code, out, _ = catalog_command(home, "diff", str(source))
    source.write_text(before + 'description = "x\\n\\u009b2Jy"\n', encoding="utf-8")
    refused, silent, error = catalog_command(home, "diff", str(source))

    assert (code, out.count("\n")) == (0, 1)
    assert "\u202e" not in out
    assert (refused, silent) == (65, "")
    assert "\x9b" not in error


def test_a_fetch_names_the_machines_that_keep_an_image(home: Path) -> None:
    source = home / "some.toml"
    assert catalog_command(home, "fetch", str(source))[0] == 0
    done = bty(
        *("machine", "set", "52:54:00:00:00:01", "--mode", "bty-flash-once"),
        *("--image", image_ref(SRC), "--serial", "S1"),
        home=home,
    )
    assert done.returncode == 0, done.stderr
    source.write_text("version = 1\n")

    code, out, _ = catalog_command(home, "fetch", str(source))

    assert code == 0
    assert out == ("! deb-amd64.img.gz: gone upstream, kept for 1 machine(s): 52:54:00:00:00:01\n")
