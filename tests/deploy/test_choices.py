"""A choice is refused by file and line, with what would be right."""

from __future__ import annotations

from pathlib import Path

import pytest

from bty_app.deploy import choices
from bty_app.deploy.choices import VARIABLES, Choices
from bty_app.deploy.envvars import Envvars
from bty_app.deploy.files import example
from bty_app.errors import ConfigError

HERE = Path("/srv/bty")


def read(text: str) -> Choices:
    return choices.read(Envvars(text, "envvars"), HERE)


def test_without_a_choice_there_are_defaults() -> None:
    found = read("")

    assert (found.data_dir, found.port, found.withcache_port) == (HERE / "data", 8080, 8081)
    assert [found.tftp, found.systemd, found.auto_update] == [False] * 3
    assert found.image == ""
    assert found.image_of("0.92.0") == "localhost/bty:0.92.0"


@pytest.mark.parametrize(
    ("line", "right"),
    [
        ("HOST_ADDR=127.0.0.1", "that machines reach"),
        ("HOST_ADDR=localhost", "what machines reach"),
        ("HOST_ADDR=0.0.0.0", "that machines reach"),
        ("HOST_ADDR=192.0.2.1:8081", "without a port"),
        ("HOST_ADDR=192.0.2.256", "address or a host name"),
        ("HOST_ADDR=fd77::1", r"\[fd77::1\]"),
        ("HOST_ADDR='two words'", "address or a host name"),
        ("BTY_HOST_DATA_DIR=data", "must begin with / or ./"),
        ("BTY_HOST_DATA_DIR=/", "root directory"),
        ("BTY_HOST_DATA_DIR='/srv/a:b'", "must begin with"),
        ("BTY_PORT=0", "from 1 to 65535"),
        ("BTY_PORT=99999", "from 1 to 65535"),
        ("BTY_PORT=http", "from 1 to 65535"),
        ("BTY_TFTP=maybe", "yes or no"),
        ("BTY_IMAGE='a b'", "name of an image"),
        ("BTY_IMAGE=--privileged", "name of an image"),
        ("COMPOSE_PROJECT_NAME=-x", "begin with a letter or digit"),
        ("COMPOSE_PROJECT_NAME=Bty", "a-z, 0-9, - and _"),
        ("BTY_BUILD_OPTIONS='--build-arg \"A'", "read as words"),
    ],
)
def test_a_bad_value_is_refused_by_its_line(line: str, right: str) -> None:
    with pytest.raises(ConfigError, match=right) as refused:
        read(f"# one\n\n{line}\n")

    assert refused.value.message.startswith(f"envvars, line 3: {line.partition('=')[0]}")


@pytest.mark.parametrize(
    "text",
    [
        "BTY_PORT=8081",
        "BTY_AUTO_UPDATE=yes",
        "BTY_AUTO_UPDATE=yes\nBTY_IMAGE=localhost/bty:1.0",
    ],
)
def test_choices_that_do_not_go_together_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match=r"BTY_\w+"):
        read(text)


@pytest.mark.parametrize(
    "host", ["192.0.2.1", "boot.example.com", "[fd77::1]", "rack-3", "10.0.0.7"]
)
def test_hosts_that_machines_can_reach(host: str) -> None:
    assert read(f"HOST_ADDR={host}").host_addr == host


@pytest.mark.parametrize(
    ("image", "version", "found"),
    [
        ("registry.example.com/bty:0.92.0", "0.93.0", "registry.example.com/bty:0.93.0"),
        ("registry.example.com:5000/bty:0.92.0", "0.93.0", "registry.example.com:5000/bty:0.93.0"),
        ("registry.example.com/bty:latest", "0.93.0", "registry.example.com/bty:latest"),
        ("registry.example.com:5000/bty", "0.93.0", "registry.example.com:5000/bty"),
    ],
)
def test_another_release_has_the_same_name_with_its_own_tag(
    image: str, version: str, found: str
) -> None:
    assert read(f"BTY_IMAGE={image}").image_of(version) == found


def test_relative_directories_are_those_beside_the_file() -> None:
    assert read("BTY_HOST_DATA_DIR=./state/../x").data_dir == HERE / "x"


def test_passwords_are_not_in_what_is_printed_of_choices() -> None:
    found = read("BTY_ADMIN_PASSWORD=hunter2\nWITHCACHE_ADMIN_PASSWORD=hunter3")

    assert "hunter" not in repr(found)
    assert (found.admin_password, found.withcache_password) == ("hunter2", "hunter3")


def test_every_choice_is_in_the_example_and_the_other_way_round() -> None:
    lines = example().text.splitlines()
    names = {line.lstrip("#").partition("=")[0] for line in lines if "=" in line.split(" ")[0]}

    assert names == set(VARIABLES)
