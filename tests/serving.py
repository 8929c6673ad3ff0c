"""The real server over a real database file, its clock in the test's hands."""

from __future__ import annotations

import dataclasses
import ipaddress
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import falcon
import falcon.testing

from bty_app import runtime, runtime_parts
from bty_app.config import Admin, Config, Netboot, Paths, Server, Tuning
from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.image_source import ImageRef
from bty_app.domain.mac import Mac
from bty_app.domain.machine import Machine
from bty_app.services.health import Health, Others
from bty_app.services.revisions import Revisions
from bty_app.store import catalog, machines
from bty_app.store.database import Database
from bty_app.web.app import Services, create_app
from bty_app.workers import http
from tests.fresh_state import make_state

HOST = "bty.test:8080"
IP = "192.0.2.7"
MAC = Mac("52:54:00:12:34:56")
REF = ImageRef("a" * 64)
LIVE = "9.9"
KERNEL = f"bty-netboot-pc-x86_64-v{LIVE}.vmlinuz"
INITRD = f"bty-netboot-pc-x86_64-v{LIVE}.initrd"
SQUASHFS = f"bty-netboot-pc-x86_64-v{LIVE}.squashfs"
ENTRY = CatalogEntry(
    bty_image_ref=REF,
    src="http://images.test/debian.img.zst",
    name="debian",
    added_at="2026-11-22T19:00:00.000000+00:00",
    disk_image_sha="b" * 64,
    format="img.zst",
)
PASSWORD = "correct horse"
# A box that is served under these falls under no bound.
PLENTY = Tuning(discovery_burst=10**6, contact_burst=10**6, contact_per_second=10**6)

Result = falcon.testing.Result


