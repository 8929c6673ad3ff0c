"""Why a disk must not be written: all that lives on it, however many layers above."""

from __future__ import annotations

import re
from collections.abc import Iterator

from bty_app.flasher.block_facts import Facts, Labels, Node, parameter

_ROOTS = frozenset({"/", "/run/live/medium", "/lib/live/mount/medium", "/run/initramfs/live"})
MEDIUM_PARAMETERS = ("live-media", "root", "bty.medium")
_TAGGED = re.compile(r"(?:/dev/disk/by-)?((?:part)?(?:uuid|label))[=/](.+)", re.IGNORECASE)
_NOTHING = Labels()
_SHOWN = 6  # a machine may mount a disk in hundreds of places


def reasons(facts: Facts, disk: Node) -> tuple[str, ...]:
    """Why `disk` must not be written, each a phrase; none: it is free."""
    found = list(dict.fromkeys(_found(facts, disk)))
    if not found and disk.name in facts.busy:
        found = ["another program or the kernel holds it"]
    if len(found) > _SHOWN:
        found[_SHOWN:] = [f"and {len(found) - _SHOWN} more"]
    return tuple(found)


def _found(facts: Facts, disk: Node) -> Iterator[str]:
    by_name = {node.name: node for node in facts.nodes}
    for part in (disk, *(node for node in facts.nodes if node.parent == disk.name)):
        yield from _uses(facts, part)
        yield from _of_a_pool(facts, part)
        if _is_medium(facts, part):
            yield "this system was started from it"
        for chain in _holders(by_name, part):
            yield _held(facts, part, chain)


def _uses(facts: Facts, node: Node) -> Iterator[str]:
    """Its mounts and its swap."""
    for mount in facts.mounts:
        if mount.numbers == node.numbers or facts.at_path.get(mount.source) == node.numbers:
            system = ", where this system runs from" if mount.place in _ROOTS else ""
            yield f"{node.name} is mounted at {mount.place}{system}"
    for swap in facts.swaps:
        if swap == node.path or facts.at_path.get(swap) == node.numbers:
            yield f"{node.name} is swap space in use"


def _of_a_pool(facts: Facts, node: Node) -> Iterator[str]:
    """zfs leaves no trace in /sys, but labels its members."""
    labels = facts.labels.get(node.name)
    if labels and labels.fstype == "zfs_member" and labels.label in facts.pools:
        yield f"{node.name} is part of the zfs pool {labels.label}"


def _holders(by_name: dict[str, Node], node: Node) -> Iterator[tuple[Node, ...]]:
    """Each way up from what holds the node itself to a device that nothing holds."""
    waiting: list[tuple[Node, ...]] = [(node,)]
    while waiting:
        chain = waiting.pop()
        seen = {above.name for above in chain}
        held_by = [by_name[name] for name in chain[-1].holders if name in by_name]
        above = [holder for holder in held_by if holder.name not in seen]
        if not above and len(chain) > 1:
            yield chain[1:]
        waiting += [(*chain, holder) for holder in reversed(above)]


def _held(facts: Facts, node: Node, chain: tuple[Node, ...]) -> str:
    """`sda2 is part of md0 (RAID array), which is part of dm-1 (vg-home), mounted at /home`."""
    names = [
        f"{above.name} ({above.stacked_as})" if above.stacked_as else above.name for above in chain
    ]
    uses = [use.partition(" is ")[2] for above in chain for use in _uses(facts, above)]
    return ", ".join([f"{node.name} is part of {', which is part of '.join(names)}", *uses[:1]])


def _is_medium(facts: Facts, node: Node) -> bool:
    """Does the kernel command line name it as what the system comes from?"""
    given = (parameter(facts.command_line, name) for name in MEDIUM_PARAMETERS)
    return any(_names(facts, node, value) for value in given if value)


def _names(facts: Facts, node: Node, value: str) -> bool:
    tagged = _TAGGED.fullmatch(value)
    if tagged is None:
        return value == node.path or facts.at_path.get(value) == node.numbers
    labels = facts.labels.get(node.name, _NOTHING)
    found = {
        "uuid": labels.uuid,
        "label": labels.label,
        "partuuid": labels.partuuid,
        "partlabel": labels.partlabel,
    }[tagged[1].lower()]
    return (found or "").lower() == tagged[2].lower()
