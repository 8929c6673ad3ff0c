"""Access, for administrators' scripts: tokens, sessions, the password (under /api/v1)."""

from __future__ import annotations

import falcon

from bty_app.domain.moments import stamp
from bty_app.domain.sessions import MAX_PASSWORD, Session, public_id
from bty_app.domain.tokens import MAX_DAYS, MAX_NAME, Scope
from bty_app.errors import NotAllowedError
from bty_app.services.account import AccountKeeper
from bty_app.services.tokens import Tokens
from bty_app.web.api.values import MAYBE_MOMENT, MAYBE_TEXT, MOMENT
from bty_app.web.operations import Body, Operation, answers, declared, nothing
from bty_app.web.records import Items, Record, record
from bty_app.web.shapes import Flag, Nullable, Shape, Text, Whole, words_of

_SCOPE = Text("What it may.", one_of=words_of(Scope))
_TOKEN: dict[str, Shape] = {
    "id": Text(),
    "name": Text("For people."),
    "scope": _SCOPE,
    "created_at": MOMENT,
    "expires_at": MAYBE_MOMENT,
    "last_used_at": MAYBE_MOMENT,
    "last_used_ip": MAYBE_TEXT,
}
_MADE = Record(
    {**_TOKEN, "token": Text("What a script sends. Nobody is told it again.")}, "NewToken"
)
_SESSION = record(
    "Session",
    id=Text(),
    created_at=MOMENT,
    seen_at=MOMENT,
    expires_at=MOMENT,
    source_ip=MAYBE_TEXT,
    user_agent=MAYBE_TEXT,
    this_one=Flag("Whether it is the one that asks."),
)
_CREATE = Operation(
    answers("The token, with its secret.", _MADE, 201),
    body=Body(
        Record(
            {
                "name": Text("One line, for people.", least=1, most=MAX_NAME),
                "scope": _SCOPE,
                "expires_days": Nullable(
                    Whole("In how many days it ends; never without.", least=1, most=MAX_DAYS)
                ),
            },
            optional=frozenset({"scope", "expires_days"}),
            example={"name": "ci", "scope": "operate", "expires_days": 90},
        )
    ),
    refuses=(409,),
)
_PASSWORD = Operation(
    answers("It is changed.", record(sessions_ended=Whole())),
    body=Body(record(current=Text(most=MAX_PASSWORD), new=Text(most=MAX_PASSWORD))),
    refuses=(409,),
)


class TokenList:
    """`/api/v1/tokens`."""

    scope = Scope.ADMIN
    operations = declared(
        GET=Operation(answers("The tokens.", record(tokens=Items(Record(_TOKEN, "Token"))))),
        POST=_CREATE,
    )

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """`{"tokens": [...]}`, the newest first; no secret is among it."""
        resp.media = {"tokens": [token.as_data() for token in self._tokens.listed()]}

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """`{"name", "scope", "expires_days"?}`: 201 with the `token`, this once."""
        given = _CREATE.body_of(req)
        made, text = self._tokens.create(
            given["name"],
            given["scope"] or Scope.READ.value,
            str(given["expires_days"] or ""),
            ip=req.context.client_ip,
        )
        resp.status = 201
        resp.set_header("Cache-Control", "no-store")
        resp.media = made.as_data() | {"token": text}


class TokenById:
    """`/api/v1/tokens/{token_id}`."""

    scope = Scope.ADMIN
    operations = declared(DELETE=Operation(nothing("It counts no more.")))

    def __init__(self, tokens: Tokens) -> None:
        self._tokens = tokens

    def on_delete(self, req: falcon.Request, resp: falcon.Response, token_id: str) -> None:
        """Revoke it; 204."""
        self._tokens.revoke(token_id, ip=req.context.client_ip)
        resp.status = 204


class SessionList:
    """`/api/v1/sessions`."""

    scope = Scope.ADMIN
    operations = declared(
        GET=Operation(answers("The sessions.", record(sessions=Items(_SESSION)))),
        DELETE=Operation(answers("They are ended.", record(ended=Whole()))),
    )

    def __init__(self, account: AccountKeeper) -> None:
        self._account = account

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """`{"sessions": [...]}`, the last used first."""
        own = req.context.session
        rows = [_session_json(row, own) for row in self._account.sessions()]
        resp.media = {"sessions": rows}

    def on_delete(self, req: falcon.Request, resp: falcon.Response) -> None:
        """End all but the one that asks: `{"ended": n}`."""
        ended = self._account.end_others(req.context.session, ip=req.context.client_ip)
        resp.media = {"ended": ended}


class SessionById:
    """`/api/v1/sessions/{session_id}`."""

    scope = Scope.ADMIN
    operations = declared(DELETE=Operation(nothing("It is ended.")))

    def __init__(self, account: AccountKeeper) -> None:
        self._account = account

    def on_delete(self, req: falcon.Request, resp: falcon.Response, session_id: str) -> None:
        """End it; 204."""
        self._account.end(session_id, ip=req.context.client_ip)
        resp.status = 204


class PasswordChange:
    """`/api/v1/account/password`."""

    scope = Scope.ADMIN
    operations = declared(POST=_PASSWORD)

    def __init__(self, account: AccountKeeper) -> None:
        self._account = account

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """`{"current", "new"}`: `{"sessions_ended": n}`; 403 when `current` is not the password."""
        given, session = _PASSWORD.body_of(req), req.context.session
        ended = self._account.change_password(
            given["current"], given["new"], session, ip=req.context.client_ip
        )
        if ended is None:
            raise NotAllowedError("current: that is not the password")
        resp.media = {"sessions_ended": ended}


def _session_json(session: Session, own: Session | None) -> dict[str, object]:
    return {
        "id": public_id(session),
        "created_at": stamp(session.created_at),
        "seen_at": stamp(session.seen_at),
        "expires_at": stamp(session.expires_at),
        "source_ip": session.source_ip,
        "user_agent": session.user_agent,
        "this_one": own is not None and own.token_hash == session.token_hash,
    }
