"""The least that Falcon and waitress can do, with the server's own settings of waitress.

It runs as a program, with the single file in its path: `PYTHONPATH=bty.pyz python hello.py PORT`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import falcon

from bty_app.workers import http


class Hello:
    """One route."""

    def on_get(self, _req: falcon.Request, resp: falcon.Response) -> None:
        """Answer with a text of the size of a script."""
        resp.content_type = "text/plain; charset=utf-8"
        resp.text = "hello\n" + "x" * 200


def main(port: int, spool_dir: Path) -> None:
    """Serve until the process is ended."""
    app = falcon.App()
    app.add_route("/healthz", Hello())
    worker = http.HttpWorker(
        app,
        http.bind("127.0.0.1", port),
        threads=16,
        max_body_bytes=1024 * 1024,
        spool_dir=spool_dir,
    )
    worker.run()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
