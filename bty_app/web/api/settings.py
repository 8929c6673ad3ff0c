"""The settings, for administrators' scripts (under /api/v1)."""

from __future__ import annotations

import falcon

from bty_app.domain.tokens import Scope
from bty_app.errors import ValidationError
from bty_app.services.settings import Settings
from bty_app.web import body

MAX_BODY_BYTES = 64 * 1024


class SettingList:
    """`/api/v1/settings`."""

    scope = Scope.ADMIN

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """`{"settings": [...]}`: each with its value, where that is from, the default and help."""
        resp.media = {"settings": [row.as_data() for row in self._settings.shown()]}

    def on_patch(self, req: falcon.Request, resp: falcon.Response) -> None:
        """`{key: text}`, null for the default, all or nothing: `{"changed": [keys]}`."""
        given = body.json_object(req, MAX_BODY_BYTES)
        texts = {key: "" if value is None else value for key, value in given.items()}
        wrong = sorted(key for key, value in texts.items() if not isinstance(value, str))
        if wrong:
            raise ValidationError(f"{wrong[0][:80]}: must be text, or null for the default")
        wanted = {key: str(value) for key, value in texts.items()}
        resp.media = {"changed": self._settings.change(wanted, ip=req.context.client_ip)}
