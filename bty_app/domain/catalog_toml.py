"""catalog.toml, version 1: reading it strictly (CONTRACT 8.1) and writing it (CONTRACT 8.6).

The writer checks each row by the reader's own rules, so what it writes every client can read.
"""

from __future__ import annotations

import re
import tomllib
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import tomli_w

from bty_app.domain.catalog import CatalogEntry, ManifestEntry
from bty_app.domain.image_name import (
    MAX_NAME_CHARS,
    UNPRINTABLE,
    detect_arch,
    detect_format,
    name_fault,
)
from bty_app.domain.image_source import ImageRef, image_ref, is_http, without_credentials
from bty_app.errors import InvalidInputError

MAX_CATALOG_BYTES = 4 * 1024 * 1024  # a catalog of ours or of others, and what clients accept
MAX_UPLOAD_BYTES = 1024 * 1024

MAX_IMAGES = 10_000  # more would keep every booting machine waiting while they are stored
MAX_MIRRORS = 8
MAX_DESCRIPTION_CHARS = 4096
MAX_SIZE_BYTES = 2**63 - 1  # what an SQLite integer holds

_SHA256 = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
_TOKEN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,31}", re.ASCII)
_CONTROL_BUT_LINE_BREAKS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Skipped:
    """A row that is not written, and why."""

    ref: str
    name: str
    reason: str


@dataclass(frozen=True, slots=True)
class Rendered:
    """The text of a catalog.toml, and the rows with a digest that could not be in it."""

    text: str
    skipped: tuple[Skipped, ...]


# -- reading -----------------------------------------------------------------------------------


def parse_catalog(data: bytes, *, limit: int = MAX_CATALOG_BYTES) -> tuple[ManifestEntry, ...]:
    """The images of a catalog.toml in its order.

    Raises:
        InvalidInputError: any violation rejects the whole file; the sentence names the entry
            (counted from 1), its name, the field and the reason.
    """
    if len(data) > limit:
        raise InvalidInputError(f"the catalog is larger than {limit // 1024} KiB")
    document = _toml(data)
    version = document.get("version")
    if type(version) is not int or version != 1:
        raise InvalidInputError(f"the catalog has version {_shown(version)}; only 1 can be read")
    tables = document.get("images", [])
    if not isinstance(tables, list):
        raise InvalidInputError("the catalog's `images` is not an array of tables ([[images]])")
    if len(tables) > MAX_IMAGES:
        raise InvalidInputError(f"the catalog lists {len(tables)} images; at most {MAX_IMAGES}")
    entries = tuple(_numbered(table, number) for number, table in enumerate(tables, 1))
    _check_unique(entries)
    return entries


