"""`artifacts`, from the command line, beside no server."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bty_app import __version__
from bty_app.cli.main import main
from bty_app.domain.artifacts import live_file
from tests.file_host import file_host
from tests.fresh_state import make_state
from tests.netboot_set import made_set, packed, put


@pytest.fixture
def state(quick_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    place = quick_dir / "state"
    make_state(place)
    monkeypatch.setenv("BTY_PATHS_STATE_DIR", str(place))
    return place


def artifacts(*words: str) -> int:
    return main(["artifacts", *words])


def listed(capsys: pytest.CaptureFixture[str]) -> dict[str, object]:
    assert artifacts("list", "--json") == 0
    found: dict[str, object] = json.loads(capsys.readouterr().out)
    return found


def test_the_release_of_this_version_is_fetched_from_a_mirror_listed_and_rolled_back(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with file_host() as host:
        for version in ("0.1", __version__):
            files = made_set(version)
            host.files |= {f"/bty/v{version}/{name}": data for name, data in files.items()}
        source = host.url("/bty/")

        assert artifacts("fetch", "--from", source, "--tag", "v0.1") == 0
        assert artifacts("fetch", "--from", source) == 0

    told = capsys.readouterr()
    assert f"the live environment {__version__} is installed" in told.out
    assert "fetching" in told.err
    before = listed(capsys)
    assert artifacts("rollback") == 0
    assert "machines boot 0.1 again" in capsys.readouterr().out
    after = listed(capsys)
    live = {"version": __version__, "not_ready": "", "differs": "", "has_squashfs": True}
    live["arm64"] = None
    assert before["live_environment"] == live
    assert (after["current"], after["previous"]) == (before["previous"], before["current"])
    assert "fetch the netboot artifacts" in str(after["live_environment"])
    assert artifacts("list") == 0
    text = capsys.readouterr().out
    assert "current" in text
    assert "previous" in text
    assert "snponly-arm64.efi" in text


def test_a_set_is_installed_from_a_directory_and_from_an_archive(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "set.tar.gz").write_bytes(packed(made_set("0.2"), prefix="live/"))

    assert artifacts("install", str(put(tmp_path / "set", made_set("0.1"))), "--json") == 0
    first = json.loads(capsys.readouterr().out)
    assert artifacts("install", str(tmp_path / "set.tar.gz")) == 0

    assert first["version"] == "0.1"
    capsys.readouterr()
    found = listed(capsys)
    assert str(found["current"]).startswith("0.2-")


def test_every_file_is_compared_and_a_flipped_bit_is_found(
    state: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    artifacts("install", str(put(tmp_path / "set", made_set("0.1"))))
    assert artifacts("check") == 0
    assert "whole" in capsys.readouterr().out
    kernel = state / "boot" / "current" / live_file("0.1", "vmlinuz")
    kernel.write_bytes(b"\0" + kernel.read_bytes()[1:])

    assert artifacts("check", "--json") == 1

    found = json.loads(capsys.readouterr().out)
    assert list(found.values()) == [[f"{kernel.name} is not as its manifest says"]]


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (("install", "nowhere.tar"), 66, "there is no such file"),
        (("install", "README.md"), 65, "the archive cannot be read"),
        (("rollback",), 66, "there is no set before the current one"),
        (("fetch", "--from", "no source"), 65, "must be owner/repository"),
        (("fetch", "--tag", "../x"), 65, "must be"),
        (("fetch", "--from", "http://127.0.0.1:9/x"), 69, "cannot be fetched"),
        (("fetch", "--from", "/nowhere"), 66, "has no bty-netboot"),
    ],
)
def test_what_goes_wrong_is_one_line_and_a_status(
    state: Path,
    words: tuple[str, ...],
    status: int,
    sentence: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert artifacts(*words) == status

    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith("bty: ")
    assert sentence in told
