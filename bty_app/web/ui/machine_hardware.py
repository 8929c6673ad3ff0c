"""The hardware of a machine as lshw tells it: a tree to walk, and what it reported earlier."""

from __future__ import annotations

from dataclasses import dataclass

import falcon

from bty_app.domain.mac import parse_mac
from bty_app.services.hardware import Hardware
from bty_app.services.machines import Machines
from bty_app.web.pages import Answer, Pages

MAX_BRANCHES = 3000
MAX_DEPTH = 24
MAX_FIELDS = 40


@dataclass(frozen=True, slots=True)
class Branch:
    """A node of the tree."""

    title: str
    fields: tuple[tuple[str, str], ...]
    children: tuple[Branch, ...]
    cut: bool = False


class HardwarePage:
    """`/ui/machines/{mac}/hardware`: the tree, folded; it needs no JavaScript."""

    def __init__(self, pages: Pages, machines: Machines, hardware: Hardware) -> None:
        self._pages = pages
        self._machines = machines
        self._hardware = hardware

    def on_get(self, req: falcon.Request, resp: falcon.Response, mac: str) -> None:
        """The tree of the last inventory."""
        shown = self._machines.get(parse_mac(mac))
        tree = self._hardware.tree(shown.machine.mac)
        roots = tree if isinstance(tree, list) else [tree]
        budget = [MAX_BRANCHES]
        branches = [_branch(root, budget, 0) for root in roots if isinstance(root, dict)]
        values: dict[str, object] = {
            "machine": shown.machine,
            "branches": branches,
            "cut": budget[0] <= 0,
        }
        self._pages.render(req, resp, Answer("machine_hardware.html", values))


class HardwareReport:
    """`/ui/machines/{mac}/hardware/{number}`: an inventory that is kept, to download."""

    def __init__(self, hardware: Hardware) -> None:
        self._hardware = hardware

    def on_get(self, _req: falcon.Request, resp: falcon.Response, mac: str, number: int) -> None:
        """The JSON text as it was reported."""
        machine = parse_mac(mac)
        resp.text = self._hardware.report(machine, number)
        resp.content_type = falcon.MEDIA_JSON
        name = f"{machine.replace(':', '-')}-hardware-{number}.json"
        resp.set_header("Content-Disposition", f'attachment; filename="{name}"')


def _branch(node: dict[str, object], budget: list[int], depth: int) -> Branch:
    budget[0] -= 1
    below = node.get("children")
    inner = [child for child in below if isinstance(child, dict)] if isinstance(below, list) else []
    children: list[Branch] = []
    for child in inner:
        if budget[0] <= 0 or depth >= MAX_DEPTH:
            break
        children.append(_branch(child, budget, depth + 1))
    words = [node.get("id"), node.get("description"), node.get("product")]
    title = " · ".join(str(word) for word in words if word) or "?"
    return Branch(title, _fields(node), tuple(children), cut=len(children) < len(inner))


def _fields(node: dict[str, object]) -> tuple[tuple[str, str], ...]:
    found: list[tuple[str, str]] = []
    for key, value in node.items():
        if key == "children":
            continue
        inner = value if isinstance(value, dict) else {"": value}
        found += [(f"{key}.{name}".rstrip("."), str(word)) for name, word in inner.items()]
        if len(found) >= MAX_FIELDS:
            break
    return tuple(found[:MAX_FIELDS])
