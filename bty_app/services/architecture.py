"""Which processor a machine has: as its inventory says, else as its firmware told DHCP."""

from __future__ import annotations

from bty_app.domain import hardware
from bty_app.domain.boot_stages import architecture_told
from bty_app.domain.mac import Mac
from bty_app.store import boot_stages, machines
from bty_app.store.database import Tx


def architecture_of(tx: Tx, mac: Mac) -> str | None:
    """`x86_64`, `arm64` or `i386`; None where nothing says.

    The tree of lshw may be large: not for each row of a list.
    """
    text = machines.lshw(tx, mac)
    found = hardware.architecture_in(text) if text else None
    return found or architecture_told(boot_stages.of(tx, mac))
