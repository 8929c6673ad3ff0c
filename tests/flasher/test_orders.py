"""From what is wanted to what can be flashed; and the reboot behind it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from bty_app.domain.flash_options import FlashOptions
from bty_app.errors import FlashError, FlashRefusedError, UnavailableError
from bty_app.flasher.order import Order, Source
from bty_app.flasher.orders import Orders, Wanted, bmap_urls
from bty_app.flasher.plan import FlashPlan, Place
from bty_app.flasher.power import reboot
from bty_app.upstream.http import Http
from bty_app.upstream.registry import Registry
from tests.file_host import FileHost, file_host

BMAP = b'<?xml version="1.0" ?>\n<bmap version="2.0"></bmap>\n'


@pytest.fixture
def host() -> Iterator[FileHost]:
    with file_host() as made:
        yield made


@pytest.fixture
def orders() -> Orders:
    http = Http()
    return Orders(http, Registry(http, pause=lambda _seconds: None))


def test_a_plan_becomes_an_order_with_all_its_places(orders: Orders, host: FileHost) -> None:
    plan = FlashPlan(
        places=(
            Place(host.url("/b/abc/a.img.gz"), "cache"),
            Place(host.url("/a.img.gz"), "mirror"),
            Place("oras://r.example.com/os/a@sha256:" + "0" * 64),
        ),
        serial="S",
        format="img.gz",
        sha256="ab" * 32,
        options=FlashOptions(stall_seconds=90),
    )

    order = orders.of_plan(plan, verify=True)

    assert order == Order(
        sources=(
            Source("http", host.url("/b/abc/a.img.gz"), "cache"),
            Source("http", host.url("/a.img.gz"), "mirror"),
            Source("registry", "oras://r.example.com/os/a@sha256:" + "0" * 64, "origin"),
        ),
        format="img.gz",
        sha256="ab" * 32,
        verify=True,
        stall_seconds=90,
    )


@pytest.mark.parametrize("name", ["/a.img.bmap", "/a.img.zst.bmap", "/a.bmap"])
def test_a_block_map_beside_the_image_is_found(orders: Orders, host: FileHost, name: str) -> None:
    host.files[name] = BMAP

    order = orders.of(Wanted(places=(Place(host.url("/a.img.zst?x=1")),)))

    assert order.bmap == BMAP
    assert order.format == "img.zst"


def test_a_cache_that_answers_every_name_has_no_block_map(orders: Orders, host: FileHost) -> None:
    host.files |= {"/a.img.bmap": b"<html>", "/b/x/a.img.bmap": BMAP}

    places = (Place(host.url("/b/x/a.img"), "cache"), Place(host.url("/a.img")))

    assert orders.of(Wanted(places=places)).bmap is None
    assert not host.gets("/b/x/a.img.bmap")


def test_a_place_that_is_away_is_asked_once(orders: Orders) -> None:
    order = orders.of(Wanted(places=(Place("http://127.0.0.1:9/a.img.gz"),)))

    assert order.bmap is None


@pytest.mark.parametrize(
    ("url", "names"),
    [
        ("http://h/a.img.zst", ("a.img.bmap", "a.img.zst.bmap", "a.bmap")),
        ("http://h/a.img#x", ("a.img.bmap", "a.bmap")),
        ("http://h/A.QCOW2", ()),
        ("http://h/download", ()),
        ("oras://h/a/b.img", ()),
        ("/srv/a.img", ()),
    ],
)
def test_a_block_map_is_looked_for_where_bmaptool_would(url: str, names: tuple[str, ...]) -> None:
    assert bmap_urls(url) == tuple(f"http://h/{name}" for name in names)


def test_a_file_is_a_source_and_its_name_says_the_format(orders: Orders) -> None:
    order = orders.of(Wanted(places=(Place("/srv/a.img.xz", "file"),)))

    assert order == Order((Source("file", "/srv/a.img.xz", "file"),), "img.xz")


def test_without_a_format_nothing_is_flashed(orders: Orders) -> None:
    with pytest.raises(FlashRefusedError, match="nothing says which format http://h/download has"):
        orders.of(Wanted(places=(Place("http://h/download"),)))


def test_a_registry_that_does_not_answer_is_the_reason(orders: Orders) -> None:
    places = (Place("oras://127.0.0.1:9/os/a:1"),)

    with pytest.raises(UnavailableError):
        orders.of(Wanted(places=places))
    assert orders.of(Wanted(places=(*places, Place("http://127.0.0.1:9/a.img")))).format == "img"


# -- the reboot --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("working", "tried"),
    [(0, 1), (1, 2), (2, 3), (None, 3)],
)
def test_a_machine_is_rebooted_by_what_it_has(
    tmp_path: Path, working: int | None, tried: int
) -> None:
    commands: list[Sequence[str]] = []
    pauses: list[float] = []

    def run(command: Sequence[str]) -> bool:
        commands.append(command)
        return len(commands) - 1 == working

    with pytest.raises(FlashError, match="switch it off and on"):
        reboot(run=run, pause=pauses.append, sysrq=tmp_path / "sysrq")

    assert len(commands) == tried
    assert (tmp_path / "sysrq").read_text() == "b"
    assert len(pauses) == 1 + (working is not None)


def test_a_machine_without_any_way_says_so(tmp_path: Path) -> None:
    with pytest.raises(FlashError, match="does not reboot"):
        reboot(run=lambda _command: False, pause=lambda _s: None, sysrq=tmp_path / "no" / "sysrq")
