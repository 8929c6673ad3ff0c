"""Large objects of a bucket, uploaded in parts; what a killed process began is gone on with.

A part that is there already is left as it is when its ETag is the MD5 of ours: where the server
gives another ETag, the part is sent again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from xml.sax.saxutils import escape

from bty_app.domain.place import Content
from bty_app.errors import UnavailableError
from bty_app.upstream.s3_call import Call, Caller
from bty_app.upstream.xml_answer import Element, children, parsed, text

MIN_PART_BYTES = 8 * 1024 * 1024
MAX_PARTS = 10_000
_MIB = 1024 * 1024
_MOST_PAGES = 200


def part_size(size: int) -> int:
    """Whole MiB, so that no file has more than 10,000 parts; the same each time."""
    needed = -(-size // MAX_PARTS)
    return max(MIN_PART_BYTES, -(-needed // _MIB) * _MIB)


@dataclass(frozen=True, slots=True)
class Unfinished:
    """An upload that was begun, in seconds since 1970."""

    key: str
    id: str
    begun_at: float


class Parts:
    """Uploads in parts, of the object `key`."""

    def __init__(self, caller: Caller, key: str, size: int) -> None:
        self._caller = caller
        self._key = key
        self._size = size

    def store(self, content: Content) -> None:
        """Upload what is missing, and put the object together."""
        upload_id = self._found() or self._begun()
        there = self._there(upload_id)
        etags = []
        for number, part in enumerate(cut(content.chunks(), self._size), 1):
            etag = there.get(number, "")
            # usedforsecurity: MD5 tells the server's parts apart here, and proves nothing
            if etag.strip('"') != hashlib.md5(part, usedforsecurity=False).hexdigest():
                etag = self._put(upload_id, number, part)
            etags.append(etag)
        self._complete(upload_id, etags)

    def unfinished(self, prefix: str) -> Iterator[Unfinished]:
        """What was begun below `prefix`."""
        query = {"uploads": "", "prefix": prefix}
        for _page in range(_MOST_PAGES):
            root = self._asked("GET", "", query)
            for row in children(root, "Upload"):
                if (key := text(row, "Key")).startswith(prefix):
                    yield Unfinished(key, text(row, "UploadId"), _moment(text(row, "Initiated")))
            marker = text(root, "NextKeyMarker")
            if text(root, "IsTruncated") != "true" or not marker:
                return
            query |= {"key-marker": marker, "upload-id-marker": text(root, "NextUploadIdMarker")}

    def abort(self, upload: Unfinished) -> None:
        """Forget an upload and its parts."""
        self._caller.sure(Call("DELETE", upload.key, {"uploadId": upload.id}))

    def _found(self) -> str:
        """The newest upload of this object; older ones are aborted."""
        found = [upload for upload in self.unfinished(self._key) if upload.key == self._key]
        found.sort(key=lambda upload: upload.begun_at)
        for old in found[:-1]:
            self.abort(old)
        return found[-1].id if found else ""

    def _begun(self) -> str:
        upload_id = text(self._asked("POST", self._key, {"uploads": ""}), "UploadId")
        if not upload_id:
            raise UnavailableError(f"{self._caller.shown} begins no upload in parts")
        return upload_id

    def _there(self, upload_id: str) -> dict[int, str]:
        """The ETags of the parts that are there."""
        found: dict[int, str] = {}
        query = {"uploadId": upload_id, "max-parts": "1000"}
        for _page in range(_MOST_PAGES):
            root = self._asked("GET", self._key, query)
            for row in children(root, "Part"):
                if (number := text(row, "PartNumber")).isdecimal():
                    found[int(number)] = text(row, "ETag")
            marker = text(root, "NextPartNumberMarker")
            if text(root, "IsTruncated") != "true" or not marker:
                break
            query["part-number-marker"] = marker
        return found

    def _put(self, upload_id: str, number: int, part: bytes) -> str:
        query = {"partNumber": str(number), "uploadId": upload_id}
        answer = self._caller.send(Call("PUT", self._key, query, body=part))
        return answer.headers.get("ETag", "")

    def _complete(self, upload_id: str, etags: list[str]) -> None:
        rows = "".join(
            f"<Part><PartNumber>{number}</PartNumber><ETag>{escape(etag)}</ETag></Part>"
            for number, etag in enumerate(etags, 1)
        )
        body = f"<CompleteMultipartUpload>{rows}</CompleteMultipartUpload>".encode()
        root = self._asked("POST", self._key, {"uploadId": upload_id}, body)
        if root.tag.rpartition("}")[2] == "Error":  # 200 came before it was done
            code = text(root, "Code")[:80]
            raise UnavailableError(f"{self._caller.shown} cannot put the parts together: {code}")

    def _asked(self, method: str, key: str, query: dict[str, str], body: bytes = b"") -> Element:
        answer = self._caller.sure(Call(method, key, query, body=body))
        return parsed(answer.body, self._caller.shown)


def cut(chunks: Iterator[bytes], size: int) -> Iterator[bytes]:
    """The same bytes in parts of `size`; the last one may be shorter."""
    part = bytearray()
    for chunk in chunks:
        part += chunk
        while len(part) >= size:
            yield bytes(part[:size])
            del part[:size]
    if part:
        yield bytes(part)


def _moment(stamp: str) -> float:
    try:
        return datetime.fromisoformat(stamp.replace("Z", "+00:00")).timestamp()
    except ValueError:
        return float("inf")  # never taken for an old one
