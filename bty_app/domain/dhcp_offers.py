"""What DHCP servers on a LAN hand out, and what that means for machines that boot from there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from bty_app.domain.findings import Finding, Level


@dataclass(frozen=True, slots=True)
class LanOffer:
    """The answer of one DHCP server to a machine that asks for a network boot on `interface`.

    `address` is what it would lease; empty for a proxy. `boot_file` and `next_server` are empty
    where it names none. `is_ours`: it comes from this very host.
    """

    interface: str
    server: str
    address: str
    boot_file: str
    next_server: str
    is_ours: bool = False

    @property
    def place(self) -> str:
        """The server, and where it was heard."""
        return f"{self.server} ({self.interface})"


def judged(offers: Sequence[LanOffer], asked: Sequence[str]) -> Iterator[Finding]:
    """What to say of the answers on the interfaces that were asked."""
    for interface in asked:
        here = [offer for offer in offers if offer.interface == interface]
        if here:
            yield from _judged(here)
        else:
            yield Finding(
                Level.WARNING,
                f"no DHCP server answers on {interface}",
                "start one, if machines are to boot from there: bty leases no addresses",
            )


def _judged(offers: Sequence[LanOffer]) -> Iterator[Finding]:
    servers = [offer for offer in offers if offer.address]
    others = [offer for offer in offers if not offer.address and not offer.is_ours]
    ours = [offer for offer in offers if not offer.address and offer.is_ours]
    interface = offers[0].interface
    for offer in servers:
        leads = f"sends machines to {offer.boot_file} of {offer.next_server}"
        named = leads if offer.boot_file else "names no boot file"
        if offer.boot_file and ours:
            yield Finding(
                Level.WARNING,
                f"the DHCP server {offer.place} {named}, beside our proxy DHCP: firmware may take"
                " either",
                "take the boot file (options 66 and 67, next-server) out of that server, or serve"
                " without --proxy-dhcp",
            )
        else:
            yield Finding(Level.OK, f"the DHCP server {offer.place} leases addresses and {named}")
    if len(servers) > 1:
        names = ", ".join(offer.server for offer in servers)
        remedy = "leave one, unless they share their leases"
        yield Finding(Level.WARNING, f"several DHCP servers on {interface}: {names}", remedy)
    for offer in others:
        remedy = "switch one of the two off" if ours else "nothing, if that is how it should be"
        level = Level.WARNING if ours else Level.NOTE
        said = f"a proxy DHCP that is not ours, {offer.place}, names {offer.boot_file or 'no file'}"
        yield Finding(level, said, remedy)
    for offer in ours:
        yield Finding(Level.OK, f"our proxy DHCP, {offer.place}, names {offer.boot_file}")
    if not any(offer.boot_file for offer in offers):
        yield Finding(
            Level.NOTE,
            f"nobody on {interface} tells machines what to boot",
            "serve with --proxy-dhcp --tftp, or let the DHCP server name a boot file: see the page"
            " Netboot",
        )
