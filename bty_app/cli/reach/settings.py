"""The settings, here or on a server elsewhere."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from bty_app.cli.reach.server import reached
from bty_app.config import Config
from bty_app.upstream.operator_api import Call, OperatorApi

Data = Mapping[str, Any]


class SettingReach(Protocol):
    """The acts of `settings`; each raises what the service behind it does."""

    def every(self) -> list[Data]:
        """All settings, and where each value comes from."""

    def change(self, key: str, value: str) -> bool:
        """Change one, to the default where the value is empty; whether that changed anything."""


def settings(args: argparse.Namespace, config: Config) -> AbstractContextManager[SettingReach]:
    """Those that the command is for."""
    return reached(args, config, There, "settings")


class There:
    """Through `/api/v1/settings`."""

    def __init__(self, api: OperatorApi) -> None:
        self._api = api

    def every(self) -> list[Data]:
        return list(self._api.get("/settings")["settings"])

    def change(self, key: str, value: str) -> bool:
        return bool(self._api.send(Call("PATCH", "/settings", {key: value or None}))["changed"])
