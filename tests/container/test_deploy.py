"""`bty deploy` and `bty purge` on a host of their own, as one file, with the real programs."""

from __future__ import annotations

import fcntl
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from bty_app import __version__
from tests.container.deployer import Operator
from tests.container.lab import Host
from tests.container.operator import Client, at

pytestmark = pytest.mark.system


@pytest.fixture
def operator(host: Host, pyz: Path, tmp_path: Path) -> Iterator[Operator]:
    yield Operator(host, pyz, tmp_path / "srv")
    host.clear()


def test_one_command_brings_up_a_server_that_one_can_log_in_to(operator: Operator) -> None:
    done = operator.deploy("--host-addr", operator.host.address)

    client = at(operator.host, 8080)
    password = (operator.directory / "data/bty/admin-password").read_text().strip()
    steps = re.findall(r"^\[(\d)/(\d)\]", done.stderr, re.MULTILINE)
    said = done.stdout + done.stderr
    assert client.log_in(password)
    assert not Client(client.url).log_in("bty-lab")
    assert done.stdout.splitlines()[0] == client.url
    assert str(operator.directory / "data/bty/admin-password") in done.stdout
    assert steps == [(str(n), "7") for n in range(1, 8)]
    assert password not in said
    assert operator.envvars()["WITHCACHE_ADMIN_PASSWORD"] not in said


def test_all_that_is_secret_is_for_its_owner_alone(operator: Operator) -> None:
    operator.deploy("--host-addr", operator.host.address)

    data = operator.directory / "data"
    assert stat.S_IMODE((operator.directory / "envvars").stat().st_mode) == 0o600
    for place in (data / "bty", data / "withcache"):
        found = place.stat()
        assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (1000, 1000, 0o700)
    secret = operator.envvars()["WITHCACHE_ADMIN_PASSWORD"]
    assert re.fullmatch(r"[0-9a-f]{32}", secret)
    for path in operator.directory.iterdir():
        if path.is_file() and path.name != "envvars":
            assert secret not in path.read_text()


def test_a_second_deploy_changes_nothing(operator: Operator) -> None:
    operator.deploy("--host-addr", operator.host.address)
    files, containers = operator.written(), operator.containers()

    done = operator.deploy()

    assert operator.written() == files
    assert operator.containers() == containers
    assert "---" not in done.stderr


def test_what_flags_chose_is_kept_by_a_deploy_without_them(
    operator: Operator, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "state"
    operator.deploy("--host-addr", operator.host.address, "--data-dir", str(elsewhere), "--tftp")
    at(operator.host, 8080)
    before = operator.envvars()

    done = operator.deploy()

    (bty,) = operator.named("bty")
    found = operator.host.inspect(bty)
    mounts: Any = found["Mounts"]
    config: Any = found["HostConfig"]
    assert operator.envvars() == before
    assert before["BTY_HOST_DATA_DIR"] == str(elsewhere)
    assert {mount["Source"] for mount in mounts if mount["RW"]} == {str(elsewhere / "bty")}
    assert (elsewhere / "bty/state.db").exists()
    assert not (operator.directory / "data").exists()
    assert config["NetworkMode"] == "host"
    assert found["EffectiveCaps"] == ["CAP_NET_BIND_SERVICE"]
    assert str(elsewhere) in done.stdout


def test_a_changed_password_counts_after_the_next_deploy(operator: Operator) -> None:
    operator.deploy("--host-addr", operator.host.address)
    envvars = operator.directory / "envvars"
    secret = operator.envvars()["WITHCACHE_ADMIN_PASSWORD"]
    text = envvars.read_text().replace("BTY_ADMIN_PASSWORD=\n", "BTY_ADMIN_PASSWORD='one #1'\n")
    envvars.write_text(text + "# mine\nMINE=1\n")

    done = operator.deploy()

    assert at(operator.host, 8080).log_in("one #1")
    assert envvars.read_text() == text + "# mine\nMINE=1\n"
    assert operator.envvars()["WITHCACHE_ADMIN_PASSWORD"] == secret
    assert "one #1" not in done.stdout + done.stderr
    assert f"BTY_ADMIN_PASSWORD in {envvars}" in done.stdout


def test_a_dry_run_shows_all_and_does_nothing(operator: Operator) -> None:
    done = operator.deploy("--host-addr", operator.host.address, "--dry-run")

    assert not operator.directory.exists()
    assert operator.containers() == []
    assert f"+HOST_ADDR={operator.host.address}" in done.stdout
    assert "+WITHCACHE_ADMIN_PASSWORD=***" in done.stdout
    assert "+services:" in done.stdout
    assert "podman-compose" in done.stderr
    assert done.stderr.count("would ") >= 4


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("BTY_PORT=99999", "line 1: BTY_PORT '99999' must be a port"),
        ("HOST_ADDR=localhost", "line 1: HOST_ADDR 'localhost' must be"),
        ("BTY_ADMIN_PASSWORD=hunter2$", "line 1: BTY_ADMIN_PASSWORD: put it between"),
        ("what is this", "line 1: write NAME=value"),
    ],
)
def test_a_wrong_value_in_envvars_is_refused_by_its_line(
    operator: Operator, line: str, said: str
) -> None:
    operator.directory.mkdir()
    (operator.directory / "envvars").write_text(f"{line}\n")

    done = operator.deploy(check=False)

    assert done.returncode == 78
    assert said in done.stderr
    assert "hunter2" not in done.stderr
    assert operator.listed() == ["envvars"]


