from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain import sealing
from bty_app.domain.sealing import Key, parse_key
from bty_app.errors import InvalidInputError

KEY = Key(bytes(range(32)))


@given(st.binary(min_size=32, max_size=32))
def test_a_key_is_read_as_it_is_written_and_as_people_type_it(secret: bytes) -> None:
    key = Key(secret)

    assert parse_key(key.text) == key
    assert parse_key(f"  {key.text.upper().replace('-', ' ')}\n") == key


@given(st.integers(7, 62), st.sampled_from("abcdefghijklmnopqrstuvwxyz234567"))
def test_a_slip_of_one_character_is_seen(at: int, letter: str) -> None:
    letters = KEY.text.replace("-", "")
    slipped = letters[:at] + letter + letters[at + 1 :]
    if slipped == letters:
        return

    with pytest.raises(InvalidInputError):
        parse_key(slipped)


@pytest.mark.parametrize(
    "text", ["", "btykey1", "btykey2" + KEY.text[7:], KEY.text + "aa", "é" * 70]
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError):
        parse_key(text)


def test_a_key_shows_neither_in_its_name_nor_in_a_trace() -> None:
    assert KEY.secret.hex() not in KEY.id
    assert repr(KEY.secret) not in repr(KEY)
    assert len(KEY.id) == 16


def test_other_bytes_or_another_name_have_another_key() -> None:
    files = [("a/x", "1"), ("a/x", "2"), ("a/y", "1"), ("b/x", "1")]
    salts = {sealing.salt_for(KEY, about, sha) for about, sha in files}

    assert len(salts) == len(files)
    assert len({sealing.file_key(KEY, salt) for salt in salts}) == len(files)
    assert sealing.salt_for(KEY, *files[0]) == sealing.salt_for(KEY, *files[0])


def test_the_key_of_a_file_is_hkdf_as_openssl_does_it() -> None:
    salt = bytes(range(100, 132))
    command = ["openssl", "kdf", "-binary", "-keylen", "32", "-kdfopt", "digest:SHA2-256"]
    command += ["-kdfopt", f"hexkey:{KEY.secret.hex()}", "-kdfopt", f"hexsalt:{salt.hex()}"]
    command += ["-kdfopt", "info:bty sealed file", "HKDF"]
    told = subprocess.run(command, check=True, capture_output=True, timeout=60).stdout

    assert sealing.file_key(KEY, salt) == told


def test_no_nonce_comes_twice() -> None:
    nonces = {sealing.nonce(n, last=last) for n in (0, 1, 255, 256) for last in (False, True)}

    assert len(nonces) == 8
    assert {len(nonce) for nonce in nonces} == {12}
    with pytest.raises(InvalidInputError):
        sealing.nonce(2**32, last=True)
