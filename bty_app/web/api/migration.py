"""A new host takes this appliance over (under /api/v1): all of it for administrators."""

from __future__ import annotations

from typing import BinaryIO

import falcon

from bty_app.domain.migration import Appliance, Part
from bty_app.domain.tokens import Scope
from bty_app.services.departure import Departure
from bty_app.web import body
from bty_app.web.ranges import send_file
from bty_app.web.sent import Sent

MAX_BODY_BYTES = 4096


class Migration:
    """`/api/v1/migration`."""

    scope = Scope.ADMIN

    def __init__(self, departure: Departure) -> None:
        self._departure = departure

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """What this appliance is, whether it has moved, and the files that machines boot."""
        resp.media = _as_data(self._departure.described())


class MigrationLeaving:
    """`/api/v1/migration/leaving`."""

    scope = Scope.ADMIN

    def __init__(self, departure: Departure) -> None:
        self._departure = departure

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """`{"to": URL, "anyway": false}`: take no changes, and copy; `{"files": [...]}`."""
        given = body.json_object(req, MAX_BODY_BYTES)
        parts = self._departure.leave(
            given.get("to"), anyway=given.get("anyway") is True, ip=req.context.client_ip
        )
        resp.media = {"files": [part.as_data() for part in parts]}

    def on_delete(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Give the move up: changes are taken again; 204."""
        self._departure.stay()
        resp.status = 204


class MigrationMoved:
    """`/api/v1/migration/moved`."""

    scope = Scope.ADMIN

    def __init__(self, departure: Departure) -> None:
        self._departure = departure

    def on_post(self, req: falcon.Request, resp: falcon.Response) -> None:
        """`{"copy": SHA-256}`: the host that has this database is the appliance from now on."""
        copy = str(body.json_object(req, MAX_BODY_BYTES).get("copy"))
        mark = self._departure.move(copy, ip=req.context.client_ip)
        resp.media = {"to": mark.to, "at": mark.at, "copy": mark.copy}


class MigrationCopy:
    """`/api/v1/migration/copy/{name}`."""

    scope = Scope.ADMIN

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

    def __init__(self, departure: Departure) -> None:
        self._departure = departure

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """A file that machines boot, or a range of it; its entity tag is its SHA-256."""
        part, file = self._departure.boot.opened(name)
        _send(req, resp, part, file)


def _send(req: falcon.Request, resp: falcon.Response, part: Part, file: BinaryIO | Sent) -> None:
    try:
        resp.content_type = "application/octet-stream"
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
        "boot": [part.as_data() for part in found.boot],
        "links": dict(found.links),
    }
