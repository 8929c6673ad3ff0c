"""Files that machines boot: kernel, initrd, squashfs, iPXE binaries (CONTRACT 3.7).

Bodies go out through `wsgi.file_wrapper` only: waitress sends them from its socket loop, so a
slow machine costs no thread.
"""

from __future__ import annotations

import logging
import os
from email.utils import formatdate
from typing import BinaryIO

import falcon

from bty_app import logs
from bty_app.domain.byte_range import Span, span_of
from bty_app.domain.mac import parse_mac
from bty_app.errors import BtyError, InvalidInputError, TooLargeError
from bty_app.services.boot_files import BootFiles
from bty_app.services.reports import Reports

_log = logging.getLogger(__name__)

_ARMING = (".vmlinuz", ".initrd")
_TYPES = {".efi": "application/efi", ".ipxe": "text/plain; charset=utf-8"}


class BootFile:
    """One file of the boot directory."""

    open_to_all = True
    closed_methods = frozenset({"PUT"})

    def __init__(self, files: BootFiles, reports: Reports, *, max_upload_bytes: int) -> None:
        self._files = files
        self._reports = reports
        self._max_upload_bytes = max_upload_bytes

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """The file, or a range of it; a kernel or initrd with `?mac=` begins an attempt."""
        file = self._files.opened(name)
        try:
            self._send(req, resp, name, file)
            if name.endswith(_ARMING) and resp.stream is not None:
                self._fetched(req)
        except BaseException:
            file.close()
            raise

    def on_head(self, _req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """The headers of the file; changes nothing."""
        with self._files.opened(name) as file:
            size = _describe(resp, name, file)
        resp.content_length = size

    def on_put(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Store a file under this name, whole or not at all."""
        limit = self._max_upload_bytes
        if (req.content_length or 0) > limit:
            raise TooLargeError(f"the file is larger than {limit} bytes")
        path, size = self._files.store(name, req.bounded_stream, max_bytes=limit)
        resp.media = {"name": name, "size_bytes": size, "path": str(path)}

    def _fetched(self, req: falcon.Request) -> None:
        """A malformed or unknown MAC is ignored; so is a store that cannot take the news."""
        text = req.get_param("mac")
        if text is None:
            return
        try:
            self._reports.fetched(parse_mac(text))
        except InvalidInputError:
            return
        except BtyError as error:
            # The decision offers nothing destructive while nothing can be recorded.
            logs.event(_log, logging.WARNING, "arming", mac=text, error=error.message)

    def _send(self, req: falcon.Request, resp: falcon.Response, name: str, file: BinaryIO) -> None:
        size = _describe(resp, name, file)
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


def _describe(resp: falcon.Response, name: str, file: BinaryIO) -> int:
    """Set the headers of a file; return its size."""
    facts = os.fstat(file.fileno())
    suffix = os.path.splitext(name)[1].lower()  # noqa: PTH122 - a name, not a path
    resp.content_type = _TYPES.get(suffix, "application/octet-stream")
    resp.set_header("Accept-Ranges", "bytes")
    resp.set_header("ETag", f'"{facts.st_mtime_ns:x}-{facts.st_size:x}"')
    resp.set_header("Last-Modified", formatdate(facts.st_mtime, usegmt=True))
    quoted = name.replace("\\", "_").replace('"', "_").encode("ascii", "replace").decode()
    resp.set_header("Content-Disposition", f'attachment; filename="{quoted}"')
    return facts.st_size