@dataclass(slots=True)
class Clock:
    """A clock that a test turns."""

    now: datetime = field(default_factory=lambda: datetime(2026, 11, 22, 20, 0, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now

    def steady(self) -> float:
        """The seconds that have passed."""
        return self.now.timestamp()

    def forward(self, seconds: float) -> None:
        """Let time pass."""
        self.now += timedelta(seconds=seconds)


@dataclass(slots=True)
class Site:
    """A server, with what is behind it and who asks it."""

    state_dir: Path
    database: Database
    services: Services
    app: falcon.App[Any, Any]
    clock: Clock
    token: str = ""

    def ask(self, method: str, path: str, **more: Any) -> Result:
        """One request of somebody on the network, without a session."""
        headers = {"Host": HOST} | more.pop("headers", {})
        path, _, query = path.partition("?")
        more = {"remote_addr": IP, "query_string": query} | more
        return falcon.testing.simulate_request(self.app, method, path, headers=headers, **more)

    def get(self, path: str, **more: Any) -> Result:
        """GET."""
        return self.ask("GET", path, **more)

    def post(self, path: str, **more: Any) -> Result:
        """POST."""
        return self.ask("POST", path, **more)

    def operate(self, method: str, path: str, **more: Any) -> Result:
        """One request of the operator, logged in."""
        if not self.token:
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            body = f"password={PASSWORD.replace(' ', '+')}"
            cookie = self.post("/ui/login", headers=headers, body=body).cookies["bty-token"]
            self.token = str(cookie.value)
        headers = {"Cookie": f"bty-token={self.token}"} | more.pop("headers", {})
        return self.ask(method, path, headers=headers, **more)

    def save(self, **fields: object) -> Result:
        """The operator replaces what is set of the machine."""
        return self.operate("PUT", f"/machines/{MAC}", json=fields)

    def bind(self, mode: str, serial: str | None = "S1") -> None:
        """The operator orders the machine flashed."""
        saved = self.save(boot_mode=mode, bty_image_ref=REF, target_disk_serial=serial)
        assert saved.status_code == 200, saved.text

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        """The audit log, oldest first."""
        query = "limit=500" + (f"&kind={kind}" if kind else "")
        found = self.operate("GET", f"/events?{query}").json["events"][::-1]
        return [event for event in found if not event["kind"].startswith("auth.")]

    def kinds(self) -> list[str]:
        """What has happened, oldest first."""
        return [event["kind"] for event in self.events()]

    def machine(self, mac: Mac = MAC) -> Machine | None:
        """The stored record."""
        return self.database.read(lambda tx: machines.get(tx, mac))

    def phase(self) -> str:
        """Where the machine is in its cycle."""
        machine = self.machine()
        assert machine is not None
        return machine.phase.value

    # -- what a box does ---------------------------------------------------------------------

    def contact(self, mac: str = MAC, **more: Any) -> str:
        """Firmware asks what to boot; the script."""
        answer = self.get(f"/pxe/{mac}", **more)
        assert answer.status_code == 200, answer.text
        return answer.text

    def fetch(self, name: str = KERNEL) -> Result:
        """iPXE fetches a file of the live environment."""
        return self.get(f"/boot/{name}?mac={MAC}")

    def plan(self) -> dict[str, Any]:
        """The live environment asks what to do."""
        answer = self.get(f"/pxe/{MAC}/plan")
        assert answer.status_code == 200, answer.text
        plan: dict[str, Any] = answer.json
        return plan

    def done(self) -> Result:
        """A client up to 0.60 reports a complete flash."""
        return self.post(f"/pxe/{MAC}/done")

    def status(self, status: str, **more: object) -> Result:
        """A client from 0.61 on reports how a flash ended."""
        return self.post(f"/pxe/{MAC}/status", json={"status": status, **more})

    def inventory(self, **body: object) -> Result:
        """The live environment reports the hardware."""
        return self.post(f"/pxe/{MAC}/inventory", json=body)

    def boots(self, seconds: float = 60) -> str:
        """From power-on to the live environment; the script that led there."""
        script = self.contact()
        self.fetch(KERNEL)
        self.fetch(INITRD)
        self.clock.forward(seconds)
        return script


@contextmanager
def site(
    state_dir: Path,
    *,
    trusted: str = "",
    machines_from: str = "",
    public_url: str = "",
    tuning: Tuning = PLENTY,
    clock: Clock | None = None,
) -> Iterator[Site]:
    """A server over `state_dir` with one image in its catalog and a kernel and initrd to boot."""
    if not (state_dir / "state.db").exists():
        make_state(state_dir)
        (state_dir / "boot").mkdir()
        for name in (KERNEL, INITRD, SQUASHFS):
            (state_dir / "boot" / name).write_bytes(bytes(range(256)) * 16)
    config = Config(
        admin=Admin(password=PASSWORD),
        server=Server(
            public_url=public_url,
            trusted_proxy=tuple(ipaddress.ip_network(net) for net in trusted.split()),
            machine_networks=tuple(ipaddress.ip_network(net) for net in machines_from.split()),
        ),
        paths=Paths(
            state_dir=state_dir,
            boot_dir=state_dir / "boot",
            backup_dir=state_dir / "backups",
            catalog_file=state_dir / "catalog.toml",
        ),
        netboot=Netboot(live_version=LIVE),
        tuning=tuning,
    )
    clock, revisions = clock or Clock(), Revisions()
    with Database(state_dir / "state.db", on_commit=revisions.bump) as database:
        services = runtime.services(config, database, revisions, clock)
        # Its pause between two probes is in the test's hands as well.
        counts = services.keeper.counts
        health = Health(
            *(database, state_dir, services.metrics, clock, clock.steady),
            others=Others(counts, services.backup_schedule, services.late.counts),
        )
        services = dataclasses.replace(services, health=health)
        if database.read(lambda tx: catalog.by_ref(tx, REF)) is None:
            database.write(lambda tx: catalog.insert(tx, ENTRY))
        app = create_app(services, runtime_parts.options(config))
        yield Site(state_dir, database, services, app, clock)


@contextmanager
def listening(app: Any, spool_dir: Path, *, threads: int = 4) -> Iterator[int]:
    """The application behind the real HTTP server on a free port of 127.0.0.1."""
    before = tempfile.tempdir  # the worker points it at its spool directory
    listener = http.bind("127.0.0.1", 0)
    port: int = listener.getsockname()[1]
    worker = http.HttpWorker(
        app, listener, threads=threads, max_body_bytes=8 * 2**20, spool_dir=spool_dir
    )
    thread = threading.Thread(target=worker.run, daemon=True)
    thread.start()
    try:
        yield port
    finally:
        worker.stop()
        thread.join(10)
        tempfile.tempdir = before
        assert not thread.is_alive()


def connected(port: int, timeout: float = 10) -> socket.socket:
    """A connection of a machine."""
    return socket.create_connection(("127.0.0.1", port), timeout)


def exchange(port: int, request: bytes) -> bytes:
    """Send bytes as they are; what comes back until the server hangs up."""
    with closing(connected(port)) as line:
        line.sendall(request)
        answer = b""
        while part := line.recv(65536):
            answer += part
        return answer


def request(
    method: str, path: str, body: bytes | None = None, *headers: str, host: str = HOST
) -> bytes:
    """A request as the original's client writes it (CONTRACT 0.1 item 8)."""
    lines = [f"{method} {path} HTTP/1.1", "Accept-Encoding: identity"]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    lines += [f"Host: {host}", "User-Agent: Python-urllib/3.13", *headers, "Connection: close"]
    return "\r\n".join([*lines, "", ""]).encode() + (body or b"")
