"""Real places for copies of backups, each on free ports of loopback: SeaweedFS speaks S3, WsgiDAV
WebDAV.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

from bty_app.domain.offsite import BucketTarget, WebTarget
from bty_app.errors import BtyError
from bty_app.upstream.http import Http
from bty_app.upstream.s3 import Bucket
from bty_app.upstream.s3_call import Call
from bty_app.upstream.sigv4 import Credentials, Scope
from bty_app.upstream.webdav import WebFolder
from tests import programs

ACCESS, SECRET = "bty", "a-secret-of-the-bucket"
USER, PASSWORD = "bty", "a-password-of-the-folder"
BUCKET = "copies"
READY_SECONDS = 30.0
PART_BYTES = 5 * 1024 * 1024  # the least that S3 takes


@dataclass(frozen=True, slots=True)
class S3:
    """A running server that speaks S3."""

    port: int

    def bucket(
        self,
        *,
        secret: str = SECRET,
        name: str = BUCKET,
        prefix: str = "bty",
        hours_off: int = 0,
        port: int = 0,
    ) -> Bucket:
        """A client of it; `port` when a proxy stands before it."""
        endpoint = f"http://127.0.0.1:{port or self.port}"
        target = BucketTarget(endpoint, name, prefix, "us-east-1")

        def scope() -> Scope:
            seconds = time.time() + hours_off * 3600
            return Scope(datetime.fromtimestamp(seconds, UTC), "us-east-1")

        http = Http(wait_seconds=5)
        return Bucket(http, target, Credentials(ACCESS, secret), scope, part_bytes=PART_BYTES)

    def url(self, prefix: str) -> str:
        """The target as it is configured."""
        return f"s3://{BUCKET}/{prefix}?endpoint=http://127.0.0.1:{self.port}"


@contextmanager
def s3_server(directory: Path) -> Iterator[S3]:
    """SeaweedFS with one bucket. It takes eight ports, one after the other, and ends where another
    program has taken one of them meanwhile.
    """
    with ExitStack() as stack:
        for last in (False, False, True):
            place = directory / f"s3-{len(list(directory.iterdir()))}"
            place.mkdir()
            try:
                server = stack.enter_context(_s3_server(place))
            except AssertionError:
                if last:
                    raise
            else:
                yield server
                return


@contextmanager
def _s3_server(directory: Path) -> Iterator[S3]:
    program = Path(sys.prefix) / "bin/weed"
    assert program.exists(), "the program weed is missing: tests/run installs it"
    config = directory / "s3.json"
    config.write_text(
        json.dumps(
            {
                "identities": [
                    {
                        "name": "bty",
                        "credentials": [{"accessKey": ACCESS, "secretKey": SECRET}],
                        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
                    }
                ]
            }
        )
    )
    ports = {name: programs.free_port() for name in ("master", "volume", "filer", "s3")}
    more = {f"{name}.grpc": programs.free_port() for name in ports}
    (directory / "data").mkdir()
    command = [str(program), "server", f"-dir={directory}/data", "-ip=127.0.0.1", "-s3"]
    command += [
        "-ip.bind=127.0.0.1",
        f"-s3.config={config}",
        "-volume.max=50",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",  # a fixed port otherwise: a second server beside this one would end
    ]
    command += ["-master.volumeSizeLimitMB=64", "-master.telemetry=false", "-filer"]
    command += [f"-{name}.port{grpc}={port}" for name, grpc, port in _flags(ports, more)]
    with programs.running(command, directory / "weed.log", ports["s3"], at_once=True):
        server = S3(ports["s3"])
        _make(server.bucket())
        yield server


def _flags(ports: dict[str, int], grpc: dict[str, int]) -> Iterator[tuple[str, str, int]]:
    for name, port in ports.items():
        yield name, "", port
        yield name, ".grpc", grpc[f"{name}.grpc"]


def _make(bucket: Bucket) -> None:
    """Make the bucket, and wait until the server takes files."""
    until = time.monotonic() + READY_SECONDS
    while True:
        try:
            bucket._sure(Call("PUT"))
            bucket._sure(Call("PUT", "ready", body=b"?"))
            bucket._sure(Call("DELETE", "ready"))
        except BtyError:
            assert time.monotonic() < until
            time.sleep(0.2)
        else:
            return


@dataclass(frozen=True, slots=True)
class Dav:
    """A running WebDAV server, and the directory that it serves."""

    port: int
    root: Path

    def folder(self, *, password: str = PASSWORD, path: str = "backups/bty") -> WebFolder:
        """A client of it."""
        target = WebTarget(f"http://127.0.0.1:{self.port}/{path}")
        return WebFolder(Http(wait_seconds=5), target, USER, password)

    def url(self, path: str) -> str:
        """The target as it is configured."""
        return f"http://127.0.0.1:{self.port}/{path}"


class _Put(BaseHTTPRequestHandler):
    """Takes PUT, and gives what it took: no WebDAV."""

    files: ClassVar[dict[str, bytes]] = {}

    def do_PUT(self) -> None:
        self.files[self.path] = self.rfile.read(int(self.headers["Content-Length"]))
        self._say(201)

    def do_GET(self) -> None:
        found = self.files.get(self.path)
        self._say(404 if found is None else 200, found or b"")

    def do_HEAD(self) -> None:
        self.do_GET()

    def _say(self, status: int, body: bytes = b"") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *args: object) -> None: ...


@contextmanager
def put_server() -> Iterator[str]:
    """Python's own HTTP server that takes PUT; its URL."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Put)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/copies"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def dav_server(directory: Path) -> Iterator[Dav]:
    """WsgiDAV under cheroot."""
    root = directory / "dav"
    root.mkdir()
    port = programs.free_port()
    config = directory / "wsgidav.json"
    users = {"*": {USER: {"password": PASSWORD}}}
    config.write_text(
        json.dumps(
            {
                "host": "127.0.0.1",
                "port": port,
                "provider_mapping": {"/": str(root)},
                "simple_dc": {"user_mapping": users},
                "http_authenticator": {"accept_basic": True, "accept_digest": False},
                "logging": {"enable": False},
            }
        )
    )
    command = [sys.executable, "-m", "wsgidav.server.server_cli", "--config", str(config)]
    command += ["--server", "cheroot"]
    with programs.running(command, directory / "wsgidav.log", port):
        yield Dav(port, root)
