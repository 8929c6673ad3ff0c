"""API tokens, here or on a server elsewhere."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from bty_app.cli.reach.server import reached
from bty_app.config import Config
from bty_app.domain.tokens import days_of
from bty_app.errors import NotFoundError
from bty_app.upstream.operator_api import Call, OperatorApi

Data = Mapping[str, Any]


class TokenReach(Protocol):
    """The acts of `token`; each raises what the service behind it does."""

    def every(self) -> list[Data]:
        """All tokens, the newest first."""

    def create(self, name: str, scope: str, expires: str) -> Data:
        """A new one, with its secret as `token`."""

    def revoke(self, wanted: str) -> Data:
        """End the one of this id or name; what it was."""


def tokens(args: argparse.Namespace, config: Config) -> AbstractContextManager[TokenReach]:
    """Those that the command is for."""
    return reached(args, config, There, "tokens")


class There:
    """Through `/api/v1/tokens`."""

    def __init__(self, api: OperatorApi) -> None:
        self._api = api

    def every(self) -> list[Data]:
        return list(self._api.get("/tokens")["tokens"])

    def create(self, name: str, scope: str, expires: str) -> Data:
        given = {"name": name, "scope": scope, "expires_days": days_of(expires)}
        found: Data = self._api.send(Call("POST", "/tokens", given))
        return found

    def revoke(self, wanted: str) -> Data:
        rows = self.every()
        known = [row for row in rows if row["id"] == wanted]
        known = known or [row for row in rows if row["name"] == wanted]
        if not known:
            raise NotFoundError(f"there is no token {wanted[:80]!r}")
        self._api.send(Call("DELETE", f"/tokens/{known[0]['id']}"))
        return known[0]
