"""The receivers of events, here or on a server elsewhere."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from bty_app.cli.reach.server import reached
from bty_app.config import Config
from bty_app.upstream.operator_api import Call, OperatorApi

Data = Mapping[str, Any]


class WebhookReach(Protocol):
    """The acts of `webhook`; each raises what the service behind it does."""

    def every(self) -> list[Data]:
        """Each receiver, and how it is."""

    def test(self) -> list[Data]:
        """Send a test to each; what came of it."""


def webhooks(args: argparse.Namespace, config: Config) -> AbstractContextManager[WebhookReach]:
    """Those that the command is for."""
    return reached(args, config, There, "webhooks")


class There:
    """Through `/api/v1/webhooks`."""

    def __init__(self, api: OperatorApi) -> None:
        self._api = api

    def every(self) -> list[Data]:
        return list(self._api.get("/webhooks")["webhooks"])

    def test(self) -> list[Data]:
        return list(self._api.send(Call("POST", "/webhooks/test"))["tests"])
