"""A host whose systemd supervises a real server, and releases that are as bad as they may be."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.how_to.host import ORIGINAL, Host

__all__ = ["ORIGINAL"]

WHERE = "/usr/local/lib/bty"

_RELEASE = """import os, signal, sys, threading

import bty_app

bty_app.__version__ = {version!r}
SERVES = "serve" in sys.argv[1:]
{patch}
from bty_app.__main__ import run

run()
"""
GOOD = ""
EXITS = "if SERVES: sys.exit('I do not start')"
REFUSES = "if SERVES: sys.stderr.write('I refuse\\n'); sys.exit(78)"
ANSWERS_503 = """
from bty_app.services.health import Health
Health.problems = lambda self: ["nothing works"]
"""
DIES = """
# Once it has said that it is ready.
from bty_app.web.health import Version
answered = Version.on_get
def dying(self, req, resp):
    threading.Timer(1.5, lambda: os.kill(os.getpid(), signal.SIGKILL)).start()
    answered(self, req, resp)
if SERVES:
    Version.on_get = dying
"""
KILLED_BEFORE_ROTATION = """
from bty_app.cli import serve
if SERVES: serve.open_state = lambda *a, **k: os.kill(os.getpid(), signal.SIGKILL)
"""
KILLED_WITHIN_ROTATION = """
from bty_app.store import swap
if SERVES: swap.publish = lambda *a: os.kill(os.getpid(), signal.SIGKILL)
"""
KILLED_BEHIND_ROTATION = """
from bty_app import runtime
if SERVES: runtime.secrets = lambda *a: os.kill(os.getpid(), signal.SIGKILL)
"""
# As releases up to 0.91, which archive whatever is not theirs.
ROTATES_AGAIN = """
from bty_app.store import return_ticket
return_ticket.find = lambda *a: None
"""
_SYSTEMCTL = f'''#!{sys.executable} -SE
"""One service, Restart=on-failure. /run/kill says at which verb the caller is killed, and when."""
import os, signal, subprocess, sys, time, urllib.request
PYTHON, PLACE = {sys.executable!r}, "/run/unit"
os.makedirs(PLACE, exist_ok=True)

def put(name, text):
    with open(f"{{PLACE}}/{{name}}.new", "w") as file:
        file.write(text)
    os.rename(f"{{PLACE}}/{{name}}.new", f"{{PLACE}}/{{name}}")

def get(name):
    try:
        return open(f"{{PLACE}}/{{name}}").read()
    except OSError:
        return ""

def lives():
    pid = get("supervisor")
    try:
        return bool(pid) and open(f"/proc/{{pid}}/stat").read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False

def supervise():
    restarts = 0
    while True:
        put("state", f"active {{restarts}}")
        with open("/run/journal", "ab") as log:
            child = subprocess.Popen(
                [PYTHON, "{WHERE}/bty.pyz", "serve"], stdout=log, stderr=log)
        put("child", str(child.pid))
        if get("stop"):
            child.terminate()
        status = child.wait()
        if get("stop") or status in (0, -15):
            return put("state", f"inactive {{restarts}}")
        if status in (65, 74, 78) or restarts >= 6:
            return put("state", f"failed {{restarts}}")
        put("state", f"activating {{restarts}}")
        time.sleep(0.3)
        if get("stop"):
            return put("state", f"inactive {{restarts}}")
        restarts += 1

def start():
    if lives():
        return
    put("stop", "")
    gone = subprocess.Popen([sys.executable, "-SE", __file__, "supervise"], start_new_session=True,
                            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)
    put("supervisor", str(gone.pid))

def wait():
    for _try in range(300):
        try:
            return urllib.request.urlopen("http://127.0.0.1:8080/healthz", timeout=5).close()
        except OSError:
            if not lives():
                sys.exit("it ended: " + open("/run/journal").read()[-2000:])
            time.sleep(0.1)
    sys.exit("it is not ready")

def stop():
    put("stop", "yes")
    if lives():
        try:
            os.kill(int(get("child") or 0) or os.getpid(), signal.SIGTERM)
        except ProcessLookupError:
            pass
    while lives():
        time.sleep(0.02)

def kill(when):
    try:
        wanted = open("/run/kill").read().split()
    except OSError:
        return
    if wanted == [verb, when]:
        os.unlink("/run/kill")
        os.kill(os.getppid(), signal.SIGKILL)
        if verb in ("stop", "start") and when == "before":
            sys.exit(0)

verb = next(word for word in sys.argv[1:] if not word.startswith("-"))
kill("before")
if verb == "supervise":
    supervise()
elif verb == "stop":
    stop()
elif verb in ("start", "restart"):
    if verb == "restart":
        stop()
    start()
    "--no-block" in sys.argv or wait()
elif verb == "show":
    state, _, restarts = get("state").partition(" ")
    print(f"ActiveState={{state or 'inactive'}}")
    print(f"NRestarts={{restarts or 0}}")
    print("Environment=BTY_SERVER_HOST=127.0.0.1 'BTY_LOG_FORMAT=text'")
elif verb == "is-active":
    sys.exit(0 if lives() else 3)
elif verb == "reset-failed":
    lives() or put("state", "inactive 0")
elif verb not in ("daemon-reload", "enable"):
    sys.exit(f"this systemctl does not know: {{sys.argv[1:]}}")
kill("after")
'''


def release(file: Path, version: str, patch: str = GOOD) -> None:
    """Write this tree's program under a version of its own, made worse by `patch`."""
    file.write_text(_RELEASE.format(version=version, patch=patch))


class UpgradeHost(Host):
    """A host with an old release installed and a new one in `/run/dist/new.pyz`."""

    def __init__(self, place: Path, tree: Path, *, old: str, new: tuple[str, str]) -> None:
        """`old` is the text of the old program; `new` the version and the patch of the new one."""
        super().__init__(place, tree)
        (place / "bin" / "systemctl").write_text(_SYSTEMCTL)
        self.lib = place / "lib"
        (self.lib / "bty.pyz").write_text(old)
        release(self.dist / "new.pyz", *new)


def ours(version: str, patch: str = GOOD) -> str:
    """The text of a release of ours."""
    return _RELEASE.format(version=version, patch=patch)
