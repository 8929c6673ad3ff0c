"""The commands of how-to pages do on a host what the page says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.how_to.host import ROOT, Host, blocks
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
    """A page: the host before it, commands in front of its own, and what must be said."""

    page: str
    before: Callable[[Host], None] = nothing
    first: str = ""
    then: str = ""
    said: tuple[str, ...] = field(default=())


WALKS = (
    Walk(
        "export-and-import",
        of_the_original,
        _SEED,
        said=("3 machines", "unchanged"),
    ),
)


@pytest.mark.parametrize("walk", WALKS, ids=lambda walk: walk.page)
def test_a_page_is_walked_from_its_first_command_to_its_last(walk: Walk, tmp_path: Path) -> None:
    host = Host(tmp_path / "host")
    walk.before(host)
    commands = [block for block in blocks(PAGES / f"{walk.page}.md") if not block.left_out]

    script = "".join([walk.first, "set -x\n", *(block.text for block in commands), walk.then])
    done = host.run(script)

    assert commands
    assert done.status == 0, done.said
    for words in walk.said:
        assert words in done.said, done.said


def test_a_command_that_fails_fails_the_page(tmp_path: Path) -> None:
    done = Host(tmp_path / "host").run("bty verify /srv/nothing\necho unreached\n")

    assert done.status != 0
    assert "unreached" not in done.said


def test_what_is_left_out_says_why(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "```sh\nbty a\n```\n\n<!-- not run: it needs two hosts -->\n```sh\nbty b\n```\n"
        "1. x\n\n   ```sh\n   bty c\n   ```\n"
    )

    assert [(block.text, block.left_out) for block in blocks(page)] == [
        ("bty a\n", ""),
        ("bty b\n", "it needs two hosts"),
        ("bty c\n", ""),
    ]
