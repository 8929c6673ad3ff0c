"""Pages with parts that are generated: what stands between two marks comes from the code.

<!-- begin: config -->
...
<!-- end: config -->
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.docs import boot, commands, events, operations, routes, tables

DOCS = Path(__file__).parents[2] / "docs"
COMMAND = "python -m tests.docs"

_PART = re.compile(
    r"<!-- begin: (?P<name>[a-z-]+) -->\n.*?<!-- end: (?P=name) -->", re.DOTALL | re.ASCII
)

PARTS: Mapping[str, Callable[[], str]] = {
    "commands": commands.manual,
    "exit-codes": commands.exit_codes,
    "config": tables.config,
    "settings": tables.settings,
    "statuses": tables.statuses,
    "schema": tables.schema,
    "failures": tables.failures,
    "carried-settings": tables.carried_settings,
    "events": events.vocabulary,
    "modes": boot.modes,
    "phases": boot.phases,
    "unbound": boot.not_ready,
    "decisions": boot.cycles,
    "suspect": boot.suspect,
    "not-storable": boot.not_storable,
    "machine-routes": routes.of_machines,
    "operator-routes": routes.of_operators,
    "page-routes": routes.of_pages,
    "api-operations": operations.every,
    "api-records": operations.records,
}


def renewed(text: str) -> str:
    """`text` with its generated parts as the code has them now.

    Raises:
        KeyError: it names a part that nobody generates.
    """

    def part(found: re.Match[str]) -> str:
        name = found["name"]
        return f"<!-- begin: {name} -->\n\n{PARTS[name]()}\n<!-- end: {name} -->"

    return _PART.sub(part, text)


def parts_of(text: str) -> list[str]:
    """The names of the generated parts in `text`."""
    return [found["name"] for found in _PART.finditer(text)]


def outdated() -> dict[Path, str]:
    """The pages that differ from the code, with the text that they should have."""
    found = {}
    for path in sorted(DOCS.rglob("*.md")):
        before = path.read_text("utf-8")
        after = renewed(before)
        if after != before:
            found[path] = after
    return found
