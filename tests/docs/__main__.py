"""Renew the generated parts of the documentation.

usage: python -m tests.docs
"""

from __future__ import annotations

import sys

from tests.docs.pages import DOCS, outdated


def main() -> int:
    """Write every page that differs from the code; the exit status."""
    for path, text in outdated().items():
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"renewed {path.relative_to(DOCS.parent)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
