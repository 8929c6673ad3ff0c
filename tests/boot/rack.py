"""A server, the image of a disk that boots, and the box of a story."""

from __future__ import annotations

import hashlib
import lzma
import random
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zlib import compressobj

from tests.boot import proof_disk
from tests.boot.machine import HOST, Box, Machine
from tests.boot.mirror import FickleMirror
from tests.boot.server import Server

MAC, SERIAL = "52:54:00:b0:07:03", "PROOF-0002"
DISK_BYTES, IMAGE_BYTES = 96 << 20, 40 << 20
HEAD = 1 << 20
STORY_SECONDS = 240.0


def image() -> bytes:
    """A disk that boots, with noise, long runs of zeros, and an end that fits no block."""
    noise = random.Random(7)  # noqa: S311 - the same image each time
    parts = [
        proof_disk.image(),
        noise.randbytes(6 << 20),
        bytes(20 << 20),
        noise.randbytes(5 << 20),
    ]
    return b"".join(parts).ljust(IMAGE_BYTES - 512 * 3, b"\0") + noise.randbytes(512)


def gzipped(data: bytes) -> bytes:
    packer = compressobj(1, wbits=31)
    return packer.compress(data) + packer.flush()


def zstd(data: bytes) -> bytes:
    return subprocess.run(["zstd", "-q", "-3"], input=data, capture_output=True, check=True).stdout


PACKED: dict[str, Callable[[bytes], bytes]] = {
    "img": bytes,
    "img.gz": gzipped,
    "img.xz": lambda data: lzma.compress(data, preset=0),
    "img.zst": zstd,
}


@dataclass
class Rack:
    """A server with an image in its catalog, and where the image comes from."""

    server: Server
    mirror: FickleMirror
    directory: Path

    def box(self, **more: Any) -> Box:
        disk = self.directory / "disk.img"
        with disk.open("wb") as file:
            file.truncate(DISK_BYTES)
        return Box(MAC, disk, SERIAL, **{"memory_mib": 384, **more})

    def order(self, serial: str = SERIAL, *, mode: str = "bty-flash-once") -> None:
        [found] = self.server.get("/images")
        wanted = {"boot_mode": mode, "bty_image_ref": found["ref"], "target_disk_serial": serial}
        self.server.put(f"/machines/{MAC}", wanted)

    def kinds(self) -> list[str]:
        return [told.split(" ")[0] for told in self.server.story(MAC)]

    def event(self, kind: str) -> dict[str, Any]:
        """The only event of a kind, waited for."""
        until = time.monotonic() + STORY_SECONDS
        while time.monotonic() < until:
            query = f"/events?subject_kind=machine&subject_id={MAC}&kind={kind}"
            if found := self.server.get(query)["events"]:
                assert len(found) == 1, found
                return dict(found[0])
            time.sleep(0.5)
        raise AssertionError(f"no event {kind} of {self.kinds()}")


@contextmanager
def rack(pyz: Path, live_set: Path, directory: Path, form: str = "img.zst") -> Iterator[Rack]:
    packed = PACKED[form](image())
    with FickleMirror(packed) as mirror:
        catalog = directory / "catalog.toml"
        catalog.write_text(
            f'version = 1\n[[images]]\nname = "proof.{form}"\n'
            f'src = "http://{HOST}:{mirror.port}/proof.{form}"\n'
            f'sha256 = "{hashlib.sha256(packed).hexdigest()}"\nsize_bytes = {len(packed)}\n'
        )
        with Server(pyz, directory, live_set) as server:
            server.import_catalog(catalog)
            yield Rack(server, mirror, directory)


def to_the_disk(box: Box, server: Server) -> str:
    with Machine(box, server.port) as machine:
        machine.wait_for(proof_disk.MARKER, STORY_SECONDS)
        machine.wait_for_power_off()
        return machine.log
