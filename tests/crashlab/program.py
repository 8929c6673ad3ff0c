"""What is run under strace: one action between two marks. Started as a script, not imported.

usage: program.py SITE_PACKAGES MODULE:FUNCTION STATE_DIR

Exit status: 0 done, 75 refused with a sentence, 1 a bug.
"""

import logging
import os
import sys
from contextlib import suppress
from importlib import import_module
from pathlib import Path

BEGIN, END = "/crashlab-begin", "/crashlab-end"


def main(action: str, state_dir: Path) -> int:
    from bty_app.errors import BtyError
    from bty_app.store import holders

    module, _, function = action.partition(":")
    holders._PROC = Path("/nonexistent")  # how many processes there are changes from run to run
    logging.disable()  # what is said besides the refusal
    chosen = getattr(import_module(f"tests.crashlab.{module}"), function)
    _mark(BEGIN)
    try:
        chosen(state_dir)
    except BtyError as error:
        sys.stderr.write(f"{error.message}\n")
        return 75
    finally:
        _mark(END)
    return 0


def _mark(path: str) -> None:
    """A system call that fails, and that nothing else here makes: strace sees where we are."""
    with suppress(OSError):
        os.rmdir(path)  # noqa: PTH106 - the very call


if __name__ == "__main__":
    sys.path[:0] = [str(Path(__file__).parents[2]), sys.argv[1]]
    sys.exit(main(sys.argv[2], Path(sys.argv[3])))
