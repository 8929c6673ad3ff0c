"""The images that machines can be given: an entry, and how a manifest changes what is known."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from bty_app.domain.image_name import UNPRINTABLE, detect_arch, detect_format, name_fault
from bty_app.domain.image_source import (
    IMAGE_REF,
    ImageRef,
    basename,
    image_ref,
    is_http,
    is_registry,
    without_credentials,
)
from bty_app.errors import ConflictError, InvalidInputError, NotFoundError, ValidationError

_ADDRESS = re.compile(r"https?://[^/?#]", re.ASCII)  # lower case, as the API has it


@dataclass(frozen=True, slots=True)
class CatalogEntry:
    """An image as it is kept; the names are those of the columns (CONTRACT 6)."""

    bty_image_ref: ImageRef
    src: str
    name: str
    added_at: str
    resolved_src: str | None = None
    disk_image_sha: str | None = None
    sha_url: str | None = None
    format: str | None = None
    size_bytes: int | None = None
    description: str | None = None
    arch: str | None = None
    mirrors: tuple[str, ...] = ()
    upstream: str | None = None
    gone_at: str | None = None


@dataclass(frozen=True, slots=True)
class ManifestEntry:
    """An image as a catalog.toml lists it, checked."""

    ref: ImageRef
    src: str
    name: str
    sha256: str | None = None
    format: str | None = None
    size_bytes: int | None = None
    description: str | None = None
    arch: str | None = None
    mirrors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """A field of a known image that upstream says differently now."""

    field: str
    old: str | int | tuple[str, ...] | None
    new: str | int | tuple[str, ...] | None


@dataclass(frozen=True, slots=True)
class NewImage:
    """An image that an operator adds by its URL, checked; what the network knows is missing."""

    ref: ImageRef
    src: str
    name: str
    sha_url: str | None


@dataclass(frozen=True, slots=True)
class Updated:
    """A known image, and what a manifest changed of it."""

    entry: CatalogEntry
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Repeated:
    """A name in a manifest whose image the same manifest lists under an earlier name."""

    name: str
    first_name: str


@dataclass(frozen=True, slots=True)
class Merge:
    """What taking in a manifest does: `kept` counts the images that stay as they are."""

    added: tuple[CatalogEntry, ...]
    updated: tuple[Updated, ...]
    repeated: tuple[Repeated, ...]
    kept: int


def only_one(entries: Iterable[CatalogEntry], image: str) -> CatalogEntry:
    """The only one with this name, source or ref.

    Raises:
        NotFoundError: there is none.
        ConflictError: several have this name.
    """
    found = [e for e in entries if image in (e.name, e.src, e.bty_image_ref)]
    if not found:
        raise NotFoundError(f"no catalog entry is {without_credentials(image)[:200]!r}")
    if len(found) > 1:
        raise ConflictError(f"{len(found)} images are called {image[:200]!r}: give the source")
    return found[0]


def ref_of(src: str) -> str:
    """The ref of an image that is named by its source, or by its ref.

    Raises:
        ValidationError: `src` is neither.
    """
    if IMAGE_REF.fullmatch(src):
        return src
    try:
        return image_ref(src)
    except InvalidInputError as error:
        raise ValidationError(f"src: {error.message}") from error


def new_image(image_url: str, *, sha_url: str | None, ref: str | None) -> NewImage:
    """What an operator wants to add (CONTRACT 8.4).

    Raises:
        ValidationError: no http(s) URL of a file and no oras:// reference, or `ref` is not its ref.
    """
    if is_registry(image_url):
        return _in_registry(image_url, sha_url=sha_url, ref=ref)
    found = _checked_url("image_url", image_url)
    name = basename(image_url)
    fault = "is missing" if name in ("", ".", "..") else name_fault(name)
    if fault:
        raise ValidationError(f"image_url: the file name at the end of its path {fault}")
    _check_ref(ref, found)
    if sha_url is not None:
        _checked_url("sha_url", sha_url)
    return NewImage(found, image_url, name, sha_url)


def _in_registry(src: str, *, sha_url: str | None, ref: str | None) -> NewImage:
    """Named as its repository until the registry tells a title."""
    if sha_url is not None:
        raise ValidationError("sha_url: leave it out, a registry tells the digest itself")
    found = _checked_ref("image_url", src)
    _check_ref(ref, found)
    name = src.partition("@")[0].rpartition("/")[2].partition(":")[0]
    return NewImage(found, src, name, None)


def _check_ref(given: str | None, found: ImageRef) -> None:
    if given is not None and given != found:
        raise ValidationError(f"ref: {given[:80]!r} is not the ref of image_url, which is {found}")


def _checked_url(field: str, url: str) -> ImageRef:
    if not _ADDRESS.match(url):
        kinds = "http:// or https://" + (" or oras://" if field == "image_url" else "")
        raise ValidationError(f"{field}: must start with {kinds} and name a host")
    if UNPRINTABLE.search(url):
        raise ValidationError(f"{field}: has control characters or line breaks")
    return _checked_ref(field, url)


def _checked_ref(field: str, url: str) -> ImageRef:
    try:
        return image_ref(url)
    except InvalidInputError as error:
        raise ValidationError(f"{field}: {error.message}") from error


def merged(
    known: Mapping[str, CatalogEntry], listed: Iterable[ManifestEntry], *, added_at: str
) -> Merge:
    """What taking in the `listed` images does to the `known` ones, which are by ref."""
    added: list[CatalogEntry] = []
    updated: list[Updated] = []
    repeated: list[Repeated] = []
    kept = 0
    first: dict[str, str] = {}
    for image in listed:
        entry = known.get(image.ref)
        if image.ref in first:
            repeated.append(Repeated(image.name, first[image.ref]))
        elif entry is None:
            added.append(entry_of(image, added_at=added_at))
        else:
            now, changes = refreshed(entry, image)
            kept += not changes
            updated += [Updated(now, tuple(changes))] if changes else []
        first.setdefault(image.ref, image.name)
    return Merge(tuple(added), tuple(updated), tuple(repeated), kept)


def entry_of(listed: ManifestEntry, *, added_at: str) -> CatalogEntry:
    """A new entry from what a manifest lists; `added_at` is an ISO time in UTC."""
    return CatalogEntry(
        bty_image_ref=listed.ref,
        src=listed.src,
        name=listed.name,
        added_at=added_at,
        resolved_src=listed.src if is_http(listed.src) else None,
        disk_image_sha=listed.sha256,
        format=listed.format,
        size_bytes=listed.size_bytes,
        description=listed.description,
        arch=listed.arch,
        mirrors=listed.mirrors,
    )


def added_entry(
    image: NewImage, *, sha256: str | None, size_bytes: int | None, added_at: str
) -> CatalogEntry:
    """A new entry from what an operator gave and the network told."""
    return CatalogEntry(
        bty_image_ref=image.ref,
        src=image.src,
        name=image.name,
        added_at=added_at,
        resolved_src=image.src,
        disk_image_sha=sha256,
        sha_url=image.sha_url,
        format=detect_format(image.name),
        size_bytes=size_bytes,
        arch=detect_arch(image.name),
    )


def refreshed(known: CatalogEntry, listed: ManifestEntry) -> tuple[CatalogEntry, list[Change]]:
    """`known` with what a manifest says of the same image now, and what that changes.

    Name and source stay, and a manifest that is silent about a field takes nothing away. An entry
    with a checksum source of its own (`sha_url`) belongs to the operator who gave it: it stays.
    """
    if known.sha_url is not None:
        return known, []
    said: dict[str, Any] = {
        "disk_image_sha": listed.sha256,
        "size_bytes": listed.size_bytes,
        "format": listed.format,
        "arch": listed.arch,
        "description": listed.description,
        "mirrors": listed.mirrors or None,
    }
    new = {
        field: value
        for field, value in said.items()
        if value is not None and value != getattr(known, field)
    }
    changes = [Change(field, getattr(known, field), value) for field, value in new.items()]
    return replace(known, **new), changes
