"""Ports that only root may open, where the containers are run without root."""

from __future__ import annotations

from pathlib import Path

from bty_app.deploy.choices import Choices
from bty_app.errors import NotAllowedError

START = Path("/proc/sys/net/ipv4/ip_unprivileged_port_start")
_DHCP = 67
_USUAL = 1024


def check(choices: Choices, user: int, start: Path = START) -> None:
    """Refuse to open a port that is root's: podman of another user cannot.

    Raises:
        NotAllowedError: there is one; the sentence says what would let it.
    """
    if user == 0:
        return
    wanted = {"BTY_PORT": choices.port, "WITHCACHE_PORT": choices.withcache_port}
    if choices.tftp:
        wanted["BTY_TFTP"] = _DHCP
    name, lowest = min(wanted.items(), key=lambda pair: pair[1])
    try:
        first = int(start.read_text())
    except (OSError, ValueError):
        first = _USUAL
    if lowest < first:
        raise NotAllowedError(
            f"{name} needs port {lowest}, and ports below {first} are root's: run it with sudo, or"
            f" let everybody have them: sysctl net.ipv4.ip_unprivileged_port_start={lowest}"
        )
