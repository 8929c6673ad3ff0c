"""The commands of "run in a container", as they stand on the page, on a host of their own.

NOT RUN HERE: what takes systemd (`tests/boot/test_systemd_host.py` has it), and the build of the
images, which the fixtures do by the same commands.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bty_app import __version__
from tests.container import lab
from tests.container.conftest import OLD
from tests.container.images import CONTAINER
from tests.container.lab import Host
from tests.container.operator import Client, at
from tests.how_to.host import ROOT, Block, blocks

pytestmark = pytest.mark.system

PAGE = ROOT / "docs/how-to/run-in-a-container.md"
ELSEWHERE = {"With systemd", "Build the images"}
SUDO = '#!/bin/sh\nexec "$@"\n'


@dataclass(frozen=True, slots=True)
class Reader:
    """Somebody who types what the page says, in a checkout; `/srv` is empty at first."""

    host: Host
    checkout: Path

    def install(self, pyz: Path) -> None:
        """Have `bty` be that release."""
        shim = self.checkout / "bin/bty"
        shim.write_text(f'#!/bin/sh\nexec {sys.executable} {pyz} "$@"\n')
        shim.chmod(0o755)

    def types(self, commands: str, place: str = "") -> str:
        """Run commands as bash does that stops at the first failure."""
        tools = Path(lab.podman_compose()).parent
        path = f"{self.checkout}/bin:{tools}:{os.environ['PATH']}"
        script = f"cd {place or self.checkout}\n{commands}"
        done = self.host.run("env", f"PATH={path}", "bash", "-euo", "pipefail", "-c", script)
        return done.stdout + done.stderr

    def follows(self, block: Block, place: str = "") -> str:
        """Type one command after the other, as a person does who looks what came of the first."""
        said = ""
        for command in block.text.replace("\\\n", " ").splitlines():
            if command.startswith("cd "):
                place = command.removeprefix("cd ")
                continue
            # doctor has findings on a new host: that is its status 1, and no failure.
            said += self.types(
                f"{command} || [ $? = 1 ]" if "doctor" in command else command, place
            )
            if "run -d" in command or "up -d" in command:  # it starts in the background
                at(self.host, 8080)
        return said

    def reads(self, heading: str, place: str = "") -> str:
        """Follow all that stands under a heading, in order."""
        return "".join(self.follows(block, place) for block in found(heading))


def found(heading: str) -> list[Block]:
    """The commands under a heading of the page."""
    here = [block for block in blocks(PAGE) if block.heading == heading]
    assert here, f"the page has no commands under {heading!r}"
    return here


@pytest.fixture
def reader(host: Host, pyz: Path, tmp_path: Path) -> Iterator[Reader]:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/sudo").write_text(SUDO)
    (tmp_path / "bin/sudo").chmod(0o755)
    (tmp_path / "dist").mkdir()
    (tmp_path / "dist/bty.pyz").symlink_to(pyz)
    (tmp_path / "container").symlink_to(CONTAINER)
    host.run("mount", "-t", "tmpfs", "none", "/srv")
    try:
        yield Reader(host, tmp_path)
    finally:
        host.clear()
        host.run("umount", "--lazy", "/srv")  # what was killed may take a moment to let go


def version(reader: Reader) -> object:
    return at(reader.host, 8080).ask("GET", "/version")["version"]


def password(reader: Reader) -> str:
    return reader.types("cat data/bty/admin-password", "/srv/bty").strip()


def test_deploying_looking_upgrading_and_taking_it_away(reader: Reader, old_pyz: Path) -> None:
    reader.install(old_pyz)

    said = reader.reads("Deploy")
    assert f"http://{reader.host.address}:8080" in said
    assert Client(f"http://{reader.host.address}:8080").log_in(password(reader))
    reader.reads("Choices")
    reader.reads("TFTP and proxy DHCP")
    assert ":69" in reader.host.run("ss", "-lun").stdout
    said = reader.reads("Day by day", "/srv/bty")
    assert "withcache" in said
    assert version(reader) == OLD

    (block,) = found("Upgrade")
    said = reader.types(block.text.replace("upgrade /srv", "upgrade --watch 3 /srv"))
    assert f"bty {OLD} would become {__version__}" in said
    assert version(reader) == __version__

    said = reader.reads("Take it away")
    assert reader.host.podman("ps", "--all", "--quiet") == ""
    assert "keep the state" in said
    assert password(reader)


def test_the_same_by_hand(reader: Reader) -> None:
    first, *_ = found("bty alone")
    generated = reader.follows(first).strip().splitlines()[-1]
    assert at(reader.host, 8080).log_in(generated)
    reader.host.clear()

    prepare, make, start, again = found("bty with its cache")
    reader.follows(prepare)
    reader.follows(make)
    wanted = f"s/^HOST_ADDR=.*/HOST_ADDR={reader.host.address}/"
    reader.types(f"sed -i '{wanted}' /srv/bty/envvars")
    reader.follows(start)
    assert at(reader.host, 8080).log_in(password(reader))
    reader.follows(again, "/srv/bty")
    assert at(reader.host, 8080).log_in(password(reader))


def test_no_part_of_the_page_is_passed_over() -> None:
    mine = {"Deploy", "Choices", "TFTP and proxy DHCP", "Day by day", "Upgrade", "Take it away"}
    mine |= {"bty alone", "bty with its cache"}

    assert {block.heading for block in blocks(PAGE)} == mine | ELSEWHERE
