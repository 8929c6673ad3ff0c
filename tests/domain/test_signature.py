"""Signatures of files: those of the real programs are taken, and everything beside them is not."""

from __future__ import annotations

import base64
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain.signature import (
    MAX_KEY_CHARS,
    MAX_SIGNATURE_BYTES,
    SigningKey,
    check_signature,
    parse_key,
)
from bty_app.errors import InvalidInputError
from tests.domain.test_ed25519 import KEY, MESSAGE, SIGNATURE, flipped
from tests.pyz.tools import need

DATA = b"a" * 64 + b"  image.img.zst\n"
BARE = SigningKey(None, KEY)

# Of minisign 0.11: its key, and its signature of b"bty\n"; the id begins with a zero digit.
PUBLIC_LINE = "RWShmDOxZU4NCEKAocfTY7FkKnZ7gLKNbdD1lENc55jXiJ64JN1nKkOy"
KEY_NAME = "80D4E65B13398A1"
MINISIG = b"""untrusted comment: signature from minisign secret key
RUShmDOxZU4NCEi19x1mMqNJodpHXjTNzRo998mEcOfjhC9Ko5lG5dHdMGkoMGIX8qQgkz8raKkM2x1qv7mKG4U9dH0DvVtDjwQ=
trusted comment: timestamp:0 file:SHA256SUMS
qguM8iWl8g6DaWbZE6pj88+1Eoqhhpb9rv+0EVooVRWD1B8RJZosNhBGR8iZr/0ef5RDD0Dy1xXTWdXEjvySCw==
"""
SIGNED = b"bty\n"


@dataclass(frozen=True, slots=True)
class Signer:
    """A key pair of a real minisign, made without a password."""

    directory: Path

    @property
    def public_file(self) -> Path:
        return self.directory / "minisign.pub"

    def sign(self, data: bytes, *options: str) -> bytes:
        path = self.directory / "data"
        path.write_bytes(data)
        run(need("minisign"), "-S", *options, "-s", self.directory / "secret", "-m", path)
        return path.with_name("data.minisig").read_bytes()


@dataclass(frozen=True, slots=True)
class Openssl:
    """A key pair of a real OpenSSL."""

    secret: Path

    def public_key(self) -> bytes:
        """The last 32 bytes of its DER (RFC 8410 4)."""
        der = run(need("openssl"), "pkey", "-in", self.secret, "-pubout", "-outform", "DER")
        return der[-32:]

    def sign(self, data: bytes) -> bytes:
        path = self.secret.with_name("data")
        path.write_bytes(data)
        return run(
            need("openssl"), "pkeyutl", "-sign", "-rawin", "-inkey", self.secret, "-in", path
        )


def run(*command: str | Path) -> bytes:
    return subprocess.run(command, check=True, capture_output=True, timeout=60).stdout


def signer(directory: Path) -> Signer:
    made = Signer(directory)
    directory.mkdir(exist_ok=True)
    run(need("minisign"), "-G", "-W", "-p", made.public_file, "-s", directory / "secret")
    return made


@pytest.fixture
def minisign(tmp_path: Path) -> Signer:
    return signer(tmp_path)


@pytest.fixture
def openssl(tmp_path: Path) -> Openssl:
    secret = tmp_path / "secret.pem"
    run(need("openssl"), "genpkey", "-algorithm", "ed25519", "-out", secret)
    return Openssl(secret)


def refusal(key: SigningKey, data: bytes, signature: bytes) -> str:
    with pytest.raises(InvalidInputError) as caught:
        check_signature(key, data, signature)
    return caught.value.message


def with_line(number: int, line: bytes) -> bytes:
    lines = MINISIG.splitlines(keepends=True)
    return b"".join([*lines[:number], line + b"\n", *lines[number + 1 :]])


@pytest.mark.parametrize("options", [(), ("-l",), ("-t", "for the räck\tof\x0bAnna"), ("-t", "")])
@pytest.mark.parametrize("data", [DATA, b"", bytes(range(256)) * 4096])
def test_what_minisign_signs_is_taken(
    minisign: Signer, options: tuple[str, ...], data: bytes
) -> None:
    signature = minisign.sign(data, *options)

    check_signature(parse_key(minisign.public_file.read_text()), data, signature)


def test_the_longest_comments_of_minisign_are_within_the_bound(minisign: Signer) -> None:
    signature = minisign.sign(DATA, "-c", "c" * 1000, "-t", "t" * 4000)

    check_signature(parse_key(minisign.public_file.read_text()), DATA, signature)


