"""What compose is told: which files, in which order, and nothing of the operator's environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from bty_app.deploy import choices
from bty_app.deploy.compose import ComposeStack
from bty_app.deploy.containers import Deployment
from bty_app.deploy.engines import Engine
from bty_app.deploy.envvars import Envvars
from bty_app.deploy.programs import Programs
from bty_app.deploy.stack import Release
from bty_app.errors import ConfigError, NotFoundError, UnavailableError

TELLS = """#!/bin/sh
echo "$*" >>"$TOLD"
env | grep -E "HOST_ADDR|WITHCACHE|BTY_" >>"$TOLD.env" || true
"""


def _stack(place: Path, **environment: str) -> ComposeStack:
    program = place / "podman-compose"
    program.write_text(TELLS)
    program.chmod(0o755)
    path = {"PATH": f"{place}:/usr/bin:/bin", "TOLD": str(place / "told")}
    chosen = choices.read(Envvars("HOST_ADDR=192.0.2.1\n"), place)
    engine = Engine("podman", ("podman-compose",))
    return ComposeStack(
        Deployment(place, chosen, engine, Programs(print, environment={**path, **environment}))
    )


def test_the_pin_is_the_last_file_so_that_it_counts(tmp_path: Path) -> None:
    stack = _stack(tmp_path)
    (tmp_path / "compose.litestream.yml").write_text("{}")
    (tmp_path / "compose.override.yml").write_text("{}")

    stack.start()

    told = (tmp_path / "told").read_text().split()
    named = [Path(told[at + 1]).name for at, word in enumerate(told) if word == "-f"]
    assert named == ["compose.yml", "compose.litestream.yml", "compose.override.yml"]
    assert told[told.index("--env-file") + 1] == str(tmp_path / "envvars")
    assert told[-2:] == ["up", "-d"]


def test_variables_of_the_shell_do_not_take_the_place_of_envvars(tmp_path: Path) -> None:
    stack = _stack(tmp_path, HOST_ADDR="192.0.2.99", BTY_PORT="1", BTY_ADMIN_PASSWORD="x")

    stack.start()

    assert (tmp_path / "told.env").read_text() == ""


def test_taking_down_needs_no_choice(tmp_path: Path) -> None:
    _stack(tmp_path).take_down()

    told = (tmp_path / "told.env").read_text().splitlines()
    assert sorted(told) == ["HOST_ADDR=none", "WITHCACHE_ADMIN_PASSWORD=none"]


COMES_BACK = """#!/bin/sh
echo "podman $*" >>"$TOLD"
case "$1" in
  ps) [ -e "$TOLD.gone" ] || echo 0123456789ab ;;
  rm) if [ -e "$TOLD.again" ]; then touch "$TOLD.gone"
      else touch "$TOLD.again"; echo "cannot remove a running container" >&2; exit 2; fi ;;
esac
"""


def test_a_container_that_its_restart_policy_starts_again_is_stopped_again(tmp_path: Path) -> None:
    stack = _stack(tmp_path)
    podman = tmp_path / "podman"
    podman.write_text(COMES_BACK)
    podman.chmod(0o755)

    stack.stop()

    told = (tmp_path / "told").read_text().splitlines()
    acts = [line.split()[-2] for line in told if line.split()[-2] in ("stop", "rm")]
    assert acts == ["stop", "rm", "stop", "rm"]


STAYS = """#!/bin/sh
case "$1" in
  ps) echo 0123456789ab ;;
  rm) echo "it has dependent containers" >&2; exit 2 ;;
  container) echo "$RUNS" ;;
esac
"""


@pytest.mark.parametrize("runs", ["true", "false"])
def test_what_cannot_be_removed_must_at_least_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, runs: str
) -> None:
    monkeypatch.setattr("bty_app.deploy.compose.STOP_SECONDS", 0.0)
    stack = _stack(tmp_path, RUNS=runs)
    podman = tmp_path / "podman"
    podman.write_text(STAYS)
    podman.chmod(0o755)

    if runs == "false":
        stack.stop()
    else:
        with pytest.raises(UnavailableError, match="dependent containers"):
            stack.stop()


def test_what_came_back_while_it_was_taken_down_goes_too(tmp_path: Path) -> None:
    stack = _stack(tmp_path)
    podman = tmp_path / "podman"
    podman.write_text(COMES_BACK)
    podman.chmod(0o755)
    (tmp_path / "told.again").touch()

    stack.take_down()

    told = (tmp_path / "told").read_text().splitlines()
    acts = [line for line in told if line.endswith(" down") or line.startswith("podman rm")]
    assert [act.endswith(" down") for act in acts] == [True, False]
    assert acts[1] == "podman rm --force 0123456789ab"


def test_the_pin_is_read_back_as_it_was_installed(tmp_path: Path) -> None:
    stack = _stack(tmp_path)
    for release in (
        Release("0.92.0", f"sha256:{'a' * 64}"),
        Release("1.0", f"registry.example.com/bty@sha256:{'b' * 64}"),
    ):
        stack.install(release)

        assert stack.current() == release


def test_without_a_pin_nothing_is_deployed(tmp_path: Path) -> None:
    stack = _stack(tmp_path)
    with pytest.raises(NotFoundError, match="run bty deploy"):
        stack.current()

    (tmp_path / "compose.override.yml").write_text("services: {}\n")
    with pytest.raises(ConfigError, match="does not name a release"):
        stack.current()
