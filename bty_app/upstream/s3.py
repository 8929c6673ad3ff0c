"""A bucket of an S3-compatible server as a place for copies (Amazon S3 API, 2006-03-01).

The bucket stands in the path. Every body is signed with its SHA-256, which the server compares.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from bty_app.domain.offsite import BucketTarget
from bty_app.domain.place import MAX_ENTRIES, Content, Stored
from bty_app.errors import BtyError, UnavailableError
from bty_app.upstream.answers import StatusError, declared_size
from bty_app.upstream.http import Answer, Http, Pace, Request, Upload
from bty_app.upstream.refusals import refusal
from bty_app.upstream.s3_call import Call, Caller
from bty_app.upstream.s3_parts import Parts, part_size
from bty_app.upstream.sigv4 import Credentials, Scope, Unsigned, authorization, query_text, quoted
from bty_app.upstream.xml_answer import MAX_XML_BYTES, Element, children, parsed, text

ASK_SECONDS = 60.0
PACE = Pace(seconds=60.0)
CHUNK_BYTES = 256 * 1024
LARGEST = 2**50
_EMPTY = hashlib.sha256(b"").hexdigest()


class Bucket:
    """The folder `prefix` of a bucket. Threads: any may call."""

    proves: bool = True
    note: str = ""

    def __init__(
        self,
        http: Http,
        target: BucketTarget,
        credentials: Credentials,
        clock: Callable[[], Scope],
        *,
        part_bytes: int = 0,
    ) -> None:
        """`clock` gives the scope of a signature made now; `part_bytes` 0: as large as it takes."""
        self._http = http
        self._target = target
        self._credentials = credentials
        self._clock = clock
        self._part_bytes = part_bytes
        self._host = urlsplit(target.endpoint).netloc
        self._prefix = f"{target.prefix}/" if target.prefix else ""
        self.shown = f"s3://{target.bucket}/{target.prefix} at {self._host}"

    def listed(self, folder: str = "") -> list[Stored]:
        """Every object there."""
        prefix = f"{self._prefix}{folder}/" if folder else self._prefix
        found: list[Stored] = []
        query = {"list-type": "2", "prefix": prefix, "max-keys": "1000"}
        while True:
            root = parsed(self._sure(Call("GET", query=query)).body, self.shown)
            found += [stored for row in children(root, "Contents") if (stored := self._row(row))]
            token = text(root, "NextContinuationToken")
            if text(root, "IsTruncated") != "true" or not token:
                return found
            if len(found) > MAX_ENTRIES or token == query.get("continuation-token"):
                raise UnavailableError(f"{self.shown} lists without an end")
            query = {**query, "continuation-token": token}

    def _row(self, row: Element) -> Stored | None:
        key, size = text(row, "Key"), text(row, "Size")
        if not key.startswith(self._prefix) or not size.isdecimal():
            return None
        return Stored(key.removeprefix(self._prefix), int(size))

    def size(self, name: str) -> int | None:
        """The size of an object."""
        answer = self._answer(Call("HEAD", self._prefix + name))
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise self._explained(name, answer.status)
        return declared_size(answer.headers)

    def put(self, name: str, content: Content, is_wanted: Callable[[], bool]) -> None:
        """Store an object, in parts where it is large."""
        size = self._part_bytes or part_size(content.size)
        caller = Caller(self._sure, lambda call: self._sent(call, is_wanted), self.shown)
        if content.size <= size:
            body = b"".join(content.chunks())
            self._sent(Call("PUT", self._prefix + name, body=body), is_wanted)
        else:
            Parts(caller, self._prefix + name, size).store(content)

    def read(self, name: str, at: int = 0) -> Iterator[bytes]:
        """The bytes of an object."""
        call = Call("GET", self._prefix + name, headers={"Range": f"bytes={at}-"} if at else {})
        try:
            with self._http.download(self._request(call), limit=LARGEST, pace=PACE) as found:
                if found.offset != at:
                    raise UnavailableError(f"{self.shown} sends no part of a file")
                yield from found.chunks()
        except StatusError as error:
            raise self._explained(name, error.status) from error

    def remove(self, name: str) -> None:
        """Remove an object."""
        answer = self._answer(Call("DELETE", self._prefix + name))
        if answer.status not in {200, 204, 404}:
            raise self._refused(answer)

    def abandoned(self) -> list[str]:
        """Uploads in parts that were not finished."""
        return [upload.key for upload in self._uploads().unfinished(self._prefix)]

    def tidy(self, older_than_seconds: float) -> int:
        """Abort uploads that were begun so long ago."""
        before = self._clock().moment.timestamp() - older_than_seconds
        parts = self._uploads()
        old = [u for u in parts.unfinished(self._prefix) if u.begun_at < before]
        for upload in old:
            parts.abort(upload)
        return len(old)

    def _uploads(self) -> Parts:
        return Parts(Caller(self._sure, self._sure, self.shown), "", 0)

    # -- requests --------------------------------------------------------------------------------

    def _sure(self, call: Call) -> Answer:
        answer = self._answer(call)
        if answer.status not in {200, 204}:
            raise self._refused(answer)
        return answer

    def _answer(self, call: Call) -> Answer:
        return self._http.ask(self._request(call), limit=MAX_XML_BYTES, seconds=ASK_SECONDS)

    def _sent(self, call: Call, is_wanted: Callable[[], bool]) -> Answer:
        """The answer to a request with a large body, at the pace that the line has."""
        body = memoryview(call.body)
        pieces = (bytes(body[at : at + CHUNK_BYTES]) for at in range(0, len(body), CHUNK_BYTES))
        upload = Upload(len(body), pieces, PACE, is_wanted)
        answer = self._http.upload(self._request(call, with_body=False), upload)
        if answer.status != 200:
            raise self._refused(answer)
        return answer

    def _request(self, call: Call, *, with_body: bool = True) -> Request:
        scope = self._clock()
        path = f"/{quoted(self._target.bucket)}"
        path += f"/{quoted(call.key, safe='/')}" if call.key else "/"
        digest = hashlib.sha256(call.body).hexdigest() if call.body else _EMPTY
        headers = {
            "Host": self._host,
            "X-Amz-Content-Sha256": digest,
            "X-Amz-Date": scope.stamp,
            **call.headers,
        }
        unsigned = Unsigned(call.method, path, call.query, headers, digest)
        headers["Authorization"] = authorization(unsigned, self._credentials, scope)
        query = query_text(call.query)
        url = f"{self._target.endpoint}{path}{f'?{query}' if query else ''}"
        return Request(url, call.method, headers, (call.body or None) if with_body else None)

    def _explained(self, name: str, status: int) -> BtyError:
        """The refusal of an object, with the reason that only a small request is given."""
        if status == 404:
            return refusal(f"{self.shown}: {name}", status)
        answer = self._answer(Call("GET", self._prefix + name, headers={"Range": "bytes=0-0"}))
        return self._refused(answer)

    def _refused(self, answer: Answer) -> BtyError:
        code = ""
        if answer.body:
            try:
                code = text(parsed(answer.body, self.shown), "Code")[:80]
            except UnavailableError:
                code = ""  # a proxy on the way speaks HTML
        code = code if code.isalnum() else ""
        their_time = answer.headers.get("Date", "")[:40]
        return refusal(self.shown, answer.status, code=code, their_time=their_time)
