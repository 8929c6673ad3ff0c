"""How much memory the tables of a qcow2 file may take."""

from __future__ import annotations

from bty_app.errors import FlashRefusedError
from bty_app.flasher import words
from bty_app.flasher.memory import spare_bytes

LEAST_BYTES = 64 * 1024 * 1024
ENTRY_BYTES = 400  # for a cluster or a table that is known and has not come: measured, rounded up


class TableRoom:
    """The bound of one image: what this machine can spare."""

    def __init__(self) -> None:
        self._most = max(LEAST_BYTES, spare_bytes())

    def check(self, waiting: int, taken: int = 1, left: int = 0) -> None:
        """Refuse what does not fit: so many entries wait, of `taken` tables, and `left` tables are
        still to come.

        Raises:
            FlashRefusedError: it does not.
        """
        if waiting * ENTRY_BYTES <= self._most:
            return
        in_all = waiting * (taken + left) // taken * ENTRY_BYTES
        raise FlashRefusedError(
            f"the tables of the qcow2 image would take about {words.size(in_all)} of memory, of"
            f" which this machine can spare {words.size(self._most)}: pack the image anew, on a"
            " larger one, with `bty image pack`"
        )