def test_a_wrong_flag_is_wrong_usage(operator: Operator) -> None:
    done = operator.deploy("--host-addr", "127.0.0.1", check=False)

    assert done.returncode == 2
    assert "machines reach this host by" in done.stderr
    assert not operator.directory.exists()


def test_a_missing_program_is_named(operator: Operator, tmp_path: Path) -> None:
    (tmp_path / "bin").mkdir()

    done = operator.bty("deploy", operator.directory, check=False, path=str(tmp_path / "bin"))

    assert done.returncode == 66
    assert "apt-get install podman podman-compose" in done.stderr
    assert not operator.directory.exists()


def test_a_file_of_somebody_else_is_left_as_it_is(operator: Operator) -> None:
    operator.directory.mkdir()
    (operator.directory / "compose.yml").write_text("services: {}\n")

    done = operator.deploy("--host-addr", operator.host.address, check=False)

    assert done.returncode == 1
    assert "compose.yml is not ours" in done.stderr
    assert "-services: {}" in done.stderr
    assert operator.listed() == ["compose.yml"]


def test_state_of_somebody_else_is_left_as_it_is(operator: Operator) -> None:
    (operator.directory / "data/bty").mkdir(parents=True)
    (operator.directory / "data/bty/theirs").write_text("x")

    done = operator.deploy("--host-addr", operator.host.address, check=False)

    assert done.returncode == 74
    assert "chown -R 1000:1000" in done.stderr
    assert operator.containers() == []


def test_a_server_that_does_not_start_is_told_with_its_last_words(operator: Operator) -> None:
    operator.deploy("--host-addr", operator.host.address, "--no-start")
    file = operator.directory / "data/bty/bty.toml"
    file.write_text("[server]\nprot = 1\n")
    file.chmod(0o644)

    done = operator.deploy(check=False)

    assert done.returncode == 69
    assert "bty.toml" in done.stderr.splitlines()[-1]
    assert "server.prot" in done.stderr.splitlines()[-1]


def test_another_release_is_the_upgrades_to_bring(operator: Operator) -> None:
    operator.deploy("--host-addr", operator.host.address)
    pin = operator.directory / "compose.override.yml"
    pin.write_text(pin.read_text().replace(__version__, "0.1.2"))
    containers = operator.containers()

    done = operator.deploy(check=False)

    assert done.returncode == 75
    assert f"runs bty 0.1.2, and {__version__} is wanted: bty upgrade" in done.stderr
    assert operator.containers() == containers


