"""What following an upstream catalog would change: shown first, then taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bty_app.domain.catalog import CatalogEntry, ManifestEntry, Merge, merged

SMALL = 4  # a catalog of fewer images may lose any number of them


@dataclass(frozen=True, slots=True)
class Gone:
    """An image that the catalog lists no more, how many machines are bound to it, and some."""

    entry: CatalogEntry
    bound: int
    machines: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class CatalogDiff:
    """What taking the catalog of `digest` from `source` does.

    `removed` goes; `kept` is gone upstream as well but stays, since machines are bound to it;
    `returned` was gone and is listed again. `followed` counts the images that came from there and
    were not gone before.
    """

    source: str
    digest: str
    merge: Merge
    removed: tuple[CatalogEntry, ...] = ()
    kept: tuple[Gone, ...] = ()
    returned: tuple[CatalogEntry, ...] = ()
    followed: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing would change."""
        changes = self.merge.added or self.merge.updated or self.removed or self.returned
        return not (changes or self.newly_gone)

    @property
    def newly_gone(self) -> int:
        """How many images are gone that were there when the catalog was taken last."""
        gone = (*self.removed, *(kept.entry for kept in self.kept))
        return sum(entry.gone_at is None for entry in gone)

    @property
    def shrinks(self) -> bool:
        """Whether so many images would be gone that a mistake upstream is likely."""
        return self.followed >= SMALL and self.newly_gone * 2 > self.followed


@dataclass(frozen=True, slots=True)
class Offered:
    """A catalog as upstream has it."""

    source: str
    digest: str
    images: Sequence[ManifestEntry]


def diff(
    known: Sequence[CatalogEntry], offered: Offered, bound: Mapping[str, int], *, at: str
) -> CatalogDiff:
    """What following `offered` changes of the `known` entries; `bound` counts machines by ref.

    Only entries that came from this source can be gone: one that an operator added, or that came
    from elsewhere, is never removed.
    """
    by_ref = {str(entry.bty_image_ref): entry for entry in known}
    merge = merged(by_ref, offered.images, added_at=at)
    listed = {image.ref for image in offered.images}
    followed = [entry for entry in known if entry.upstream == offered.source]
    gone = [entry for entry in followed if entry.bty_image_ref not in listed]
    return CatalogDiff(
        source=offered.source,
        digest=offered.digest,
        merge=replace(merge, added=tuple(replace(e, upstream=offered.source) for e in merge.added)),
        removed=tuple(e for e in gone if not bound.get(e.bty_image_ref)),
        kept=tuple(Gone(e, n) for e in gone if (n := bound.get(e.bty_image_ref, 0))),
        returned=tuple(e for e in followed if e.gone_at and e.bty_image_ref in listed),
        followed=sum(e.gone_at is None for e in followed),
    )
