"""What a machine is made of, read from an inventory: for cards, and to compare two of them.

The tree of lshw is a stranger's: its depth and size are bounded at the door, and here a field
counts only where it is of the expected type. Values that move by themselves (temperatures, clock
rates, the order of devices, a memory size that the kernel rounds) are left out or rounded.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace

from bty_app.domain.inventory import parse_disks
from bty_app.domain.machine import has_control_characters
from bty_app.errors import ValidationError

MAX_NODES = 20_000
MAX_PARTS = 512  # of one kind
MAX_TEXT = 128
_GRAIN = 256 * 2**20  # what a kernel keeps for itself is less than this
# What only machines of that kind can. Of the processors of arm64 lshw says nothing where there is
# DMI: there it is a switch that its kernel has, among the capabilities of the system.
_CAPABILITIES = (
    (("processor", "x86-64"), "x86_64"),
    (("processor", "asimd"), "arm64"),
    (("system", "tagged_addr_disabled"), "arm64"),
    (("processor", "fpu"), "i386"),
)
_EMPTY_SLOTS = ("[empty]", "empty", "no module installed", "none", "unknown")

Node = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of hardware. `key` is what it is known by: a serial, a MAC, or all that it says."""

    key: str
    words: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What is compared. None: this inventory does not say."""

    disks: tuple[Part, ...] = ()
    nics: tuple[Part, ...] | None = None
    cpus: tuple[str, ...] | None = None
    memory_bytes: int | None = None
    board: str | None = None
    firmware: str | None = None
    system: str | None = None


@dataclass(frozen=True, slots=True)
class Volume:
    """A partition that the last inventory saw on a disk."""

    name: str
    filesystem: str
    size_bytes: int | None


def facts_of(disks: object, lshw: object) -> Facts:
    """The facts of an inventory: its disks, and its lshw tree where there is one."""
    found = Facts(disks=_disks(disks))
    if not isinstance(lshw, dict | list):
        return found
    nodes = list(_walk(lshw))
    root = nodes[0] if nodes else {}
    return replace(
        found,
        nics=_nics(nodes),
        cpus=_cpus(nodes),
        memory_bytes=_memory(nodes),
        board=_described(_first(nodes, "core"), "vendor", "product", "serial"),
        firmware=_described(_first(nodes, "firmware"), "vendor", "version"),
        system=_described(root, "vendor", "product", "serial"),
    )


def known_before(now: Facts, before: Facts) -> Facts:
    """`now`, with what it does not say taken from `before`."""
    return Facts(
        disks=now.disks,
        nics=before.nics if now.nics is None else now.nics,
        cpus=before.cpus if now.cpus is None else now.cpus,
        memory_bytes=before.memory_bytes if now.memory_bytes is None else now.memory_bytes,
        board=before.board if now.board is None else now.board,
        firmware=before.firmware if now.firmware is None else now.firmware,
        system=before.system if now.system is None else now.system,
    )


def as_text(facts: Facts) -> str:
    """The canonical form: the same for the same hardware, whatever the order it was told in."""
    return json.dumps(asdict(facts), sort_keys=True, separators=(",", ":"))


def from_text(text: str) -> Facts:
    """Facts as they were stored; empty when others have written there."""
    try:
        fields = json.loads(text)
        return Facts(
            disks=_parts(fields["disks"]) or (),
            nics=_parts(fields["nics"]),
            cpus=None if fields["cpus"] is None else tuple(str(cpu) for cpu in fields["cpus"]),
            memory_bytes=fields["memory_bytes"],
            board=fields["board"],
            firmware=fields["firmware"],
            system=fields["system"],
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return Facts()


def digest(facts: Facts) -> str:
    """SHA-256 over what two inventories are compared by, in hexadecimal digits.

    The words of a piece that has a serial may flap (a size, a name): they are left out.
    """
    fields = asdict(facts)
    for kind in ("disks", "nics"):
        if fields[kind] is not None:
            fields[kind] = [part["key"] for part in fields[kind]]
    return hashlib.sha256(json.dumps(fields, sort_keys=True).encode()).hexdigest()


def architecture(lshw: object) -> str | None:
    """`x86_64`, `arm64` or `i386`, where the tree says so; None where it does not."""
    if not isinstance(lshw, dict | list):
        return None
    found = {
        (text_of(node, "class"), name)
        for node in _walk(lshw)
        if isinstance(capabilities := node.get("capabilities"), dict)
        for name in capabilities
    }
    return next((arch for told, arch in _CAPABILITIES if told in found), None)


def architecture_in(text: str) -> str | None:
    """As `architecture`, of a tree as it is stored; None where others have written there."""
    try:
        return architecture(json.loads(text))
    except (ValueError, RecursionError):
        return None


def volumes(lshw: object, serial: str) -> tuple[Volume, ...]:
    """The partitions of the disk with this serial, as the tree has them; none where it is silent.

    A serial that two disks have is nobody's: then none.
    """
    if not isinstance(lshw, dict | list) or not serial:
        return ()
    disks = [
        node
        for node in _walk(lshw)
        if text_of(node, "serial") == serial and text_of(node, "class") in {"disk", "storage"}
    ]
    if len(disks) != 1:
        return ()
    within = [node for node in _walk(disks[0]) if text_of(node, "class") == "volume"]
    return tuple(_volume(node) for node in within[:MAX_PARTS])


def text_of(node: Node, key: str) -> str:
    """A text of a node, without what could not be shown, cut short; empty when there is none."""
    value = node.get(key)
    if not isinstance(value, str):
        return ""
    return "".join(c for c in value[:MAX_TEXT] if not has_control_characters(c)).strip()


def _volume(node: Node) -> Volume:
    configuration = node.get("configuration")
    settings: Node = configuration if isinstance(configuration, dict) else {}
    size = _number(node, "size")
    return Volume(
        name=_name(node) or text_of(node, "description") or "a partition",
        filesystem=text_of(settings, "filesystem") or text_of(node, "description"),
        size_bytes=_number(node, "capacity") if size is None else size,
    )


def _walk(tree: object) -> Iterator[Node]:
    """The nodes of a tree, the outer ones first; no more than `MAX_NODES`."""
    waiting = [tree]
    for _number_of_nodes in range(MAX_NODES):
        if not waiting:
            return
        node = waiting.pop()
        if isinstance(node, list):
            waiting.extend(reversed(node))
        elif isinstance(node, dict):
            yield node
            children = node.get("children")
            if isinstance(children, list):
                waiting.extend(reversed(children))


def _first(nodes: Sequence[Node], name: str) -> Node:
    """The first node of this id; lshw numbers those that there are several of: `cpu:0`."""
    return next((n for n in nodes if text_of(n, "id").partition(":")[0] == name), {})


def _described(node: Node, *keys: str) -> str | None:
    words = [text_of(node, key) for key in keys]
    return " ".join(word for word in words if word) or None


def _disks(disks: object) -> tuple[Part, ...]:
    try:
        found = parse_disks(disks)
    except ValidationError:  # a state file that others have written to
        return ()
    return _sorted(_disk(disk) for disk in found)


def _disk(disk: Node) -> Part:
    model = text_of(disk, "model") or "disk"
    words = " ".join(part for part in (text_of(disk, "size"), model) if part)
    serial = text_of(disk, "serial")
    # Paths change from boot to boot, and sizes flap: without a serial only the model is left.
    return Part(serial or f"without serial: {model}", words)


def _nics(nodes: Sequence[Node]) -> tuple[Part, ...]:
    """Network cards by MAC. Bridges and other devices of software have no bus, and do not count."""
    found = []
    for node in nodes:
        mac = text_of(node, "serial").lower()
        if text_of(node, "class") == "network" and mac and text_of(node, "businfo"):
            found.append(Part(mac, _described(node, "vendor", "product") or "network card"))
    return _sorted(found)


def _cpus(nodes: Sequence[Node]) -> tuple[str, ...]:
    found = [
        _described(node, "product", "version") or "processor"
        for node in nodes
        if text_of(node, "class") == "processor" and node.get("disabled") is not True
    ]
    return tuple(sorted(found)[:MAX_PARTS])


def _memory(nodes: Sequence[Node]) -> int | None:
    """Bytes: the sum of the modules, or what the kernel has, rounded."""
    banks = [
        size
        for node in nodes
        if text_of(node, "id").partition(":")[0] == "bank"
        and text_of(node, "description").lower() not in _EMPTY_SLOTS
        and (size := _number(node, "size"))
    ]
    if banks:
        return sum(banks)
    whole = _number(_first(nodes, "memory"), "size")
    return None if whole is None else (whole + _GRAIN // 2) // _GRAIN * _GRAIN


def _name(node: Node) -> str:
    """The device's name; there may be a list of them."""
    name = node.get("logicalname")
    first = name[0] if isinstance(name, list) and name else name
    return text_of({"name": first}, "name")


def _number(node: Node, key: str) -> int | None:
    value = node.get(key)
    plain = isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**62
    return value if plain and isinstance(value, int) else None


def _sorted(parts: Iterator[Part] | Sequence[Part]) -> tuple[Part, ...]:
    return tuple(sorted(parts, key=lambda part: (part.key, part.words))[:MAX_PARTS])


def _parts(stored: object) -> tuple[Part, ...] | None:
    if not isinstance(stored, list):
        return None
    return tuple(Part(str(part["key"]), str(part["words"])) for part in stored)
