"""Files that machines boot: kernel, initrd, squashfs, iPXE binaries (CONTRACT 3.7).

Bodies go out through `wsgi.file_wrapper` only: waitress sends them from its socket loop, so a
slow machine costs no thread.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from email.utils import formatdate
from typing import BinaryIO

import falcon

from bty_app import logs
from bty_app.domain.boot_stages import Stage
from bty_app.domain.byte_range import Span, span_of
from bty_app.domain.mac import Mac, parse_mac
from bty_app.errors import BtyError, InvalidInputError, NotFoundError, TooLargeError
from bty_app.netboot import ipxe
from bty_app.services.boot_files import BootFiles
from bty_app.services.boot_stages import Note
from bty_app.services.reports import Reports
from bty_app.web.operations import BYTES as ANY_BYTES
from bty_app.web.operations import Answer, Body, Operation, answers, declared
from bty_app.web.records import parameters, record
from bty_app.web.sent import Sent
from bty_app.web.shapes import Text, Whole

_log = logging.getLogger(__name__)

_ARMING = (".vmlinuz", ".initrd")
_LOADERS = (".efi", ".kpxe", ".pxe", ".lkrn")
_STAGES = {
    "vmlinuz": (Stage.KERNEL_STARTED, Stage.KERNEL_DONE, Stage.KERNEL_FAILED),
    "initrd": (Stage.INITRD_STARTED, Stage.INITRD_DONE, Stage.INITRD_FAILED),
}
_TYPES = {".efi": "application/efi", ".ipxe": "text/plain; charset=utf-8"}


@dataclass(frozen=True, slots=True)
class Sending:
    """A file on its way to a machine."""

    name: str
    mac: Mac
    file: BinaryIO


class BootFile:
    """One file of the boot directory."""

    open_to_all = True
    closed_methods = frozenset({"PUT"})
    operations = declared(
        GET=Operation(
            (
                Answer(200, "The file.", media="*/*"),
                Answer(206, "The range of it that was asked for.", media="*/*"),
                Answer(304, "It is the one of If-None-Match."),
                Answer(416, "It has no such range."),
            ),
            query=parameters(mac=Text("The machine that fetches it.")),
        ),
        HEAD=Operation((Answer(200, "The headers of the file."),)),
        PUT=Operation(
            answers("It is stored.", record(name=Text(), size_bytes=Whole(), path=Text())),
            body=Body(media=ANY_BYTES, most_bytes=0),
        ),
    )

    def __init__(
        self, files: BootFiles, reports: Reports, note: Note, *, max_upload_bytes: int
    ) -> None:
        self._files = files
        self._reports = reports
        self._note = note
        self._max_upload_bytes = max_upload_bytes

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """The file, or a range of it; a kernel or initrd with `?mac=` begins an attempt."""
        try:
            file = self._files.opened(name)
        except NotFoundError:
            _lead_on(req, resp, name)
            return
        try:
            self._send(req, resp, name, file)
            if resp.stream is not None:
                self._fetched(req, resp, name, file)
        except BaseException:
            file.close()
            raise

    def on_head(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """The headers of the file; changes nothing."""
        try:
            file = self._files.opened(name)
        except NotFoundError:
            _lead_on(req, resp, name)
            return
        with file:
            size = _describe(resp, name, file)
        resp.content_length = size

    def on_put(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """Store a file under this name, whole or not at all."""
        limit = self._max_upload_bytes
        if (req.content_length or 0) > limit:
            raise TooLargeError(f"the file is larger than {limit} bytes")
        path, size = self._files.store(name, req.bounded_stream, max_bytes=limit)
        resp.media = {"name": name, "size_bytes": size, "path": str(path)}

    def _fetched(
        self, req: falcon.Request, resp: falcon.Response, name: str, file: BinaryIO
    ) -> None:
        """A malformed or unknown MAC is ignored; so is a store that cannot take the news."""
        if name.endswith(_LOADERS):
            self._note(Stage.HTTP_LOADER, None, req.context.client_ip, file=name)
        text = req.get_param("mac")
        if text is None or not name.endswith(_ARMING):
            return
        try:
            mac = parse_mac(text)
            self._watch(req, resp, Sending(name, mac, file))
            self._reports.fetched(mac)
        except InvalidInputError:
            return
        except BtyError as error:
            # The decision offers nothing destructive while nothing can be recorded.
            logs.event(_log, logging.WARNING, "arming", mac=text, error=error.message)

    def _watch(self, req: falcon.Request, resp: falcon.Response, what: Sending) -> None:
        """Note that the file was begun, and, when the machine has it or is gone, how much of it."""
        ip, mac = req.context.client_ip, what.mac
        started, done, failed = _STAGES[what.name.rpartition(".")[2]]
        length = int(resp.content_length or 0)
        self._note(started, mac, ip, of=length)

        def ended(sent: int, seconds: float) -> None:
            stage = done if sent >= length else failed
            self._note(stage, mac, ip, bytes=sent, of=length, seconds=round(seconds, 1))

        resp.set_stream(Sent(what.file, ended), length)

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


def _lead_on(req: falcon.Request, resp: falcon.Response, name: str) -> None:
    """The script that an iPXE from here asks for first; any other name is in no place at all.

    Raises:
        NotFoundError: it is another file.
    """
    if name != ipxe.AUTOEXEC:
        raise NotFoundError(f"no such file: {name}")
    resp.content_type = _TYPES[".ipxe"]
    resp.text = ipxe.autoexec(req.context.base_url)


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
