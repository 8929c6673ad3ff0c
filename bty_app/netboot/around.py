"""What both boot servers are given: clocks, who is told, whose address is whose, which networks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from bty_app.netboot.owners import Owners
from bty_app.netboot.seen import Seen


def _all(_interface: int) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Around:
    """`monotonic` counts seconds; `now` is UTC; `serves` says whether an interface, by its index,
    is one of those that are served.
    """

    seen: Callable[[Seen], None]
    monotonic: Callable[[], float]
    now: Callable[[], datetime]
    owners: Owners = field(default_factory=Owners)
    serves: Callable[[int], bool] = _all

    def tell(
        self, mac: str | None, ip: str, stage: str, detail: dict[str, str | int | float]
    ) -> None:
        """Tell of a stage that is seen now."""
        self.seen(Seen(mac, ip, stage, self.now(), detail))
