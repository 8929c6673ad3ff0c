"""A host of its own for the commands of a how-to page: a shell among namespaces.

It has this machine's programs, read-only, and its own `/var/lib/bty`, `/etc/bty`, `/srv`, `/tmp`,
`/run` and network. `bty` is this tree's, installed as one file; `sudo` runs what follows it, and
`systemctl` knows one service.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bty_app import __version__

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^( *)(?:<!-- not run: ([^\n]+?) -->\n+ *)?```sh\n(.*?)^ *```$", re.M | re.S)
HEADING = re.compile(r"^#+ (.+)$", re.M)
_OWN = ("/tmp", "/run", "/srv", "/var/lib", "/etc", "/usr/local/lib")  # noqa: S108 - there
_ETC = ("alternatives", "ld.so.cache", "passwd", "group", "hosts", "nsswitch.conf", "ssl")
_RELEASE = """import sys

import bty_app

bty_app.__version__ = {version!r}
from bty_app.__main__ import run

run()
"""
# As the original: it knows no command of ours, and begins anew where a database is not its own.
ORIGINAL = """import http.server, json, os, sqlite3, sys, time
VERSION = "0.65.18"
if "--version" in sys.argv:
    print("bty", VERSION)
    sys.exit(0)
if "serve" not in sys.argv:
    sys.exit(2)
path = "/var/lib/bty/state.db"
found = sqlite3.connect(path).execute("SELECT version FROM bty_version").fetchall()
if found != [(VERSION,)]:
    os.rename(path, path + ".%s.%d.bak" % (found[0][0], time.time()))
    fresh = sqlite3.connect(path)
    fresh.execute("CREATE TABLE bty_version (version TEXT PRIMARY KEY)")
    fresh.execute("INSERT INTO bty_version VALUES (?)", (VERSION,))
    fresh.commit()
class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"version": VERSION, "status": "ready"}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
http.server.ThreadingHTTPServer(("127.0.0.1", 8080), Answers).serve_forever()
"""
LONGEST = 120  # seconds, for the commands of a page

_SHIMS = {
    # The status 1 of doctor is no failure of the command: a new host has findings.
    "bty": f"""
[ "${{1:-}}" = doctor ] || exec {sys.executable} /usr/local/lib/bty/bty.pyz "$@"
{sys.executable} /usr/local/lib/bty/bty.pyz "$@" || [ $? = 1 ]
""",
    # An upgrade watches for two minutes; here for a moment.
    "python3": f"""
[ "${{2:-}}" = upgrade ] && set -- "$@" --watch 1
exec {sys.executable} "$@"
""",
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
  tail --pid="$(cat /run/bty.pid)" -s 0.05 -f /dev/null
  rm -f /run/bty.pid
}
start() {
  bty serve >>/run/journal 2>&1 &
  echo $! >/run/bty.pid
  for _try in $(seq 200); do
    curl -sf "http://${BTY_SERVER_HOST:-127.0.0.1}:8080/healthz" >/dev/null && return 0
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
  "start --no-block bty"*) start >/dev/null 2>&1 </dev/null & ;;
  "reset-failed bty"*) ;;
  "show bty"*)
    kill -0 "$(cat /run/bty.pid)" 2>/dev/null && echo ActiveState=active || echo ActiveState=dead
    echo NRestarts=0 ;;
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
    heading: str = ""


def blocks(page: Path) -> list[Block]:
    """The shell commands of a page, in its order."""
    text = page.read_text("utf-8")
    headings = [(found.start(), found[1]) for found in HEADING.finditer(FENCE.sub(_blank, text))]
    return [
        Block(
            _outdented(found[3], found[1]),
            found[2] or "",
            next((words for at, words in reversed(headings) if at < found.start()), ""),
        )
        for found in FENCE.finditer(text)
    ]


def _blank(found: re.Match[str]) -> str:
    return " " * len(found[0])  # a comment in commands is no heading


def _outdented(text: str, indent: str) -> str:
    return "".join(line.removeprefix(indent) for line in text.splitlines(keepends=True))


def release(file: Path, version: str) -> None:
    """Write this tree's program under a version of its own."""
    file.write_text(_RELEASE.format(version=version))


@dataclass(frozen=True, slots=True)
class Done:
    """How the commands ended, and all that they said."""

    status: int
    said: str


class Host:
    """A host in `place` with the program of `tree`.

    `state` is its `/var/lib/bty`, `srv` its `/srv`, `etc` its `/etc/bty`.
    """

    def __init__(self, place: Path, tree: Path) -> None:
        self._tree = tree
        self.state, self.srv = place / "state", place / "srv"
        self.etc, self.dist = place / "etc", place / "dist"
        self._shims, self._installed = place / "bin", place / "lib"
        for folder in (self.state, self.srv, self.etc, self.dist, self._shims, self._installed):
            folder.mkdir(parents=True)
        release(self._installed / "bty.pyz", __version__)
        self.state.chmod(0o700)
        for name, text in _SHIMS.items():
            shim = self._shims / name
            shim.write_text(f"#!/bin/sh\n{text}")
            shim.chmod(0o755)

    def install(self, version: str, program: str = "") -> None:
        """Have that release installed, which is this tree's or `program`, and this tree's in
        `dist`, to upgrade to.
        """
        release(self._installed / "bty.pyz", version)
        if program:
            (self._installed / "bty.pyz").write_text(program)
        release(self.dist / "bty.pyz", __version__)

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
        words += ["--bind", str(self.etc), "/etc/bty", "--bind", str(self.dist), "/run/dist"]
        words += ["--bind", str(self._installed), "/usr/local/lib/bty"]
        words += [*(w for n in _ETC for w in ("--ro-bind-try", f"/etc/{n}", f"/etc/{n}"))]
        words += [
            "--ro-bind",
            str(self._shims),
            "/run/shims",
            "--ro-bind",
            str(self._tree),
            "/run/tree",
        ]
        words += ["--clearenv", "--setenv", "PATH", "/run/shims:/usr/bin:/bin:/usr/sbin:/sbin"]
        words += ["--setenv", "PYTHONPATH", "/run/tree", "--setenv", "PYTHONDONTWRITEBYTECODE", "1"]
        words += ["--setenv", "LANG", "C.UTF-8", "--setenv", "HOME", "/run"]
        words += ["--setenv", "BTY_PATHS_STATE_DIR", "/var/lib/bty", "--chdir", "/run"]
        return words
