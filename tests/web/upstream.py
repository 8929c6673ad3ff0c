"""A catalog upstream, and the jobs that ask for it, for tests of pages and of the API."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import tomli_w

from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.image_source import image_ref
from bty_app.domain.jobs import State
from bty_app.domain.mac import Mac
from bty_app.domain.machine import Assignment
from bty_app.services.jobs import Jobs
from bty_app.store import catalog, settings
from bty_app.store.database import Database
from tests.file_host import FileHost
from tests.web.site import Site

AT = "2026-11-22T19:07:18.570473+00:00"


def manifest(*images: dict[str, Any]) -> bytes:
    """A catalog.toml."""
    return tomli_w.dumps({"version": 1, "images": list(images)}).encode()


def image(name: str, **more: Any) -> dict[str, Any]:
    """An entry of it."""
    return {"name": name, "src": f"https://o.test/{name}", **more}


def entry(name: str, **more: Any) -> CatalogEntry:
    """An image as an operator has added it."""
    src = more.pop("src", f"https://o.test/{name}")
    return CatalogEntry(image_ref(src), src, name, AT, **more)


def add(database: Database, *entries: CatalogEntry) -> None:
    """Put images into the catalog."""

    def change(tx: Any) -> None:
        for each in entries:
            catalog.insert(tx, each)

    database.write(change)


def follow(database: Database, url: str) -> None:
    """Set `upstream.catalog_url`."""
    database.write(lambda tx: settings.put(tx, "upstream.catalog_url", url, at=AT))


def offers(host: FileHost, *images: dict[str, Any]) -> None:
    """What upstream lists from now on."""
    host.files["/catalog.toml"] = manifest(*images)


def do_jobs(jobs: Jobs) -> None:
    """Do what waits, here."""
    while any(job.state is State.QUEUED for job in jobs.listed()):
        work = jobs.next()
        assert work is not None
        work()


def bind(house: Site, ref: str, count: int = 1) -> None:
    """Machines that need the image."""
    for number in range(count):
        house.add_machine(Mac(f"52:54:00:12:34:{number:02x}"), Assignment(image_ref=ref))


def poll_in(text: str) -> str:
    """The address that an open page asks."""
    found = re.search(r'hx-get="(/ui/catalog/[^"]+rev=[^"]+)"', text)
    assert found is not None
    return unescape(found[1])
