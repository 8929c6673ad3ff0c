from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain import sealing
from bty_app.domain.sealing import CHUNK_BYTES, HEAD_BYTES, TAG_BYTES, Key
from bty_app.errors import ConfigError, InvalidInputError, StorageError
from bty_app.store import libcrypto, sealed
from bty_app.store.libcrypto import ForgedError, Gcm

KEY, OTHER = Key(b"k" * 32), Key(b"o" * 32)
SALT = b"s" * 32
SIZES = (0, 1, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 3 * CHUNK_BYTES)


def packed(data: bytes, about: str = "id/state.db", step: int = 10_000) -> bytes:
    return b"".join(sealed.sealed(pieces(data, step), KEY, about, SALT))


def unpacked(data: bytes, key: Key = KEY, about: str = "id/state.db", step: int = 7_777) -> bytes:
    return b"".join(sealed.opened(pieces(data, step), key, about))


def pieces(data: bytes, step: int) -> Iterator[bytes]:
    return (data[at : at + step] for at in range(0, len(data), step))


@pytest.mark.parametrize("size", SIZES)
def test_what_goes_in_comes_out_and_the_size_is_known_before(size: int) -> None:
    data = os.urandom(size)

    there = packed(data)

    assert len(there) == sealing.sealed_size(size)
    assert unpacked(there) == data
    assert len(data) < 64 or data[:64] not in there


@given(st.integers(1, 200_000), st.integers(1, 200_000))
def test_how_it_is_cut_on_the_way_does_not_matter(first: int, second: int) -> None:
    data = b"x" * (CHUNK_BYTES * 2 + 5)

    assert packed(data, step=first) == packed(data, step=second)
    assert unpacked(packed(data), step=first) == data


@pytest.mark.parametrize("size", SIZES)
def test_a_flipped_bit_anywhere_is_seen(size: int) -> None:
    there = packed(b"y" * size)

    for at in {0, 9, 10, HEAD_BYTES - 1, HEAD_BYTES, len(there) // 2, len(there) - 1}:
        bad = bytearray(there)
        bad[at] ^= 1
        with pytest.raises(InvalidInputError):
            unpacked(bytes(bad))


def test_chunks_cannot_be_left_out_moved_cut_off_or_added() -> None:
    there = packed(os.urandom(4 * CHUNK_BYTES))
    size = CHUNK_BYTES + TAG_BYTES
    head, *chunks = there[:HEAD_BYTES], *pieces(there[HEAD_BYTES:], size)
    assert len(chunks) == 4
    a, b, c, d = chunks

    for wrong in ((a, b, c), (a, c, b, d), (a, b, c, c), (a, b, d), (a, b, c, d, d), ()):
        with pytest.raises(InvalidInputError):
            unpacked(head + b"".join(wrong))
    with pytest.raises(InvalidInputError):
        unpacked(there[: HEAD_BYTES - 1])
    assert unpacked(head + a + b + c + d)


def test_a_file_is_bound_to_its_name_and_its_key() -> None:
    there = packed(b"data")

    with pytest.raises(InvalidInputError, match="does not decrypt"):
        unpacked(there, about="other/state.db")
    with pytest.raises(InvalidInputError, match=f"with the key {KEY.id}, not with {OTHER.id}"):
        unpacked(there, OTHER)
    with pytest.raises(InvalidInputError, match="not encrypted by bty"):
        unpacked(b"-" * 200)


def test_the_cipher_is_the_one_that_openssl_says_it_is() -> None:
    libcrypto.check()
    gcm = Gcm(bytes(32))  # test case 14 of McGrew and Viega
    there = gcm.seal(bytes(12), bytes(16), b"")

    assert there.hex() == "cea7403d4d606b6e074ec5d3baf39d18" + "d0d1c8a799996bf0265b98b5d48ab919"
    assert gcm.open(bytes(12), there, b"") == bytes(16)
    with pytest.raises(ForgedError):
        gcm.open(bytes(12), there, b"more")
    with pytest.raises(ForgedError):
        gcm.open(bytes(12), b"short", b"")


def test_a_key_is_kept_private_and_rehearsed(tmp_path: Path) -> None:
    file = tmp_path / "key"

    assert sealed.write_key(file, KEY) == KEY

    assert file.stat().st_mode & 0o777 == 0o600
    assert sealed.read_key(file) == KEY
    with pytest.raises(StorageError, match="exists"):
        sealed.write_key(file, OTHER)
    assert sealed.read_key(file) == KEY


@pytest.mark.parametrize("content", ["", "no key", KEY.text[:-1] + "?", "é", "x" * 10_000])
def test_what_is_no_key_is_said_before_anything_is_done(tmp_path: Path, content: str) -> None:
    file = tmp_path / "key"
    file.write_text(content)
    file.chmod(0o600)

    with pytest.raises(ConfigError, match=str(file)):
        sealed.read_key(file)


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(KEY.text)
    file.chmod(0o640)

    with pytest.raises(ConfigError, match="chmod 600"):
        sealed.read_key(file)
    with pytest.raises(ConfigError, match="cannot be read"):
        sealed.read_key(tmp_path / "none")


def test_without_the_library_nothing_is_encrypted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libcrypto, "_NAMES", ("libnone.so.3",))
    libcrypto._library.cache_clear()
    libcrypto.check.cache_clear()
    try:
        with pytest.raises(ConfigError, match="install OpenSSL"):
            packed(b"data")
    finally:
        libcrypto._library.cache_clear()
        libcrypto.check.cache_clear()
