"""The server, a registry and a cache, each a program of its own: what a box is told."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import tomli_w

from bty_app.upstream.http import Http
from tests import programs
from tests.file_host import file_host
from tests.upstream.test_registry import Pushed, layer, manifest

IMAGE = b"image" * 9999
MIRROR = "http://127.0.0.1:9/x.img"
ROLLING, FIXED = "52:54:00:00:00:01", "52:54:00:00:00:02"


@dataclass
class Place:
    """A server with its commands."""

    environment: dict[str, str]
    port: int
    registry: str
    origin: str

    def bty(self, *arguments: str) -> str:
        command = [sys.executable, "-m", "bty_app", *arguments]
        done = subprocess.run(
            command, env=self.environment, check=False, capture_output=True, text=True, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def bind(self, mac: str, name: str) -> None:
        entries = json.loads(self.bty("catalog", "list", "--json"))
        (ref,) = (e["bty_image_ref"] for e in entries if e["name"] == name)
        mode = ("--mode", "bty-flash-always")
        self.bty("machine", "set", mac, *mode, "--image", ref, "--serial", "S1")

    def plan(self, mac: str) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.port}/pxe/{mac}/plan"
        plan: dict[str, Any] = json.loads(Http().get(url, limit=10**5, seconds=30))
        return plan


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    port = programs.free_port()
    with (
        programs.registry(tmp_path) as registry,
        programs.withcache(tmp_path, "0.13") as cache,
        file_host(**{"x.img": IMAGE}) as origin,
    ):
        pushed = Pushed(registry)
        pushed.push("rolling", manifest(layer(b"rolls", "d.img.zst")), b"rolls")
        src, sha = origin.url("/x.img"), hashlib.sha256(IMAGE).hexdigest()
        images = [
            {"name": "rolling", "src": pushed.src("rolling")},
            {"name": "fixed", "src": src, "sha256": sha, "mirrors": [MIRROR]},
        ]
        catalog = tmp_path / "upstream.toml"
        catalog.write_text(tomli_w.dumps({"version": 1, "images": images}))
        environment = os.environ | {
            "BTY_PATHS_STATE_DIR": str(tmp_path / "state"),
            "BTY_UPSTREAM_CATALOG_URL": str(catalog),
            "BTY_REGISTRY_PLAIN_HTTP": pushed.host,
            "BTY_WITHCACHE_URL": f"http://127.0.0.1:{cache}",
            "BTY_SERVER_HOST": "127.0.0.1",
            "BTY_SERVER_PORT": str(port),
        }
        command = [sys.executable, "-m", "bty_app", "serve"]
        with programs.running(command, tmp_path / "serve.log", port, environment):
            yield Place(environment, port, pushed.host, src)


def test_a_box_is_told_every_place_and_the_digest_of_this_moment(place: Place) -> None:
    place.bty("catalog", "fetch")
    place.bind(ROLLING, "rolling")
    place.bind(FIXED, "fixed")
    warm = place.bty("catalog", "warm", "fixed").strip()

    rolling, fixed = place.plan(ROLLING), place.plan(FIXED)

    digest = hashlib.sha256(b"rolls").hexdigest()
    assert rolling["image"] == f"oras://{place.registry}/o/image:rolling"
    assert (rolling["disk_image_sha"], rolling["format"]) == (digest, "img.zst")
    assert rolling["sources"] == [
        {"from": "origin", "url": f"http://{place.registry}/v2/o/image/blobs/sha256:{digest}"}
    ]
    assert fixed["image"] == warm
    assert fixed["sources"] == [
        {"from": "cache", "url": warm},
        {"from": "mirror", "url": MIRROR},
        {"from": "origin", "url": place.origin},
    ]