def test_another_key_is_named_as_minisign_names_it(minisign: Signer, tmp_path: Path) -> None:
    other = signer(tmp_path / "other")
    signature = other.sign(DATA)

    said = refusal(parse_key(minisign.public_file.read_text()), DATA, signature)

    command = [need("minisign"), "-V", "-p", str(minisign.public_file)]
    command += ["-m", str(other.directory / "data")]
    of_minisign = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    ids = re.findall(r"key id .* is ([0-9A-F]+)", of_minisign.stderr)
    theirs, ours = (key_id.zfill(16) for key_id in ids)  # minisign 0.11 leaves zeros out
    assert said == f"the signature is by the key {theirs}, not by {ours}"


@pytest.mark.parametrize("data", [DATA, b"x", bytes(range(256)) * 4096])
def test_what_openssl_signs_is_taken_by_a_bare_key(openssl: Openssl, data: bytes) -> None:
    public_key, signature = openssl.public_key(), openssl.sign(data)

    for text in (public_key.hex(), base64.b64encode(public_key).decode()):
        key = parse_key(text)
        assert key == SigningKey(None, public_key)
        check_signature(key, data, signature)


def test_a_key_without_its_id_takes_no_signature_of_minisign(minisign: Signer) -> None:
    """As a bare key it would also have to take a global signature as one of a file."""
    signature = minisign.sign(DATA)
    bare = replace(parse_key(minisign.public_file.read_text()), key_id=None)

    assert "give minisign's public key" in refusal(bare, DATA, signature)


def test_a_global_signature_is_none_of_a_file(minisign: Signer) -> None:
    lines = minisign.sign(DATA, "-l").splitlines()
    data = base64.b64decode(lines[1])[10:] + lines[2].removeprefix(b"trusted comment: ")
    signature = base64.b64decode(lines[3])
    key = parse_key(minisign.public_file.read_text())
    check_signature(SigningKey(None, key.public_key), data, signature)  # it is by that key

    assert "no signature of minisign" in refusal(key, data, signature)


@pytest.mark.parametrize(
    "write",
    [
        lambda raw: raw,
        lambda raw: raw.hex().encode() + b"\n",
        lambda raw: raw.hex().upper().encode(),
        lambda raw: base64.b64encode(raw) + b"\r\n",
    ],
)
def test_a_bare_signature_is_bytes_or_text(write: Callable[[bytes], bytes]) -> None:
    check_signature(BARE, MESSAGE, write(SIGNATURE))


@pytest.mark.parametrize(
    "text",
    [
        PUBLIC_LINE,
        f"{PUBLIC_LINE}\n",
        f"untrusted comment: minisign public key {KEY_NAME}\n{PUBLIC_LINE}\n",
        f"untrusted comment: of the vendor\r\n{PUBLIC_LINE}\r\n",
        f"\n  {PUBLIC_LINE}  \n\n",
    ],
)
@pytest.mark.parametrize("line_end", [b"\n", b"\r\n"])
def test_every_way_to_write_a_key_and_to_check_a_file_out(text: str, line_end: bytes) -> None:
    check_signature(parse_key(text), SIGNED, MINISIG.replace(b"\n", line_end))
    check_signature(parse_key(text), SIGNED, MINISIG.rstrip() + 2 * line_end)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "untrusted comment: minisign public key",
        f"{PUBLIC_LINE}\n{PUBLIC_LINE}",
        f"comment\n{PUBLIC_LINE}",
        PUBLIC_LINE[:-4],
        PUBLIC_LINE[:-1],
        PUBLIC_LINE + "AAAA",
        PUBLIC_LINE.replace("RW", "RU"),
        KEY.hex()[:-1],
        KEY.hex() + "00",
        base64.b64encode(KEY).decode().rstrip("="),
        base64.b64encode(KEY[:31]).decode(),
        base64.b64encode(KEY[:4] + b"=" + KEY[5:]).decode()[:-2] + "==",
        "\u0661" * 64,
        "\udcff" * 44,
        "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEA\n-----END PUBLIC KEY-----",
        "00" * 32,
        "ff" * 32,
        base64.b64encode(b"Ed" + bytes(8) + bytes(32)).decode(),
    ],
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidInputError, match="public key"):
        parse_key(text)


def test_a_key_has_a_bound() -> None:
    with pytest.raises(InvalidInputError, match="longer than"):
        parse_key(f"untrusted comment: {'c' * MAX_KEY_CHARS}\n{PUBLIC_LINE}")


