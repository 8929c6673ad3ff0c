"""Another appliance, which this host is to take the place of (`/api/v1/migration`)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

from bty_app.domain import json_bounds
from bty_app.domain.migration import Appliance, Mark, Part, parse_appliance, parse_mark, parse_parts
from bty_app.errors import (
    BtyError,
    ConflictError,
    InvalidInputError,
    NotAllowedError,
    NotAuthenticatedError,
    NotFoundError,
    UnavailableError,
)
from bty_app.upstream.http import Answer, Download, Http, Request, StatusError

SECONDS = 30.0
COPY_SECONDS = 600.0  # the other appliance copies its database, and reads its files, meanwhile
MAX_ANSWER_BYTES = 8 * 2**20

_FAILURES: dict[int, type[BtyError]] = {
    401: NotAuthenticatedError,
    403: NotAllowedError,
    409: ConflictError,
    422: InvalidInputError,
}


class OtherAppliance:
    """The appliance at `url`, asked with an API token of scope admin."""

    def __init__(self, http: Http, url: str, token: str) -> None:
        self.url = url
        self._http = http
        self._headers = {"Authorization": f"Bearer {token}"}

    def described(self) -> Appliance:
        """What it is.

        Raises:
            BtyError: it does not answer, or not so; the token is wrong.
        """
        return parse_appliance(self._asked("GET", "", seconds=COPY_SECONDS))

    def leave(self, to: str, *, anyway: bool) -> tuple[Part, ...]:
        """It takes no changes from now on; the files of its copy.

        Raises:
            BtyError: it does not answer; it cannot be moved now.
        """
        given = {"to": to, "anyway": anyway}
        answer = self._asked("POST", "/leaving", given, seconds=COPY_SECONDS)
        return parse_parts(json_bounds.object_of(answer).get("files"))

    def stay(self) -> None:
        """It takes changes again.

        Raises:
            BtyError: it does not answer.
        """
        self._asked("DELETE", "/leaving")

    def move(self, copy: str) -> Mark:
        """From now on the host that has the database of this digest is the appliance.

        Raises:
            ConflictError: it took changes after that copy.
            BtyError: it does not answer, and may or may not have moved.
        """
        return parse_mark(self._asked("POST", "/moved", {"copy": copy}))

    @contextmanager
    def reading(self, kind: str, part: Part, *, start: int) -> Iterator[Download]:
        """A file from byte `start` on; of kind "copy" or "boot".

        Raises:
            NotFoundError: it is not there (any more).
            UnavailableError: it cannot be fetched.
        """
        headers = dict(self._headers)
        if start:
            headers |= {"Range": f"bytes={start}-", "If-Range": f'"{part.sha256}"'}
        request = Request(self._address(f"/{kind}/{quote(part.name)}"), headers=headers)
        try:
            with self._http.download(request, limit=part.size) as found:
                yield found
        except StatusError as error:
            if error.status == 404:
                raise NotFoundError(
                    f"{self.url} has no {part.name} any more: begin again"
                ) from error
            raise

    def _address(self, path: str) -> str:
        return f"{self.url}/api/v1/migration{path}"

    def _asked(
        self, method: str, path: str, given: object = None, *, seconds: float = SECONDS
    ) -> bytes:
        headers, body = dict(self._headers), None
        if given is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(given).encode()
        request = Request(self._address(path), method, headers, body)
        answer = self._http.ask(request, limit=MAX_ANSWER_BYTES, seconds=seconds)
        if answer.status in (200, 204):
            return answer.body
        raise self._failure(answer)

    def _failure(self, answer: Answer) -> BtyError:
        if answer.status == 404:
            return InvalidInputError(
                f"{self.url} is no appliance that can be moved: it answers 404; is its release as"
                " new as this one?"
            )
        try:
            detail = str(json_bounds.object_of(answer.body).get("detail"))
        except InvalidInputError:
            detail = "without a reason"
        kind = _FAILURES.get(answer.status, UnavailableError)
        return kind(f"{self.url} answers {answer.status}: {detail[:300]}")
