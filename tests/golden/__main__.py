"""Make the golden of a release by running it: its server, its commands, its backup.

usage: python -m tests.golden [TREE]

TREE holds the release (`git worktree add TREE TAG`, or `git archive`); without it, it is this one.
Do it before a release is published, and keep the file: it is never made anew afterwards.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tarfile
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import urllib3

from tests import programs
from tests.golden import goldens

_CATALOG = f"""
version = 1

[[images]]
name = "Debian 13"
src = "{goldens.IMAGE}"
format = "img.zst"
"""
_ADDRESS_OF_NOBODY = "127.0.0.1"
_SECONDS = 60


class Release:
    """The program in `tree`, over a state directory in `place`."""

    def __init__(self, tree: Path, place: Path) -> None:
        self.tree = tree
        self.place = place
        self.port = programs.free_port()
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(place),
            "PYTHONPATH": str(tree),
            "BTY_CONFIG_DIR": str(place / "no-config"),
            "BTY_PATHS_STATE_DIR": str(place / "state"),
            "BTY_SERVER_HOST": _ADDRESS_OF_NOBODY,
            "BTY_SERVER_PORT": str(self.port),
            "BTY_ADMIN_PASSWORD": "a password of tests",
        }

    def bty(self, *words: str) -> None:
        """One command."""
        self._run("-m", "bty_app", *words)

    def step(self, name: str) -> None:
        """One step of `steps.py`, by the release's own code."""
        self._run(str(Path(__file__).with_name("steps.py")), name, str(self.place))

    def version(self) -> str:
        """What it calls itself."""
        return self._run("-c", "from bty_app import __version__; print(__version__)").strip()

    def _run(self, *words: str) -> str:
        done = subprocess.run(
            [sys.executable, *words],
            cwd=self.tree,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(f"{words}: {done.returncode}: {done.stderr}")
        return done.stdout

    def boot_machines(self) -> None:
        """Its server, asked by three machines of which it has seen one never."""
        command = [sys.executable, "-m", "bty_app", "serve"]
        with (
            (self.place / "log").open("w") as log,
            subprocess.Popen(
                command, cwd=self.tree, env=self.environment, stdout=log, stderr=log
            ) as server,
        ):
            try:
                self._wait()
                for mac in goldens.MACHINES:
                    self._ask("GET", f"/pxe/{mac}")
                self._ask(
                    "POST",
                    f"/pxe/{goldens.NEVER_SAVED}/inventory",
                    {"disks": [{"path": "/dev/sda", "serial": "S3"}], "lshw": {"id": "box"}},
                )
            finally:
                server.send_signal(signal.SIGTERM)

    def _wait(self) -> None:
        until = time.monotonic() + _SECONDS
        while time.monotonic() < until:
            try:
                self._ask("GET", "/healthz")
            except urllib3.exceptions.HTTPError:
                time.sleep(0.1)
            else:
                return
        sys.exit((self.place / "log").read_text())

    def _ask(self, method: str, path: str, given: object = None) -> None:
        url = f"http://{_ADDRESS_OF_NOBODY}:{self.port}{path}"
        answer = urllib3.request(method, url, json=given, retries=False, timeout=20)
        if answer.status >= 300:
            sys.exit(f"{method} {path}: {answer.status}: {answer.data!r}")


def make(tree: Path, place: Path) -> Path:
    """Make it; where it is kept."""
    release = Release(tree, place)
    (place / "no-config").mkdir()
    (place / "catalog.toml").write_text(_CATALOG)
    release.bty("import", str(goldens.BUNDLES / "two-machines"))
    release.step("settings")
    release.bty("catalog", "import", str(place / "catalog.toml"))
    release.step("bindings")
    release.boot_machines()
    release.step("backup")
    release.bty("export", str(place / "state" / "bundle"))
    path = goldens.path_of(release.version())
    with tarfile.open(path, "w:xz", preset=9) as archive:
        for name in ("state.db", "bundle", "backups"):
            archive.add(place / "state" / name, name, filter=_of_nobody)
    return path


def _of_nobody(info: tarfile.TarInfo) -> tarfile.TarInfo | None:
    if Path(info.name).name.startswith("."):
        return None
    info.uid = info.gid = 0
    info.uname = info.gname = ""
    info.mtime = 0
    return info


def main() -> int:
    """Make one."""
    parser = argparse.ArgumentParser(prog="python -m tests.golden", description=__doc__)
    parser.add_argument("tree", nargs="?", type=Path, default=Path(__file__).parents[2])
    args = parser.parse_args()
    with TemporaryDirectory() as place:
        path = make(args.tree.resolve(), Path(place))
    sys.stdout.write(f"{path}: {path.stat().st_size} bytes\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
