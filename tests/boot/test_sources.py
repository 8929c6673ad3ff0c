"""Where the bytes come from, in virtual machines: a registry, a cache, and a mirror with faults."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests import programs
from tests.boot.guest_view import guest_view
from tests.boot.machine import HOST, Machine
from tests.boot.mirror import FickleMirror
from tests.boot.rack import (
    HEAD,
    PACKED,
    STORY_SECONDS,
    Rack,
    image,
    rack,
    to_the_disk,
)
from tests.boot.server import Server
from tests.upstream.test_registry import Pushed, layer, manifest

pytestmark = pytest.mark.boot

STALL_SECONDS = 5
GIVEN_UP_SECONDS = 300.0


def catalog_of(directory: Path, src: str, packed: bytes | None) -> Path:
    path = directory / "catalog.toml"
    lines = ["version = 1", "[[images]]", 'name = "proof.img.zst"', f'src = "{src}"']
    if packed is not None:
        lines += [f'sha256 = "{hashlib.sha256(packed).hexdigest()}"', f"size_bytes = {len(packed)}"]
    path.write_text("\n".join(lines) + "\n", "utf-8")
    return path


@contextmanager
def from_registry(directory: Path, pyz: Path, live_set: Path) -> Iterator[tuple[Rack, str]]:
    """A registry without TLS, and a tag in it."""
    packed = PACKED["img.zst"](image())
    with programs.registry(directory) as port, guest_view() as view, FickleMirror(b"") as mirror:
        Pushed(port).push("one", manifest(layer(packed, "proof.img.zst")), packed)
        host = f"{HOST}:{port}"
        more = {"http_proxy": view, "BTY_REGISTRY_PLAIN_HTTP": host}
        with Server(pyz, directory, live_set, **more) as server:
            server.import_catalog(catalog_of(directory, f"oras://{host}/o/image:one", None))
            yield Rack(server, mirror, directory), "origin"


@contextmanager
def from_cache(directory: Path, pyz: Path, live_set: Path) -> Iterator[tuple[Rack, str]]:
    """A cache that has the image, whose origin has gone."""
    packed = PACKED["img.zst"](image())
    with (
        guest_view() as view,
        programs.withcache(directory, "0.13", http_proxy=view) as port,
        FickleMirror(packed) as mirror,
    ):
        src = f"http://{HOST}:{mirror.port}/proof.img.zst"
        more = {"http_proxy": view, "BTY_WITHCACHE_URL": f"http://{HOST}:{port}"}
        with Server(pyz, directory, live_set, **more) as server:
            server.warm(server.import_catalog(catalog_of(directory, src, packed)))
            mirror.gone()
            yield Rack(server, mirror, directory), "cache"


@pytest.mark.parametrize("source", [from_registry, from_cache])
def test_a_blank_disk_is_flashed_from(
    source: Callable[..., AbstractContextManager[tuple[Rack, str]]],
    pyz: Path,
    live_set: Path,
    tmp_path: Path,
) -> None:
    with source(tmp_path, pyz, live_set) as (place, label):
        box = place.box()
        place.order()

        log = to_the_disk(box, place.server)

        flashed = place.event("machine.flashed")
        assert f"MiB of {label}" in log, flashed
        assert "machine.flash_failed" not in place.kinds()
        assert box.disk.read_bytes()[: len(image())] == image()


def test_a_mirror_that_breaks_off_and_stalls_is_gone_on_with_at_the_very_byte(
    proof_rack: Rack,
) -> None:
    mirror = proof_rack.mirror
    proof_rack.server.set("flash.stall_seconds", str(STALL_SECONDS))
    size = len(mirror.image)
    breaks = [size // 8, size // 4, size // 3]
    # So soon after its beginning that the first seconds of this connection are without a pace.
    stall = breaks[-1] + 32 * 1024
    mirror.break_off_at(*breaks)
    mirror.stall_at(stall)
    box = proof_rack.box()
    proof_rack.order()

    to_the_disk(box, proof_rack.server)

    kinds = proof_rack.kinds()
    assert {*breaks, stall} <= set(mirror.starts)
    assert mirror.starts.count(0) == 1
    assert kinds.count("machine.flashed") == 1
    assert "machine.flash_failed" not in kinds
    assert box.disk.read_bytes()[: len(image())] == image()


def test_a_mirror_whose_file_ends_too_early_is_told_and_the_disk_does_not_boot(
    pyz: Path, live_set: Path, tmp_path: Path
) -> None:
    """Not even what was on the disk before: its beginning is the first to go."""
    with rack(pyz, live_set, tmp_path, "img") as place:
        place.mirror.image = place.mirror.image[: len(place.mirror.image) * 3 // 4]
        box = place.box()
        with box.disk.open("r+b") as disk:
            disk.write(image())
        place.order()

        with Machine(box, place.server.port):
            failed = place.event("machine.flash_failed")
            left = box.disk.read_bytes()

    assert "as was promised; the disk does not boot" in json.dumps(failed["details"])
    assert not any(left[:HEAD])


def test_a_mirror_whose_last_bytes_never_come_is_given_up_and_the_disk_does_not_boot(
    pyz: Path, live_set: Path, tmp_path: Path
) -> None:
    """It promises the whole length, and each connection stays open at the end: seven in a row that
    bring nothing, and a minute of pauses between them.
    """
    with rack(pyz, live_set, tmp_path, "img") as place:
        place.server.set("flash.stall_seconds", str(STALL_SECONDS))
        place.mirror.never_end(4096)
        box = place.box()
        with box.disk.open("r+b") as disk:
            disk.write(image())
        place.order()

        with Machine(box, place.server.port) as machine:
            machine.wait_for("trying again", STORY_SECONDS)
            machine.wait_for("FAILED", GIVEN_UP_SECONDS)
            failed = place.event("machine.flash_failed")
            left = box.disk.read_bytes()

        assert f"bytes came in {STALL_SECONDS} seconds" in json.dumps(failed["details"])
        assert "machine.flashed" not in place.kinds()
    assert place.mirror.starts.count(0) == 1
    assert place.mirror.starts[1:] == [len(place.mirror.image) - 4096] * 7
    assert not any(left[:HEAD])
