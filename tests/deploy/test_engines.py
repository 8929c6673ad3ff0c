"""Which programs a deploy takes of those that a host has."""

from __future__ import annotations

from pathlib import Path

import pytest

from bty_app.deploy import engines
from bty_app.deploy.engines import Engine
from bty_app.deploy.programs import Programs
from bty_app.errors import NotFoundError, UnavailableError

WITH_COMPOSE = '#!/bin/sh\n[ "$*" = "compose version" ]\n'
WITHOUT = "#!/bin/sh\nexit 125\n"


def _host(place: Path, **programs: str) -> Programs:
    for name, text in programs.items():
        path = place / name.replace("_", "-")
        path.write_text(text)
        path.chmod(0o755)
    return Programs(print, environment={"PATH": str(place)})


@pytest.mark.parametrize(
    ("programs", "found"),
    [
        (
            {"podman": WITH_COMPOSE, "podman_compose": WITHOUT, "docker": WITH_COMPOSE},
            Engine("podman", ("podman-compose",)),
        ),
        (
            {"podman": WITH_COMPOSE, "docker": WITH_COMPOSE},
            Engine("podman", ("podman", "compose")),
        ),
        ({"podman": WITHOUT, "docker": WITH_COMPOSE}, Engine("docker", ("docker", "compose"))),
        ({"docker": WITH_COMPOSE}, Engine("docker", ("docker", "compose"))),
    ],
)
def test_podman_comes_before_docker(
    tmp_path: Path, programs: dict[str, str], found: Engine
) -> None:
    assert engines.find(_host(tmp_path, **programs), composes=True) == found


@pytest.mark.parametrize("programs", [{}, {"podman": WITHOUT}, {"docker": WITHOUT}])
def test_without_a_compose_it_says_what_to_install(
    tmp_path: Path, programs: dict[str, str]
) -> None:
    with pytest.raises(NotFoundError, match="apt-get install podman podman-compose"):
        engines.find(_host(tmp_path, **programs), composes=True)


def test_units_need_podman_alone(tmp_path: Path) -> None:
    assert engines.find(_host(tmp_path, podman=WITHOUT), composes=False) == Engine("podman")
    with pytest.raises(NotFoundError, match="podman is missing"):
        engines.find(Programs(print, environment={"PATH": "/nowhere"}), composes=False)


def test_a_program_that_fails_is_quoted(tmp_path: Path) -> None:
    programs = _host(tmp_path, podman="#!/bin/sh\necho first; echo 'no space left' >&2; exit 3\n")

    with pytest.raises(UnavailableError, match=r"`podman a 'b c'` failed \(3\): .*no space left"):
        programs.do("podman", "a", "b c")


def test_a_dry_run_runs_nothing(tmp_path: Path) -> None:
    said: list[str] = []
    programs = Programs(said.append, dry=True, environment={"PATH": str(tmp_path)})

    programs.do("podman", "rm", "a b")

    assert said == ["would run: podman rm 'a b'"]
