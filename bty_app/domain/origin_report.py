"""What the origin of an image said when it was asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bty_app.domain.catalog import CatalogEntry, Change
from bty_app.domain.catalog_events import plain
from bty_app.domain.image_source import without_credentials


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


def parse_report(entry: CatalogEntry, told: Mapping[str, Any]) -> Checked:
    """What `report` has written of the image.

    Raises:
        KeyError, TypeError: that is something else.
    """
    origin = told["origin"]
    error = None if origin["reachable"] else str(origin["error"])
    size, digest = origin.get("size_bytes"), origin.get("sha256")
    return Checked(entry, told["checked_at"], size, digest, error)
