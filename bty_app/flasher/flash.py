"""The flash: an image onto a disk.

This file stands in for the pipeline's, which takes its place when both are merged.
"""

from __future__ import annotations

from bty_app.domain.jobs import Teller
from bty_app.errors import FlashError
from bty_app.flasher.order import Order, Outcome


def flash(order: Order, device_path: str, teller: Teller) -> Outcome:  # noqa: ARG001
    """Write the image of `order` onto `device_path`.

    Raises:
        FlashError: always, here.
    """
    raise FlashError("this build cannot write images")
