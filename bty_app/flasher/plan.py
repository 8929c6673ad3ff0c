"""What the server wants of this machine (CONTRACT 3.4), checked at the door."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from bty_app.domain.flash_options import (
    NO_OPTIONS,
    STALL_SECONDS,
    USUAL_STALL_SECONDS,
    WIPE_METHODS,
    FlashOptions,
)
from bty_app.domain.image_name import FORMATS, detect_format
from bty_app.domain.image_source import basename, is_http, is_registry
from bty_app.domain.json_bounds import object_of
from bty_app.domain.withcache import origin_of
from bty_app.errors import InvalidInputError

MAX_PLAN_BYTES = 256 * 1024
MAX_SOURCES = 16
WAIT_SECONDS = (5, 3600)  # the least and the most that a plan can make us wait

_SHA256 = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
_LABELS = frozenset({"cache", "mirror", "origin"})


@dataclass(frozen=True, slots=True)
class Place:
    """Where the image is: `label` says what kind of place."""

    url: str
    label: str = "origin"


@dataclass(frozen=True, slots=True)
class FlashPlan:
    """Write the image to the disk with this serial. `places` are of the same bytes, best first;
    `format` is None where neither a name nor the server says it.
    """

    places: tuple[Place, ...]
    serial: str
    name: str = ""
    format: str | None = None
    sha256: str | None = None
    options: FlashOptions = NO_OPTIONS


@dataclass(frozen=True, slots=True)
class InventoryPlan:
    """Report the hardware, and reboot."""


@dataclass(frozen=True, slots=True)
class InteractivePlan:
    """A person decides; `catalog` is where the images are listed. `why` is for that person."""

    catalog: str | None = None
    why: str = ""


@dataclass(frozen=True, slots=True)
class ExitPlan:
    """There is nothing to do here."""


@dataclass(frozen=True, slots=True)
class WaitPlan:
    """Ask again in `seconds`. A person may have the wizard meanwhile."""

    seconds: int
    catalog: str | None = None


Plan = FlashPlan | InventoryPlan | InteractivePlan | ExitPlan | WaitPlan


def parse_plan(data: bytes) -> Plan:
    """The plan in the body of an answer. Keys that are not known are passed over.

    Raises:
        InvalidInputError: it is no plan at all, or its digest cannot be one.
    """
    body = object_of(data)
    catalog = _string(body, "catalog")
    match body.get("mode"):
        case "flash":
            return _flash(body, catalog)
        case "inventory":
            return InventoryPlan()
        case "exit":
            return ExitPlan()
        case "interactive":
            seconds = _seconds(body.get("retry_after"), WAIT_SECONDS)
            return WaitPlan(seconds, catalog) if seconds else InteractivePlan(catalog)
        case str() as mode:
            return InteractivePlan(catalog, f"the server orders {mode[:64]!r}, which is unknown")
    raise InvalidInputError("it has no mode")


def _flash(body: Mapping[str, object], catalog: str | None) -> Plan:
    serial = (_string(body, "target_disk_serial") or "").strip()
    places = _places(body)
    if not places:
        return InteractivePlan(catalog, "the server names no image")
    if not serial:
        return InteractivePlan(catalog, "the server names no disk")
    wipe = body.get("wipe") or None
    if wipe is not None and wipe not in WIPE_METHODS:
        return InteractivePlan(catalog, f"the server wants a wipe by {str(wipe)[:64]!r}: unknown")
    return FlashPlan(
        places=places,
        serial=serial,
        name=_string(body, "name") or places[0].url,
        format=_format(body, places),
        sha256=_sha256(body, places),
        options=FlashOptions(
            str(wipe) if wipe else None,
            verify=body.get("verify") is True,
            stall_seconds=_seconds(body.get("stall_seconds"), STALL_SECONDS) or USUAL_STALL_SECONDS,
        ),
    )


def _places(body: Mapping[str, object]) -> tuple[Place, ...]:
    listed = body.get("sources")
    found = []
    for row in listed if isinstance(listed, list) else []:
        url = _string(row, "url") if isinstance(row, dict) else None
        if url and _is_fetchable(url):
            label = _string(row, "from")
            found.append(Place(url, label if label in _LABELS else "origin"))
    image = _string(body, "image")
    if not found and image and _is_fetchable(image):
        # A server that names one place only may name a cache: it tells where that has it from.
        origin = origin_of(image)
        is_cache = origin is not None and _is_fetchable(origin)
        found = [Place(image, "cache"), Place(origin or "")] if is_cache else [Place(image)]
    return tuple(dict.fromkeys(found))[:MAX_SOURCES]


def _is_fetchable(url: str) -> bool:
    return is_http(url) or is_registry(url)


def _format(body: Mapping[str, object], places: tuple[Place, ...]) -> str | None:
    """By the name at the end of an address, else as the server says (CONTRACT 5.4)."""
    names = (unquote(basename(place.url)) for place in places if is_http(place.url))
    told = _string(body, "format")
    return next(filter(None, map(detect_format, names)), told if told in FORMATS else None)


def _sha256(body: Mapping[str, object], places: tuple[Place, ...]) -> str | None:
    """Of the bytes to be fetched. A server that knows one place only freezes the digest of a
    registry's tag when the image is added, and the tag moves on: then the registry's counts.
    """
    value = body.get("disk_image_sha")
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not _SHA256.fullmatch(value):
        raise InvalidInputError(f"its digest is {str(value)[:80]!r}")
    is_tag = is_registry(places[0].url) and "@sha256:" not in places[0].url
    return None if is_tag and "sources" not in body else value.lower()


def _seconds(value: object, bounds: tuple[int, int]) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    least, most = bounds
    return int(min(max(value, least), most)) if value > 0 else None


def _string(body: Mapping[str, object], key: str) -> str | None:
    value = body.get(key)
    return value if isinstance(value, str) and value else None
