"""Both hosts of a move are real programs, and one of them dies at each step: one of them serves."""

from __future__ import annotations

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import urllib3

from tests.appliances import REPOSITORY, Appliance, appliance
from tests.cli.test_migrate import MAC, furnish

_CALLS = "fsync,rename,renameat,renameat2,unlink,unlinkat,symlink,symlinkat"
_STEPS = 5  # of the way from the first to the last call of a move


class Pair:
    """An appliance, the host that is to take its place, and what was acknowledged."""

    def __init__(self, old: Appliance, new: Appliance) -> None:
        self.old, self.new = old, new
        self.acknowledged: list[str] = []
        furnish(old.state)
        old.start()
        self.token = old.token()
        (old.home / "token").write_text(f"{self.token}\n")

    def command(self, url: str = "") -> list[str]:
        source = ["--from", url or self.old.url, "--token-file", str(self.old.home / "token")]
        return [sys.executable, "-m", "bty_app", "migrate", *source]

    def run(self, command: list[str]) -> int:
        """The new host's command; its exit status."""
        done = subprocess.run(
            command,
            cwd=REPOSITORY,
            env=self.new.environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        sys.stdout.write(done.stderr)  # shown where something fails
        return done.returncode

    def old_takes_changes(self) -> bool:
        """Try one; what is acknowledged has to come along."""
        mac = f"52:54:00:00:01:{len(self.acknowledged):02x}"
        answer = self.old.ask(
            "PUT", f"/machines/{mac}", {"boot_mode": "ipxe-exit"}, token=self.token
        )
        assert answer.status in (200, 503), answer.data
        if answer.status == 200:
            self.acknowledged.append(mac)
        return bool(answer.status == 200)

    def new_serves(self) -> bool:
        """Whether a start would be no refusal; `check_finishes` starts it."""
        state = self.new.state
        return (state / "state.db").exists() and not (state / ".arriving").exists()

    def check_finishes(self) -> None:
        """At most one serves; the same command again ends with all on the new host alone."""
        took, begun = self.old_takes_changes(), self.new_serves()
        assert not (took and begun), "both serve"
        if not begun:
            assert self.run(self.command()) == 0
        assert not self.old_takes_changes()
        assert "chain --replace" in self.old.script(MAC)
        self.new.start()
        try:
            listed = json.loads(self.new.bty("machine", "list", "--json").stdout)
            assert {machine["mac"] for machine in listed} == {MAC, *self.acknowledged}
            assert "sound" in self.new.bty("verify").stdout
        finally:
            self.new.stop()

    def begin_anew(self) -> None:
        """The old one serves again, and the new host is empty."""
        self.new.remove()
        self.old.bty("migrate", "--cancel")


@pytest.fixture
def pair(quick_dir: Path) -> Iterator[Pair]:
    with appliance(quick_dir / "old") as old, appliance(quick_dir / "new") as new:
        yield Pair(old, new)


def test_the_new_host_dies_at_each_step(pair: Pair) -> None:
    assert shutil.which("strace"), "strace is missing: nothing is proven here; install strace"
    trace = pair.new.home / "trace"
    watched = ["strace", "-f", "-qqq", "-o", str(trace), "-e", f"trace={_CALLS}"]
    assert pair.run([*watched, *pair.command()]) == 0
    lines = [line.split(maxsplit=1)[1].partition("(")[0] for line in trace.read_text().splitlines()]
    points = [(call, lines[: at + 1].count(call)) for at, call in enumerate(lines)]
    pair.begin_anew()
    chosen = points[:: max(1, len(points) // _STEPS)]

    for call, number in [*chosen, points[-1]]:
        kill = [*watched, "-e", f"inject={call}:signal=KILL:when={number}"]
        assert pair.run([*kill, *pair.command()]) == -signal.SIGKILL, (call, number)
        pair.check_finishes()
        pair.begin_anew()

    assert len(chosen) >= _STEPS
    assert pair.acknowledged, "the old one was used meanwhile"


class _Wire(ThreadingHTTPServer):
    """A wire to the old host, which dies before or after it has done what is `deadly`."""

    def __init__(self, old: Appliance) -> None:
        super().__init__(("127.0.0.1", 0), _Passing)
        self.old = old
        self.asked: list[str] = []
        self.deadly: tuple[str, str] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Passing(BaseHTTPRequestHandler):
    server: _Wire

    def do_GET(self) -> None:
        wire = self.server
        wire.asked.append(f"{self.command} {self.path.partition('?')[0]}")
        deadly, moment = wire.deadly or ("", "")
        if deadly == _kind(wire.asked[-1]) and moment == "before":
            wire.old.stop(signal.SIGKILL)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        given = {k: v for k, v in self.headers.items() if k.lower() != "host"}
        with contextlib.suppress(urllib3.exceptions.HTTPError):
            answer = urllib3.request(
                self.command,
                wire.old.url + self.path,
                body=body or None,
                headers=given,
                retries=False,
                timeout=60,
                decode_content=False,
            )
            if deadly == _kind(wire.asked[-1]) and moment == "after":
                wire.old.stop(signal.SIGKILL)
                return  # its answer is lost
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in ("connection", "transfer-encoding", "server", "date"):
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.data)

    def do_POST(self) -> None:
        self.do_GET()

    def do_DELETE(self) -> None:
        self.do_GET()

    def log_message(self, *args: object) -> None: ...


@contextmanager
def wire_to(old: Appliance) -> Iterator[_Wire]:
    wire = _Wire(old)
    thread = threading.Thread(target=wire.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield wire
    finally:
        wire.shutdown()
        wire.server_close()
        thread.join()


@pytest.mark.parametrize("moment", ["before", "after"])
def test_the_old_host_dies_at_each_step(pair: Pair, moment: str) -> None:
    with wire_to(pair.old) as wire:
        assert pair.run(pair.command(wire.url)) == 0
        steps = list(wire.asked)
        pair.begin_anew()
        for step in sorted({_kind(step) for step in steps}):
            wire.deadly = (step, moment)
            assert pair.run(pair.command(wire.url)) != 0, step
            assert pair.old.process is None, f"it was to die {moment} {step}"
            pair.old.start()
            pair.check_finishes()
            wire.deadly = None
            pair.begin_anew()

    assert any(step.endswith("/moved") for step in steps)
    assert pair.acknowledged


def _kind(step: str) -> str:
    """What is asked for: nine boot files are no nine steps."""
    return step.partition("/boot/")[0].partition("/copy/")[0]
