"""Looks at the installation as an expert would. A check is one function, and one row here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from bty_app.domain.findings import Finding, Level
from bty_app.errors import BtyError
from bty_app.services import (
    doctor_backups,
    doctor_boot,
    doctor_move,
    doctor_network,
    doctor_offsite,
    doctor_state,
    doctor_upstream,
    doctor_webhooks,
    journal_choice,
)
from bty_app.services.premises import Premises


@dataclass(frozen=True, slots=True)
class Check:
    """A row of the table. `asks_others`: it waits for other hosts, so no page runs it. `lasts`: for
    so many seconds a page shows what it said before.
    """

    name: str
    look: Callable[[Premises], Iterable[Finding]]
    asks_others: bool = False
    lasts: float = 0.0


CHECKS = (
    Check("database", doctor_state.database),
    Check("journal", journal_choice.journal),
    Check("directories", doctor_state.directories),
    Check("old-databases", doctor_state.old_databases),
    Check("live-environment", doctor_boot.live_environment),
    Check("sets", doctor_boot.sets),
    Check("shadowed-files", doctor_boot.shadowed_files),
    Check("ipxe", doctor_boot.ipxe),
    Check("ports", doctor_network.ports, lasts=30.0),
    Check("catalog", doctor_state.catalog),
    Check("backups", doctor_backups.recent),
    Check("webhooks", doctor_webhooks.receivers),
    Check("moved", doctor_move.moved),
    Check("new-host", doctor_move.new_host),
    Check("clock", doctor_move.clock),
    Check("public-url", doctor_move.public_url, asks_others=True),
    Check("replication", doctor_move.replication, asks_others=True),
    Check("upstream-catalog", doctor_upstream.followed_catalog, asks_others=True),
    Check("withcache", doctor_upstream.withcache, asks_others=True),
    Check("offsite", doctor_offsite.offsite, asks_others=True),
    Check("dhcp", doctor_network.dhcp, asks_others=True),
)


class Doctor:
    """Any thread may call."""

    def __init__(self, premises: Premises, *, steady: Callable[[], float] = time.monotonic) -> None:
        self._premises = premises
        self._steady = steady
        self._said: dict[str, tuple[float, list[Finding]]] = {}

    def findings(self) -> list[Finding]:
        """What all checks say, in the order of the table."""
        return [finding for check in CHECKS for finding in self.said(check)]

    def cheap_findings(self) -> list[Finding]:
        """What those say that ask no other host."""
        rows = (check for check in CHECKS if not check.asks_others)
        return [finding for check in rows for finding in self._said_lately(check)]

    def _said_lately(self, check: Check) -> list[Finding]:
        now = self._steady()
        at, known = self._said.get(check.name, (float("-inf"), []))
        if now - at >= check.lasts:
            known = list(self.said(check))
            self._said[check.name] = now, known
        return known

    def said(self, check: Check) -> Iterator[Finding]:
        """What one check says; that it cannot be done is a finding as well, and no end."""
        try:
            found = [replace(finding, check=check.name) for finding in check.look(self._premises)]
        except BtyError as error:
            found = [Finding(Level.FAULT, error.message, check=check.name)]
        except PermissionError as error:
            sentence = f"{error.filename} cannot be read by this user"
            found = [Finding(Level.FAULT, sentence, "run it as the user of the server", check.name)]
        except OSError as error:
            found = [Finding(Level.FAULT, f"{error.filename}: {error.strerror}", check=check.name)]
        yield from found
