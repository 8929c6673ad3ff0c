"""A folder of a WebDAV server (RFC 4918) as a place for copies, or of one that takes only PUT.

A file is sent under a temporary name and moved to its own. Where the server cannot move, or is no
WebDAV server, it is sent under its own name: a reader may then see half of it while it arrives.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from urllib.parse import quote, unquote, urlsplit

from bty_app.domain.offsite import WebTarget
from bty_app.domain.place import MAX_ENTRIES, Content, Stored
from bty_app.errors import InvalidInputError, NotFoundError, UnavailableError
from bty_app.upstream.answers import StatusError, declared_size
from bty_app.upstream.http import Answer, Http, Pace, Request, Upload
from bty_app.upstream.refusals import refusal
from bty_app.upstream.xml_answer import MAX_XML_BYTES, Element, children, parsed, text

ASK_SECONDS = 60.0
PACE = Pace(seconds=60.0)
LARGEST = 2**50
TEMPORARY = ".tmp-"
_DONE = frozenset({200, 201, 204, 207})
_PROPFIND = (
    b'<?xml version="1.0" encoding="utf-8"?><propfind xmlns="DAV:"><prop><resourcetype/>'
    b"<getcontentlength/></prop></propfind>"
)


class WebFolder:
    """The folder at a URL. Threads: any may call."""

    proves: bool = False

    def __init__(self, http: Http, target: WebTarget, user: str, password: str) -> None:
        self._http = http
        self._base = target.url
        self._origin = target.url.removesuffix(urlsplit(target.url).path)
        self._path = unquote(urlsplit(target.url).path).rstrip("/")
        self._headers: dict[str, str] = {}
        if user or password:
            token = base64.b64encode(f"{user}:{password}".encode()).decode()
            self._headers["Authorization"] = f"Basic {token}"
        self._is_dav: bool | None = None
        self._moves = True
        self.shown = target.url[:200]

    @property
    def note(self) -> str:
        """What a person should know of this server, if there is something."""
        if self._is_dav is False:
            return f"{self.shown} is no WebDAV server: it cannot list, and files are seen early"
        return "" if self._moves else f"{self.shown} cannot move: files are seen early"

    def listed(self, folder: str = "") -> list[Stored]:
        """Every file there, down to the folders below."""
        if not self._speaks_dav():
            raise InvalidInputError(
                f"{self.shown} is no WebDAV server: it cannot list what is there, so nothing is"
                " removed there either"
            )
        files, folders = self._entries(folder)
        for name in folders if not folder else ():
            files += self._entries(name)[0]
        if len(files) > MAX_ENTRIES:
            raise UnavailableError(f"{self.shown} lists without an end")
        return [file for file in files if not _is_temporary(file.name)]

    def size(self, name: str) -> int | None:
        """The size of a file."""
        answer = self._asked("HEAD", name)
        if answer.status in {404, 410}:
            return None
        if answer.status != HTTPStatus.OK:
            raise refusal(self.shown, answer.status)
        return declared_size(answer.headers)

    def put(self, name: str, content: Content, is_wanted: Callable[[], bool]) -> None:
        """Store a file."""
        if not self._speaks_dav():
            self._send(name, content, is_wanted)
            return
        folder, _, leaf = name.rpartition("/")
        self._make(folder)
        if not self._moves:
            self._send(name, content, is_wanted)
            return
        temporary = f"{folder}/{TEMPORARY}{leaf}"
        self._send(temporary, content, is_wanted)
        where = {"Destination": self._url(name), "Overwrite": "T"}
        if self._asked("MOVE", temporary, where).status not in _DONE:
            self._moves = False
            self._asked("DELETE", temporary)
            self._send(name, content, is_wanted)

    def read(self, name: str, at: int = 0) -> Iterator[bytes]:
        """The bytes of a file."""
        more = {"Range": f"bytes={at}-"} if at else {}
        request = Request(self._url(name), headers={**self._headers, **more})
        try:
            with self._http.download(request, limit=LARGEST, pace=PACE) as found:
                if found.offset != at:
                    raise UnavailableError(f"{self.shown} sends no part of a file")
                yield from found.chunks()
        except StatusError as error:
            raise refusal(f"{self.shown}/{name}", error.status) from error

    def remove(self, name: str) -> None:
        """Remove a file, and its folder with the last one."""
        answer = self._asked("DELETE", name)
        if answer.status not in {*_DONE, 404, 410}:
            raise refusal(self.shown, answer.status)
        folder = name.rpartition("/")[0]
        if folder and self._speaks_dav():
            try:
                files, folders = self._entries(folder)
            except NotFoundError:
                return
            if not files and not folders:
                self._asked("DELETE", f"{folder}/")

    def abandoned(self) -> list[str]:
        """Files under a temporary name."""
        if not self._speaks_dav():
            return []
        return [
            file.name
            for folder in self._entries("")[1]
            for file in self._entries(folder)[0]
            if _is_temporary(file.name)
        ]

    def tidy(self, older_than_seconds: float) -> int:  # noqa: ARG002 - a name is used again
        """Nothing: a temporary file is replaced by the next try, and goes with its folder."""
        return 0

    # -- requests --------------------------------------------------------------------------------

    def _speaks_dav(self) -> bool:
        if self._is_dav is None:
            # Of a folder that is not there yet, some servers do not say it.
            self._is_dav = any(map(self._says_dav, (f"{self._base}/", f"{self._origin}/")))
        return self._is_dav

    def _says_dav(self, url: str) -> bool:
        answer = self._ask(Request(url, "OPTIONS", self._headers))
        if answer.status in {401, 407}:
            raise refusal(self.shown, answer.status)
        return "DAV" in answer.headers

    def _make(self, folder: str) -> None:
        """Make the folder, and those above it that are missing."""
        status = self._asked("MKCOL", f"{folder}/").status
        if status == HTTPStatus.CONFLICT:
            self._make_base()
            status = self._asked("MKCOL", f"{folder}/").status
        if status not in {*_DONE, 405, 301, 302}:  # there already (RFC 4918, 9.3.1)
            raise refusal(self.shown, status)

    def _make_base(self) -> None:
        parts = [part for part in self._path.split("/") if part]
        for count in range(1, len(parts) + 1):
            path = quote("/".join(parts[:count]))
            self._ask(Request(f"{self._origin}/{path}/", "MKCOL", self._headers))

    def _send(self, name: str, content: Content, is_wanted: Callable[[], bool]) -> None:
        request = Request(self._url(name), "PUT", self._headers)
        upload = Upload(content.size, content.chunks(), PACE, is_wanted)
        answer = self._http.upload(request, upload)
        if answer.status not in _DONE:
            raise refusal(self.shown, answer.status)

    def _entries(self, folder: str) -> tuple[list[Stored], list[str]]:
        """The files and the folders in a folder."""
        more = {"Depth": "1", "Content-Type": "application/xml"}
        answer = self._asked("PROPFIND", f"{folder}/" if folder else "", more, _PROPFIND)
        if answer.status in {404, 410} and not folder:
            return [], []  # nothing was stored yet
        if answer.status != HTTPStatus.MULTI_STATUS:
            raise refusal(self.shown, answer.status)
        files: list[Stored] = []
        folders: list[str] = []
        for row in children(parsed(answer.body, self.shown), "response"):
            name = self._name(text(row, "href"))
            if not name or name == folder:
                continue
            if _is_folder(row):
                folders.append(name)
            else:
                files.append(Stored(name, _size(row)))
        return files, folders

    def _name(self, href: str) -> str:
        """The name below our folder that a link of the server stands for."""
        path = unquote(urlsplit(href).path).rstrip("/")
        if not path.startswith(f"{self._path}/"):
            return ""
        return path.removeprefix(f"{self._path}/")

    def _asked(
        self, method: str, name: str, more: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Answer:
        headers = {**self._headers, **(more or {})}
        return self._ask(Request(self._url(name), method, headers, body or None))

    def _ask(self, request: Request) -> Answer:
        return self._http.ask(request, limit=MAX_XML_BYTES, seconds=ASK_SECONDS)

    def _url(self, name: str) -> str:
        return f"{self._base}/{quote(name)}"


def _is_temporary(name: str) -> bool:
    return name.rpartition("/")[2].startswith(TEMPORARY)


def _properties(row: Element) -> Iterator[Element]:
    for status in children(row, "propstat"):
        if " 200" in text(status, "status"):
            yield from children(status, "prop")


def _is_folder(row: Element) -> bool:
    kinds = (kind for found in _properties(row) for kind in children(found, "resourcetype"))
    return any(True for kind in kinds for _ in children(kind, "collection"))


def _size(row: Element) -> int:
    for found in _properties(row):
        if (size := text(found, "getcontentlength")).isdecimal() and len(size) < 19:
            return int(size)
    return -1