def test_an_upgrade_that_was_cut_off_comes_first(operator: Operator) -> None:
    operator.directory.mkdir()
    (operator.directory / "upgrade.json").write_text("{}")

    done = operator.deploy(check=False)

    assert done.returncode == 75
    assert f"`bty upgrade {operator.directory}` brings it to its end" in done.stderr
    assert operator.listed() == ["upgrade.json"]


def test_two_deploys_at_once_do_not_meet(operator: Operator) -> None:
    operator.directory.mkdir()
    descriptor = os.open(operator.directory, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)

    done = operator.deploy(check=False)
    os.close(descriptor)

    assert done.returncode == 75
    assert "another bty changes" in done.stderr


def test_purge_leaves_the_state_and_a_deploy_brings_it_back(operator: Operator) -> None:
    operator.deploy("--host-addr", operator.host.address)
    password = (operator.directory / "data/bty/admin-password").read_text().strip()

    done = operator.bty("purge", "--yes", operator.directory)

    assert operator.containers() == []
    assert f"keep the state in {operator.directory}/data" in done.stderr
    assert (operator.directory / "data/bty/state.db").exists()
    operator.deploy()
    assert at(operator.host, 8080).log_in(password)


def test_purge_all_takes_everything_but_what_is_not_of_bty(operator: Operator) -> None:
    operator.deploy("--host-addr", operator.host.address)
    (operator.directory / "notes.txt").write_text("mine")
    operator.bty("purge", "--yes", operator.directory)

    shown = operator.bty("purge", "--all", "--dry-run", operator.directory)
    assert (operator.directory / "data/bty/state.db").exists()
    done = operator.bty("purge", "--all", "--yes", operator.directory)

    assert f"REMOVE {operator.directory}/data/bty (" in shown.stdout
    assert "with every machine" in shown.stdout
    assert operator.listed() == ["notes.txt"]
    assert "notes.txt" in done.stderr


def test_purge_all_leaves_no_trace(operator: Operator) -> None:
    operator.deploy("--host-addr", operator.host.address)

    operator.bty("purge", "--all", "--yes", operator.directory)

    assert not operator.directory.exists()
    assert operator.containers() == []


def test_purge_asks_and_without_a_terminal_it_does_nothing(operator: Operator) -> None:
    operator.deploy("--host-addr", operator.host.address)
    containers = operator.containers()

    done = operator.bty("purge", "--all", operator.directory, check=False)

    assert done.returncode == 1
    assert "say --yes" in done.stderr
    assert operator.containers() == containers
    assert (operator.directory / "data/bty/state.db").exists()


def test_purge_refuses_what_is_no_deployment(operator: Operator) -> None:
    operator.directory.mkdir()
    (operator.directory / "envvars").write_text("HOST_ADDR=192.0.2.1\n")

    done = operator.bty("purge", "--all", "--yes", operator.directory, check=False)

    assert done.returncode == 66
    assert operator.listed() == ["envvars"]


def test_purge_works_also_where_a_choice_is_gone(operator: Operator) -> None:
    operator.deploy("--host-addr", operator.host.address)
    envvars = operator.directory / "envvars"
    envvars.write_text(envvars.read_text().replace("HOST_ADDR=", "#HOST_ADDR="))

    operator.bty("purge", "--yes", operator.directory)

    assert operator.containers() == []


def test_the_words_of_the_original_do_here_what_they_did_there(operator: Operator) -> None:
    name = operator.pyz.with_name("bty-lab")
    name.unlink(missing_ok=True)
    name.symlink_to(operator.pyz)
    where = replace(operator, pyz=name)

    done = where.bty(
        "init", "--data-dir", operator.directory / "x", "--systemd", operator.directory
    )
    printed = where.bty("init", "--print")

    assert "written:" in done.stdout
    assert (operator.directory / "quadlet/bty.container").exists()
    assert printed.stdout.startswith("# Written by bty")
    assert not Path("bty-host").exists()
