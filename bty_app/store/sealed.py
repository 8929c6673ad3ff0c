"""Files that are encrypted as they go, and decrypted as they come."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bty_app.domain import sealing
from bty_app.domain.sealing import CHUNK_BYTES, HEAD_BYTES, TAG_BYTES, Key
from bty_app.errors import ConfigError, InvalidInputError
from bty_app.store import libcrypto, publish
from bty_app.store.libcrypto import ForgedError, Gcm

MAX_KEY_BYTES = 4096
_SAMPLE = bytes(range(256)) * 600  # three chunks, the last one short


def sealed(chunks: Iterator[bytes], key: Key, about: str, salt: bytes) -> Iterator[bytes]:
    """The bytes of `chunks`, encrypted; `about` names them, and is bound to them.

    Raises:
        ConfigError: there is no library for it here.
    """
    libcrypto.check()
    gcm = Gcm(sealing.file_key(key, salt))
    begin = sealing.head(key, salt)
    bound = begin + about.encode()
    yield begin
    for number, (piece, last) in enumerate(_cut(chunks, CHUNK_BYTES)):
        yield gcm.seal(sealing.nonce(number, last=last), piece, bound)


def opened(chunks: Iterator[bytes], key: Key, about: str) -> Iterator[bytes]:
    """What was sealed under this name. Each piece is proven before it comes out, and the end is.

    Raises:
        ConfigError: there is no library for it here.
        InvalidInputError: another key, another name, other bytes, or not all of them.
    """
    libcrypto.check()
    begin, rest = _split(chunks)
    gcm = Gcm(sealing.file_key(key, sealing.parse_head(begin, key)))
    bound = begin + about.encode()
    for number, (piece, last) in enumerate(_cut(rest, CHUNK_BYTES + TAG_BYTES)):
        try:
            yield gcm.open(sealing.nonce(number, last=last), piece, bound)
        except ForgedError as error:
            raise InvalidInputError(
                f"{about} was changed or cut off where it was kept: it does not decrypt"
            ) from error


def read_key(path: Path) -> Key:
    """The key of a file.

    Raises:
        ConfigError: there is none in it, others may read it, or it cannot be read.
    """
    try:
        if path.stat().st_mode & 0o077:
            raise ConfigError(f"{path}: others may read it: chmod 600 {path}")
        with path.open("rb") as file:
            text = file.read(MAX_KEY_BYTES).decode("ascii")
        return sealing.parse_key(text)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: that is no key") from error
    except InvalidInputError as error:
        raise ConfigError(f"{path}: {error.message}") from error


def write_key(path: Path, key: Key) -> Key:
    """Keep a key in a new file, and see that what is read back opens what it seals.

    Raises:
        ConfigError: there is no library for it here; nothing was written.
        StorageError: the file is there already, or cannot be written.
    """
    rehearse(key)
    publish.write_file(path, f"{key.text}\n".encode())
    kept = read_key(path)
    rehearse(kept)
    return kept


def rehearse(key: Key) -> None:
    """Seal a sample and open it.

    Raises:
        ConfigError: it does not come out as it went in.
    """
    salt = sealing.salt_for(key, "sample", "")
    pieces = (_SAMPLE[at : at + 1000] for at in range(0, len(_SAMPLE), 1000))
    packed = b"".join(sealed(pieces, key, "sample", salt))
    if b"".join(opened(iter([packed]), key, "sample")) != _SAMPLE:
        raise ConfigError("what was encrypted does not come out as it went in")


def _cut(chunks: Iterator[bytes], size: int) -> Iterator[tuple[bytes, bool]]:
    """Pieces of `size` bytes, each with whether it is the last one; there is at least one."""
    left = bytearray()
    for chunk in chunks:
        left += chunk
        while len(left) > size:  # at least one byte stays: it may be the last one
            yield bytes(left[:size]), False
            del left[:size]
    yield bytes(left), True


def _split(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    begin = b""
    for chunk in chunks:
        begin += chunk
        if len(begin) >= HEAD_BYTES:
            break

    def rest() -> Iterator[bytes]:
        yield begin[HEAD_BYTES:]
        yield from chunks

    return begin[:HEAD_BYTES], rest()
