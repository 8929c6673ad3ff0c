"""Two deployments on one host whose directories have the same last name."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.container.deployer import Operator
from tests.container.lab import Host
from tests.container.operator import at

pytestmark = pytest.mark.system

MAC = "52:54:00:12:34:56"
PORTS = {"a": (8080, 8081), "b": (9080, 9081)}


@pytest.fixture
def operator(host: Host, pyz: Path, tmp_path: Path) -> Iterator[Operator]:
    yield Operator(host, pyz, tmp_path / "srv")
    host.clear()


def _place(operator: Operator, tmp_path: Path, name: str) -> Operator:
    """A directory `…/bty`, with ports of its own."""
    directory = tmp_path / name / "bty"
    directory.mkdir(parents=True)
    bty, cache = PORTS[name]
    (directory / "envvars").write_text(
        f"HOST_ADDR={operator.host.address}\nBTY_PORT={bty}\nWITHCACHE_PORT={cache}\n"
    )
    return replace(operator, directory=directory)


def _password(operator: Operator) -> str:
    return (operator.directory / "data/bty/admin-password").read_text().strip()


def _of(operator: Operator) -> list[str]:
    """The containers of that directory, with when they were started."""
    label = f"label=com.docker.compose.project.working_dir={operator.directory}"
    form = "{{.ID}} {{.StartedAt}}"
    return operator.host.podman("ps", "--filter", label, "--format", form).splitlines()


def test_each_has_its_own_name_and_a_purge_of_one_leaves_the_other(
    operator: Operator, tmp_path: Path
) -> None:
    a, b = (_place(operator, tmp_path, name) for name in PORTS)

    a.deploy()
    first = _of(a)
    b.deploy()
    beside = _of(a)
    b.deploy()
    both = [at(operator.host, ports[0]) for ports in PORTS.values()]
    logged_in = [client.log_in(_password(each)) for client, each in zip(both, (a, b), strict=True)]
    names = [each.envvars()["COMPOSE_PROJECT_NAME"] for each in (a, b)]
    both[0].ask("PUT", f"/machines/{MAC.replace(':', '-')}", {"boot_mode": "ipxe-exit"})
    b.bty("purge", "--all", "--yes", b.directory)

    assert len(set(names)) == 2
    assert all(name.startswith("bty-") for name in names)
    assert logged_in == [True, True]
    assert len(first) == 2
    assert first == beside == _of(a)
    assert not b.directory.exists()
    assert both[0].ask("GET", "/machines")[0]["mac"] == MAC
    assert (a.directory / "data/bty/state.db").exists()


def test_one_that_is_there_keeps_the_name_that_compose_gave_it(
    operator: Operator, tmp_path: Path
) -> None:
    a, b = (_place(operator, tmp_path, name) for name in PORTS)
    a.deploy("--no-start")
    envvars = a.directory / "envvars"
    lines = envvars.read_text().splitlines(keepends=True)
    envvars.write_text("".join(line for line in lines if "COMPOSE_PROJECT_NAME" not in line))

    a.deploy()
    b.deploy()
    names = operator.host.podman("ps", "--format", "{{.Names}}").split()

    assert "COMPOSE_PROJECT_NAME" not in a.envvars()
    assert {"bty_bty_1", "bty_withcache_1"} < set(names)
    assert len(names) == 4


def test_the_name_of_another_is_refused_and_never_taken_down(
    operator: Operator, tmp_path: Path
) -> None:
    a, b = (_place(operator, tmp_path, name) for name in PORTS)
    a.deploy()
    taken = a.envvars()["COMPOSE_PROJECT_NAME"]
    before = _of(a)
    with (b.directory / "envvars").open("a") as file:
        file.write(f"COMPOSE_PROJECT_NAME={taken}\n")

    refused = b.deploy(check=False)
    b.deploy("--no-start", check=False)
    (b.directory / "compose.yml").write_bytes((a.directory / "compose.yml").read_bytes())
    b.bty("purge", "--yes", b.directory)

    assert refused.returncode == 75
    assert f"compose has containers of {a.directory} under the name {taken}" in refused.stderr
    assert "COMPOSE_PROJECT_NAME=bty-" in refused.stderr
    assert _of(a) == before
    assert at(operator.host, 8080).log_in(_password(a))


def test_a_name_that_was_changed_under_its_containers_is_refused(
    operator: Operator, tmp_path: Path
) -> None:
    a = _place(operator, tmp_path, "a")
    a.deploy()
    before = _of(a)
    envvars = a.directory / "envvars"
    text = envvars.read_text()
    envvars.write_text(text.replace("COMPOSE_PROJECT_NAME=", "COMPOSE_PROJECT_NAME=x-"))

    done = a.deploy(check=False)

    assert done.returncode == 75
    assert "put COMPOSE_PROJECT_NAME back to that in envvars" in done.stderr
    assert _of(a) == before
