"""The receivers of events, for administrators' scripts (under /api/v1)."""

from __future__ import annotations

import falcon

from bty_app.domain.tokens import Scope
from bty_app.services.webhooks import Webhooks


class WebhookList:
    """`/api/v1/webhooks`."""

    scope = Scope.ADMIN

    def __init__(self, webhooks: Webhooks) -> None:
        self._webhooks = webhooks

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """`{"webhooks": [...]}`: each receiver, and the last that is known of it."""
        rows = []
        for state in self._webhooks.state():
            found = state.progress
            rows.append(
                {
                    "target": state.target.shown,
                    "kinds": list(state.target.kinds),
                    "waiting": state.waiting,
                    "last_at": found.last_at if found else None,
                    "error": found.last_error if found else None,
                    "next_at": found.next_at if found else None,
                    "skipped": found.skipped if found else 0,
                }
            )
        resp.media = {"webhooks": rows}


class WebhookTest:
    """`/api/v1/webhooks/test`."""

    scope = Scope.ADMIN

    def __init__(self, webhooks: Webhooks) -> None:
        self._webhooks = webhooks

    def on_post(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Send each receiver a test: `{"tests": [{"target", "error"}]}`."""
        tests = [{"target": t.shown, "error": error or None} for t, error in self._webhooks.test()]
        resp.media = {"tests": tests}
