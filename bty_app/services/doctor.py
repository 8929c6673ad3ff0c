"""Looks at the installation as an expert would. A check is one function, and one row here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

from bty_app.domain.findings import Finding, Level
from bty_app.errors import BtyError
from bty_app.services import (
    doctor_boot,
    doctor_network,
    doctor_offsite,
    doctor_state,
    doctor_upstream,
    doctor_webhooks,
)
from bty_app.services.premises import Premises


@dataclass(frozen=True, slots=True)
class Check:
    """A row of the table. `asks_others`: it waits for other hosts, so no page runs it."""

    name: str
    look: Callable[[Premises], Iterable[Finding]]
    asks_others: bool = False


CHECKS = (
    Check("database", doctor_state.database),
    Check("directories", doctor_state.directories),
    Check("live-environment", doctor_boot.live_environment),
    Check("sets", doctor_boot.sets),
    Check("shadowed-files", doctor_boot.shadowed_files),
    Check("ipxe", doctor_boot.ipxe),
    Check("ports", doctor_network.ports),
    Check("catalog", doctor_state.catalog),
    Check("webhooks", doctor_webhooks.receivers),
    Check("upstream-catalog", doctor_upstream.followed_catalog, asks_others=True),
    Check("withcache", doctor_upstream.withcache, asks_others=True),
    Check("offsite", doctor_offsite.offsite, asks_others=True),
    Check("dhcp", doctor_network.dhcp, asks_others=True),
)


class Doctor:
    """Any thread may call."""

    def __init__(self, premises: Premises) -> None:
        self._premises = premises

    def findings(self) -> list[Finding]:
        """What all checks say, in the order of the table."""
        return [finding for check in CHECKS for finding in self.said(check)]

    def cheap_findings(self) -> list[Finding]:
        """What those say that ask no other host."""
        rows = (check for check in CHECKS if not check.asks_others)
        return [finding for check in rows for finding in self.said(check)]

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
