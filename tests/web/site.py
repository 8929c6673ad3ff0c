"""The real application over a real database file, for tests of pages."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import falcon
import falcon.testing
from waitress.server import create_server
from waitress.wasyncore import close_all

from bty_app import runtime, runtime_parts
from bty_app.config import Admin, Config, Netboot, Paths, Server, Tuning
from bty_app.config_elsewhere import Offsite
from bty_app.domain.bulk_act import Act
from bty_app.domain.bulk_act import Kind as ActKind
from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.events import Actor, Event, Kind
from bty_app.domain.image_source import ImageRef
from bty_app.domain.inventory import canonical_json
from bty_app.domain.mac import Mac
from bty_app.domain.machine import Assignment
from bty_app.services.bulk_plan import Selection
from bty_app.services.machines import Page
from bty_app.services.revisions import Revisions
from bty_app.store import catalog, events, machines
from bty_app.store.database import Database
from bty_app.web.app import Services, create_app
from tests.fresh_state import make_state
from tests.netboot_set import made_set, packed

PASSWORD = "pässwört 1"
AT = "2026-11-22T19:07:18.570473+00:00"
REF = "a" * 64
BOUNDARY = "----WebKitFormBoundary7MA4YWxkTrZu0gW"
MAC = Mac("52:54:00:12:34:56")
DISKS = [
    {
        "path": "/dev/nvme0n1",
        "size": "476.9G",
        "vendor": None,
        "model": "Samsung SSD 980",
        "serial": "S64ENX0T123456",
        "tran": "nvme",
        "removable": False,
        "readonly": False,
    },
    {
        "path": "/dev/sdb",
        "size": "28.7G",
        "vendor": "SanDisk",
        "model": "Ultra Fit",
        "serial": None,
        "tran": "usb",
        "removable": True,
        "readonly": False,
    },
]


def mac(number: int) -> Mac:
    """That of one machine of many."""
    return Mac(f"52:54:00:00:{number >> 8:02x}:{number & 255:02x}")


@dataclass(slots=True)
class Hands:
    """A clock that a test turns."""

    now: datetime = field(default_factory=lambda: datetime(2026, 11, 22, 20, 0, tzinfo=UTC))

    def __call__(self) -> datetime:
        return self.now

    def forward(self, **step: float) -> None:
        """Let time pass."""
        self.now += timedelta(**step)


@dataclass(slots=True)
class Site:
    """A server with what is behind it."""

    database: Database
    services: Services
    app: falcon.App[Any, Any]
    hands: Hands

    def client(self) -> falcon.testing.TestClient:
        """Somebody who has not logged in."""
        return falcon.testing.TestClient(self.app)

    def token(self, password: str = PASSWORD) -> str:
        """The cookie's value of a new session."""
        answer = self.client().simulate_post("/ui/login", **form(password=password))
        token = answer.cookies["bty-token"].value
        assert token is not None
        return token

    def visit(self) -> Visit:
        """Somebody who has logged in."""
        return Visit(self, self.token())

    def add_image(self, name: str = "debian-13.img.zst", ref: str = REF) -> None:
        """An image in the catalog."""
        entry = CatalogEntry(
            ImageRef(ref), f"http://images.test/{ref[:8]}.img", name, AT, size_bytes=3 * 2**30
        )
        self.database.write(lambda tx: catalog.insert(tx, entry))

    def add_fleet(self, count: int) -> None:
        """An image, and machines with one disk each, of the serial S0, S1, …"""
        self.add_image()
        for number in range(count):
            self.add_machine(mac(number), disks=[{**DISKS[0], "serial": f"S{number}"}])

    def add_machine(
        self, mac: Mac = MAC, wanted: Assignment | None = None, disks: object = DISKS
    ) -> None:
        """A machine that has been here and has reported its disks."""
        text = canonical_json(disks)

        def change(tx: Any) -> None:
            machines.seen(tx, mac, at=AT, ip="192.0.2.7")
            machines.set_inventory(tx, mac, disks=text, lshw=None, at=AT)
            if wanted:
                machines.assign(tx, mac, wanted, at=AT)

        self.database.write(change)

    def add_bulk(self, act_id: str = "act-00001") -> None:
        """An act on all machines that are here."""
        every, act = Selection(page=Page()), Act(ActKind.ADD_LABELS, labels=("bulk",))
        digest = self.services.bulk.preview(every, act).digest
        self.services.bulk.confirm(act_id, every, act, digest, ip=None)

    def add_artifacts(self, *versions: str) -> None:
        """Sets of netboot artifacts; the last is the current one, that before it can come back."""
        visit = self.visit()
        token = ("csrf_token", None, visit.csrf_token().encode())
        for version in versions:
            file = ("file", f"bty-netboot-{version}.tar.gz", packed(made_set(version)))
            visit.upload("/ui/netboot/upload", token, file)

    def add_event(self, kind: Kind, summary: str, **more: Any) -> int:
        """An audit row."""
        event = Event(kind, Actor.SYSTEM, summary, **more)
        return self.database.write(lambda tx: events.record(tx, event, at=AT))


