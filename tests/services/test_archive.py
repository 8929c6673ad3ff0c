"""Archives of strangers: bounded, flat, and of plain files."""

from __future__ import annotations

import gzip
import io
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.errors import BtyError, CancelledError, InvalidInputError, TooLargeError
from bty_app.services import archive
from tests.netboot_set import Listener, packed


def unpacked(data: bytes, place: Path) -> dict[str, bytes]:
    archive.unpack(io.BytesIO(data), place, Listener())
    return {path.name: path.read_bytes() for path in place.iterdir()}


def made(*members: tarfile.TarInfo, fmt: int = tarfile.PAX_FORMAT) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=fmt) as file:
        for member in members:
            file.addfile(member, io.BytesIO(b"\0" * member.size))
    return out.getvalue()


def member(name: str, kind: bytes = tarfile.REGTYPE, **more: object) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type = kind
    for key, value in more.items():
        setattr(found, key, value)
    return found


@pytest.mark.parametrize("fmt", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_of_every_format_are_read(tmp_path: Path, fmt: int) -> None:
    name = "a" * 99 if fmt == tarfile.USTAR_FORMAT else "a" * 180

    assert unpacked(made(member(name, size=5), fmt=fmt), tmp_path) == {name: b"\0" * 5}


@pytest.mark.parametrize(
    "bad",
    [
        member("link", tarfile.SYMTYPE, linkname="/etc/passwd"),
        member("link", tarfile.LNKTYPE, linkname="other"),
        member("pipe", tarfile.FIFOTYPE),
        member("disk", tarfile.BLKTYPE),
        member(".hidden"),
        member("dir/.set.json"),
        member(".."),
    ],
    ids=lambda m: f"{m.name} {m.type!r}",
)
def test_what_is_no_plain_file_is_refused(tmp_path: Path, bad: tarfile.TarInfo) -> None:
    with pytest.raises(InvalidInputError, match="which is no plain file"):
        unpacked(made(bad), tmp_path)


def test_names_never_lead_out_of_the_directory(tmp_path: Path) -> None:
    place = tmp_path / "place"
    place.mkdir()

    found = unpacked(
        made(member("../../x"), member("/etc/y"), member("d/", tarfile.DIRTYPE)), place
    )

    assert set(found) == {"x", "y"}
    assert [path.name for path in tmp_path.iterdir()] == ["place"]


def test_a_name_that_comes_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidInputError, match="has x twice"):
        unpacked(made(member("x"), member("d/x")), tmp_path)


def test_too_many_members_and_too_many_bytes_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(TooLargeError, match="members"):
        unpacked(made(*(member(f"d{n}", tarfile.DIRTYPE) for n in range(200))), tmp_path)
    monkeypatch.setattr(archive, "MAX_SET_BYTES", 10_000)
    with pytest.raises(TooLargeError, match="holds more than"):
        unpacked(gzip.compress(made(member("bomb", size=20_000))), tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_a_header_about_a_header_is_not_read_when_it_is_large(tmp_path: Path) -> None:
    header = member("x", tarfile.XHDTYPE)
    header.size = 2**33 - 1
    data = gzip.compress(header.tobuf(tarfile.USTAR_FORMAT) + b"\0" * 2**20)

    with pytest.raises(InvalidInputError, match="a header of 8589934591 bytes"):
        unpacked(data, tmp_path)


def test_headers_without_end_about_headers_are_refused(tmp_path: Path) -> None:
    header = member("x", tarfile.XHDTYPE).tobuf(tarfile.USTAR_FORMAT)

    with pytest.raises(InvalidInputError, match="cannot be read"):
        unpacked(gzip.compress(header * 5000), tmp_path)


def test_a_sparse_file_of_a_terabyte_is_refused(tmp_path: Path) -> None:
    pax = {"GNU.sparse.major": "1", "GNU.sparse.minor": "0", "GNU.sparse.name": "x",
           "GNU.sparse.realsize": str(2**40)}  # fmt: skip
    sparse = member("x", size=512, pax_headers=pax)

    with pytest.raises(BtyError):
        unpacked(made(sparse), tmp_path)


def test_a_cancellation_ends_it_within_a_file(tmp_path: Path) -> None:
    data = packed({"large": b"\0" * 5_000_000}, "w:gz")

    with pytest.raises(CancelledError):
        archive.unpack(io.BytesIO(data), tmp_path, Listener(stop_after=2))


@given(st.binary(max_size=3000))
def test_noise_is_refused_with_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    place = tmp_path_factory.mktemp("noise")

    with pytest.raises(BtyError):
        unpacked(data, place)


@given(at=st.integers(0, 2000), value=st.integers(0, 255))
def test_a_flipped_byte_is_another_file_or_a_refusal(
    tmp_path_factory: pytest.TempPathFactory, at: int, value: int
) -> None:
    for pack in (packed_plain, gzip.compress):
        data = bytearray(pack(made(member("a", size=600), member("b", size=10))))
        data[at % len(data)] = value
        try:
            found = unpacked(bytes(data), tmp_path_factory.mktemp("flipped"))
        except BtyError:
            continue
        assert all("/" not in name and not name.startswith(".") for name in found)


packed_plain: Callable[[bytes], bytes] = bytes
