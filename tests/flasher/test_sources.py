"""Sources that break off, lie, stall or are dead: the image is exact, or the disk does not boot."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bty_app.errors import FlashIntegrityError, NotFoundError, UnavailableError
from bty_app.flasher import fetch
from bty_app.flasher.flash import Outcome, flash
from bty_app.flasher.order import Order, Source
from bty_app.upstream.http import Pace
from bty_app.upstream.registry import Registry
from tests import programs
from tests.file_host import FileHost, file_host
from tests.flasher.flashing import (
    QUICK,
    http,
    is_as_said,
    is_untouched,
    leaves_nothing_running,
    order,
    sha256,
)
from tests.flasher.images import MIB, PACKERS, disk_file, expected_disk, image
from tests.netboot_set import Listener
from tests.other_host import OtherHost, answer, other_host, raw
from tests.upstream.test_registry import Pushed, layer, manifest

DATA = image([("n", 3 * MIB), ("0", 2 * MIB), ("t", 70_000), ("n", 3 * MIB + 77)])
OTHER = image([("n", 3 * MIB), ("0", 2 * MIB), ("t", 70_000), ("n", 3 * MIB + 77)], seed=9)
ROOM = 2 * MIB
PIECE = 700_000


@pytest.fixture
def host() -> Iterator[FileHost]:
    with file_host(image=DATA) as found:
        yield found


@pytest.fixture
def disk(tmp_path: Path) -> Path:
    return disk_file(tmp_path / "disk", len(DATA) + ROOM)


def flashed(wanted: Order, disk: Path) -> Outcome:
    with leaves_nothing_running():
        return flash(wanted, str(disk), Listener(), tools=QUICK)


def is_exact(disk: Path) -> bool:
    return disk.read_bytes() == expected_disk(DATA, len(DATA) + ROOM)


class Versions(dict[str, bytes]):
    """Files that change each time somebody asks for them; the last version stays."""

    def __init__(self, *versions: bytes) -> None:
        super().__init__()
        self._versions = list(versions)

    def get(self, _key: str, _default: object = None) -> bytes:
        return self._versions.pop(0) if len(self._versions) > 1 else self._versions[0]


@pytest.mark.parametrize("known", [True, False], ids=["digest known", "digest not known"])
@pytest.mark.parametrize("name", ["raw", "gzip", "zstd, frames of 4 MiB", "xz, many blocks"])
def test_a_connection_that_breaks_off_is_resumed_at_the_very_byte(
    name: str, known: bool, host: FileHost, disk: Path
) -> None:
    kind, pack = PACKERS[name]
    host.files["/image"] = packed = pack(DATA)
    host.die_after = PIECE

    outcome = flashed(order(kind, http(host), of=packed if known else None), disk)

    assert is_exact(disk)
    assert outcome.sha256 == sha256(packed)
    starts = [asked for method, _path, asked in host.asked if method == "GET"]
    wanted = [None, *(f"bytes={at}-" for at in range(PIECE, len(packed), PIECE))]
    tails = [asked for asked in starts if asked not in wanted]
    assert [asked for asked in starts if asked in wanted] == wanted
    assert len(wanted) > 8
    assert len(tails) <= 1  # for what the end of the file says of its size


@pytest.mark.parametrize("known", [True, False], ids=["digest known", "digest not known"])
def test_a_server_without_ranges_sends_all_of_it_again(
    known: bool, host: FileHost, disk: Path
) -> None:
    host.ranges = False
    host.die_after, host.faults = 5 * MIB + 1, 3

    outcome = flashed(order("img", http(host), of=DATA if known else None), disk)

    assert is_exact(disk)
    assert outcome.bytes_fetched == len(DATA)
    assert host.sent == len(DATA) + 3 * (5 * MIB + 1)


def test_a_server_that_says_nothing_of_versions_is_compared_with_itself(
    host: FileHost, disk: Path
) -> None:
    host.tags = False
    host.die_after, host.faults = 5 * MIB + 1, 1

    flashed(order("img", http(host)), disk)

    assert is_exact(disk)
    assert [asked for _method, _path, asked in host.asked] == [None, None]


@pytest.mark.parametrize("tags", [True, False], ids=["with tags", "without tags"])
@pytest.mark.parametrize("ranges", [True, False], ids=["with ranges", "without ranges"])
@pytest.mark.parametrize("other", [OTHER, DATA + b"x", DATA[:-1], DATA[: 2 * MIB]])
def test_another_file_on_the_way_is_never_mixed_in(
    other: bytes, ranges: bool, tags: bool, host: FileHost, disk: Path
) -> None:
    host.files = Versions(DATA, other)
    host.die_after, host.faults, host.ranges, host.tags = 5 * MIB, 1, ranges, tags

    with pytest.raises(UnavailableError) as caught:
        flashed(order("img", http(host)), disk)

    assert is_as_said(disk, caught.value.message)


@pytest.mark.parametrize("ranges", [True, False], ids=["with ranges", "without ranges"])
def test_another_file_that_begins_alike_is_known_by_its_tag(
    ranges: bool, host: FileHost, disk: Path
) -> None:
    host.files = Versions(DATA, DATA[:-1] + b"x")
    host.die_after, host.faults, host.ranges = 5 * MIB, 1, ranges

    with pytest.raises(UnavailableError, match="has changed while") as caught:
        flashed(order("img", http(host)), disk)

    assert is_as_said(disk, caught.value.message)


@pytest.mark.parametrize("other", [OTHER, DATA + b"x", DATA[:-1]])
def test_another_file_on_the_way_fails_by_the_digest_that_is_known(
    other: bytes, host: FileHost, disk: Path
) -> None:
    host.files = Versions(DATA, other)
    host.die_after, host.faults = 5 * MIB, 1

    with pytest.raises((UnavailableError, FlashIntegrityError)) as caught:
        flashed(order("img", http(host), of=DATA), disk)

    assert is_as_said(disk, caught.value.message)


def test_a_wrong_digest_is_found_when_all_is_fetched(host: FileHost, disk: Path) -> None:
    with pytest.raises(FlashIntegrityError, match=f"{sha256(DATA)}, not {sha256(OTHER)}") as caught:
        flashed(order("img", http(host), of=OTHER), disk)

    assert is_as_said(disk, caught.value.message)


def test_a_source_of_another_size_is_left_alone(host: FileHost, disk: Path) -> None:
    wanted = replace(order("img", http(host)), size_bytes=len(DATA) + 1)

    with pytest.raises(UnavailableError, match="nothing was written"):
        flashed(wanted, disk)

    assert is_untouched(disk)


def test_a_source_that_stalls_is_asked_again(host: FileHost, disk: Path) -> None:
    """As soon as the order says."""
    host.stall_after, host.faults = 4 * MIB, 2
    impatient = replace(order("img", http(host)), stall_seconds=0.5)

    with leaves_nothing_running():
        flash(impatient, str(disk), Listener(), tools=QUICK)

    assert is_exact(disk)


def lingering(host: OtherHost, *, declared: bool) -> None:
    """A server that has sent everything, and keeps the connection open without an end."""

    def send(client: socket.socket) -> None:
        how = f"Content-Length: {len(DATA)}" if declared else "Transfer-Encoding: chunked"
        client.sendall(f"HTTP/1.1 200 OK\r\n{how}\r\n\r\n".encode())
        client.sendall(DATA if declared else f"{len(DATA):x}\r\n".encode() + DATA + b"\r\n")
        host.stopping.wait()

    host.routes["/image"] = send


@pytest.mark.parametrize("known", [True, False], ids=["digest known", "digest not known"])
def test_a_connection_that_stays_open_behind_the_declared_end_keeps_nobody_waiting(
    known: bool, disk: Path
) -> None:
    with other_host() as host:
        lingering(host, declared=True)
        source = Source("http", host.url("/image"))
        began = time.monotonic()

        flashed(order("img", source, of=DATA if known else None), disk)

        assert time.monotonic() - began < QUICK.pace.seconds / 2
        assert len(host.heads) == 1
    assert is_exact(disk)


def test_a_source_without_an_end_is_judged_by_the_digest(disk: Path) -> None:
    """It has to be taken for dead first; then nothing is missing."""
    impatient = replace(QUICK, pace=Pace(1, 0.5))
    with other_host() as host, leaves_nothing_running():
        lingering(host, declared=False)
        wanted = order("img", Source("http", host.url("/image")), of=DATA)

        outcome = flash(wanted, str(disk), Listener(), tools=impatient)

        assert len(host.heads) == 1
    assert is_exact(disk)
    assert outcome.sha256 == sha256(DATA)


def test_a_source_without_an_end_and_a_digest_is_a_failure(disk: Path) -> None:
    impatient = replace(QUICK, pace=Pace(1, 0.2))
    with other_host() as host, leaves_nothing_running():
        lingering(host, declared=False)
        with pytest.raises(UnavailableError) as caught:
            flash(
                order("img", Source("http", host.url("/image"))),
                str(disk),
                Listener(),
                tools=impatient,
            )

    assert is_as_said(disk, caught.value.message)


def test_a_source_that_gives_up_is_asked_often_and_then_no_more(host: FileHost, disk: Path) -> None:
    host.die_after = fetch.PROGRESS_BYTES - 1
    host.files["/image"] = DATA
    host.ranges = False

    with pytest.raises(UnavailableError, match="broke off"):
        flashed(order("img", http(host), of=DATA), disk)

    assert host.gets("/image") == fetch.TRIES >= 6


@pytest.mark.parametrize("status", [401, 403])
def test_a_source_that_wants_a_login_is_told_with_what_helps(
    status: int, host: FileHost, disk: Path
) -> None:
    host.statuses["/image"] = [status]

    with pytest.raises(NotFoundError, match=rf"{status}.*machines have no login.*the cache"):
        flashed(order("img", http(host)), disk)

    assert is_untouched(disk)


@pytest.mark.parametrize("status", [404, 403, 410, 500, 503])
def test_the_next_source_has_what_the_first_one_does_not(
    status: int, host: FileHost, disk: Path
) -> None:
    with file_host() as dead:
        dead.statuses["/image"] = [status] * 20
        first, second = http(dead, label="cache"), http(host)

        outcome = flashed(order("img", first, second, of=DATA), disk)

    assert outcome.sources_used == (second,)
    assert dead.gets("/image") == 1
    assert is_exact(disk)


def test_a_source_that_nobody_answers_at_is_passed_over(host: FileHost, disk: Path) -> None:
    nobody = Source("http", f"http://127.0.0.1:{programs.free_port()}/image", "mirror")

    outcome = flashed(order("img", nobody, http(host)), disk)

    assert [source.label for source in outcome.sources_used] == ["origin"]
    assert is_exact(disk)


@pytest.mark.parametrize("known", [True, False], ids=["digest known", "digest not known"])
def test_a_source_that_dies_is_followed_by_the_next_at_the_same_byte(
    known: bool, host: FileHost, disk: Path
) -> None:
    with file_host(image=DATA) as first:
        first.die_after = 2 * MIB
        first.ranges = False  # so that it never comes any further
        sources = http(first, label="cache"), http(host)

        outcome = flashed(order("img", *sources, of=DATA if known else None), disk)

    assert outcome.sources_used == sources
    assert is_exact(disk)
    # Without a digest nothing but the beginning itself proves that both have the same file.
    assert host.asked == [("GET", "/image", f"bytes={2 * MIB}-" if known else None)]


def test_a_source_with_another_file_is_no_substitute(host: FileHost, disk: Path) -> None:
    with file_host(image=DATA) as first:
        first.die_after, first.ranges = 5 * MIB, False
        host.files["/image"] = OTHER

        with pytest.raises(UnavailableError) as caught:
            flashed(order("img", http(first), http(host)), disk)

    assert is_as_said(disk, caught.value.message)


def test_an_image_that_no_source_has_is_not_found(host: FileHost, disk: Path) -> None:
    wanted = order("img", http(host, "other"), Source("file", "/no/such/file"))

    with pytest.raises(NotFoundError, match="nothing was written"):
        flashed(wanted, disk)
    assert host.gets("/other") == 1
    with pytest.raises(NotFoundError, match="no source"):
        flashed(order("img"), disk)

    assert is_untouched(disk)


@pytest.fixture
def other() -> Iterator[OtherHost]:
    with other_host() as found:
        yield found


@pytest.mark.parametrize(
    "told",
    [
        raw(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\nshort"),
        raw(b"HTTP/1.1 206 Partial Content\r\nContent-Length: 5\r\n\r\nshort"),
        raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n"),
        answer(b"x" * 5000, Content_Encoding="gzip"),
        raw(b"not HTTP at all"),
        raw(b""),
    ],
    ids=["short", "a part", "chunked and short", "compressed", "not HTTP", "nothing"],
)
def test_an_answer_that_is_no_whole_file_is_no_image(
    told: object, other: OtherHost, disk: Path
) -> None:
    other.routes["/image"] = told  # type: ignore[assignment]

    with pytest.raises(UnavailableError) as caught:
        flashed(order("img", Source("http", other.url("/image"))), disk)

    assert is_as_said(disk, caught.value.message)


def test_a_size_that_is_known_is_missed_where_the_server_tells_none(
    other: OtherHost, disk: Path
) -> None:
    chunk = b"%x\r\n%b\r\n0\r\n\r\n" % (len(DATA), DATA)
    other.routes["/image"] = raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk)
    source = Source("http", other.url("/image"))

    flashed(replace(order("img", source), size_bytes=len(DATA)), disk)
    assert is_exact(disk)
    with pytest.raises(FlashIntegrityError, match=f"{len(DATA)} bytes came, not {len(DATA) + 1}"):
        flashed(replace(order("img", source), size_bytes=len(DATA) + 1), disk)


def test_a_file_of_this_host_is_a_source(tmp_path: Path, disk: Path) -> None:
    source = tmp_path / "image"
    source.write_bytes(DATA)

    flashed(order("img", Source("file", str(source), "file"), of=DATA), disk)

    assert is_exact(disk)


def test_a_registry_is_a_source_and_says_the_digest_itself(tmp_path: Path, disk: Path) -> None:
    packed = PACKERS["gzip"][1](DATA)
    with programs.registry(tmp_path) as port:
        pushed = Pushed(port)
        pushed.push("one", manifest(layer(packed, "debian.img.gz")), packed)
        registry = Registry(QUICK.http, plain_http=frozenset({pushed.host}))
        tools = replace(QUICK, registry=registry)
        source = Source("registry", pushed.src("one"))

        outcome = flash(order("img.gz", source), str(disk), Listener(), tools=tools)

        assert is_exact(disk)
        assert outcome.sha256 == sha256(packed)
        with pytest.raises(UnavailableError, match="has another image"):
            flash(order("img.gz", source, of=DATA), str(disk), Listener(), tools=tools)


def test_headers_of_a_source_are_sent_along(other: OtherHost, disk: Path) -> None:
    other.routes["/image"] = answer(DATA)
    source = Source("http", other.url("/image"), headers={"Authorization": "Bearer t"})

    flashed(order("img", source, of=DATA), disk)

    assert "Authorization: Bearer t" in other.heads[0]
    assert "Bearer" not in repr(source)
