"""From what is wanted to an order that can be flashed: format, digest, size and block map."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bty_app.domain.image_name import FORMATS, detect_format
from bty_app.domain.image_source import basename, is_http, is_registry
from bty_app.errors import BtyError, FlashRefusedError
from bty_app.flasher.order import Order, Source
from bty_app.flasher.plan import FlashPlan, Place
from bty_app.upstream.http import Http, StatusError
from bty_app.upstream.registry import Registry

MAX_BMAP_BYTES = 16 * 1024 * 1024
BMAP_HEAD_BYTES = 4096
BMAP_SECONDS = 5.0
REGISTRY_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """An image, as a person or a server names it."""

    places: tuple[Place, ...]
    format: str | None = None
    sha256: str | None = None
    size_bytes: int | None = None
    verify: bool = False
    stall_seconds: float | None = None


class Orders:
    """Makes orders. Asks other hosts."""

    def __init__(self, http: Http, registry: Registry) -> None:
        self._http = http
        self._registry = registry

    def of_plan(self, plan: FlashPlan, *, verify: bool = False) -> Order:
        """What the server wants.

        Raises:
            As `of`.
        """
        return self.of(
            Wanted(
                places=plan.places,
                format=plan.format,
                sha256=plan.sha256,
                verify=verify or plan.options.verify,
                stall_seconds=plan.options.stall_seconds,
            )
        )

    def of(self, wanted: Wanted) -> Order:
        """The order.

        Raises:
            FlashRefusedError: nothing says which format the image has.
            NotFoundError, UnavailableError, InvalidInputError: a registry does not say it.
        """
        return Order(
            sources=tuple(_source(place) for place in wanted.places),
            format=wanted.format or self._format(wanted.places),
            sha256=wanted.sha256,
            size_bytes=wanted.size_bytes,
            bmap=self._bmap(wanted.places),
            verify=wanted.verify,
            stall_seconds=wanted.stall_seconds,
        )

    def _format(self, places: Sequence[Place]) -> str:
        failure: BtyError | None = None
        for place in places:
            if not is_registry(place.url):
                if found := detect_format(basename(place.url)):
                    return found
                continue
            try:
                resolved = self._registry.resolve(place.url, seconds=REGISTRY_SECONDS)
            except BtyError as error:
                failure = error
                continue
            if resolved.format:
                return resolved.format
        if failure is not None:
            raise failure
        raise FlashRefusedError(
            f"nothing says which format {places[0].url} has: its name ends in none of"
            f" {', '.join(FORMATS)}; nothing was written"
        )

    def _bmap(self, places: Iterable[Place]) -> bytes | None:
        """The block map beside the image, where there is one: of use, never needed."""
        return next(filter(None, (self._bmap_beside(place) for place in places)), None)

    def _bmap_beside(self, place: Place) -> bytes | None:
        if place.label == "cache":  # it serves the image under whatever name is asked for
            return None
        for url in bmap_urls(place.url):
            try:
                found = self._http.get(url, limit=MAX_BMAP_BYTES, seconds=BMAP_SECONDS)
            except StatusError:
                continue
            except BtyError:  # the place is away: the image may come from another one
                return None
            # Some servers answer every name with a page of theirs.
            if b"<bmap" in found[:BMAP_HEAD_BYTES]:
                return found
        return None


def bmap_urls(url: str) -> tuple[str, ...]:
    """Where bmaptool would look: `x.img.zst` has `x.img.bmap`, or `x.img.zst.bmap`, or `x.bmap`.
    A qcow2 file has a map of its own; a .bmap beside it is of another file.
    """
    bare = url.partition("#")[0].partition("?")[0]
    suffix = detect_format(basename(url))
    if not is_http(url) or suffix in (None, "qcow2") or not bare.lower().endswith(f".{suffix}"):
        return ()
    stem = bare[: -len(suffix) - 1]
    return tuple(dict.fromkeys((f"{stem}.img.bmap", f"{bare}.bmap", f"{stem}.bmap")))


def _source(place: Place) -> Source:
    if is_registry(place.url):
        return Source("registry", place.url, place.label)
    if is_http(place.url):
        return Source("http", place.url, place.label)
    return Source("file", place.url, place.label)
