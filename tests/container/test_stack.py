"""The stack of `container/compose.yml`: an image goes from its origin over the cache to a box."""

from __future__ import annotations

import base64
import hashlib
import os
import tomllib
import urllib.parse
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.container import lab
from tests.container.images import CONTAINER
from tests.container.lab import Host
from tests.container.operator import Client, at, wait_for
from tests.file_host import FileHost, file_host

pytestmark = pytest.mark.system

MAC = "52-54-00-12-34-56"
NAME = "debian.img"
IMAGE = os.urandom(3 * 2**20)
SHA256 = hashlib.sha256(IMAGE).hexdigest()
# Characters that shells, compose files and URLs like to trip over.
PASSWORD = "one of my-own: 100% & more"
CACHE_PASSWORD = "another #1"


@dataclass(frozen=True, slots=True)
class Stack:
    """Both services in their containers, and a host elsewhere that images come from."""

    host: Host
    directory: Path
    origin: FileHost
    bty: Client

    @property
    def image(self) -> str:
        return self.origin.url(f"/{NAME}")

    @property
    def cached(self) -> str:
        """The image's address in the cache, as a machine must be told it."""
        token = base64.urlsafe_b64encode(self.image.encode()).decode().rstrip("=")
        return f"http://{self.host.address}:8081/b/{token}/{NAME}"

    def compose(self, *words: str) -> str:
        return _compose(self.host, self.directory, *words)

    def inspect(self, service: str) -> dict[str, Any]:
        labelled = f"label=com.docker.compose.service={service}"
        name = self.host.podman("ps", "--all", "--quiet", "--filter", labelled)
        return self.host.inspect(name)

    def plan(self) -> dict[str, Any]:
        """What a box is told that asks now."""
        told: dict[str, Any] = self.bty.ask("GET", f"/pxe/{MAC}/plan")
        return told

    def offered(self) -> str:
        """Where the catalog sends those who fetch the image."""
        images = tomllib.loads(self.bty.get("/catalog.toml").decode())["images"]
        return next(str(image["src"]) for image in images if image["name"] == NAME)


def _compose(host: Host, directory: Path, *words: str, check: bool = True) -> str:
    files = ("-f", directory / "compose.yml", "--env-file", directory / "envvars")
    done = host.run(lab.podman_compose(), *files, *words, check=check)
    return done.stdout.strip() if check else done.stdout + done.stderr


def _deployed(directory: Path, *, admin: str = "", cache: str = "secret", **told: str) -> Path:
    """A directory as the documents have it made."""
    secrets = directory / "secrets"
    secrets.mkdir(mode=0o700)
    for name, text in (
        ("bty/admin-password", admin),
        ("bty/withcache-password", cache),
        ("withcache/admin-password", cache),
    ):
        (secrets / name).parent.mkdir(exist_ok=True)
        (secrets / name).write_text(f"{text}\n")
    (directory / "compose.yml").write_bytes((CONTAINER / "compose.yml").read_bytes())
    (directory / "envvars").write_text("".join(f"{k}={v}\n" for k, v in told.items()))
    for name in ("bty", "withcache"):
        (directory / "data" / name).mkdir(parents=True, mode=0o700)
        os.chown(directory / "data" / name, 1000, 1000)
    return directory


@pytest.fixture(scope="module")
def stack(host: Host, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    directory = _deployed(
        tmp_path_factory.mktemp("stack"),
        admin=PASSWORD,
        cache=CACHE_PASSWORD,
        HOST_ADDR=host.address,
    )
    with file_host(host.our_address, **{NAME: IMAGE, "SHA256SUMS": _sums()}) as origin:
        _compose(host, directory, "up", "--detach")
        try:
            at(host, 8081)
            yield Stack(host, directory, origin, at(host, 8080))
        finally:
            _compose(host, directory, "down", "--volumes")


def _sums() -> bytes:
    return f"{SHA256}  {NAME}\n".encode()


def test_both_services_are_confined(stack: Stack) -> None:
    for service in ("bty", "withcache"):
        found = stack.inspect(service)

        assert found["HostConfig"]["ReadonlyRootfs"]
        assert found["EffectiveCaps"] in (None, [])
        assert found["HostConfig"]["SecurityOpt"] == ["no-new-privileges"]
        assert found["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
        assert found["Config"]["User"] == "1000:1000"
        stack.host.podman("healthcheck", "run", found["Id"])


def test_the_passwords_in_envvars_are_those_that_count(stack: Stack) -> None:
    stranger = Client(f"http://{stack.host.address}:8080")

    assert not stranger.log_in("bty-lab")
    assert stranger.log_in(PASSWORD)
    assert not (stack.directory / "data/bty/admin-password").exists()


def test_a_bound_image_gets_into_the_cache_and_machines_fetch_it_from_there(stack: Stack) -> None:
    assert stack.bty.log_in(PASSWORD)
    added = stack.bty.ask(
        *("POST", "/catalog/entries"),
        {"image_url": stack.image, "sha_url": stack.origin.url("/SHA256SUMS")},
    )
    before = stack.offered()
    order = {"boot_mode": "bty-flash-always", "bty_image_ref": added["bty_image_ref"]}
    stack.bty.ask("PUT", f"/machines/{MAC}", order | {"target_disk_serial": "S1"})

    wait_for(lambda: stack.offered() == stack.cached, "the catalog to name the cache")
    plan = stack.plan()
    fetched = Client(f"http://{stack.host.address}:8081").get(
        urllib.parse.urlsplit(plan["image"]).path
    )

    assert before == stack.image
    assert plan["mode"] == "flash"
    assert plan["image"] == stack.cached
    assert [source["url"] for source in plan["sources"]] == [stack.cached, stack.image]
    assert hashlib.sha256(fetched).hexdigest() == plan["disk_image_sha"] == SHA256
    assert stack.origin.gets(f"/{NAME}") == 1


def test_without_the_cache_machines_are_sent_to_the_origin(stack: Stack) -> None:
    stack.compose("stop", "withcache")

    wait_for(lambda: stack.plan()["image"] == stack.image, "the plan to name the origin")
    plan = stack.plan()

    assert [source["url"] for source in plan["sources"]] == [stack.image]


def test_a_missing_variable_stops_the_start_by_name(bare_host: Host, tmp_path: Path) -> None:
    directory = _deployed(tmp_path, HOST_ADDR="")

    said = _compose(bare_host, directory, "up", "--detach", check=False)

    ours = f"label=com.docker.compose.project={directory.name}"
    assert "set HOST_ADDR to" in said
    assert bare_host.podman("ps", "--all", "--quiet", "--filter", ours) == ""


def test_the_cache_does_not_serve_without_a_password(host: Host, tmp_path: Path) -> None:
    directory = _deployed(tmp_path, cache="", HOST_ADDR=host.address, WITHCACHE_PORT="9081")

    said = _compose(host, directory, "run", "--rm", "withcache", check=False)

    assert "withcache: put its password into secrets/withcache/admin-password" in said
