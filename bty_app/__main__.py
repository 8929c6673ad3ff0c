"""Start bty: `python3 -m bty_app`, and the single file's first code of ours."""

from __future__ import annotations

import sys
from typing import NoReturn

# All that is ever written is under the state directory: no __pycache__ either. It stands before
# our own imports, which would be the first to write one.
sys.dont_write_bytecode = True

from bty_app import native  # noqa: E402
from bty_app.cli.main import entry  # noqa: E402


def run() -> NoReturn:
    """Make `import apsw` work, then do what the command line says."""
    native.install()
    entry()


if __name__ == "__main__":
    run()