def form(headers: dict[str, str] | None = None, **fields: str) -> dict[str, Any]:
    """What a request has that carries these fields."""
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    return {"body": urlencode(fields, errors="surrogatepass"), "headers": kind | (headers or {})}


def multipart(*parts: tuple[str, str | None, bytes]) -> bytes:
    """A form as browsers send it when it has files."""
    whole = b""
    for name, filename, data in parts:
        file = "" if filename is None else f'; filename="{filename}"'
        head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'
        whole += head.encode() + data + b"\r\n"
    return whole + f"--{BOUNDARY}--\r\n".encode()


@dataclass(slots=True)
class Visit:
    """Somebody who is logged in, with pages of ours before them."""

    site: Site
    token: str

    def get(self, path: str, **headers: str) -> falcon.testing.Result:
        """Read."""
        return self.site.client().simulate_get(path, headers=self._cookie() | headers)

    def csrf_token(self) -> str:
        """What our forms carry."""
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.get("/ui/events").text)
        assert found is not None
        return found[1]

    def post(self, path: str, **fields: str) -> falcon.testing.Result:
        """Submit a form of ours."""
        fields.setdefault("csrf_token", self.csrf_token())
        return self.site.client().simulate_post(path, **form(self._cookie(), **fields))

    def upload(self, path: str, *parts: tuple[str, str | None, bytes]) -> falcon.testing.Result:
        """Submit a form with files: of each part the field's name, the file's, and the data."""
        headers = self._cookie() | {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        return self.site.client().simulate_post(path, body=multipart(*parts), headers=headers)

    def _cookie(self) -> dict[str, str]:
        return {"Cookie": f"bty-token={self.token}"}


@contextmanager
def site(
    state_dir: Path,
    *,
    password: str = PASSWORD,
    public_url: str = "",
    hands: Hands | None = None,
    tuning: Tuning | None = None,
    copies: Path | None = None,
) -> Iterator[Site]:
    """A site over `state_dir`, new or as it was left; backups are copied to `copies`."""
    path = state_dir / "state.db"
    if not path.exists():
        make_state(state_dir)
    config = Config(
        admin=Admin(password=password),
        server=Server(public_url=public_url),
        paths=Paths(
            state_dir=state_dir,
            boot_dir=state_dir / "boot",
            backup_dir=state_dir / "backups",
            catalog_file=state_dir / "catalog.toml",
        ),
        # Tests do not depend on the packages of the host that they run on.
        netboot=Netboot(ipxe_dir=state_dir / "ipxe"),
        tuning=tuning or Tuning(),
        offsite=Offsite(url=copies.as_uri() if copies else ""),
    )
    revisions, clock = Revisions(), hands or Hands()
    with Database(path, on_commit=revisions.bump) as database:
        services = runtime.services(config, database, revisions, clock)
        yield Site(database, services, create_app(services, runtime_parts.options(config)), clock)


@contextmanager
def served(app: falcon.App[Any, Any]) -> Iterator[int]:
    """The application on a port of 127.0.0.1."""
    server = create_server(app, host="127.0.0.1", port=0, threads=8)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        yield int(server.effective_port)
    finally:
        server.trigger.pull_trigger(lambda: close_all(server._map))
        thread.join(5)
        assert not thread.is_alive()
        server.task_dispatcher.shutdown()
