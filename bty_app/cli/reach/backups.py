"""Backups, here or on a server elsewhere."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from bty_app.cli.reach.server import reached
from bty_app.config import Config
from bty_app.domain.backups import JOB_KIND, MANUAL
from bty_app.domain.jobs import State, Teller
from bty_app.errors import ConflictError
from bty_app.upstream.operator_api import Call, OperatorApi, segment

Data = Mapping[str, Any]


class BackupReach(Protocol):
    """The acts of `backup` and `backups`; each raises what the service behind it does."""

    @property
    def place(self) -> str:
        """Where they are, for people."""

    def create(
        self, teller: Teller, *, bundle_alone: bool, wait_seconds: float, trigger: str = MANUAL
    ) -> Data:
        """Make one, of the bundle alone or as it is set; one under way is waited for so long."""

    def every(self) -> list[Data]:
        """All backups, the newest first, and what retention makes of each."""

    def find(self, backup_id: str) -> Data:
        """One backup."""

    def pin(self, backup_id: str, *, is_pinned: bool) -> Data:
        """Keep it whatever retention says, or no more."""

    def remove(self, backup_id: str) -> Data:
        """Remove it; what it was."""


def backups(args: argparse.Namespace, config: Config) -> AbstractContextManager[BackupReach]:
    """Those that the command is for."""
    return reached(args, config, There, "backups")


class There:
    """Through `/api/v1/backups`."""

    def __init__(self, api: OperatorApi) -> None:
        self._api = api

    @property
    def place(self) -> str:
        return self._api.url

    def create(
        self,
        teller: Teller,
        *,
        bundle_alone: bool,
        wait_seconds: float,
        trigger: str = MANUAL,  # noqa: ARG002 - a server takes them by hand
    ) -> Data:
        """One under way is not another's here: what comes of it is the answer."""
        if not wait_seconds:
            self._check_idle()
        sent = Call("POST", "/backups", {"bundle_alone": True} if bundle_alone else None)
        return self._api.ended(self._api.send(sent), teller)

    def _check_idle(self) -> None:
        jobs = self._api.get("/jobs", kind=JOB_KIND)["jobs"]
        if any(job["state"] in (State.QUEUED, State.RUNNING) for job in jobs):
            raise ConflictError(f"{self._api.url} is making a backup already")

    def every(self) -> list[Data]:
        return list(self._api.get("/backups")["backups"])

    def find(self, backup_id: str) -> Data:
        found: Data = self._api.get(_at(backup_id))
        return found

    def pin(self, backup_id: str, *, is_pinned: bool) -> Data:
        found: Data = self._api.send(Call("PATCH", _at(backup_id), {"pinned": is_pinned}))
        return found

    def remove(self, backup_id: str) -> Data:
        found: Data = self._api.send(Call("DELETE", _at(backup_id)))
        return found


def _at(backup_id: str) -> str:
    return f"/backups/{segment(backup_id)}"
