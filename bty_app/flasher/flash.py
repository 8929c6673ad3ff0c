"""The flash: an image onto a disk.

This file stands in for the pipeline's, which takes its place when both are merged.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from bty_app.domain.jobs import Teller
from bty_app.errors import FlashError
from bty_app.flasher.order import Order, Outcome
from bty_app.upstream.http import Http
from bty_app.upstream.registry import Registry

STANDS_IN = True


@dataclass(frozen=True, slots=True)
class Tools:
    """What a flash works with."""

    http: Http = field(default_factory=Http)
    registry: Registry | None = None


def flash(
    order: Order,  # noqa: ARG001
    device_path: str,  # noqa: ARG001
    teller: Teller,  # noqa: ARG001
    *,
    tools: Tools | None = None,  # noqa: ARG001
) -> Outcome:
    """Write the image of `order` onto `device_path`.

    Raises:
        FlashError: always, here.
    """
    raise FlashError("this build cannot write images")
