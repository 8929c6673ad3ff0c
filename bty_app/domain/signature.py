"""A detached signature of a file, by minisign or a bare Ed25519 key."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from hashlib import blake2b

from bty_app.domain import ed25519
from bty_app.errors import InvalidInputError

# minisign reads comments of at most 1024 and 8192 bytes; the rest of its files is below 300.
MAX_SIGNATURE_BYTES = 10 * 1024
MAX_KEY_CHARS = 2 * 1024

# https://jedisct1.github.io/minisign/, "Signature format" and "Public key format"
_LEGACY, _HASHED = b"Ed", b"ED"
_HEAD_BYTES = 2 + 8  # the algorithm, and the id of the key
_UNTRUSTED, _TRUSTED = b"untrusted comment: ", b"trusted comment: "
_HEX_KEY = re.compile(r"[0-9A-Fa-f]{64}", re.ASCII)
_HEX_SIGNATURE = re.compile(rb"[0-9A-Fa-f]{128}")


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The public half of a signer's key; with a key id it is minisign's, without a bare one."""

    key_id: bytes | None
    public_key: bytes

    @property
    def name(self) -> str:
        """What people tell the key by: minisign's id, or the key itself in hexadecimal digits."""
        return self.public_key.hex() if self.key_id is None else _printed(self.key_id)

    @property
    def suffix(self) -> str:
        """What a signature's file has behind the name of the signed one."""
        return ".sig" if self.key_id is None else ".minisig"


@dataclass(frozen=True, slots=True)
class _Minisig:
    """A .minisig file: the signature of a file, and one of that signature and a comment."""

    is_hashed: bool
    key_id: bytes
    signature: bytes
    trusted_comment: bytes
    global_signature: bytes


def parse_key(text: str) -> SigningKey:
    """A minisign public key (its line, or the file), or a bare one in 64 hex digits or base64.

    Raises:
        InvalidInputError: it is none of these. The sentence does not quote it: people also paste
            the secret half.
    """
    if len(text) > MAX_KEY_CHARS:
        raise InvalidInputError(f"the public key is longer than {MAX_KEY_CHARS} characters")
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    if lines and lines[0].startswith(_UNTRUSTED.decode().rstrip()):
        lines = lines[1:]
    if len(lines) != 1:
        raise InvalidInputError("the public key is not one line, after at most one comment line")
    key = _key(lines[0])
    if key is None:
        raise InvalidInputError(
            "this is no public key: neither minisign's (a line that begins with RW), nor the "
            "32 bytes of an Ed25519 key in hexadecimal digits or base64"
        )
    if not ed25519.is_public_key(key.public_key):
        raise InvalidInputError("the public key is no valid Ed25519 key: was it copied whole?")
    return key


def check_signature(key: SigningKey, data: bytes, signature: bytes) -> None:
    """Return where the owner of the key signed the data; a few milliseconds.

    A minisign key takes a .minisig file, a bare key the 64 bytes of a signature, or their base64 or
    hexadecimal text. One is not taken for the other: the global signature in a .minisig is also a
    bare signature by that key, of bytes that nobody meant to sign as a file.

    Raises:
        InvalidInputError: it is no signature, or by another key, or not of this data.
    """
    if len(signature) > MAX_SIGNATURE_BYTES:
        raise InvalidInputError(f"the signature is larger than {MAX_SIGNATURE_BYTES} bytes")
    if key.key_id is None:
        _check_bare(key.public_key, data, signature)
    else:
        _check_minisig(key.key_id, key.public_key, data, _minisig(signature))


def _key(line: str) -> SigningKey | None:
    if _HEX_KEY.fullmatch(line):
        return SigningKey(None, bytes.fromhex(line))
    raw = _from_base64(line.encode("ascii", "replace"))
    if len(raw) == ed25519.KEY_BYTES:
        return SigningKey(None, raw)
    if len(raw) == _HEAD_BYTES + ed25519.KEY_BYTES and raw.startswith(_LEGACY):
        return SigningKey(raw[2:_HEAD_BYTES], raw[_HEAD_BYTES:])
    return None


def _check_bare(public_key: bytes, data: bytes, signature: bytes) -> None:
    raw = _bare(signature)
    if len(raw) != ed25519.SIGNATURE_BYTES:
        if signature.startswith(_UNTRUSTED):
            raise InvalidInputError(
                "the signature is one of minisign, and the key is a bare one: give minisign's "
                "public key"
            )
        raise InvalidInputError(
            "this is no signature: neither 64 bytes, nor 64 bytes in hexadecimal digits or base64"
        )
    if not ed25519.verify(public_key, data, raw):
        raise InvalidInputError("the signature does not match the data, or is by another key")


def _bare(signature: bytes) -> bytes:
    if len(signature) == ed25519.SIGNATURE_BYTES:
        return signature
    text = signature.strip()
    if _HEX_SIGNATURE.fullmatch(text):
        return bytes.fromhex(text.decode("ascii"))
    return _from_base64(text)


def _check_minisig(key_id: bytes, public_key: bytes, data: bytes, minisig: _Minisig) -> None:
    if minisig.key_id != key_id:
        raise InvalidInputError(
            f"the signature is by the key {_printed(minisig.key_id)}, not by {_printed(key_id)}"
        )
    signed = blake2b(data, digest_size=64).digest() if minisig.is_hashed else data
    if not ed25519.verify(public_key, signed, minisig.signature):
        raise InvalidInputError("the signature does not match the data")
    commented = minisig.signature + minisig.trusted_comment
    if not ed25519.verify(public_key, commented, minisig.global_signature):
        raise InvalidInputError(
            "the trusted comment of the signature is not the one that was signed"
        )


def _minisig(content: bytes) -> _Minisig:
    lines = content.rstrip(b"\r\n").splitlines()
    if len(lines) != 4 or not lines[0].startswith(_UNTRUSTED) or not lines[2].startswith(_TRUSTED):
        raise InvalidInputError("this is no signature of minisign: its files have four known lines")
    raw, global_signature = _from_base64(lines[1]), _from_base64(lines[3])
    algorithm, key_id, signature = raw[:2], raw[2:_HEAD_BYTES], raw[_HEAD_BYTES:]
    if (
        algorithm not in {_LEGACY, _HASHED}
        or len(signature) != ed25519.SIGNATURE_BYTES
        or len(global_signature) != ed25519.SIGNATURE_BYTES
    ):
        raise InvalidInputError("this is no signature of minisign: a line of it is damaged")
    return _Minisig(
        is_hashed=algorithm == _HASHED,
        key_id=key_id,
        signature=signature,
        trusted_comment=lines[2].removeprefix(_TRUSTED),
        global_signature=global_signature,
    )


def _from_base64(text: bytes) -> bytes:
    """The bytes of strict, padded base64; none where it is anything else."""
    try:
        raw = base64.b64decode(text, validate=True)
    except ValueError:
        return b""
    # Spare bits of the last digit would make several texts of one signature.
    return raw if base64.b64encode(raw) == text else b""


def _printed(key_id: bytes) -> str:
    """As minisign prints it: a number in hexadecimal (before 0.12 without its leading zeros)."""
    return f"{int.from_bytes(key_id, 'little'):016X}"
