"""No password of a compose deployment is in an argument of a program or in an environment."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bty_app import __version__
from bty_app.deploy import marks
from tests.container.conftest import OLD
from tests.container.deployer import Operator
from tests.container.lab import Host, podman_compose, programs_path
from tests.container.operator import Client, at, wait_for
from tests.pyz import tools

pytestmark = pytest.mark.system

ADMIN, CACHE = "Open sesame 100% #1", "an0ther-Pa$$word"
# Writes its own arguments down, those of the program above it, and then is the real one.
_TELLS = """#!/bin/sh
tr '\\0' ' ' <"/proc/$PPID/cmdline" >>{log}
printf '\\n%s %s\\n' "${{0##*/}}" "$*" >>{log}
exec {program} "$@"
"""


@dataclass(frozen=True, slots=True)
class Watched:
    """An operator whose programs write down how they are called."""

    operator: Operator
    log: Path
    path: str

    def bty(self, *words: str | Path) -> str:
        """Run the single file; what it said."""
        done = self.operator.bty(*words, path=self.path)
        return done.stdout + done.stderr

    def deploy(self, *words: str) -> str:
        """`bty deploy` into the directory."""
        return self.bty("deploy", *words, self.operator.directory)

    def known_of_containers(self) -> str:
        """All that podman tells of all containers."""
        found = [self.operator.host.inspect(each.split()[0]) for each in self.operator.containers()]
        assert len(found) == 2
        return json.dumps(found, ensure_ascii=False)


@pytest.fixture
def watched(host: Host, pyz: Path, tmp_path: Path) -> Iterator[Watched]:
    bin_, log = tmp_path / "bin", tmp_path / "called"
    bin_.mkdir()
    for name, program in (("podman", "/usr/bin/podman"), ("podman-compose", podman_compose())):
        (bin_ / name).write_text(_TELLS.format(log=log, program=program))
        (bin_ / name).chmod(0o755)
    operator = Operator(host, pyz, tmp_path / "srv")
    yield Watched(operator, log, f"{bin_}:/usr/bin:/bin:/usr/sbin:/sbin")
    host.clear()


def _choose(watched: Watched, **told: str) -> None:
    """Write choices into `envvars`."""
    directory = watched.operator.directory
    directory.mkdir(exist_ok=True)
    told = {"HOST_ADDR": watched.operator.host.address, **told}
    (directory / "envvars").write_text("".join(f"{k}='{v}'\n" for k, v in told.items()))


def _fills(client: Client, password: str) -> bool:
    """Whether withcache takes an order with that password."""
    request = urllib.request.Request(
        f"{client.url}/catalog/entries",
        json.dumps({"name": password[:1], "src": "http://192.0.2.1/x.img"}).encode(),
        {"Content-Type": "application/json", "Authorization": f"Bearer {password}"},
    )
    try:
        with urllib.request.urlopen(request, timeout=20):
            return True
    except urllib.error.HTTPError as error:
        if error.code != 401:
            raise
        return False


def test_no_password_is_in_an_argument_or_in_what_podman_tells(watched: Watched) -> None:
    _choose(watched, BTY_ADMIN_PASSWORD=ADMIN, WITHCACHE_ADMIN_PASSWORD=CACHE)

    said = watched.deploy()
    cache = at(watched.operator.host, 8081)
    works = (at(watched.operator.host, 8080).log_in(ADMIN), _fills(cache, CACHE))
    refused = (_fills(cache, "x"), _fills(cache, ""))
    called = watched.log.read_text()
    told = watched.known_of_containers()
    directory = watched.operator.directory

    assert works == (True, True)
    assert refused == (False, False)
    assert " create " in called
    assert "podman-compose" in called
    for text in (called, told, said):
        assert ADMIN not in text
        assert CACHE not in text
    assert (directory / "secrets").stat().st_mode & 0o777 == 0o700
    assert (directory / "secrets/bty/admin-password").read_text() == f"{ADMIN}\n"
    assert not (directory / "data/bty/admin-password").exists()


def test_another_password_starts_anew_what_it_is_of_and_nothing_else(watched: Watched) -> None:
    _choose(watched, WITHCACHE_ADMIN_PASSWORD=CACHE)
    watched.deploy()
    before = watched.operator.containers()
    generated = (watched.operator.directory / "data/bty/admin-password").read_text().strip()
    assert at(watched.operator.host, 8080).log_in(generated)
    _choose(watched, WITHCACHE_ADMIN_PASSWORD=CACHE, BTY_ADMIN_PASSWORD=ADMIN)

    watched.deploy()
    after = watched.operator.containers()
    watched.deploy()

    assert at(watched.operator.host, 8080).log_in(ADMIN)
    assert len(set(before) & set(after)) == 1  # withcache
    assert watched.operator.containers() == after


@pytest.fixture
def of_0_92(watched: Watched, old_pyz: Path) -> Watched:
    """A deployment whose files 0.92.0 wrote, which had its passwords in the environment."""
    del old_pyz  # its image is what we need
    directory = watched.operator.directory
    _choose(watched, BTY_ADMIN_PASSWORD=ADMIN, WITHCACHE_ADMIN_PASSWORD=CACHE)
    for file in (tools.ROOT / "tests/data/deploy-0.92.0").iterdir():
        (directory / file.name).write_bytes(file.read_bytes())
    image = watched.operator.host.podman(
        "image", "inspect", "--format", "{{.Id}}", f"localhost/bty:{OLD}"
    )
    pin = marks.marked(f'# release: {OLD}\nservices:\n  bty:\n    image: "sha256:{image}"\n')
    (directory / "compose.override.yml").write_text(pin.replace(__version__, OLD))
    for name in ("bty", "withcache"):
        install = ("install", "-d", "-o", "1000", "-g", "1000", "-m", "0700")
        watched.operator.host.run(*install, directory / "data" / name)
    words = "-f compose.yml -f compose.override.yml --env-file envvars up -d"
    line = f"cd {directory} && podman-compose {words}"
    watched.operator.host.run(*programs_path(), "sh", "-c", line)
    assert at(watched.operator.host, 8080).log_in(ADMIN)
    return watched


def test_a_deployment_of_0_92_keeps_its_passwords_and_its_name(of_0_92: Watched) -> None:
    operator, directory = of_0_92.operator, of_0_92.operator.directory
    envvars = (directory / "envvars").read_bytes()
    assert ADMIN in of_0_92.known_of_containers()

    said = of_0_92.bty("upgrade", "--watch", "1", directory)
    told = of_0_92.known_of_containers()
    wait_for(lambda: at(operator.host, 8081), "withcache to answer")

    assert f"bty {__version__} is ready, in place of {OLD}" in said
    assert at(operator.host, 8080).log_in(ADMIN)
    assert _fills(at(operator.host, 8081), CACHE)
    assert (directory / "envvars").read_bytes() == envvars
    for text in (told, said, of_0_92.log.read_text()):
        assert ADMIN not in text
        assert CACHE not in text
    assert operator.host.podman("ps", "--format", "{{.Names}}").split() == [
        "srv_bty_1",
        "srv_withcache_1",
    ]
