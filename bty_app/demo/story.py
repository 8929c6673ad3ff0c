"""The demonstration: a blank box is switched on, found, told what to do, flashed, and boots."""

from __future__ import annotations

import hashlib
import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from bty_app.demo.box import HOST, MAC, SERIAL, Box
from bty_app.demo.image import SAYS, image

Say = Callable[[str], None]

_CONTROL = re.compile(r"\x1b[\[(][0-9;?]*[A-Za-z]|[^\x20-\x7e]")
# What of a serial line is worth telling, and in which words.
_WORTH = (
    (re.compile(r"^bty: .*(booting the (live environment|local disk).*)$"), "the box: {0}"),
    (re.compile(r"^bty: (live environment .*)$"), "the box runs the {0}"),
    (re.compile(r"^(asking http\S+ what to do)$"), "the box: {0}"),
    (re.compile(r"^(the inventory is told.*)$"), "the box: {0}"),
    (re.compile(r"^(.*flashed .*)$"), "the box: {0}"),
    (re.compile(rf"^({re.escape(SAYS)})$"), "the box: {0}"),
)


class Story:
    """Tells it with `say`. The operator's part is played with the commands, by `bty`, which gives
    what they print; `catalog` is a file to make.
    """

    def __init__(
        self, url: str, bty: Callable[..., str], box: Box, catalog: Path, say: Say
    ) -> None:
        self._url = url
        self._bty = bty
        self._box = box
        self._catalog = catalog
        self._say = say

    def run(self) -> bool:
        """Tell it; whether it ended well."""
        self._say("1. A box with a blank disk is switched on. Nobody knows it yet.")
        self._until_rebooted("the inventory is told")
        self._say(
            "   The server knows its hardware now, and would let it boot its disk, a blank one."
        )
        with _serving(image()) as port:
            self._say("2. An image is added to the catalog, and the box is bound to it.")
            self._bind(port)
            self._say(f"   See it happen: {self._url}/ui/machines/{MAC}")
            self._say("3. The box is switched on again.")
            booted = self._booted()
        if booted:
            self._say("4. Its disk boots. Switched on again it would boot the disk at once.")
        return booted

    def _until_rebooted(self, words: str) -> None:
        """One run of the box, ended when it has said the words."""

        def heard(line: str) -> None:
            self._tell(line)
            if words in line:
                self._box.power_off()

        self._box.power_on(heard)

    def _booted(self) -> bool:
        said: list[bool] = []

        def heard(line: str) -> None:
            self._tell(line)
            if SAYS in line:
                said.append(True)

        self._box.power_on(heard)
        return bool(said)

    def _tell(self, line: str) -> None:
        plain = _CONTROL.sub("", line).strip()
        for pattern, words in _WORTH:
            if found := pattern.match(plain):
                self._say(f"   {words.format(found[1])}")
                return

    def _bind(self, port: int) -> None:
        src = f"http://{HOST}:{port}/demo.img"
        digest = hashlib.sha256(image()).hexdigest()
        self._catalog.write_text(
            f'version = 1\n[[images]]\nname = "demo.img"\nsrc = "{src}"\nsha256 = "{digest}"\n'
            f'format = "img"\nsize_bytes = {len(image())}\n',
            "ascii",
        )
        self._bty("catalog", "import", str(self._catalog))
        entries = json.loads(self._bty("catalog", "list", "--json"))
        ref = next(entry["bty_image_ref"] for entry in entries if entry["src"] == src)
        mode = ("--mode", "bty-flash-once", "--serial", SERIAL)
        self._bty("machine", "set", MAC, *mode, "--image", ref)


@contextmanager
def _serving(data: bytes) -> Iterator[int]:
    """The image on a free port of this machine alone."""

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()

        def do_GET(self) -> None:
            self.do_HEAD()
            self.wfile.write(data)

        def log_message(self, *_words: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
