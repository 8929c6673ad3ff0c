"""`recover` as it is typed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bty_app import __version__
from bty_app.cli.main import main
from bty_app.domain.machine import BootMode
from bty_app.store import locks, rotation
from tests.fleet_state import BEGIN, REF, Fleet, bind, image, mac


@pytest.fixture(autouse=True)
def no_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The host's own configuration has no say here."""
    (tmp_path / "no-config").mkdir()
    monkeypatch.setenv("BTY_CONFIG_DIR", str(tmp_path / "no-config"))


@pytest.fixture
def fleet(quick_dir: Path) -> Fleet:
    """A server that was upgraded: what an older release knew is in an archive."""
    fleet = Fleet(quick_dir / "state").make()
    fleet.write(bind(1, labels=["a"]), bind(2, BootMode.FLASH_ALWAYS), image(REF, "one"))
    fleet.sql("UPDATE bty_version SET version = '0.1.0'")
    rotation.open_state(fleet.place, version=__version__, now=BEGIN, backup=None)
    return fleet


def run(fleet: Fleet, *words: object) -> int:
    return main(["recover", "--state-dir", str(fleet.place), *map(str, words)])


def test_it_is_shown_first_and_done_when_picked(
    fleet: Fleet, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = next(fleet.place.glob("*.bak")).name

    assert run(fleet, archive) == 0
    shown = capsys.readouterr().out.splitlines()
    assert run(fleet, archive, "--yes") == 0  # nothing was picked
    assert fleet.rows("SELECT bty_image_ref FROM machines") == [(None,), (None,)]
    assert run(fleet, archive, "--bindings", "--labels", "--yes") == 0
    done = capsys.readouterr().out.splitlines()[-6:-1]
    assert run(fleet, archive, "--all", "--yes", "--json") == 0
    again = json.loads(capsys.readouterr().out)

    assert shown[0] == f"{archive}: a database of 0.1.0"
    assert "bindings: 2 filled" in shown
    assert any(
        line.startswith(f"  filled  bindings {mac(2)} (disarmed): bty_image_ref none → aaa")
        for line in shown
    )
    assert shown[-1] == "nothing was done: pick with --bindings, --labels … or --all, and --yes"
    assert done == [
        f"{archive}: a database of 0.1.0",
        "labels:   1 new",
        "bindings: 2 filled",
        "1 machine that waited for a flash there came over disarmed",
        "2 bindings are to images that the catalog does not have",
    ]
    assert again["parts"]["bindings"]["same"] == 2
    assert again["parts"]["catalog"]["new"] == 0
    assert again["reasons"]
    assert fleet.rows("SELECT boot_mode, bty_image_ref FROM machines ORDER BY mac") == [
        ("ipxe-exit", REF), ("bty-inventory", REF),
    ]  # fmt: skip


def test_each_failure_has_its_exit_status(
    fleet: Fleet, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    archive = next(fleet.place.glob("*.bak")).name
    (tmp_path / "text.bak").write_text("x" * 5000)

    assert run(fleet, tmp_path / "nothing.bak") == 66
    assert run(fleet, tmp_path / "text.bak") == 65
    assert run(fleet, archive, "--only", "x") == 65
    with locks.alone(fleet.place / "restore.lock"):
        assert run(fleet, archive, "--all", "--yes") == 75
    assert all(line.startswith("bty: ") for line in capsys.readouterr().err.splitlines())
