"""The commands of how-to pages do on a host what the page says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.how_to.host import ROOT, Block, Host, blocks
from tests.original_state import AT, make_original

pytestmark = pytest.mark.system

PAGES = ROOT / "docs/how-to"
_SEED = "systemctl start bty\n"
LSHW = '{"id": "box", "class": "system"}'
DISKS = '[{"path": "/dev/sda", "serial": "S1", "size_bytes": 1000}]'


def nothing(_host: Host) -> None:
    """A host that is new."""


def of_the_original(host: Host) -> None:
    """A state directory that the original left."""
    machines: list[tuple[object, ...]] = [
        (f"02:00:00:00:00:0{n}", DISKS, AT, LSHW, AT) for n in range(3)
    ]
    make_original(host.state, machines, "0.65.18")


@dataclass(frozen=True, slots=True)
class Walk:
    """A page, or those parts of it: the host before it, and what must be said.

    `first` and `then` are commands in front of its own and behind them. Those of `ahead` stand in
    front of the block that has a text in it: what another person or host does in between.
    """

    page: str
    before: Callable[[Host], None] = nothing
    first: str = ""
    then: str = ""
    said: tuple[str, ...] = field(default=())
    parts: tuple[str, ...] = ()
    ahead: tuple[tuple[str, str], ...] = ()

    def script(self) -> str:
        """All commands in their order. The network of documents is the loopback here."""
        walked = [block.text for block in self.blocks()]
        texts = [text for text in walked if text]
        for has, commands in self.ahead:
            at = next(at for at, text in enumerate(texts) if has in text)
            texts.insert(at, commands)
        return "".join([self.first, "set -x\n", *texts, self.then]).replace("192.0.2.", "127.0.0.")

    def blocks(self) -> list[Block]:
        """What it walks."""
        return [
            block
            for block in blocks(PAGES / f"{self.page}.md")
            if not block.left_out and (not self.parts or block.heading in self.parts)
        ]

    @property
    def id(self) -> str:
        """A name of its own."""
        return ":".join([self.page, *self.parts[:1]]).replace(" ", "-")


WALKS = (
    Walk(
        "export-and-import",
        of_the_original,
        _SEED,
        said=("3 machines", "unchanged"),
    ),
)


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.id)
def test_a_page_is_walked_from_its_first_command_to_its_last(walk: Walk, tmp_path: Path) -> None:
    host = Host(tmp_path / "host")
    walk.before(host)

    done = host.run(walk.script())

    assert done.status == 0, done.said
    for words in walk.said:
        assert words in done.said, done.said


@pytest.mark.parametrize("page", sorted({walk.page for walk in WALKS}))
def test_no_part_of_a_page_is_passed_over(page: str) -> None:
    walked = [block for walk in WALKS if walk.page == page for block in walk.blocks()]

    assert walked
    for block in blocks(PAGES / f"{page}.md"):
        assert block.left_out or block in walked, block


def test_a_command_that_fails_fails_the_page(tmp_path: Path) -> None:
    done = Host(tmp_path / "host").run("bty verify /srv/nothing\necho unreached\n")

    assert done.status != 0
    assert "unreached" not in done.said


def test_what_is_left_out_says_why(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```sh\nbty a\n```\n\n<!-- not run: it needs two hosts -->\n```sh\nbty b\n```\n"
        "## Two\n1. x\n\n   ```sh\n   # no heading\n   bty c\n   ```\n"
    )

    assert blocks(page) == [
        Block("bty a\n"),
        Block("bty b\n", "it needs two hosts"),
        Block("# no heading\nbty c\n", heading="Two"),
    ]
