"""The receivers of events, for administrators' scripts (under /api/v1)."""

from __future__ import annotations

import falcon

from bty_app.domain.tokens import Scope
from bty_app.domain.webhooks import Target
from bty_app.services.webhooks import State, Webhooks
from bty_app.web.api.values import MAYBE_MOMENT, MAYBE_TEXT
from bty_app.web.operations import Operation, answers, declared
from bty_app.web.records import Items, record
from bty_app.web.shapes import Text, Whole

_TARGET = Text("The receiver, without its secrets.")
_WEBHOOK = record(
    "Webhook",
    target=_TARGET,
    kinds=Items(Text("A kind of event, or a pattern.")),
    waiting=Whole("Events that it is still to be told."),
    last_at=MAYBE_MOMENT,
    error=MAYBE_TEXT,
    next_at=MAYBE_MOMENT,
    skipped=Whole("Events that it will never be told."),
)
_TEST = record(target=_TARGET, error=MAYBE_TEXT)


class WebhookList:
    """`/api/v1/webhooks`."""

    scope = Scope.ADMIN
    operations = declared(
        GET=Operation(answers("The receivers.", record(webhooks=Items(_WEBHOOK))))
    )

    def __init__(self, webhooks: Webhooks) -> None:
        self._webhooks = webhooks

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """`{"webhooks": [...]}`: each receiver, and the last that is known of it."""
        resp.media = {"webhooks": [state_json(state) for state in self._webhooks.state()]}


class WebhookTest:
    """`/api/v1/webhooks/test`."""

    scope = Scope.ADMIN
    operations = declared(POST=Operation(answers("What came of it.", record(tests=Items(_TEST)))))

    def __init__(self, webhooks: Webhooks) -> None:
        self._webhooks = webhooks

    def on_post(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Send each receiver a test: `{"tests": [{"target", "error"}]}`."""
        resp.media = {"tests": [test_json(*tested) for tested in self._webhooks.test()]}


def state_json(state: State) -> dict[str, object]:
    """A receiver as plain data."""
    found = state.progress
    return {
        "target": state.target.shown,
        "kinds": list(state.target.kinds),
        "waiting": state.waiting,
        "last_at": found.last_at if found else None,
        "error": found.last_error if found else None,
        "next_at": found.next_at if found else None,
        "skipped": found.skipped if found else 0,
    }


def test_json(target: Target, error: str) -> dict[str, object]:
    """What came of a test, as plain data."""
    return {"target": target.shown, "error": error or None}
