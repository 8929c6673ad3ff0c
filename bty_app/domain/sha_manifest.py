"""Checksum files as `sha256sum` writes them: lines of a digest and a name (CONTRACT 8.4)."""

from __future__ import annotations

import re
from urllib.parse import unquote

from bty_app.errors import InvalidInputError

MAX_MANIFEST_BYTES = 1024 * 1024

_LINE = re.compile(r"([0-9A-Fa-f]{64})(?:\s+(\S.*))?", re.ASCII)


def digest_of(text: str, target: str | None) -> str:
    """The SHA-256 of the file `target` in 64 lower-case hex digits.

    A manifest of one bare digest answers for any target; `None` asks for that only digest.

    Raises:
        InvalidInputError: a line is no `digest name`, or the manifest does not say one digest.
    """
    listed = _listed(text)
    if target is None or listed == [(listed[0][0], None)]:
        found = {digest for digest, _ in listed}
    else:
        found = {digest for digest, name in listed if name == target}
    wanted = "an only digest" if target is None else repr(target[:200])
    if not found:
        raise InvalidInputError(f"the checksum file does not list {wanted}")
    if len(found) > 1:
        raise InvalidInputError(f"the checksum file lists several digests for {wanted}")
    return found.pop()


def listed_digest(data: bytes, name: str) -> str:
    """The digest that a checksum file has for the file `name` of a URL.

    Raises:
        InvalidInputError: it has none, or is no checksum file.
    """
    text = _text(data)
    try:
        return digest_of(text, name)
    except InvalidInputError:
        plain = unquote(name)
        if plain == name:
            raise
    return digest_of(text, plain)  # the URL spells a name as %20 that the list has as it is


def listed_files(data: bytes) -> list[tuple[str, str | None]]:
    """Every line of a checksum file: the digest, and the name where it has one.

    Raises:
        InvalidInputError: it is empty, or no checksum file.
    """
    return _listed(_text(data))


def _text(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInputError("the checksum file is not UTF-8 text") from error


def _listed(text: str) -> list[tuple[str, str | None]]:
    lines = [line.strip() for line in text.split("\n")]
    listed = [_parse(line, number) for number, line in enumerate(lines, 1) if line]
    if not listed:
        raise InvalidInputError("the checksum file is empty")
    return listed


def _parse(line: str, number: int) -> tuple[str, str | None]:
    match = _LINE.fullmatch(line)
    if not match:
        raise InvalidInputError(
            f"line {number} of the checksum file is not 64 hexadecimal digits and a name: "
            f"{line[:80]!r}"
        )
    digest, name = match.groups()
    if name is not None:
        name = name.removeprefix("*").removeprefix("./")
    return digest.lower(), name
