"""The same state twice: a directory for commands here, and a server for commands from elsewhere."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from bty_app.cli.main import main
from tests.file_host import FileHost
from tests.web.site import Site, served, site

_MOMENT = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d[:-]\d\d(?:[:-]\d\d(?:\.\d+)?)?(?:\+00:00|Z)?(?:-\d+)?"
)
_SECRET = re.compile(r"bty_[0-9a-f]{10}_[A-Za-z0-9_-]{43}")
_ID = re.compile(r"\b[0-9a-f]{10}\b|\b[0-9a-f]{16}\b")
_SIZE = re.compile(r"(?<=removed: )[\d,]+(?= bytes)|[\d,]+(?= bytes, read)|(?<=\"bytes\": )\d+")
_ASKER = re.compile(r'(?<="source_ip":)"127.0.0.1"|,"token":\{[^}]*\}')


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, with what differs between two runs taken out."""

    status: int
    out: str
    err: str


@dataclass(slots=True)
class Rack:
    """`here` is a state directory; `far` is a server over a copy of it."""

    here: Path
    far: Site
    url: str
    capsys: pytest.CaptureFixture[str]
    monkeypatch: pytest.MonkeyPatch
    origin: FileHost
    words: dict[str, str] = field(default_factory=dict)

    def token(self, scope: str = "admin", name: str = "laptop") -> str:
        """A token of the server, which the commands take from the environment."""
        text = self.far.services.tokens.create(name, scope, "", ip=None)[1]
        self.monkeypatch.setenv("BTY_TOKEN", text)
        return text

    def locally(self, *words: str) -> Ended:
        """Run a command on the directory."""
        return self._ended(main(["--state-dir", str(self.here), *words]))

    def remotely(self, *words: str, options: tuple[str, ...] = ()) -> Ended:
        """Run it on the server, where no state directory is."""
        nowhere = str(self.here.parent / "nowhere")
        return self._ended(main(["--state-dir", nowhere, "--at", self.url, *options, *words]))

    def _ended(self, status: int) -> Ended:
        out, err = self.capsys.readouterr()
        return Ended(status, self._plain(out), self._plain(err))

    def _plain(self, text: str) -> str:
        for place in (self.far.database.path.parent, self.here):
            text = text.replace(str(place), "STATE").replace(" (token laptop)", "")
        # Of a directory, a server is told its name alone.
        text = text.replace(f'"{self.here.parent}/set"', '"set"')
        for pattern, word in ((_SECRET, "TOKEN"), (_MOMENT, "MOMENT"), (_SIZE, "0")):
            text = pattern.sub(word, text)
        text = _ASKER.sub(lambda found: "" if "token" in found[0] else "null", text)
        return re.sub(r"  +", "  ", _ID.sub("ID", text))


@contextmanager
def working(made: Site) -> Iterator[None]:
    """The jobs of a server are done."""

    def work() -> None:
        while (job := made.services.jobs.next()) is not None:
            job()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        made.services.jobs.close()
        for thread in threads:
            thread.join(20)


@contextmanager
def racks(
    place: Path,
    origin: FileHost,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Rack]:
    """Both, filled alike."""
    here, far = place / "here", place / "far"
    with site(here) as made:
        made.add_fleet(3)
    shutil.copytree(here, far)
    with site(far) as made, working(made), served(made.app) as port:
        yield Rack(here, made, f"http://127.0.0.1:{port}", capsys, monkeypatch, origin)