def _toml(data: bytes) -> Mapping[str, object]:
    try:
        return tomllib.loads(data.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise InvalidInputError(f"the catalog is not UTF-8 text: byte {error.start}") from error
    except RecursionError as error:
        raise InvalidInputError("the catalog is nested too deeply") from error
    except ValueError as error:  # TOMLDecodeError, or a number beyond what Python converts
        raise InvalidInputError(f"the catalog is not valid TOML: {str(error)[:200]}") from error


def _numbered(table: object, number: int) -> ManifestEntry:
    if not isinstance(table, dict):
        raise InvalidInputError(f"catalog entry {number} is not a table")
    try:
        return _entry(table)
    except InvalidInputError as error:
        name = table.get("name")
        named = f" (name {name[:80]!r})" if isinstance(name, str) else ""
        raise InvalidInputError(f"catalog entry {number}{named}: {error.message}") from error


def _entry(table: Mapping[str, object]) -> ManifestEntry:
    name = _name(table)
    src = _required(table, "src")
    return ManifestEntry(
        ref=_ref(table, src),
        src=src,
        name=name,
        sha256=_sha256(table),
        format=_token(table, "format") or detect_format(name),
        size_bytes=_size(table),
        description=_description(table),
        arch=_token(table, "arch") or detect_arch(name),
        mirrors=_mirrors(table),
    )


def _name(table: Mapping[str, object]) -> str:
    name = _required(table, "name")
    fault = name_fault(name)
    if fault:
        raise InvalidInputError(f"name: {fault}")
    return name


def _required(table: Mapping[str, object], field: str) -> str:
    value = _string(table, field)
    if value is None:
        raise InvalidInputError(f"{field}: is missing")
    return value


def _string(table: Mapping[str, object], field: str) -> str | None:
    value = table.get(field)
    if value is None:
        return None
    if not isinstance(value, str):
        raise InvalidInputError(f"{field}: must be a string, not {_shown(value)}")
    return value


def _ref(table: Mapping[str, object], src: str) -> ImageRef:
    if UNPRINTABLE.search(src):
        raise InvalidInputError("src: has control characters or line breaks")
    if src[:5].lower() == "file:":
        raise InvalidInputError(
            "src: file:// is refused, machines cannot read the server's files; use http or oras"
        )
    try:
        ref = image_ref(src)
    except InvalidInputError as error:
        raise InvalidInputError(f"src: {error.message}") from error
    given = _string(table, "ref")
    if given is not None and given != ref:
        raise InvalidInputError(f"ref: {given[:80]!r} is not the ref of this src, which is {ref}")
    return ref


def _sha256(table: Mapping[str, object]) -> str | None:
    value = _string(table, "sha256")
    if value is not None and not _SHA256.fullmatch(value):
        raise InvalidInputError(f"sha256: must be 64 hexadecimal digits, not {value[:80]!r}")
    return value.lower() if value else None


def _token(table: Mapping[str, object], field: str) -> str | None:
    value = _string(table, field)
    if value is not None and not _TOKEN.fullmatch(value):
        raise InvalidInputError(f"{field}: {value[:40]!r} is not a short plain word")
    return value


def _size(table: Mapping[str, object]) -> int | None:
    value = table.get("size_bytes")
    if value is None:
        return None
    if type(value) is not int or not 0 <= value <= MAX_SIZE_BYTES:
        raise InvalidInputError(f"size_bytes: must be a whole number, not {_shown(value)}")
    return value


def _description(table: Mapping[str, object]) -> str | None:
    value = _string(table, "description")
    if value and len(value) > MAX_DESCRIPTION_CHARS:
        raise InvalidInputError(f"description: is longer than {MAX_DESCRIPTION_CHARS} characters")
    if value and _CONTROL_BUT_LINE_BREAKS.search(value):
        raise InvalidInputError("description: has control characters")
    return value


def _mirrors(table: Mapping[str, object]) -> tuple[str, ...]:
    """Other addresses of the same bytes: a key of ours that older clients pass over."""
    listed = table.get("mirrors", [])
    if not isinstance(listed, list) or len(listed) > MAX_MIRRORS:
        raise InvalidInputError(f"mirrors: must be a list of at most {MAX_MIRRORS} URLs")
    for url in listed:
        if not isinstance(url, str) or not is_http(url) or UNPRINTABLE.search(url):
            shown = _shown(without_credentials(url) if isinstance(url, str) else url)
            raise InvalidInputError(f"mirrors: {shown} is no http or https URL")
        if without_credentials(url) != url:
            raise InvalidInputError("mirrors: boxes read these URLs, and one has credentials in it")
        try:
            image_ref(url)
        except InvalidInputError as error:
            raise InvalidInputError(f"mirrors: {error.message}") from error
    return tuple(listed)


def _shown(value: object) -> str:
    """A value of a stranger's file in an error: short, and never a number of a million digits."""
    if isinstance(value, int) and abs(value) > 10**30:
        return "a number of more than 30 digits"
    return "nothing" if value is None else repr(value)[:80]


def _check_unique(entries: tuple[ManifestEntry, ...]) -> None:
    first: dict[str, int] = {}
    for number, entry in enumerate(entries, 1):
        if entry.name in first:
            raise InvalidInputError(
                f"catalog entry {number} (name {entry.name[:80]!r}): name: entry "
                f"{first[entry.name]} has it already"
            )
        first[entry.name] = number


# The fields of an entry that say what it is, and not which one; each by the rule above.
_FIELDS: Mapping[str, Callable[[Mapping[str, object]], str | tuple[str, ...] | None]] = {
    "name": _name,
    "description": _description,
    "sha256": _sha256,
    "format": lambda table: _token(table, "format"),
    "arch": lambda table: _token(table, "arch"),
    "mirrors": _mirrors,
}


def parse_field(field: str, value: object) -> str | tuple[str, ...] | None:
    """One field of an entry, by the rule that it has in a catalog.toml; None takes it away.

    Raises:
        InvalidInputError: it breaks the rule; the sentence begins with the field.
    """
    return _FIELDS[field]({} if value is None else {field: value})


# -- writing -----------------------------------------------------------------------------------


def render_catalog(entries: Iterable[CatalogEntry], *, limit: int = MAX_CATALOG_BYTES) -> Rendered:
    """The catalog that live environments read: the `entries` with a digest, in the given order.

    Names are made unique by a number. A row that the format cannot hold, or that would take the
    whole over `limit` bytes, is left out and reported: one bad row must not break every client.
    """
    wanted = [entry for entry in entries if entry.disk_image_sha]
    names = _UniqueNames(entry.name for entry in wanted)
    parts = ["version = 1\n"]
    skipped = []
    room = limit - len(parts[0])
    for entry in wanted:
        try:
            text = _rendered(entry, names, room)
        except InvalidInputError as error:
            skipped.append(Skipped(entry.bty_image_ref, entry.name, error.message))
        else:
            parts.append(text)
            room -= len(text.encode())
    return Rendered("".join(parts), tuple(skipped))


def _rendered(entry: CatalogEntry, names: _UniqueNames, room: int) -> str:
    optional = {"format": entry.format, "size_bytes": entry.size_bytes, "arch": entry.arch}
    table: dict[str, object] = {
        "name": entry.name,
        "src": entry.src,
        "sha256": entry.disk_image_sha,
        **{field: value for field, value in optional.items() if value is not None},
    }
    if entry.mirrors:
        table["mirrors"] = list(entry.mirrors)
    _entry(table)
    table["name"] = names.take(entry.name)
    text = "\n" + tomli_w.dumps({"images": [table]})
    if len(text.encode()) > room:
        raise InvalidInputError("there is no room: clients refuse a larger catalog")
    return text


class _UniqueNames:
    """Gives each name once; a repeated one gets a number before its image suffix."""

    def __init__(self, names: Iterable[str]) -> None:
        self._given: set[str] = set()
        self._asked = frozenset(names)
        self._tries: Counter[str] = Counter()

    def take(self, name: str) -> str:
        unique = name
        while unique in self._given or (unique != name and unique in self._asked):
            self._tries[name] += 1
            unique = _with_number(name, self._tries[name] + 1)
        self._given.add(unique)
        return unique


def _with_number(name: str, number: int) -> str:
    image_format = detect_format(name)
    suffix = name[-len(image_format) - 1 :] if image_format else ""
    stem = name.removesuffix(suffix)
    mark = f"-{number}"
    return stem[: MAX_NAME_CHARS - len(suffix) - len(mark)] + mark + suffix
