"""The HTTP server's end."""

from __future__ import annotations

import threading
from pathlib import Path

import falcon
import pytest

from bty_app.workers import http


@pytest.mark.usefixtures("own_tempdir")
def test_a_server_that_has_ended_can_be_stopped_once_more(tmp_path: Path) -> None:
    listener = http.bind("127.0.0.1", 0)
    worker = http.HttpWorker(
        falcon.App(), listener, threads=1, max_body_bytes=1, spool_dir=tmp_path
    )
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    worker.stop()
    thread.join(10)

    worker.stop()

    assert not thread.is_alive()
