"""A deployment whose image is in a registry: a real one, which moves its tags and goes away."""

from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from bty_app import __version__
from tests import programs
from tests.container.conftest import OLD
from tests.container.deployer import Operator
from tests.container.lab import Host
from tests.container.operator import at
from tests.upstream.test_registry import HTPASSWD

pytestmark = pytest.mark.system

CONF = "/etc/containers/registries.conf.d/test.conf"
BASE = "docker.io/library/python:3.13-slim-trixie"
_REGISTRY = '[[registry]]\nlocation = "{name}"\ninsecure = true\n'


@dataclass
class Shelf:
    """A registry on our side of the wire, that the host speaks to without TLS."""

    host: Host
    directory: Path
    htpasswd: str = ""
    port: int = 0
    _runs: ExitStack | None = None

    @property
    def name(self) -> str:
        """As it stands in the name of an image."""
        return f"{self.host.our_address}:{self.port}"

    def open(self) -> None:
        """Begin to answer, with all that was there before."""
        self._runs = ExitStack()
        self.port = self._runs.enter_context(
            programs.registry(
                self.directory,
                htpasswd=self.htpasswd,
                address=self.host.our_address,
                port=self.port,
            )
        )
        text = _REGISTRY.format(name=self.name)
        self.host.run("mkdir", "-p", str(Path(CONF).parent))
        self.host.run("sh", "-c", f"cat >{CONF} <<'E'\n{text}E")

    def close(self) -> None:
        """Be gone."""
        if self._runs:
            self._runs.close()
        self._runs = None

    def has(self, image: str, name: str) -> str:
        """Put an image of the host there under that name; its whole name."""
        self.host.podman("push", "--quiet", image, f"{self.name}/{name}")
        return f"{self.name}/{name}"


@pytest.fixture
def shelf(host: Host, tmp_path: Path) -> Iterator[Shelf]:
    (tmp_path / "registry").mkdir()
    found = Shelf(host, tmp_path / "registry")
    found.open()
    yield found
    found.close()
    host.run("rm", "-f", CONF, "/run/containers/0/auth.json")


@pytest.fixture
def operator(host: Host, pyz: Path, tmp_path: Path) -> Iterator[Operator]:
    yield Operator(host, pyz, tmp_path / "srv")
    host.clear()


def _pin(operator: Operator) -> str:
    """What compose is told to run."""
    text = (operator.directory / "compose.override.yml").read_text()
    found = re.search(r'^    image: "(.*)"$', text, re.MULTILINE)
    assert found
    return found[1]


def _serves(operator: Operator) -> object:
    return at(operator.host, 8080).ask("GET", "/version")["version"]


def test_what_a_tag_means_later_changes_nothing_until_an_upgrade(
    operator: Operator, shelf: Shelf, old_pyz: Path
) -> None:
    image = shelf.has(f"localhost/bty:{OLD}", f"bty:{OLD}")
    shelf.has(f"localhost/bty:{__version__}", f"bty:{__version__}")
    before = replace(operator, pyz=old_pyz)
    before.deploy("--host-addr", operator.host.address, "--image", image)
    pinned, running = _pin(operator), operator.containers()

    shelf.has("localhost/withcache", f"bty:{OLD}")  # the tag moves
    before.deploy()
    same = operator.containers()
    operator.bty("purge", "--yes", operator.directory)
    operator.host.podman("rmi", "--force", pinned, image)
    before.deploy()  # what is gone is pulled by its digest
    assert (_serves(operator), _pin(operator)) == (OLD, pinned)
    assert re.fullmatch(rf"{re.escape(shelf.name)}/bty@sha256:[0-9a-f]{{64}}", pinned)
    assert same == running

    shelf.close()
    running = operator.containers()
    failed = operator.bty("upgrade", "--watch", "1", operator.directory, check=False)
    assert failed.returncode == 1
    assert f"nothing was changed, and bty {OLD} is what is installed" in failed.stdout
    assert f"Look whether the registry {shelf.name} can be reached" in failed.stdout
    assert operator.containers() == running

    shelf.open()
    envvars = operator.envvars()
    done = operator.bty("upgrade", "--watch", "1", operator.directory)
    assert f"bty {__version__} is ready, in place of {OLD}" in done.stdout
    assert _serves(operator) == __version__
    assert _pin(operator).startswith(f"{shelf.name}/bty@sha256:")
    assert _pin(operator) != pinned
    running = operator.containers()
    operator.deploy()  # `envvars` has the older tag still
    assert operator.envvars() == envvars
    assert operator.containers() == running


