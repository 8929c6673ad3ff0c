"""Machines, here or on a server elsewhere."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Protocol

from bty_app.cli.reach.server import reached
from bty_app.cli.telling import Terminal
from bty_app.config import Config
from bty_app.domain.bulk_act import JOB_KIND
from bty_app.upstream.operator_api import Call, OperatorApi, segment

Data = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Seen:
    """A machine as the API shows it, and what tells whether it is still set like that."""

    data: Data
    mark: object


class MachineReach(Protocol):
    """The acts of `machine`; each raises what the service behind it does."""

    def every(self) -> Iterator[Data]:
        """All machines in the order of their MACs."""

    def get(self, mac: str) -> Seen:
        """One machine."""

    def save(self, mac: str, wanted: Data, seen: Seen | None) -> Data:
        """Replace what is set of it, where it is still as it was seen."""

    def forget(self, mac: str) -> None:
        """Delete its record."""

    def preview(self, order: Data) -> Data:
        """What an act on many machines would do."""

    def confirm(self, act_id: str, order: Data, digest: str) -> Data:
        """Do what was shown, and what came of it."""

    def undo(self, act_id: str) -> Data:
        """Take an act back, and what came of that."""


def machines(args: argparse.Namespace, config: Config) -> AbstractContextManager[MachineReach]:
    """Those that the command is for."""
    return reached(args, config, There, "machines")


class There:
    """Through `/api/v1/machines`."""

    def __init__(self, api: OperatorApi) -> None:
        self._api = api

    def every(self) -> Iterator[Data]:
        return self._api.listed("/machines", "machines")

    def get(self, mac: str) -> Seen:
        return Seen(*self._api.told(Call("GET", _at(mac), again=True)))

    def save(self, mac: str, wanted: Data, seen: Seen | None) -> Data:
        headers = {"If-Match": str(seen.mark)} if seen else {}
        found: Data = self._api.send(Call("PUT", _at(mac), dict(wanted), headers=headers))
        return found

    def forget(self, mac: str) -> None:
        self._api.send(Call("DELETE", _at(mac)))

    def preview(self, order: Data) -> Data:
        found: Data = self._api.send(
            Call("POST", "/machines/bulk/preview", _said(order), again=True)
        )
        return found

    def confirm(self, act_id: str, order: Data, digest: str) -> Data:
        given = _said(order) | {"id": act_id, "digest": digest}
        self._api.send(Call("POST", "/machines/bulk", given, again=True))
        return self._ended(act_id)

    def undo(self, act_id: str) -> Data:
        self._api.send(Call("POST", f"/machines/bulk/{segment(act_id)}/undo", again=True))
        return self._ended(act_id)

    def _ended(self, act_id: str) -> Data:
        """The act, when the job that does it has ended; a small one is done already."""
        jobs = self._api.get("/jobs", kind=JOB_KIND)["jobs"]
        job = next((job for job in jobs if job["key"] == act_id), None)
        if job is not None:
            terminal = Terminal()
            try:
                self._api.ended(job, terminal)
            finally:
                terminal.done()
        found: Data = self._api.get(f"/machines/bulk/{segment(act_id)}")
        return found


def _at(mac: str) -> str:
    return f"/machines/{segment(mac)}"


def _said(order: Data) -> dict[str, Any]:
    return {name: value for name, value in order.items() if value is not None}
