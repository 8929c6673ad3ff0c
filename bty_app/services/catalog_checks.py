"""Is an image where the catalog says, and still the same one? Asked by people, not by boots."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from bty_app.domain.catalog import CatalogEntry, Change
from bty_app.domain.catalog_events import plain
from bty_app.domain.image_source import is_registry, without_credentials
from bty_app.domain.moments import stamp
from bty_app.errors import BtyError, UnavailableError
from bty_app.services.clock import Clock, utc_now
from bty_app.services.current_images import Origin
from bty_app.upstream.http import Http, Request, declared_size

CHECK_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Checked:
    """What the origin of an image said. None is what it does not tell; `error` says why not."""

    entry: CatalogEntry
    checked_at: str
    size_bytes: int | None = None
    sha256: str | None = None
    error: str | None = None

    @property
    def differs(self) -> tuple[Change, ...]:
        """What the catalog has otherwise."""
        pairs = (
            Change("disk_image_sha", self.entry.disk_image_sha, self.sha256),
            Change("size_bytes", self.entry.size_bytes, self.size_bytes),
        )
        return tuple(c for c in pairs if None not in (c.old, c.new) and c.old != c.new)

    @property
    def is_good(self) -> bool:
        """Whether a machine would get what the catalog says, as far as that can be told."""
        return self.error is None and not self.differs

    def words(self) -> str:
        """The result in a few words."""
        if self.error is not None:
            return plain(self.error)
        said = [f"{c.field} is {c.new}, not {c.old}" for c in self.differs]
        return "; ".join(said) or "as the catalog says"

    def report(self) -> dict[str, object]:
        """As plain JSON data (CONTRACT 3.9)."""
        origin: dict[str, object] = {"reachable": self.error is None}
        if self.error is None:
            told = {"size_bytes": self.size_bytes, "format": self.entry.format}
            origin |= {**told, "sha256": self.sha256}
        else:
            origin["error"] = self.error
        return {
            "name": self.entry.name,
            "src": without_credentials(self.entry.src),
            "origin": origin,
            "differs": {c.field: {"old": c.old, "new": c.new} for c in self.differs},
            "checked_at": self.checked_at,
        }


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