@pytest.mark.parametrize(
    ("image", "status", "words"),
    [
        (f"bty@sha256:{'0' * 64}", 69, "can be reached and has it"),
        ("bty:9.9.9", 78, f"names bty 9.9.9, and this program is bty {__version__}"),
        (f"wrong:{__version__}", 78, f"has bty {OLD} in it, and not {__version__}"),
        ("other:latest", 78, "is none of bty, set BTY_IMAGE in envvars"),
        ("nothing:latest", 69, "can be reached and has it"),
    ],
)
def test_an_image_that_cannot_be_it_is_refused_before_anything_is_started(
    operator: Operator, shelf: Shelf, old_pyz: Path, image: str, status: int, words: str
) -> None:
    del old_pyz  # its image is what we need
    shelf.has(f"localhost/bty:{OLD}", f"wrong:{__version__}")
    shelf.has(BASE, "other:latest")
    told = ("--host-addr", operator.host.address, "--image", f"{shelf.name}/{image}")

    done = operator.deploy("--no-start", *told, check=False)

    assert done.returncode == status, done.stderr
    assert words in done.stderr.splitlines()[-1]
    assert not (operator.directory / "compose.override.yml").exists()
    assert operator.containers() == []


@pytest.mark.parametrize(
    ("image", "words"),
    [
        ("bty:latest", f"has bty {OLD} in it, and not {__version__}: set BTY_IMAGE"),
        ("bty@{digest}", f"has bty {OLD} in it, and not {__version__}: set BTY_IMAGE"),
    ],
)
def test_an_upgrade_to_a_name_that_has_the_old_release_still_changes_nothing(
    operator: Operator, shelf: Shelf, old_pyz: Path, image: str, words: str
) -> None:
    name = shelf.has(f"localhost/bty:{OLD}", "bty:latest")
    operator.host.podman("pull", "--quiet", name)
    form = "{{index .RepoDigests 0}}"
    digests = operator.host.podman("image", "inspect", "--format", form, name)
    image = image.format(digest=digests.partition("@")[2])
    told = ("--host-addr", operator.host.address, "--image", f"{shelf.name}/{image}")
    replace(operator, pyz=old_pyz).deploy("--no-start", *told)
    pinned = _pin(operator)

    done = operator.bty("upgrade", operator.directory, check=False)

    assert done.returncode == 1, done.stderr
    assert "nothing was changed" in done.stdout
    assert words in done.stdout
    assert _pin(operator) == pinned


def test_a_registry_that_wants_a_login_is_named_with_the_command(
    operator: Operator, shelf: Shelf
) -> None:
    image = shelf.has(f"localhost/bty:{__version__}", f"bty:{__version__}")
    shelf.close()
    shelf.htpasswd = HTPASSWD
    shelf.open()
    told = ("--no-start", "--host-addr", operator.host.address, "--image", image)
    advice = f"where it wants a login, run `podman login {shelf.name}` as this user"

    stranger = operator.deploy(*told, check=False)
    wrong = {"auths": {shelf.name: {"auth": b64encode(b"me:wrong").decode()}}}
    place = "/run/containers/0/auth.json"
    operator.host.run(
        "sh", "-c", f"mkdir -p /run/containers/0; echo '{json.dumps(wrong)}' >{place}"
    )
    mistaken = operator.deploy(*told, check=False)
    operator.host.podman("login", "--username", "me", "--password", "secret", shelf.name)
    operator.deploy(*told)

    for refused in (stranger, mistaken):
        assert refused.returncode == 69
        assert advice in refused.stderr.splitlines()[-1]
        assert "unauthorized" in refused.stderr
    assert _pin(operator).startswith(f"{shelf.name}/bty@sha256:")
