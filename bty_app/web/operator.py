"""Who acts when an operator's request is carried out."""

from __future__ import annotations

import falcon

from bty_app.domain.catalog_events import By
from bty_app.domain.events import Actor


def by_of(req: falcon.Request) -> By:
    """The operator, from where the request came."""
    return By(Actor.OPERATOR, req.context.client_ip)
