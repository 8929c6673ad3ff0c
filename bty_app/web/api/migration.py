"""A new host takes this appliance over (under /api/v1): all of it for administrators."""

from __future__ import annotations

from typing import BinaryIO

import falcon

from bty_app.domain.migration import ADDRESS, Appliance, Part, State
from bty_app.domain.tokens import Scope
from bty_app.services.departure import Departure
from bty_app.web.api.values import BYTES, SHA256
from bty_app.web.operations import BYTES as ANY_BYTES
from bty_app.web.operations import Answer, Body, Operation, answers, declared, nothing
from bty_app.web.ranges import send_file
from bty_app.web.records import Items, Keyed, Record, record
from bty_app.web.sent import Sent
from bty_app.web.shapes import Flag, Text, Whole, words_of

MAX_BODY_BYTES = 4096

_PARTS = Items(record("MovedFile", name=Text("Its path."), size_bytes=BYTES, sha256=SHA256))
_APPLIANCE = record(
    "Appliance",
    state=Text(one_of=words_of(State)),
    to=Text("Where it is moved to, or has moved; empty while it serves."),
    copy=Text("The SHA-256 of the database that went there; empty before."),
    version=Text(),
    instance_id=Text(),
    machines=Whole(),
    flashing=Whole("Machines that are being flashed."),
    busy=Text("What must end before it can be left, and does by itself; empty if nothing."),
    boot=_PARTS,
    links=Keyed(Text("The set that it leads to.")),
)
_LEAVE = Operation(
    answers("The files of the copy.", record(files=_PARTS)),
    body=Body(
        Record(
            {
                "to": Text(
                    "The address of the new host.",
                    pattern=f"{ADDRESS.pattern}/*",
                    rule="http://host[:port]",
                ),
                "anyway": Flag("Although machines are being flashed."),
            },
            optional=frozenset({"anyway"}),
            example={"to": "http://192.0.2.20:8080"},
        ),
        MAX_BODY_BYTES,
    ),
    refuses=(409,),
)
_MOVE = Operation(
    answers("It has moved.", record(to=Text(), at=Text("A moment."), copy=SHA256)),
    body=Body(record(copy=SHA256), MAX_BODY_BYTES),
    refuses=(409,),
)
_FILE = Operation(
    (
        Answer(200, "The file.", media=ANY_BYTES),
        Answer(206, "The range of it that was asked for.", media=ANY_BYTES),
        Answer(304, "It is the one of If-None-Match."),
        Answer(416, "It has no such range."),
    )
)


class Migration:
    """`/api/v1/migration`."""

    scope = Scope.ADMIN
    operations = declared(GET=Operation(answers("The appliance.", _APPLIANCE)))

    def __init__(self, departure: Departure) -> None:
        self._departure = departure

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """What this appliance is, whether it has moved, and the files that machines boot."""
        resp.media = _as_data(self._departure.described())


class MigrationLeaving:
    """`/api/v1/migration/leaving`."""

    scope = Scope.ADMIN
    operations = declared(POST=_LEAVE, DELETE=Operation(nothing()))

    def __init__(self, departure: Departure) -> None:
        self._departure = departure

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """`{"to": URL, "anyway": false}`: take no changes, and copy; `{"files": [...]}`."""
        given = _LEAVE.body_of(req)
        parts = self._departure.leave(
            given["to"], anyway=bool(given["anyway"]), ip=req.context.client_ip
        )
        resp.media = {"files": [part.as_data() for part in parts]}

    def on_delete(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Give the move up: changes are taken again; 204."""
        self._departure.stay()
        resp.status = 204


class MigrationMoved:
    """`/api/v1/migration/moved`."""

    scope = Scope.ADMIN
    operations = declared(POST=_MOVE)

    def __init__(self, departure: Departure) -> None:
        self._departure = departure

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """`{"copy": SHA-256}`: the host that has this database is the appliance from now on."""
        mark = self._departure.move(_MOVE.body_of(req)["copy"], ip=req.context.client_ip)
        resp.media = {"to": mark.to, "at": mark.at, "copy": mark.copy}


class MigrationCopy:
    """`/api/v1/migration/copy/{name}`."""

    scope = Scope.ADMIN
    operations = declared(GET=_FILE)

    def __init__(self, departure: Departure) -> None:
        self._departure = departure

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """A file of the copy, or a range of it; its entity tag is its SHA-256."""
        part, file, ended = self._departure.opened(name)
        sent = Sent(file, lambda _sent, _seconds: ended())
        _send(req, resp, part, sent)


class MigrationBoot:
    """`/api/v1/migration/boot/{name}`."""

    scope = Scope.ADMIN
    operations = declared(GET=_FILE)

    def __init__(self, departure: Departure) -> None:
        self._departure = departure

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """A file that machines boot, or a range of it; its entity tag is its SHA-256."""
        part, file = self._departure.boot.opened(name)
        _send(req, resp, part, file)


def _send(req: falcon.Request, resp: falcon.Response, part: Part, file: BinaryIO | Sent) -> None:
    try:
        resp.content_type = ANY_BYTES
        resp.set_header("Accept-Ranges", "bytes")
        resp.set_header("ETag", f'"{part.sha256}"')
        resp.set_header("Cache-Control", "no-store")
        send_file(req, resp, file, part.size)
    except BaseException:
        file.close()
        raise


def _as_data(found: Appliance) -> dict[str, object]:
    return {
        "state": found.state.value,
        "to": found.to,
        "copy": found.copy,
        "version": found.version,
        "instance_id": found.instance_id,
        "machines": found.machines,
        "flashing": found.flashing,
        "busy": found.busy,
        "boot": [part.as_data() for part in found.boot],
        "links": dict(found.links),
    }
