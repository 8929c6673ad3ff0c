"""Which sources to try after one of them gave a damaged image: a plan without I/O.

A go takes the image from its sources from the first byte to the last. What came in a go that
failed is proof against a source only where nothing came from any other one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bty_app.domain.image_source import without_credentials
from bty_app.errors import BtyError, FlashIntegrityError
from bty_app.flasher.order import Source

Go = tuple[Source, ...]  # sources of one go, best first


@dataclass(frozen=True, slots=True)
class Rotten:
    """Sources whose bytes were not the image, and why."""

    sources: Go
    error: BtyError

    @property
    def sentence(self) -> str:
        """For the console and for the report."""
        return f"{' and '.join(map(shown, self.sources))}: {self.error.message}"


def after_damage(goes: Sequence[Go], used: Sequence[Source]) -> tuple[Go, ...]:
    """The goes that are left when the first one had a damaged image, which came from `used`."""
    go, rest = goes[0], tuple(goes[1:])
    unused = tuple(source for source in go if source not in used)
    if len(used) <= 1:
        return (unused, *rest) if unused and used else rest
    # One of several is rotten, and nobody knows which: each gets a go of its own; the one that
    # brought it to its end before the one that broke off.
    return (*_single(unused), *_single(used[::-1]), *rest)


def after_quarrel(goes: Sequence[Go], others: Sequence[Source]) -> tuple[Go, ...]:
    """The goes that are left when the first one could not be ended, because `others` have another
    file than the source that it began with.
    """
    return (*_single(others), *goes[1:]) if len(goes[0]) > 1 else tuple(goes[1:])


def verdict(failures: Sequence[Rotten]) -> BtyError:
    """What to say when there is no go left."""
    first = failures[0].error
    if len(failures) == 1:
        return first
    sentence = "; ".join(failure.sentence for failure in failures)
    if any(isinstance(failure.error, FlashIntegrityError) for failure in failures):
        return FlashIntegrityError(sentence)
    return type(first)(sentence)


def shown(source: Source) -> str:
    """A source for people."""
    return f"{source.label} ({without_credentials(source.url)[:120]})"


def _single(sources: Sequence[Source]) -> tuple[Go, ...]:
    return tuple((source,) for source in sources)
