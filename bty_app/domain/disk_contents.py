"""What an lshw tree says is on a disk: its partitions and file systems, for people to read."""

from __future__ import annotations

import json
from collections.abc import Iterator

MAX_DEPTH = 40
MAX_SHOWN = 12


def contents(lshw: str | None, serial: str) -> tuple[str, ...]:
    """`/dev/sda1 ext4`, … of the disk with this serial; empty when the tree does not say."""
    if not lshw:
        return ()
    try:
        tree = json.loads(lshw)
    except ValueError:
        return ()
    found = []
    for node in _nodes(tree, 0):
        if node.get("serial") == serial and node.get("class") in {"disk", "storage"}:
            found = [_words(part) for part in _nodes(node, 0) if part.get("class") == "volume"]
            break
    return tuple(found[:MAX_SHOWN])


def _nodes(tree: object, depth: int) -> Iterator[dict[str, object]]:
    """The nodes of a tree, from its root down."""
    if depth > MAX_DEPTH:
        return
    if isinstance(tree, dict):
        yield tree
        tree = tree.get("children")
    if isinstance(tree, list):
        for child in tree:
            yield from _nodes(child, depth + 1)


def _words(node: dict[str, object]) -> str:
    name = node.get("logicalname")
    if isinstance(name, list):
        name = name[0] if name else None
    settings = node.get("configuration")
    kind = settings.get("filesystem") if isinstance(settings, dict) else None
    kind = kind or node.get("description") or "partition"
    return " ".join(str(part)[:64] for part in (name, kind) if part)
