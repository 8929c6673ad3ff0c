"""A server of ours as an operator asks it: `/api/v1`, with a token.

What it refuses comes back as the failure that it was there (`code` of the problem details), so a
command ends with the same status wherever its state is.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, BinaryIO
from urllib.parse import quote, urlencode, urlsplit

from bty_app import errors
from bty_app.domain.jobs import Step, Teller
from bty_app.errors import BtyError, CancelledError, ConflictError, UnavailableError
from bty_app.upstream.answers import StatusError
from bty_app.upstream.http import Answer, Http, Request, Upload
from bty_app.upstream.pace import USUAL_PACE

SECONDS = 60.0  # the server itself may ask another host before it answers
MOST_BYTES = 64 * 2**20
MOST_STREAMED = 2**40
TRIES = 3  # of what can be asked twice
POLL_SECONDS = 0.5
PART = 200  # rows of a list at once: each machine may have 64 disks
CHUNK = 256 * 1024
_PAUSES = (0.5, 2.0)
_ACTIVE = frozenset({"queued", "running"})
_BY_STATUS: dict[int, type[BtyError]] = {
    400: errors.InvalidInputError,
    401: errors.NotAuthenticatedError,
    403: errors.NotAllowedError,
    404: errors.NotFoundError,
    409: ConflictError,
    412: errors.PreconditionError,
    413: errors.TooLargeError,
    422: errors.ValidationError,
    503: UnavailableError,
}

Data = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Call:
    """One request below `/api/v1`. `again`: it does nothing twice, so it may be sent anew."""

    method: str
    path: str
    given: object = None
    query: Mapping[str, object] | None = None
    headers: Mapping[str, str] | None = None
    data: bytes | None = None
    again: bool = False


class OperatorApi:
    """The server at `url`."""

    def __init__(
        self,
        http: Http,
        url: str,
        token: str,
        *,
        version: str,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        """`version` is that of this program, for the sentence about another one."""
        self.url = url.rstrip("/")
        self._http = http
        self._token = token
        self._version = version
        self._pause = pause

    def get(self, path: str, **query: object) -> Any:
        """What a GET answers.

        Raises:
            BtyError: it is refused, not answered, or not understood.
        """
        return self.send(Call("GET", path, query=query, again=True))

    def send(self, call: Call) -> Any:
        """The JSON that is answered; None without a body.

        Raises:
            BtyError: it is refused, not answered, or not understood.
        """
        return self.told(call)[0]

    def told(self, call: Call) -> tuple[Any, str]:
        """The JSON that is answered, and its ETag."""
        answer = self._asked(call)
        if not 200 <= answer.status < 300:
            raise self._refusal(answer)
        if not answer.body:
            return None, ""
        try:
            return json.loads(answer.body), answer.headers.get("ETag", "")
        except ValueError as error:
            raise self.not_understood(call.path) from error

    def listed(self, path: str, key: str, **query: object) -> Iterator[Data]:
        """The rows of a list, part by part as they are taken: `next` leads on."""
        address = _with_query(path, {"limit": PART, **query})
        while address:
            found = self.get(address)
            try:
                yield from found[key]
                address = str(found["next"] or "").removeprefix("/api/v1")
            except (TypeError, KeyError) as error:
                raise self.not_understood(path) from error

    def lines(self, path: str, **query: object) -> Iterator[bytes]:
        """The lines of an answer without an end in sight."""
        request = self._request(Call("GET", path, query=query))
        try:
            with self._http.download(request, limit=MOST_STREAMED) as body:
                kept = b""
                for chunk in body.chunks():
                    *whole, kept = (kept + chunk).split(b"\n")
                    yield from whole
                if kept:
                    yield kept
        except StatusError as error:
            # The download has read no sentence; the same asked for once more has one.
            raise self._refusal(self._http.ask(request, limit=MOST_BYTES, seconds=SECONDS)) from (
                error
            )

    def upload(self, call: Call, file: BinaryIO, size: int, teller: Teller) -> Any:
        """Send a file as the body, and return the JSON that is answered."""

        def chunks() -> Iterator[bytes]:
            done = 0
            while part := file.read(CHUNK):
                yield part
                done += len(part)
                teller.tell(Step("sending", done, size))

        headers = {"Content-Type": "application/octet-stream"}
        request = self._request(replace(call, headers=headers))
        upload = Upload(size, chunks(), USUAL_PACE, teller.is_wanted)
        answer = self._http.upload(request, upload)
        if answer.status != 200:
            raise self._refusal(answer)
        return json.loads(answer.body)

    def ended(self, job: Data, teller: Teller) -> Data:
        """Wait until a job has ended, and return its data; ^C here ends it there.

        Raises:
            BtyError: what it failed with.
        """
        try:
            while job["status"] in _ACTIVE:
                teller.tell(Step(job["words"], job["bytes_done"], job["bytes_total"]))
                self._pause(POLL_SECONDS)
                job = self.get(f"/jobs/{job['id']}")
        except (KeyboardInterrupt, CancelledError):
            self.send(Call("DELETE", f"/jobs/{job['id']}"))
            raise
        if job["status"] == "cancelled":
            raise CancelledError(f"{self.url}: the job was cancelled: {job['title']}")
        if job["error"]:
            code = str(job.get("code"))
            raise errors.of_code(code, job["error"]) or BtyError(job["error"])
        return dict(job["data"] or {})

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self._pause(seconds)

    def not_understood(self, what: str) -> BtyError:
        """The failure of an answer that this program cannot read, or a route that is missing."""
        there = self._version_there()
        if there == self._version:
            return UnavailableError(f"{self.url}/api/v1{what}: the answer makes no sense")
        if not there:
            return UnavailableError(
                f"{self.url} is no server of bty, or something stands before it: {what} has no"
                " answer that makes sense"
            )
        return ConflictError(
            f"{self.url} is bty {there}, this is {self._version}, and they differ in {what}: use"
            f" the bty of that version, which it serves as {self.url}/client.pyz, or upgrade it"
        )

    def _version_there(self) -> str:
        try:
            found = json.loads(self._http.get(f"{self.url}/version", limit=4096, seconds=SECONDS))
            return str(found["version"])[:40]
        except (BtyError, ValueError, KeyError, TypeError):
            return ""

    def _asked(self, call: Call) -> Answer:
        request = self._request(call)
        for pause in _PAUSES if call.again else ():
            try:
                return self._http.ask(request, limit=MOST_BYTES, seconds=SECONDS)
            except UnavailableError:
                self._pause(pause)
        try:
            return self._http.ask(request, limit=MOST_BYTES, seconds=SECONDS)
        except UnavailableError as error:
            if call.method == "GET":
                raise
            raise UnavailableError(
                f"{error.message}: it may have been done or not: look before it is done again"
            ) from error

    def _request(self, call: Call) -> Request:
        headers = {"Accept": "application/json", "Authorization": f"Bearer {self._token}"}
        body = call.data
        if call.given is not None:
            headers["Content-Type"] = "application/json"
            body = json.dumps(call.given).encode()
        address = f"{self.url}/api/v1{_with_query(call.path, call.query or {})}"
        return Request(address, call.method, {**headers, **(call.headers or {})}, body)

    def _refusal(self, answer: Answer) -> BtyError:
        try:
            found = json.loads(answer.body)
            detail, code = str(found["detail"])[:2000], str(found.get("code", ""))
        except (ValueError, KeyError, TypeError, AttributeError):
            detail, code = "", ""
        if not detail or (answer.status in (404, 405) and not _is_ours(code)):
            return self.not_understood(urlsplit(answer.url).path.removeprefix("/api/v1"))
        known = errors.of_code(code, detail)
        if known is not None:
            return known
        kind = _BY_STATUS.get(answer.status, BtyError)
        return kind(f"{self.url} answers {answer.status}: {detail}")


def segment(text: str) -> str:
    """A part of a path."""
    return quote(text, safe="")


def _is_ours(code: str) -> bool:
    return errors.of_code(code, "") is not None


def _with_query(path: str, query: Mapping[str, object]) -> str:
    words = {
        name: "1" if value is True else value
        for name, value in query.items()
        if value not in (None, "", False)
    }
    return f"{path}?{urlencode(words)}" if words else path
