"""Is an image where the catalog says, and still the same one? Asked by people, not by boots."""

from __future__ import annotations

from collections.abc import Callable

from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.image_source import is_registry
from bty_app.domain.moments import stamp
from bty_app.domain.origin_report import Checked
from bty_app.errors import BtyError, UnavailableError
from bty_app.services.clock import Clock, utc_now
from bty_app.services.current_images import Origin
from bty_app.upstream.http import Http, Request, declared_size

__all__ = ["CatalogChecks", "Checked"]

CHECK_SECONDS = 5.0


class CatalogChecks:
    """Any thread may call; each call waits for another host, some seconds at most."""

    def __init__(
        self,
        http: Http,
        resolve: Callable[[CatalogEntry, float], Origin],
        *,
        clock: Clock = utc_now,
        heard: Callable[[Checked], None] = lambda _checked: None,
    ) -> None:
        """`resolve` asks a registry or checksum file within seconds; `heard` hears each result."""
        self._http = http
        self._resolve = resolve
        self._clock = clock
        self._heard = heard

    def check(self, entry: CatalogEntry) -> Checked:
        """Ask the origin of the image; whatever it answers is in the result."""
        found = self._checked(entry)
        self._heard(found)
        return found

    def _checked(self, entry: CatalogEntry) -> Checked:
        at = stamp(self._clock())
        try:
            if is_registry(entry.src):
                found = self._resolve(entry, CHECK_SECONDS)
                return Checked(entry, at, found.size_bytes, found.sha256)
            size = self._size(entry)
            digest = self._resolve(entry, CHECK_SECONDS).sha256 if entry.sha_url else None
            return Checked(entry, at, size, digest)
        except BtyError as error:
            return Checked(entry, at, error=error.message)

    def _size(self, entry: CatalogEntry) -> int | None:
        request = Request(entry.resolved_src or entry.src, "HEAD")
        answer = self._http.ask(request, limit=0, seconds=CHECK_SECONDS)
        if answer.status != 200:
            raise UnavailableError(f"{answer.url} answers {answer.status}, not 200")
        return declared_size(answer.headers)
