"""Images that are not to be had, or are not what they are called."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bty_app import __version__
from bty_app.deploy import choices, images
from bty_app.deploy.choices import Choices
from bty_app.deploy.containers import Deployment
from bty_app.deploy.engines import Engine
from bty_app.deploy.envvars import Envvars
from bty_app.deploy.images import Images
from bty_app.deploy.programs import Programs
from bty_app.deploy.stack import Release
from bty_app.errors import ConfigError, UnavailableError

PINNED = f"registry.example.com/bty@sha256:{'a' * 64}"
# `says` is what its --version prints; `pulls` whether the registry has it.
PODMAN = """#!/bin/sh
echo "$*" >>{log}
case "$1" in
  image) case "$*" in *RepoDigests*) printf '%s\\n' {pinned} ;; *) echo {identity} ;; esac ;;
  pull) case "$*" in *{gone}*) exit 125 ;; *) exit {pulls} ;; esac ;;
  run) {says} ;;
esac
"""


def _host(place: Path, *, says: str = "", pulls: int = 0, gone: str = "none") -> Images:
    told = {"log": place / "log", "pinned": PINNED, "identity": "b" * 64}
    if gone != "none":
        told["pinned"] = f"{gone} {PINNED}"
    text = PODMAN.format(**told, pulls=pulls, says=says, gone=gone)
    (place / "podman").write_text(text)
    (place / "podman").chmod(0o755)
    programs = Programs(print, environment={"PATH": f"{place}:/usr/bin:/bin"})
    return Images(programs, Engine("podman"), place)


def _chosen(*lines: str) -> Choices:
    return choices.read(Envvars("\n".join(lines)), Path("/srv"))


def _called(place: Path, word: str) -> list[str]:
    lines = (place / "log").read_text().splitlines()
    return [line for line in lines if line.startswith(f"{word} ")]


def test_an_image_that_is_asked_what_it_is_has_no_right_at_all(tmp_path: Path) -> None:
    found = _host(tmp_path, says="echo bty 1.2.3").release("registry.example.com/bty:1.2.3")

    (run,) = _called(tmp_path, "run")
    assert found == Release("1.2.3", PINNED)
    for word in ("--network=none", "--read-only", "--cap-drop=all", "--pull=never"):
        assert word in run


def test_a_manifest_that_the_registry_dropped_is_no_pin(tmp_path: Path) -> None:
    gone = f"registry.example.com/bty@sha256:{'c' * 64}"

    host = _host(tmp_path, says="echo bty 1.2.3", gone=gone)

    assert host.release("registry.example.com/bty:1.2.3") == Release("1.2.3", PINNED)


def test_one_that_does_not_answer_is_given_up_and_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images, "VERSION_SECONDS", 0.3)

    with pytest.raises(ConfigError, match="does not say its --version"):
        _host(tmp_path, says="exec sleep 5").release("registry.example.com/x:1")

    name = re.search(r"--name=(\S+)", _called(tmp_path, "run")[0])
    assert name
    assert _called(tmp_path, "rm") == [f"rm --force {name[1]}"]


@pytest.mark.parametrize(
    ("reference", "registry"),
    [
        ("registry.example.com:5000/a/bty:1", "registry.example.com:5000"),
        ("localhost:5000/bty", "localhost:5000"),
        ("library/python", "docker.io"),
        ("python", "docker.io"),
    ],
)
def test_a_pull_that_fails_names_the_registry_and_the_login(
    tmp_path: Path, reference: str, registry: str
) -> None:
    with pytest.raises(UnavailableError, match=f"podman login {registry}`"):
        _host(tmp_path, pulls=125).bty(_chosen(f"BTY_IMAGE={reference}"), "1")


def test_what_is_pinned_is_pulled_by_its_digest_whatever_its_name_means(tmp_path: Path) -> None:
    release = Release("1.2.3", PINNED)

    found = _host(tmp_path).again(_chosen("BTY_IMAGE=registry.example.com/bty:1.2.3"), release)

    assert found == release
    assert _called(tmp_path, "pull") == [f"pull {PINNED}"]


@pytest.mark.parametrize("image", ["registry.example.com/bty:latest", PINNED])
def test_an_upgrade_wants_the_release_and_not_whatever_the_name_has(
    tmp_path: Path, image: str
) -> None:
    host = _host(tmp_path, says="echo bty 0.0.1")
    at = Deployment(tmp_path, _chosen(f"BTY_IMAGE={image}"), host.engine, host.programs)

    with pytest.raises(ConfigError, match=rf"has bty 0\.0\.1 in it, and not {__version__}: set"):
        at.fetched(__version__)


def test_an_older_program_does_not_take_the_place_of_a_newer_image() -> None:
    chosen = _chosen("BTY_IMAGE=registry.example.com/bty:1.10.0")

    chosen.check_release("1.10.0")
    chosen.check_release("1.11.0")
    with pytest.raises(ConfigError, match=r"names bty 1\.10\.0, and this program is bty 1\.9\.0"):
        chosen.check_release("1.9.0")
