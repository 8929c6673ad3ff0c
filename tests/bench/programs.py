"""Programs under measurement: started, watched through /proc, and ended."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.parse
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.bench.load import ADDRESS

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "measure-for-measure"
START_SECONDS = 60.0
_TICK = os.sysconf("SC_CLK_TCK")
_PEAK = re.compile(r"VmHWM:\s+(\d+) kB")


@dataclass(slots=True)
class Server:
    """A server that answers `/healthz` on `port`, this many seconds after it was started."""

    pid: int
    port: int
    seconds_to_answer: float

    def cpu_seconds(self) -> float:
        """The processor time that it has used so far."""
        return cpu_seconds(self.pid)

    def ask(
        self, method: str, path: str, *, body: object = None, cookie: str = ""
    ) -> tuple[int, bytes, str]:
        """One request beside the load: status, body, and the cookie that was set."""
        headers = {"Cookie": cookie} if cookie else {}
        data = None
        if body is not None:
            is_form = isinstance(body, str)
            data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            kind = "x-www-form-urlencoded" if is_form else "json"
            headers["Content-Type"] = f"application/{kind}"
        connection = http.client.HTTPConnection(ADDRESS, self.port, timeout=30)
        try:
            connection.request(method, path, body=data, headers=headers)
            answer = connection.getresponse()
            given = (answer.getheader("Set-Cookie") or "").partition(";")[0]
            return answer.status, answer.read(), given
        finally:
            connection.close()

    def log_in(self) -> str:
        """The cookie of a new session."""
        form = urllib.parse.urlencode({"password": PASSWORD})
        status, _body, cookie = self.ask("POST", "/ui/login", body=form)
        if status != 303:
            raise RuntimeError(f"the login answered {status}")
        return cookie


def build(scratch: Path) -> Path:
    """The single file of this tree, for this interpreter."""
    pyz = scratch / "bty.pyz"
    command = [sys.executable, str(ROOT / "build_zipapp.py"), "--native", "host"]
    subprocess.run([*command, "--output", str(pyz)], check=True, stdout=sys.stderr, timeout=600)
    return pyz


def environment(state_dir: Path, port: int = 0) -> dict[str, str]:
    """All that a program of the product is told; its bounds let a benchmark through."""
    return {
        "BTY_PATHS_STATE_DIR": str(state_dir),
        "BTY_SERVER_HOST": ADDRESS,
        "BTY_SERVER_PORT": str(port),
        "BTY_ADMIN_PASSWORD": PASSWORD,
        "BTY_TUNING_DISCOVERY_BURST": "1000000",
        "BTY_TUNING_CONTACT_BURST": "1000000",
    }


def bty(pyz: Path, state_dir: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the product to its end."""
    return subprocess.run(
        [sys.executable, str(pyz), *words],
        env=environment(state_dir),
        cwd=state_dir.parent,
        capture_output=True,
        text=True,
        check=True,
        timeout=1200,
    )


@contextmanager
def serve(pyz: Path, state_dir: Path) -> Iterator[Server]:
    """The product's server over `state_dir`."""
    port = _free_port()
    command = [sys.executable, str(pyz), "serve"]
    with _running(command, environment(state_dir, port), port, state_dir.parent) as server:
        yield server


@contextmanager
def hello(pyz: Path, scratch: Path) -> Iterator[Server]:
    """The bare server, out of the libraries in the single file."""
    port = _free_port()
    bytecode = f"{pyz}/python3{sys.version_info[1]}"
    command = [sys.executable, str(Path(__file__).with_name("hello.py")), str(port), str(scratch)]
    told = {"PYTHONPATH": f"{bytecode}:{pyz}", "PYTHONDONTWRITEBYTECODE": "1"}
    with _running(command, told, port, scratch) as server:
        yield server


@contextmanager
def _running(
    command: Sequence[str], told: Mapping[str, str], port: int, directory: Path
) -> Iterator[Server]:
    with (directory / f"server-{port}.log").open("wb") as log:
        began = time.perf_counter()
        process = subprocess.Popen(command, env=told, cwd=directory, stdout=log, stderr=log)
        try:
            _wait_for_answer(process, port, Path(log.name))
            yield Server(process.pid, port, time.perf_counter() - began)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for_answer(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.perf_counter() + START_SECONDS
    while time.perf_counter() < deadline:
        if process.poll() is not None:
            said = log.read_text("utf-8", "replace")[-2000:]
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}: {said}")
        if _answers(port):
            return
        time.sleep(0.002)
    raise RuntimeError(f"{process.args!r} did not answer within {START_SECONDS:.0f} s")


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection(ADDRESS, port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def run_watched(
    command: Sequence[str], told: Mapping[str, str], directory: Path
) -> dict[str, float]:
    """Run a program to its end: its seconds, processor seconds and peak memory in MB.

    The peak is the kernel's own (VmHWM), read until shortly before the end; that of `wait4`
    would be this process's where it is larger.
    """
    began = time.perf_counter()
    process = subprocess.Popen(command, env=told, cwd=directory, stdout=subprocess.DEVNULL)
    peak_kb, cpu = 0, 0.0
    while process.poll() is None:
        try:
            status = Path(f"/proc/{process.pid}/status").read_text("ascii", "replace")
            cpu = cpu_seconds(process.pid)
        except (FileNotFoundError, ProcessLookupError):
            break
        found = _PEAK.search(status)
        peak_kb = max(peak_kb, int(found[1]) if found else 0)
        time.sleep(0.01)
    if process.wait() != 0:
        raise RuntimeError(f"{command!r} ended with {process.returncode}")
    seconds = time.perf_counter() - began
    return {
        "seconds": round(seconds, 3),
        "cpu_seconds": round(cpu, 2),
        "peak_rss_mb": round(peak_kb / 1024, 1),
    }


def cpu_seconds(pid: int) -> float:
    """Processor time of a process, all threads, user and system."""
    text = Path(f"/proc/{pid}/stat").read_text("ascii", "replace")
    words = text.rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / _TICK


def _free_port() -> int:
    with socket.create_server((ADDRESS, 0)) as listener:
        return int(listener.getsockname()[1])
