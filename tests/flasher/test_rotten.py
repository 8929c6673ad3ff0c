"""A source that serves rotten bytes does not defeat a good one behind it, and is named."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain.jobs import Step
from bty_app.errors import (
    CancelledError,
    FlashError,
    FlashIntegrityError,
    FlashRefusedError,
    FlashWriteError,
    UnavailableError,
)
from bty_app.flasher.device import Disk
from bty_app.flasher.flash import Outcome, flash
from bty_app.flasher.flashing import summary
from bty_app.flasher.goes import Go, after_damage, after_quarrel
from bty_app.flasher.order import Order, Source
from bty_app.flasher.reasons import is_untouched
from tests.file_host import FileHost, file_host
from tests.flasher.flashing import (
    QUICK,
    Canceller,
    does_not_boot,
    http,
    is_as_said,
    leaves_nothing_running,
    order,
    sha256,
)
from tests.flasher.flashing import (
    is_untouched as disk_is_untouched,
)
from tests.flasher.images import MIB, PACKERS, disk_file, expected_disk, image
from tests.flasher.test_preflight import gpt
from tests.netboot_set import Listener

RUNS = [("n", 3 * MIB), ("0", 2 * MIB), ("t", 70_000), ("n", 3 * MIB + 77)]
DATA, OTHER = image(RUNS), image(RUNS, seed=9)
ROOM = 2 * MIB
KINDS = ["raw", "gzip", "zstd, frames of 4 MiB", "xz, many blocks", "bzip2"]


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    return disk_file(tmp_path / "disk", len(DATA) + ROOM)


@pytest.fixture
def hosts() -> Iterator[tuple[FileHost, FileHost, FileHost]]:
    """A cache, a mirror and the origin; the origin has the image."""
    with ExitStack() as stack:
        cache, mirror = (stack.enter_context(file_host()) for _ in range(2))
        yield cache, mirror, stack.enter_context(file_host(image=DATA))


Hosts = tuple[FileHost, FileHost, FileHost]


def sources(hosts: Hosts) -> Go:
    labels = ("cache", "mirror", "origin")
    return tuple(http(host, label=label) for host, label in zip(hosts, labels, strict=True))


def flashed(wanted: Order, disk: Path, teller: Canceller | None = None) -> Outcome:
    with leaves_nothing_running():
        return flash(wanted, str(disk), teller or Listener(), tools=QUICK)


def is_exact(disk: Path, data: bytes = DATA) -> bool:
    return disk.read_bytes() == expected_disk(data, len(data) + ROOM)


def rot(packed: bytes, how: str) -> bytes:
    return {
        "another image": OTHER,
        "a flipped bit": packed[:-2000] + bytes([packed[-2000] ^ 4]) + packed[-1999:],
        "cut off": packed[: len(packed) // 2],
        "too long": packed + b"x" * 5 * MIB,
        "empty": b"",
        "a page": b"<html>not here</html>",
    }[how]


@pytest.mark.parametrize(
    "how", ["another image", "a flipped bit", "cut off", "too long", "empty", "a page"]
)
@pytest.mark.parametrize("name", KINDS)
def test_the_next_source_is_taken_from_its_first_byte(
    name: str, how: str, hosts: Hosts, disk: Path
) -> None:
    kind, pack = PACKERS[name]
    cache, mirror, origin = hosts
    origin.files["/image"] = packed = pack(DATA)
    cache.files["/image"] = mirror.files["/image"] = rot(packed, how)
    steps = Canceller(lambda _step: False)
    given = sources(hosts)

    outcome = flashed(order(kind, *given, of=packed), disk, steps)

    assert is_exact(disk)
    assert outcome.sources_used == given[2:]
    assert outcome.sha256 == sha256(packed)
    assert cache.gets("/image") <= 2  # the second is for its end
    assert origin.asked[0] == ("GET", "/image", None)
    for source in given[:2]:
        assert f"{source.label} ({source.url})" in summary(outcome)
        assert any(source.url in step.words for step in steps.steps)


@pytest.mark.parametrize("how", ["another image", "cut off"])
def test_without_a_digest_what_the_decoder_finds_is_enough(
    how: str, hosts: Hosts, disk: Path
) -> None:
    packed = PACKERS["zstd, frames of 4 MiB"][1](DATA)
    hosts[0].files["/image"] = rot(packed, how)
    hosts[2].files["/image"] = packed

    flashed(order("img.zst", *sources(hosts)), disk)

    assert is_exact(disk)


def test_when_all_are_rotten_each_is_named_and_the_disk_does_not_boot(
    hosts: Hosts, disk: Path
) -> None:
    for host in hosts:
        host.files["/image"] = OTHER
    given = sources(hosts)

    with pytest.raises(FlashIntegrityError) as caught:
        flashed(order("img", *given, of=DATA), disk)

    assert [host.gets("/image") for host in hosts] == [1, 1, 1]
    assert all(f"{s.label} ({s.url}): the image has the sha256" in str(caught.value) for s in given)
    assert str(caught.value).endswith("; the disk does not boot: flash it again")
    assert does_not_boot(disk)
    assert not is_untouched(caught.value)
    assert disk.read_bytes()[-MIB:] == bytes(MIB)


def test_when_the_others_cannot_be_had_it_is_still_the_damage_that_is_told(
    hosts: Hosts, disk: Path
) -> None:
    hosts[0].files["/image"] = OTHER
    hosts[2].files.clear()

    with pytest.raises(
        FlashIntegrityError, match=r"cache .* sha256 .*404.* the disk does not boot"
    ):
        flashed(order("img", *sources(hosts), of=DATA), disk)

    assert does_not_boot(disk)


def test_of_two_that_were_mixed_each_gets_a_go_of_its_own(hosts: Hosts, disk: Path) -> None:
    cache, mirror, origin = hosts
    cache.files["/image"], cache.die_after, cache.ranges = DATA, 4 * MIB, False
    mirror.files["/image"] = OTHER
    origin.files.clear()
    cache.faults = 7  # then it is whole, as a host that was overloaded

    outcome = flashed(order("img", *sources(hosts), of=DATA), disk)

    assert is_exact(disk)
    assert [source.label for source in outcome.sources_used] == ["cache"]


def test_a_source_that_dies_and_had_the_wrong_size_does_not_defeat_the_next(
    hosts: Hosts, disk: Path
) -> None:
    hosts[0].files["/image"] = OTHER + b"x"
    hosts[0].die_after, hosts[0].ranges = 4 * MIB, False

    flashed(order("img", *sources(hosts), of=DATA), disk)

    assert is_exact(disk)


def test_without_a_digest_another_file_is_never_taken_for_the_image(
    hosts: Hosts, disk: Path
) -> None:
    hosts[0].files["/image"] = OTHER + b"x"
    hosts[0].die_after, hosts[0].ranges = 4 * MIB, False

    with pytest.raises(UnavailableError) as caught:
        flashed(order("img", *sources(hosts)), disk)

    assert is_as_said(disk, caught.value.message)


def test_one_that_does_not_fit_is_asked_of_everybody_and_refused(
    hosts: Hosts, tmp_path: Path
) -> None:
    small = disk_file(tmp_path / "small", 5 * MIB)
    hosts[0].files["/image"] = DATA

    with pytest.raises(FlashRefusedError, match=r"does not fit.*nothing was written") as caught:
        flashed(order("img", *sources(hosts)), small)

    assert is_untouched(caught.value)
    assert disk_is_untouched(small)


def test_a_rotten_source_that_would_not_fit_does_not_defeat_the_next(
    hosts: Hosts, disk: Path
) -> None:
    hosts[0].files["/image"] = DATA + bytes(len(DATA))
    hosts[1].files["/image"] = gpt(4096, len(DATA))

    flashed(order("img", *sources(hosts), of=DATA), disk)

    assert is_exact(disk)


def test_a_disk_that_fails_is_not_tried_with_the_next_source(hosts: Hosts, disk: Path) -> None:
    class Failing(Disk):
        def write(self, view: memoryview, offset: int) -> None:
            if offset > MIB:
                raise FlashWriteError("the disk failed")
            super().write(view, offset)

    hosts[0].files["/image"] = DATA
    tools = replace(QUICK, open_device=Failing)

    with pytest.raises(FlashWriteError):
        flash(order("img", *sources(hosts), of=DATA), str(disk), Listener(), tools=tools)

    assert hosts[2].asked == []


def test_a_cancellation_is_heard_between_two_goes(hosts: Hosts, disk: Path) -> None:
    hosts[0].files["/image"] = OTHER

    def is_second(step: Step) -> bool:
        return "taken anew" in step.words

    with pytest.raises(CancelledError) as caught:
        flashed(order("img", *sources(hosts), of=DATA), disk, Canceller(is_second))

    assert is_as_said(disk, caught.value.message)


def test_many_sources_are_each_tried_at_most_once_and_once_alone(disk: Path) -> None:
    with file_host(image=OTHER) as rotten:
        given = [http(rotten, label=str(n)) for n in range(5)]

        with pytest.raises(FlashIntegrityError):
            flashed(order("img", *given, of=DATA), disk)

        assert rotten.gets("/image") == 5


NAMES = [Source("http", f"http://host/{n}") for n in range(5)]


@given(data=st.data(), count=st.integers(1, 5))
def test_there_is_an_end_and_every_source_had_its_go(data: st.DataObject, count: int) -> None:
    goes: tuple[Go, ...] = (tuple(NAMES[:count]),)
    alone: list[Source] = []
    proven: list[Source] = []
    for _ in range(2 * count + 1):
        if not goes:
            break
        go = goes[0]
        used = data.draw(st.lists(st.sampled_from(go), unique_by=str, min_size=1))
        if len(used) == 1:
            proven += used
        if len(go) == 1:
            alone += go
        goes = after_damage(goes, used)
    assert not goes
    assert sorted(map(str, proven)) == sorted(map(str, NAMES[:count]))
    assert len(alone) == len(set(map(str, alone)))


@given(data=st.data(), count=st.integers(1, 5))
def test_a_quarrel_has_an_end(data: st.DataObject, count: int) -> None:
    goes: tuple[Go, ...] = (tuple(NAMES[:count]),)
    for _ in range(2 * count + 1):
        if goes:
            others = data.draw(st.lists(st.sampled_from(goes[0]), unique_by=str))
            goes = after_quarrel(goes, others)
    assert not goes


def test_the_state_of_the_disk_stands_in_every_failure() -> None:
    assert is_untouched(FlashError("x; nothing was written"))
    assert not is_untouched(FlashError("x; the disk does not boot: flash it again"))
    assert not is_untouched(OSError("nothing was written"))
