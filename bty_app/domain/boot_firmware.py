"""What must come after each stage of firmware, up to the first script of iPXE."""

from __future__ import annotations

from bty_app.domain.boot_outcome import Hang, Outcome, why
from bty_app.domain.boot_stages import Seen, Stage


def dhcp(last: Seen) -> Outcome:
    """Its DHCP was the last that was seen."""
    if last.stage is Stage.DHCP_IGNORED:
        return Outcome(
            "Its DHCP request was not answered.",
            final=True,
            hang=Hang(
                "An answer to its DHCP request.",
                f"This server passed it over on purpose: {why(last, 'the reason was not told')}.",
                "If it is to boot from here, choose network boot (PXE or HTTP) of IPv4 in its"
                " firmware, of an architecture that this server has a boot file for.",
            ),
        )
    if last.stage is Stage.DHCP_ASKED:
        return Outcome(
            "It asked DHCP for a network boot.",
            patience=30,
            hang=Hang(
                "An answer to its DHCP request.",
                "More machines asked at once than this server answers in a second, or it was"
                " stopped just then.",
                "Start the machine again. Where the count of those held back on the page Netboot"
                " goes on growing, look for a loop in the network.",
            ),
        )
    return Outcome(
        "It was offered a boot file.",
        patience=60,
        hang=Hang(
            "It was offered a boot file and never fetched it.",
            "Another DHCP server's answer was taken, or a firewall or VLAN keeps it from UDP port"
            " 69 (or the HTTP port) of this server.",
            "Look for a second DHCP server that names a boot file, and let the machine's network"
            " reach this server; the page Settings shows what DHCP must say.",
        ),
    )


def loader(last: Seen) -> Outcome:
    """The fetching of its boot file was the last that was seen."""
    if last.stage is Stage.TFTP_FAILED:
        return Outcome(
            "The transfer of its boot file failed.",
            patience=30,
            hang=Hang(
                "The boot file never arrived whole.",
                f"The TFTP transfer failed: {why(last, 'the machine stopped answering')}.",
                "A file that is not here: check the name in the DHCP server. One that breaks off:"
                " look at cable, switch port and firewall, or use HTTP boot.",
            ),
        )
    if last.stage is Stage.TFTP_STARTED:
        return Outcome(
            "It is fetching its boot file.",
            patience=60,
            hang=Hang(
                "The transfer of its boot file began and never ended.",
                "Packets are lost on the way, or it was switched off.",
                "Look at its screen, cable and switch port; TFTP through a firewall needs its"
                " helper, HTTP boot does not.",
            ),
        )
    return Outcome(
        "It has its boot file.",
        patience=60,
        hang=Hang(
            "The boot file was fetched, iPXE never asked.",
            "Secure Boot refused iPXE, the file is for another architecture or firmware, or iPXE"
            " has no driver for this network card.",
            "Look at its screen. Switch Secure Boot off or use a signed iPXE; give BIOS machines"
            " undionly.kpxe, UEFI machines ipxe.efi; try snponly.efi where the card is not known.",
        ),
    )


BOOTSTRAP = Outcome(
    "iPXE has started.",
    patience=60,
    hang=Hang(
        "iPXE fetched its first script and never asked for its own.",
        "The address of this server in that script does not work from the machine's network.",
        "Set server.public_url to an address that machines reach, by number where they have no"
        " name server.",
    ),
)
