"""Is it alive, can it serve, which version is it, what does it count?"""

from __future__ import annotations

import falcon

from bty_app import __version__
from bty_app.services.health import Health
from bty_app.web.operations import Answer, Operation, answers, declared, nothing
from bty_app.web.records import Items, record
from bty_app.web.shapes import Text

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_READINESS = record(
    "Readiness",
    status=Text(one_of=("ready", "not ready")),
    problems=Items(Text("What keeps it from its work.")),
)


class Alive:
    """The process answers. Looks at nothing else."""

    open_to_all = True
    operations = declared(
        GET=Operation(answers("It is alive.", record(status=Text(one_of=("ok",)))))
    )

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Always 200."""
        resp.media = {"status": "ok"}

    on_head = on_get


class Ready:
    """It can serve: the database takes writes and the disk has room."""

    open_to_all = True
    operations = declared(
        GET=Operation(
            (
                Answer(200, "It can serve.", _READINESS),
                Answer(503, "It cannot, and why.", _READINESS),
            )
        )
    )

    def __init__(self, health: Health) -> None:
        self._health = health

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """200, or 503 with what is wrong."""
        problems = self._health.problems()
        resp.status = 503 if problems else 200
        resp.cache_control = ["no-store"]
        resp.media = {
            "status": "not ready" if problems else "ready",
            "problems": problems,
            "notes": self._health.notes(),
        }

    on_head = on_get


class Version:
    """Which release this is."""

    open_to_all = True
    operations = declared(GET=Operation(answers("The release.", record(version=Text()))))

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """The running release."""
        resp.media = {"version": __version__}

    on_head = on_get


class MetricsText:
    """Prometheus' text format."""

    open_to_all = True
    operations = declared(GET=Operation((Answer(200, "The counts.", media=METRICS_TYPE),)))

    def __init__(self, health: Health) -> None:
        self._health = health

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """All counts and gauges."""
        resp.content_type = METRICS_TYPE
        resp.text = self._health.metrics()


class Home:
    """The front door; HEAD is where a live environment reads the time (CONTRACT 5.7)."""

    open_to_all = True
    operations = declared(
        GET=Operation(nothing("To the pages.", 303)),
        HEAD=Operation(nothing("The headers.", 200)),
    )

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """To the pages."""
        resp.status = 303
        resp.location = "/ui/login"

    def on_head(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Only the headers matter, `Date` above all."""
        resp.status = 200
