"""Encrypted files and their keys: how a key is written, and how a file is laid out.

A file is a head and chunks of 64 KiB, each sealed with AES-256-GCM by a key of the file's own. The
nonce of a chunk is its number and whether it is the last one, so that none can be left out, moved
or cut off (the STREAM construction: Hoang, Reyhanitabar, Rogaway, Vizár 2015).

    b"btysealed" | version 1 | key id, 8 bytes | salt, 32 bytes | chunks
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field

from bty_app.errors import InvalidInputError

MAGIC = b"btysealed"
VERSION = 1
CHUNK_BYTES = 64 * 1024
TAG_BYTES = 16
SALT_BYTES = 32
_ID_BYTES = 8
HEAD_BYTES = len(MAGIC) + 1 + _ID_BYTES + SALT_BYTES
MAX_CHUNKS = 2**32
_KEY_BYTES = 32
_CHECK_BYTES = 3
_GROUP = 4
_PREFIX = "btykey1"


@dataclass(frozen=True, slots=True)
class Key:
    """A key of 32 random bytes."""

    secret: bytes = field(repr=False)

    @property
    def id(self) -> str:
        """What names the key, and says nothing of it."""
        return hmac.new(self.secret, b"bty key id", hashlib.sha256).digest()[:_ID_BYTES].hex()

    @property
    def text(self) -> str:
        """The key as it is kept and typed, with three bytes that tell a slip."""
        check = hashlib.sha256(_PREFIX.encode() + self.secret).digest()[:_CHECK_BYTES]
        letters = base64.b32encode(self.secret + check).decode()
        groups = (letters[at : at + _GROUP] for at in range(0, len(letters), _GROUP))
        return "-".join((_PREFIX, *groups)).lower()


def parse_key(text: str) -> Key:
    """A key as it was written down: case, spaces and dashes do not matter.

    Raises:
        InvalidInputError: it is none, or was not written down right.
    """
    letters = "".join(text.split()).replace("-", "").lower()
    if not letters.startswith(_PREFIX):
        raise InvalidInputError(f"that is no key: one begins with {_PREFIX}")
    try:
        given = base64.b32decode(letters.removeprefix(_PREFIX).upper())
    except ValueError as error:
        raise InvalidInputError("that is no key: a character is wrong or missing") from error
    key = Key(given[:_KEY_BYTES])
    if len(given) != _KEY_BYTES + _CHECK_BYTES or parse_text(key.text) != letters:
        raise InvalidInputError("that is no key: a character is wrong or missing")
    return key


def parse_text(text: str) -> str:
    """The letters of a key, without what is between them."""
    return "".join(text.split()).replace("-", "").lower()


def salt_for(key: Key, about: str, sha256: str) -> bytes:
    """The salt of a file: the same for the same bytes under the same name, so that an upload can
    be gone on with, and another one for any others.
    """
    return hmac.new(key.secret, f"bty salt\0{about}\0{sha256}".encode(), hashlib.sha256).digest()


def file_key(key: Key, salt: bytes) -> bytes:
    """The key of one file: HKDF-SHA-256 (RFC 5869) of one block."""
    extracted = hmac.new(salt, key.secret, hashlib.sha256).digest()
    return hmac.new(extracted, b"bty sealed file\x01", hashlib.sha256).digest()


def head(key: Key, salt: bytes) -> bytes:
    """What a sealed file begins with."""
    return MAGIC + bytes([VERSION]) + bytes.fromhex(key.id) + salt


def parse_head(data: bytes, key: Key) -> bytes:
    """The salt of a sealed file.

    Raises:
        InvalidInputError: it is none, of a later kind, or of another key.
    """
    if len(data) < HEAD_BYTES or not data.startswith(MAGIC):
        raise InvalidInputError("it is not encrypted by bty")
    if data[len(MAGIC)] != VERSION:
        raise InvalidInputError("it is encrypted in a way that this release does not know")
    at = len(MAGIC) + 1
    if data[at : at + _ID_BYTES].hex() != key.id:
        raise InvalidInputError(
            f"it is encrypted with the key {data[at : at + _ID_BYTES].hex()}, not with {key.id}"
        )
    return data[at + _ID_BYTES : HEAD_BYTES]


def nonce(number: int, *, last: bool) -> bytes:
    """The nonce of a chunk."""
    if number >= MAX_CHUNKS:
        raise InvalidInputError("the file is too large to be encrypted")
    return number.to_bytes(11, "big") + bytes([last])


def sealed_size(size: int) -> int:
    """How many bytes a file of `size` bytes has when it is sealed."""
    chunks = max(1, -(-size // CHUNK_BYTES))
    return HEAD_BYTES + size + chunks * TAG_BYTES
