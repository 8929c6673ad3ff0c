"""A host of its own for the commands of a how-to page: a shell among namespaces.

It has this machine's programs, read-only, and its own `/var/lib/bty`, `/srv`, `/tmp`, `/run` and
network. `bty` is this tree's, `sudo` runs what follows it, and `systemctl` knows one service.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^( *)(?:<!-- not run: ([^\n]+?) -->\n+ *)?```sh\n(.*?)^ *```$", re.M | re.S)
_OWN = ("/tmp", "/run", "/srv", "/var/lib")  # noqa: S108 - there, not here
LONGEST = 240  # seconds, for the commands of a page

_SHIMS = {
    "bty": f'exec {sys.executable} -m bty_app "$@"\n',
    "sudo": """
while [ "${1#-}" != "$1" ]; do
  case "$1" in -u) shift 2 ;; *) shift ;; esac
done
exec "$@"
""",
    "journalctl": "cat /run/journal\n",
    "systemctl": """
stop() {
  [ -f /run/bty.pid ] || return 0
  kill "$(cat /run/bty.pid)" 2>/dev/null || true
  tail --pid="$(cat /run/bty.pid)" -f /dev/null
  rm -f /run/bty.pid
}
start() {
  bty serve >>/run/journal 2>&1 &
  echo $! >/run/bty.pid
  for _try in $(seq 200); do
    curl -sf http://127.0.0.1:8080/readyz >/dev/null && return 0
    kill -0 "$(cat /run/bty.pid)" 2>/dev/null || { cat /run/journal >&2; return 1; }
    sleep 0.1
  done
  echo "it is not ready" >&2
  return 1
}
case "$*" in
  "stop bty"*) stop ;;
  "start bty"*) start ;;
  "restart bty"*) stop; start ;;
  "is-active bty"*) [ -f /run/bty.pid ] ;;
  *) echo "this systemctl does not know: $*" >&2; exit 1 ;;
esac
""",
}


@dataclass(frozen=True, slots=True)
class Block:
    """Commands of a page; `left_out` says why they cannot run here, or is empty."""

    text: str
    left_out: str = ""


def blocks(page: Path) -> list[Block]:
    """The shell commands of a page, in its order."""
    found = FENCE.findall(page.read_text("utf-8"))
    return [Block(_outdented(text, indent), why) for indent, why, text in found]


def _outdented(text: str, indent: str) -> str:
    return "".join(line.removeprefix(indent) for line in text.splitlines(keepends=True))


@dataclass(frozen=True, slots=True)
class Done:
    """How the commands ended, and all that they said."""

    status: int
    said: str


class Host:
    """A host in `place`. `state` is its `/var/lib/bty`, `srv` its `/srv`."""

    def __init__(self, place: Path) -> None:
        self.state, self.srv = place / "state", place / "srv"
        self._shims = place / "bin"
        for folder in (self.state, self.srv, self._shims):
            folder.mkdir(parents=True)
        self.state.chmod(0o700)
        for name, text in _SHIMS.items():
            shim = self._shims / name
            shim.write_text(f"#!/bin/sh\n{text}")
            shim.chmod(0o755)

    def run(self, script: str) -> Done:
        """Run it as bash does that stops at the first failure, and stop the service behind it."""
        ending = "trap 'status=$?; systemctl stop bty; exit $status' EXIT"
        done = subprocess.run(
            [*self._walls(), "bash", "-euo", "pipefail", "-c", f"{ending}\n{script}"],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            timeout=LONGEST,
            text=True,
            check=False,
        )
        return Done(done.returncode, done.stdout)

    def _walls(self) -> list[str]:
        bwrap = shutil.which("bwrap")
        assert bwrap, "bwrap is missing: tests/run installs bubblewrap"
        words = [bwrap, "--die-with-parent", "--unshare-net", "--unshare-pid"]
        words += ["--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc"]
        words += [*(word for folder in _OWN for word in ("--tmpfs", folder))]
        words += ["--bind", str(self.state), "/var/lib/bty", "--bind", str(self.srv), "/srv"]
        words += ["--ro-bind", str(self._shims), "/run/shims", "--ro-bind", str(ROOT), "/run/tree"]
        words += ["--clearenv", "--setenv", "PATH", "/run/shims:/usr/bin:/bin:/usr/sbin:/sbin"]
        words += ["--setenv", "PYTHONPATH", "/run/tree", "--setenv", "PYTHONDONTWRITEBYTECODE", "1"]
        words += ["--setenv", "LANG", "C.UTF-8", "--setenv", "HOME", "/run"]
        words += ["--setenv", "BTY_PATHS_STATE_DIR", "/var/lib/bty", "--chdir", "/run"]
        return words
