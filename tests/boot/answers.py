"""A server that answers a booting machine from a list, to try single scripts on real firmware."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

from bty_app.netboot import ipxe

# A script for a base URL; None is a server that is not itself (503).
Answer = Callable[[str], str] | None


class ListedAnswers:
    """The bootstrap, and the n-th answer to the n-th contact; every file is missing."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        self.asked: list[str] = []
        self._answers = iter(answers)
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def answer(self, path: str, base_url: str) -> tuple[int, str]:
        """A status and a body."""
        self.asked.append(path.partition("?")[0])
        if path == "/pxe-bootstrap.ipxe":
            return 200, ipxe.bootstrap(base_url)
        if not path.startswith("/pxe/"):
            return 404, ""
        script = next(self._answers, None)
        return (200, script(base_url)) if script else (503, "")


def _handler(listed: ListedAnswers) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, text = listed.answer(self.path, f"http://{self.headers['Host']}")
            self.send_response(status)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

        def log_message(self, *words: object) -> None:
            """Say nothing: what was asked is kept."""

    return Handler
