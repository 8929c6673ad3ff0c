"""The settings, for administrators' scripts (under /api/v1)."""

from __future__ import annotations

import falcon

from bty_app.domain.settings import SETTINGS
from bty_app.domain.tokens import Scope
from bty_app.services.settings import Settings
from bty_app.web.api.values import MAYBE_TEXT
from bty_app.web.operations import Body, Operation, answers, declared
from bty_app.web.records import Items, Record, options
from bty_app.web.shapes import Nullable, Text

_SETTING = Record(
    {
        "key": Text(),
        "value": Text(),
        "from": Text("Where the value is from."),
        "default": Text(),
        "help": Text(),
        "problem": MAYBE_TEXT,
    },
    "Setting",
)
_TEXTS = options(**{row.key: Nullable(Text(row.help)) for row in SETTINGS})


def _texts(sent: dict[str, object]) -> dict[str, str]:
    """What was given, and nothing of what was not: that stays as it is."""
    return {key: text or "" for key, text in _TEXTS.checked(sent).items() if key in sent}


_CHANGE = Operation(
    answers("What is changed.", Record({"changed": Items(Text("A key."))})),
    body=Body(_TEXTS, parse=_texts),
    refuses=(409,),
)


class SettingList:
    """`/api/v1/settings`."""

    scope = Scope.ADMIN
    operations = declared(
        GET=Operation(answers("The settings.", Record({"settings": Items(_SETTING)}))),
        PATCH=_CHANGE,
    )

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """`{"settings": [...]}`: each with its value, where that is from, the default and help."""
        resp.media = {"settings": [row.as_data() for row in self._settings.shown()]}

    def on_patch(self, req: falcon.Request, resp: falcon.Response) -> None:
        """`{key: text}`, null for the default, all or nothing: `{"changed": [keys]}`."""
        wanted = _CHANGE.body_of(req)
        resp.media = {"changed": self._settings.change(wanted, ip=req.context.client_ip)}
