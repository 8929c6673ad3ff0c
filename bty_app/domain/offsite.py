"""Copies of backups elsewhere: where they go, how one is described there, what goes and comes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from bty_app.domain import retention
from bty_app.domain.moments import stamp
from bty_app.errors import InvalidInputError

COPY = "offsite.json"  # stored last: without it there is no copy, only files
COPY_VERSION = 1
MAX_COPY_BYTES = 64 * 1024
MAX_FILE_BYTES = 2**46
SEALED = ".sealed"  # the ending of an encrypted file
_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z._-]{0,99}", re.ASCII)
_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]{1,62}", re.ASCII)
_REGION = re.compile(r"[a-z0-9-]{1,40}", re.ASCII)
_SHA = re.compile(r"[0-9a-f]{64}", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9._:\[\]-]+", re.ASCII)
_NAMES = frozenset({"inventory.json", "state.db", "manifest.json", "SHA256SUMS"})


class CutShortError(InvalidInputError):
    """What makes a copy of files is there in part: a server took what came before the end of a
    connection for the whole. It is no copy, and can be completed.
    """


@dataclass(frozen=True, slots=True)
class DirectoryTarget:
    """A directory of this host, maybe of another file system. It has to be there."""

    path: str


@dataclass(frozen=True, slots=True)
class BucketTarget:
    """A bucket of an S3-compatible server, named in the path of the URL."""

    endpoint: str
    bucket: str
    prefix: str
    region: str


@dataclass(frozen=True, slots=True)
class WebTarget:
    """A folder of a WebDAV server, or of one that takes PUT."""

    url: str


Target = DirectoryTarget | BucketTarget | WebTarget


def parse_target(url: str) -> Target:
    """Where a URL says that copies go.

    Raises:
        InvalidInputError: it is none of the three kinds, or holds credentials.
    """
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise InvalidInputError("is no URL") from error
    if not url.isprintable() or not url.isascii() or " " in url or port == 0:
        raise InvalidInputError("must be a URL in ASCII, without spaces")
    if "@" in parts.netloc:
        raise InvalidInputError("must not hold credentials: they have keys of their own")
    if parts.fragment or _climbs(parts.path):
        raise InvalidInputError("must have no fragment, and no `..` in its path")
    match parts.scheme:
        case "file":
            return _directory(host, parts.path, parts.query)
        case "s3":
            return _bucket(parts.netloc, unquote(parts.path), parts.query)
        case "http" | "https" if host and not parts.query and _HOST.fullmatch(parts.netloc):
            return WebTarget(url.rstrip("/"))
    raise InvalidInputError(
        "must be file:///directory, s3://bucket/prefix?endpoint=https://host, or an http or https"
        " URL without a query"
    )


def _directory(host: str, path: str, query: str) -> DirectoryTarget:
    if host or query or len(path) < 2:
        raise InvalidInputError("must be file:/// and the path of a directory")
    return DirectoryTarget(unquote(path).rstrip("/"))


def _bucket(bucket: str, path: str, query: str) -> BucketTarget:
    given = parse_qs(query, keep_blank_values=True)
    if not _BUCKET.fullmatch(bucket) or set(given) - {"endpoint", "region"}:
        raise InvalidInputError("must be s3://bucket/prefix?endpoint=https://host&region=name")
    region = given.get("region", ["us-east-1"])[0]
    endpoint = given.get("endpoint", [f"https://s3.{region}.amazonaws.com"])[0].rstrip("/")
    parts = urlsplit(endpoint)
    plain = parts.scheme in {"http", "https"} and not (parts.path or parts.query)
    if not _REGION.fullmatch(region) or not plain or not _HOST.fullmatch(parts.netloc):
        raise InvalidInputError("must have an endpoint such as https://host:9000, and a region")
    return BucketTarget(endpoint, bucket, path.strip("/"), region)


def _climbs(path: str) -> bool:
    return any(part in {".", ".."} for part in unquote(path).split("/"))


def check_id(backup_id: str) -> str:
    """The id of a backup, which is a name of a folder.

    Raises:
        InvalidInputError: it is none.
    """
    if not _ID.fullmatch(backup_id):
        raise InvalidInputError(f"{backup_id[:100]!r} is not the id of a backup")
    return backup_id


@dataclass(frozen=True, slots=True)
class CopiedFile:
    """A file of a backup as it is stored there. `size` and `sha256` are of the stored bytes."""

    name: str
    stored: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Copy:
    """What `offsite.json` says of a copy. `key_id` names the key it is encrypted with, if it is;
    `created_at` is when the backup was taken, `trigger` why.
    """

    backup_id: str
    instance_id: str
    trigger: str
    created_at: datetime
    key_id: str
    files: tuple[CopiedFile, ...]

    @property
    def size(self) -> int:
        """The stored bytes."""
        return sum(file.size for file in self.files)


def copy_text(copy: Copy, pushed_at: datetime) -> bytes:
    """`offsite.json`."""
    told = {
        "bty_offsite_version": COPY_VERSION,
        "backup_id": copy.backup_id,
        "instance_id": copy.instance_id,
        "trigger": copy.trigger,
        "created_at": stamp(copy.created_at),
        "pushed_at": stamp(pushed_at),
        "key_id": copy.key_id,
        "files": [
            {"name": f.name, "stored": f.stored, "size": f.size, "sha256": f.sha256}
            for f in copy.files
        ],
    }
    return (json.dumps(told, indent=2) + "\n").encode()


def parse_copy(data: bytes, backup_id: str) -> Copy:
    """What an `offsite.json` says.

    Raises:
        InvalidInputError: it is none, of another backup, or of a later kind.
    """
    try:
        told = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise CutShortError(f"{backup_id}/{COPY} is not JSON: it was cut short") from error
    if not isinstance(told, dict) or told.get("bty_offsite_version") != COPY_VERSION:
        raise InvalidInputError(f"{backup_id}/{COPY} is of a kind that this release cannot read")
    try:
        copy = _copy(told)
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidInputError(f"{backup_id}/{COPY} is not whole: {error}") from error
    if copy.backup_id != backup_id:
        raise InvalidInputError(f"{backup_id}/{COPY} is of another backup: {copy.backup_id[:100]}")
    return copy


def _copy(told: Mapping[str, Any]) -> Copy:
    created = datetime.fromisoformat(told["created_at"])
    if created.tzinfo is None:
        raise ValueError("created_at has no zone")
    texts = [told[key] for key in ("backup_id", "instance_id", "trigger", "key_id")]
    if not all(isinstance(text, str) and len(text) <= 200 for text in texts):
        raise ValueError("a text is none")
    files = tuple(_copied(file) for file in told["files"])
    if len({file.name for file in files}) != len(files) or not files:
        raise ValueError("a file is listed twice, or none")
    backup_id, instance_id, trigger, key_id = texts
    return Copy(backup_id, instance_id, trigger, created.astimezone(UTC), key_id, files)


def _copied(told: Mapping[str, Any]) -> CopiedFile:
    name, stored, size, sha = (told[key] for key in ("name", "stored", "size", "sha256"))
    if name not in _NAMES or stored not in {name, name + SEALED}:
        raise ValueError("a file has no place in a backup")
    if type(size) is not int or not 0 <= size <= MAX_FILE_BYTES:
        raise ValueError("a size is none")
    if not isinstance(sha, str) or not _SHA.fullmatch(sha):
        raise ValueError("a digest is none")
    return CopiedFile(name, stored, size, sha)


@dataclass(frozen=True, slots=True)
class Taken:
    """A backup of this host."""

    id: str
    instance_id: str
    trigger: str
    created_at: datetime


SCHEDULED = "scheduled"


def fates(
    copies: Iterable[Copy], instance_id: str, keep: int, now: datetime
) -> tuple[retention.Fate, ...]:
    """What becomes of each copy; `keep` 0 keeps all. Those of another server stay."""
    items = [_kept(c.backup_id, c.created_at, c, instance_id) for c in copies]
    if keep == 0:
        return tuple(retention.Fate(item, True, "all are kept") for item in items)
    return retention.plan(items, retention.Policy(count=keep), now)


def missing(
    here: Iterable[Taken], there: Iterable[Copy], keep: int, now: datetime
) -> tuple[str, ...]:
    """Which backups are to be copied, the oldest first: those that would stay there."""
    copies = {copy.backup_id: copy for copy in there}
    new = {taken.id: taken for taken in here if taken.id not in copies}
    own = next((taken.instance_id for taken in new.values()), "")
    items = [_kept(c.backup_id, c.created_at, c, own) for c in copies.values()]
    items += [_kept(t.id, t.created_at, t, own) for t in new.values()]
    policy = retention.Policy(count=keep or len(items))
    stay = [fate.item for fate in retention.plan(items, policy, now) if fate.stays]
    return tuple(item.id for item in reversed(stay) if item.id in new)


def _kept(name: str, at: datetime, what: Copy | Taken, instance_id: str) -> retention.Kept:
    ours = what.instance_id == instance_id and what.trigger == SCHEDULED
    return retention.Kept(name, at, scheduled=ours)
