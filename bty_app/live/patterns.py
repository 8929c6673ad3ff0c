"""Lists of path patterns, as the files of the recipe have them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence


def lines(text: str) -> tuple[str, ...]:
    """The lines of a list, without comments and empty ones."""
    return tuple(line for raw in text.splitlines() if (line := raw.partition("#")[0].strip()))


def matcher(patterns: Iterable[str]) -> re.Pattern[str]:
    """What matches a path of one of the patterns: `*` within a name, `**` over directories."""
    return re.compile("|".join(map(_expression, patterns)) or r"(?!)")


def chosen(paths: Sequence[str], patterns: Iterable[str]) -> list[str]:
    """The paths that the patterns bring in, in the order of the paths; a pattern with a leading
    "-" takes out what those before it have brought in.
    """
    kept: set[str] = set()
    for pattern in patterns:
        found = re.compile(_expression(pattern.removeprefix("-")))
        named = {path for path in paths if found.fullmatch(path)}
        kept = kept - named if pattern.startswith("-") else kept | named
    return [path for path in paths if path in kept]


def _expression(pattern: str) -> str:
    parts = re.split(r"(\*\*/|\*\*|\*)", pattern)
    spelled = {"**/": "(?:.*/)?", "**": ".*", "*": "[^/]*"}
    return "".join(spelled.get(part, re.escape(part)) for part in parts)
