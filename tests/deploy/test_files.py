"""Every choice takes effect, in compose.yml and in the Quadlet units alike."""

from __future__ import annotations

import subprocess
import zipfile
from pathlib import Path

import pytest
import yaml  # type: ignore[import-untyped]

from bty_app import __version__
from bty_app.deploy import choices, files, marks, secret_files
from bty_app.deploy.choices import Choices
from bty_app.deploy.envvars import Envvars
from bty_app.deploy.marks import Origin, origin
from tests.pyz import tools

HERE = Path("/srv/rack")
TOLD = {"HOST_ADDR": "192.0.2.10", "WITHCACHE_ADMIN_PASSWORD": "one #1"}


def chosen(**told: str) -> Choices:
    return choices.read(files.example().changed(TOLD | told), HERE)


def unit(choice: Choices) -> dict[str, list[str]]:
    """The keys of bty's unit."""
    found: dict[str, list[str]] = {}
    for line in files.bty_unit(choice, HERE, "sha256:abc", "1.2.3").splitlines():
        if "=" in line and not line.startswith("#"):
            key, value = line.split("=", 1)
            found.setdefault(key, []).append(value)
    return found


def test_without_tftp_there_is_a_network_of_its_own_and_no_right() -> None:
    bty = yaml.safe_load(files.compose(chosen(), HERE))["services"]["bty"]
    quadlet = unit(chosen(BTY_PORT="80"))

    assert bty["ports"] == ["${BTY_PORT:-8080}:8080"]
    assert "network_mode" not in bty
    assert "cap_add" not in bty
    assert "command" not in bty
    assert quadlet["PublishPort"] == ["80:8080"]
    assert not {"Network", "AddCapability", "Exec"} & set(quadlet)


def test_with_tftp_there_is_the_network_of_the_host_and_one_right() -> None:
    choice = chosen(BTY_TFTP="yes", BTY_PORT="80")
    bty = yaml.safe_load(files.compose(choice, HERE))["services"]["bty"]
    quadlet = unit(choice)

    assert "ports" not in bty
    assert bty["network_mode"] == "host"
    assert bty["cap_add"] == ["NET_BIND_SERVICE"]
    assert bty["cap_drop"] == ["ALL"]
    assert bty["command"] == ["serve", "--tftp", "--proxy-dhcp"]
    assert bty["environment"]["BTY_SERVER_PORT"] == "${BTY_PORT:-8080}"
    assert "PublishPort" not in quadlet
    assert quadlet["Network"] == ["host"]
    assert quadlet["AddCapability"] == ["NET_BIND_SERVICE"]
    assert quadlet["DropCapability"] == ["all"]
    assert quadlet["Exec"] == ["serve --tftp --proxy-dhcp"]
    assert "BTY_SERVER_PORT=80\n" in files.environments(choice)[0].text


def test_a_data_directory_elsewhere_is_used_by_both() -> None:
    choice = chosen(BTY_HOST_DATA_DIR="/srv/x")
    services = yaml.safe_load(files.compose(choice, HERE))["services"]

    assert "${BTY_HOST_DATA_DIR:-/srv/x}/bty:/var/lib/bty:z" in services["bty"]["volumes"]
    assert "${BTY_HOST_DATA_DIR:-/srv/x}/withcache:/data:Z" in services["withcache"]["volumes"]
    assert unit(choice)["Volume"] == ["/srv/x/bty:/var/lib/bty:z"]
    assert "Volume=/srv/x/withcache:/data:Z\n" in files.withcache_unit(choice, HERE)


def test_a_unit_names_its_image_and_only_its_own_secrets() -> None:
    quadlet = unit(chosen())
    bty, cache = files.environments(chosen(BTY_ADMIN_PASSWORD="two"))

    assert quadlet["Image"] == ["sha256:abc"]
    assert quadlet["EnvironmentFile"] == [f"{HERE}/quadlet/bty.env"]
    assert quadlet["ReadOnly"] == quadlet["NoNewPrivileges"] == ["true"]
    assert quadlet["RestartPreventExitStatus"] == ["65 74 78"]
    assert {bty.mode, cache.mode} == {0o600}
    assert bty.text.splitlines()[1:] == [
        "BTY_ADMIN_PASSWORD=two",
        "BTY_WITHCACHE_URL=http://192.0.2.10:8081",
        "BTY_WITHCACHE_PASSWORD=one #1",
    ]
    assert cache.text.splitlines()[1:] == ["WITHCACHE_ADMIN_PASSWORD=one #1"]