def test_a_refused_key_is_not_quoted() -> None:
    """It may be the secret one."""
    secret = base64.b64encode(b"EdScB2" + bytes(range(152))).decode()

    with pytest.raises(InvalidInputError) as caught:
        parse_key(f"untrusted comment: minisign encrypted secret key\n{secret}\n")

    assert secret[:12] not in caught.value.message


def test_every_character_of_a_key_matters() -> None:
    for place in range(len(PUBLIC_LINE)):
        other = "A" if PUBLIC_LINE[place] != "A" else "B"
        try:
            key = parse_key(PUBLIC_LINE[:place] + other + PUBLIC_LINE[place + 1 :])
        except InvalidInputError:
            continue
        assert "the signature" in refusal(key, SIGNED, MINISIG)


@pytest.mark.parametrize(
    ("signature", "reason"),
    [
        (b"", "no signature of minisign"),
        (b"\xff" * 64, "no signature of minisign"),
        (b"<html>not found</html>", "no signature of minisign"),
        (b"x" * (MAX_SIGNATURE_BYTES + 1), "larger than"),
        (MINISIG + b"more\n", "four known lines"),
        (b"\n" + MINISIG, "four known lines"),
        (b"\n".join(MINISIG.splitlines()[:2]), "four known lines"),
        (with_line(0, b"comment: x"), "four known lines"),
        (with_line(2, b"untrusted comment: x"), "four known lines"),
        (with_line(1, b""), "damaged"),
        (with_line(1, MINISIG.splitlines()[1][:-4]), "damaged"),
        (with_line(1, MINISIG.splitlines()[1].replace(b"RUS", b"RVS")), "damaged"),
        (with_line(1, MINISIG.splitlines()[1].replace(b"=", b"")), "damaged"),
        (with_line(3, MINISIG.splitlines()[3] + b" "), "damaged"),
        (with_line(3, base64.b64encode(bytes(63))), "damaged"),
        (with_line(3, base64.b64encode(bytes(64))), "trusted comment"),
        (with_line(2, b"trusted comment: another"), "trusted comment"),
        (with_line(2, MINISIG.splitlines()[2] + b"\x0b"), "trusted comment"),
        (with_line(1, b"RWS" + MINISIG.splitlines()[1][3:]), "does not match the data"),
    ],
)
def test_a_signature_of_minisign_that_is_refused_says_why(signature: bytes, reason: str) -> None:
    assert reason in refusal(parse_key(PUBLIC_LINE), SIGNED, signature)


@pytest.mark.parametrize(
    ("signature", "reason"),
    [
        (b"", "this is no signature"),
        (SIGNATURE[:-1], "this is no signature"),
        (SIGNATURE + b"\n", "this is no signature"),
        (SIGNATURE.hex().encode()[:-1], "this is no signature"),
        (base64.b64encode(SIGNATURE).rstrip(b"="), "this is no signature"),
        (base64.b64encode(SIGNATURE)[:-3] + b"h==", "this is no signature"),
        (b"x" * (MAX_SIGNATURE_BYTES + 1), "larger than"),
        (bytes(64), "does not match the data"),
        (MINISIG, "give minisign's public key"),
    ],
)
def test_a_bare_signature_that_is_refused_says_why(signature: bytes, reason: str) -> None:
    assert reason in refusal(BARE, MESSAGE, signature)


@given(st.integers(min_value=0, max_value=len(SIGNED) * 8 - 1))
def test_no_flipped_bit_of_the_data_is_taken(bit: int) -> None:
    said = refusal(parse_key(PUBLIC_LINE), flipped(SIGNED, bit), MINISIG)

    assert said == "the signature does not match the data"


@given(st.integers(min_value=MINISIG.index(b"\n") * 8, max_value=len(MINISIG) * 8 - 9))
def test_no_flipped_bit_after_the_untrusted_comment_is_taken(bit: int) -> None:
    refusal(parse_key(PUBLIC_LINE), SIGNED, flipped(MINISIG, bit))


@given(st.binary(max_size=200) | st.binary(max_size=100).map(base64.b64encode))
def test_any_bytes_are_refused_and_are_no_other_error(signature: bytes) -> None:
    refusal(parse_key(PUBLIC_LINE), SIGNED, signature)
    refusal(parse_key(PUBLIC_LINE), SIGNED, with_line(1, signature))
    refusal(BARE, SIGNED, signature)


@given(
    st.text(max_size=200) | st.binary(max_size=50).map(lambda raw: base64.b64encode(raw).decode())
)
def test_any_text_gives_a_key_or_invalid_input(text: str) -> None:
    try:
        key = parse_key(text)
    except InvalidInputError:
        return

    assert len(key.public_key) == 32
