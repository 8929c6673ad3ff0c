"""A database without a write-ahead log: where that is chosen, what it means, what it excludes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from bty_app.domain.findings import Finding, Level
from bty_app.errors import ConfigError
from bty_app.services.premises import Premises
from bty_app.store.place import network_file_system
from bty_app.store.sqlite import Journal

_REMEDY = (
    "move the state directory to a local disk and take tuning.journal out; backups may go over the"
    " network"
)


def check(journal: str, *, with_litestream: bool) -> None:
    """See that what is configured can be together.

    Raises:
        ConfigError: it cannot.
    """
    if journal == Journal.DELETE and with_litestream:
        raise ConfigError(
            "tuning.journal = delete and Litestream exclude each other: it reads the write-ahead"
            " log; take one of them out"
        )


def warning(state_dir: Path, journal: str) -> str:
    """What somebody has to know of the choice, as a sentence; empty with a write-ahead log."""
    if journal != Journal.DELETE:
        return ""
    if kind := network_file_system(state_dir):
        return (
            f"{state_dir} is on a network file system ({kind}) and the database has no write-ahead"
            " log: what is acknowledged is as safe as that server's fsync, and one server alone per"
            " directory only as sure as its locks"
        )
    return (
        "the database has no write-ahead log (tuning.journal = delete): whoever reads, a backup"
        " among them, holds up who writes"
    )


def journal(premises: Premises) -> Iterator[Finding]:
    """The journal is the one that is configured, and where it stands it is safe."""
    if premises.database is None:
        return
    has_log = premises.database.read(lambda tx: tx.value("PRAGMA journal_mode")) == Journal.WAL
    if has_log and premises.journal != Journal.WAL:
        yield Finding(
            Level.WARNING,
            "the database has a write-ahead log, and tuning.journal = delete",
            "start the server again; if it comes back, another program switches it: Litestream or"
            " a sqlite3 shell",
        )
    elif said := warning(premises.state_dir, Journal.WAL if has_log else Journal.DELETE):
        on_network = network_file_system(premises.state_dir)
        yield Finding(Level.WARNING if on_network else Level.NOTE, said, _REMEDY)
    else:
        yield Finding(Level.OK, "the database has a write-ahead log")