def test_only_images_of_a_registry_are_updated_by_podman() -> None:
    name = "registry.example.com/bty:0.92"
    choice = chosen(BTY_IMAGE=name, BTY_AUTO_UPDATE="yes")

    assert "AutoUpdate=registry\n" in files.bty_unit(choice, HERE, name)
    assert "AutoUpdate" not in files.bty_unit(choice, HERE, "sha256:abc")
    assert "AutoUpdate" not in files.bty_unit(chosen(), HERE, "localhost/bty:1")
    assert "AutoUpdate" not in files.withcache_unit(choice, HERE)  # built on this host


def test_images_default_to_those_of_this_release() -> None:
    services = yaml.safe_load(files.compose(chosen(), HERE))["services"]

    assert services["bty"]["image"] == f"${{BTY_IMAGE:-localhost/bty:{__version__}}}"
    assert ":latest" not in str(services)
    assert ":latest" not in files.example().text


def test_dns_is_nobodys_business_but_the_hosts() -> None:
    both = files.compose(chosen(), HERE) + files.bty_unit(chosen(), HERE, "x")

    assert "dns" not in both.lower()


def test_no_file_but_the_private_ones_has_a_secret() -> None:
    choice = chosen(BTY_ADMIN_PASSWORD="two-secret", BTY_SYSTEMD="yes")

    for file in files.initial(choice, HERE, {}):
        assert "one #1" not in file.text
        assert "two-secret" not in file.text


def test_the_stack_has_the_places_of_passwords_and_each_service_its_own() -> None:
    text = files.compose(chosen(BTY_ADMIN_PASSWORD="two"), HERE)
    services = yaml.safe_load(text)["services"]

    assert "PASSWORD:" not in text
    assert "./secrets/bty:/run/passwords:ro,Z" in services["bty"]["volumes"]
    assert "./secrets/withcache:/run/passwords:ro,Z" in services["withcache"]["volumes"]
    shown = {name.rpartition("/")[2] for name in secret_files.NAMES if "/bty/" in name}
    told = services["bty"]["environment"]
    assert {told[name].removeprefix("/run/passwords/") for name in told if "FILE" in name} == shown


def test_a_mark_tells_ours_from_changed_and_foreign() -> None:
    text = marks.marked("a: 1\n")

    assert origin(text) is Origin.OURS
    assert origin(text + "b: 2\n") is Origin.CHANGED
    assert origin("a: 1\n") is Origin.FOREIGN
    assert marks.writer(text) == __version__


def test_the_pin_is_yaml_that_takes_the_place_of_the_image() -> None:
    pin = yaml.safe_load(files.override("sha256:abc", "1.2.3"))

    assert pin == {"services": {"bty": {"image": "sha256:abc", "pull_policy": "never"}}}


@pytest.mark.parametrize("changed", [False, True])
def test_withcache_is_the_version_of_its_containerfile(changed: bool) -> None:
    told = {"WITHCACHE_IMAGE": "registry.example.com/withcache:9"} if changed else {}

    found = files.withcache_image(chosen(**told))

    assert found == told.get("WITHCACHE_IMAGE", found)
    assert changed or files.template("withcache/Containerfile").count(found.split(":")[1]) == 1


def test_the_single_file_has_every_template(tmp_path: Path) -> None:
    built = tools.build(tmp_path / "bty.pyz", "--native=host")
    assert built.returncode == 0, built.stderr
    names = set(zipfile.ZipFile(tmp_path / "bty.pyz").namelist())

    for name in (
        *("Containerfile", "withcache/Containerfile", "compose.yml", "envvars.example"),
        *("quadlet/bty.container", "quadlet/withcache.container"),
    ):
        assert f"bty_app/deploy/templates/{name}" in names
    done = subprocess.run(
        [tools.PYTHON, "-I", tmp_path / "bty.pyz", "init", "--systemd", tmp_path / "a" / "b"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a/b/quadlet/bty.container").exists()


def test_the_example_is_for_every_program_that_reads_such_files() -> None:
    assert Envvars(files.example().text).values()
