"""Checks of what is asked of other hosts, each with a short time-out: to be offline is no fault."""

from __future__ import annotations

from collections.abc import Iterator

from bty_app.domain.catalog_events import plain
from bty_app.domain.catalog_toml import MAX_CATALOG_BYTES, parse_catalog
from bty_app.domain.findings import Finding, Level
from bty_app.domain.settings import CATALOG_URL, WITHCACHE_URL
from bty_app.errors import BtyError, InvalidInputError
from bty_app.services.premises import Premises

SECONDS = 5.0


def followed_catalog(premises: Premises) -> Iterator[Finding]:
    """It can be fetched and read."""
    source = premises.setting(CATALOG_URL)
    if not source:
        yield Finding(
            Level.NOTE, "no catalog is followed", "set upstream.catalog_url, if there is one"
        )
        return
    shown = plain(source)
    try:
        loaded = premises.catalogs.load(source, limit=MAX_CATALOG_BYTES)
        images = parse_catalog(loaded.data if loaded else b"")
    except InvalidInputError as error:
        yield Finding(
            Level.WARNING,
            f"the followed catalog {shown} is not valid: {plain(error.message)}",
            "tell those who publish it; what was fetched before stays",
        )
    except BtyError as error:
        yield Finding(
            Level.WARNING,
            f"the followed catalog is out of reach: {plain(error.message)}",
            "look at the network from here to there, or change upstream.catalog_url",
        )
    else:
        yield Finding(Level.OK, f"the followed catalog {shown} has {len(images):,} images")


def withcache(premises: Premises) -> Iterator[Finding]:
    """The cache answers, where one is configured."""
    base = premises.setting(WITHCACHE_URL)
    if not base:
        yield Finding(Level.OK, "no withcache is configured: images come from their origin")
        return
    try:
        version = premises.withcache.version(base, seconds=SECONDS)
    except BtyError as error:
        yield Finding(
            Level.WARNING,
            f"withcache does not answer, so images come from their origin: {plain(error.message)}",
            "start it, or change withcache.url",
        )
    else:
        yield Finding(
            Level.OK, f"withcache {plain(version or 'of unknown version')} answers at {base}"
        )
