"""A file as an answer: whole, a range of it, or the news that the asker has it (RFC 9110)."""

from __future__ import annotations

from typing import BinaryIO

import falcon

from bty_app.domain.byte_range import Span, span_of
from bty_app.web.sent import Sent


def send_file(req: falcon.Request, resp: falcon.Response, file: BinaryIO | Sent, size: int) -> None:
    """Answer with `file`, of `size` bytes; the ETag of the answer is set already.

    The file is closed here where nothing of it is sent.
    """
    etag = resp.get_header("ETag")
    if req.get_header("If-None-Match") == etag:
        resp.status = 304
        resp.delete_header("Content-Type")
        file.close()
        return
    wanted = req.get_header("Range")
    if req.get_header("If-Range") not in (None, etag):
        wanted = None
    span = span_of(wanted, size)
    if span is not None and span.length == 0:
        resp.set_header("Content-Range", f"bytes */{size}")
        resp.status = 416
        file.close()
        return
    if span is not None:
        last = span.start + span.length - 1
        resp.set_header("Content-Range", f"bytes {span.start}-{last}/{size}")
        resp.status = 206
    whole = span or Span(0, size)
    file.seek(whole.start)
    resp.set_stream(file, whole.length)
