"""`demo`: a server, a virtual machine that boots from it, and what happens between them."""

from __future__ import annotations

import argparse
import contextlib
import os
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from bty_app.config import Config
from bty_app.demo.box import Box, check_tools
from bty_app.demo.story import Story
from bty_app.errors import UnavailableError

START_SECONDS = 30.0
_EPILOG = """examples:
  bty demo                         builds a live environment, then tells the whole story
  bty demo --live ./live           with one that `bty live build --output ./live` made
  bty demo --keep                  leaves the server running at the end, until ^C

Needs qemu-system-x86 and ipxe-qemu, and what `bty live build` needs. Everything is on this machine
alone, and in a directory that is removed at the end. It takes one to three minutes.
"""


def configure(parser: argparse.ArgumentParser) -> None:
    """The command's arguments."""
    parser.epilog = _EPILOG
    parser.add_argument("--live", type=Path, metavar="DIR", help="a live environment that is there")
    parser.add_argument("--keep", action="store_true", help="let the server run until ^C")


def run(args: argparse.Namespace, _config: Config) -> int:
    """Tell the story; 0 when the box booted its flashed disk."""
    check_tools()
    with tempfile.TemporaryDirectory(prefix="bty-demo-") as name:
        directory = Path(name)
        password = secrets.token_urlsafe(12)
        with _server(directory, password) as url:
            _say(f"A server runs at {url} (password: {password}), its state in {directory}.")
            _live(args.live, directory)
            box = Box(directory / "disk.img", int(url.rpartition(":")[2]))
            try:
                booted = Story(
                    url, partial(_bty, directory), box, directory / "demo.toml", _say
                ).run()
            finally:
                box.power_off()
            if booted and args.keep:
                _say("The server runs on. ^C ends it.")
                signal.pause()
    return 0 if booted else 1


def _live(made: Path | None, directory: Path) -> None:
    if made is None:
        _say("The live environment is built of Debian packages; that takes most of a minute.")
        made = directory / "live"
        _bty(directory, "live", "build", "--fast", "--output", str(made))
    _bty(directory, "artifacts", "install", str(made))


@contextmanager
def _server(directory: Path, password: str) -> Iterator[str]:
    """A server of this program on a free port of this machine; its address."""
    log = directory / "serve.log"
    environment = _environment(directory) | {"BTY_ADMIN_PASSWORD": password}
    command = [*_ourselves(), "serve", "--host", "127.0.0.1", "--port", "0"]
    with log.open("wb") as out:
        process = subprocess.Popen(command, env=environment, stdout=out, stderr=out)  # noqa: S603
    try:
        yield _address(process, log)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15)
        process.kill()


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        for line in log.read_text("utf-8", "replace").splitlines():
            if " serves http://" in line:
                return line.partition(" serves ")[2].rstrip("/ ")
        time.sleep(0.05)
    said = log.read_text("utf-8", "replace").strip().splitlines()
    raise UnavailableError(f"the server does not start: {said[-1] if said else 'it says nothing'}")


def _bty(directory: Path, *words: str) -> str:
    """Run a command of this program on the state of the demonstration; what it prints."""
    done = subprocess.run(  # noqa: S603 - our own words
        [*_ourselves(), *words],
        env=_environment(directory),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        said = done.stderr.strip().splitlines()
        raise UnavailableError(f"{' '.join(words[:2])}: {said[-1] if said else 'failed'}")
    return done.stdout


def _ourselves() -> list[str]:
    """How this program was started: the single file, or the package."""
    started = Path(sys.argv[0])
    if started.suffix == ".pyz":
        return [sys.executable, str(started)]
    return [sys.executable, "-m", "bty_app"]


def _environment(directory: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("BTY_")}
    return kept | {"BTY_PATHS_STATE_DIR": str(directory / "state")}


def _say(words: str) -> None:
    sys.stdout.write(f"{words}\n")
    sys.stdout.flush()
