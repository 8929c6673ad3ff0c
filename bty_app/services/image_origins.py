"""Asks the source of an image which bytes it serves now: a registry, or a checksum file."""

from __future__ import annotations

from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.image_source import basename, is_registry
from bty_app.domain.sha_manifest import MAX_MANIFEST_BYTES, listed_digest
from bty_app.services.current_images import Origin
from bty_app.upstream.http import Http
from bty_app.upstream.registry import Registry

_ARCHITECTURES = {"x86_64": "amd64", "arm64": "arm64"}  # ours -> those of OCI indexes


class ImageOrigins:
    """Any thread may call; each call waits for another host."""

    def __init__(self, registry: Registry, http: Http) -> None:
        self._registry = registry
        self._http = http

    def resolve(self, entry: CatalogEntry, seconds: float) -> Origin:
        """What the source serves now.

        Raises:
            InvalidInputError, NotFoundError, TooLargeError, UnavailableError: it does not say,
                within `seconds`.
        """
        if is_registry(entry.src):
            arch = _ARCHITECTURES.get(entry.arch or "")
            found = self._registry.resolve(entry.src, arch=arch, seconds=seconds)
            return Origin(found.digest, found.size, found.blob_url, found.format)
        data = self._http.get(entry.sha_url or "", limit=MAX_MANIFEST_BYTES, seconds=seconds)
        return Origin(listed_digest(data, basename(entry.src)))
