"""A person at a browser looks after the catalog."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from bty_app.domain.image_source import image_ref
from bty_app.domain.mac import Mac
from bty_app.domain.machine import Assignment
from bty_app.services.catalog_checks import Checked
from bty_app.store import settings
from bty_app.workers.jobs import JobWorker
from tests.file_host import FileHost
from tests.web.browsing import HOST, SHAPES, complaints_of, log_in, shoot
from tests.web.site import AT, Site, served
from tests.web.upstream import add, bind, do_jobs, entry, image, manifest, offers

pytestmark = pytest.mark.browser


@pytest.fixture
def working(house: Site) -> Iterator[Site]:
    """A site whose jobs are done."""
    jobs = house.services.jobs
    threads = [threading.Thread(target=JobWorker(jobs, number).run) for number in range(2)]
    for thread in threads:
        thread.start()
    yield house
    jobs.close()
    for thread in threads:
        thread.join(10)
        assert not thread.is_alive()


def test_a_catalog_is_fetched_checked_edited_and_an_image_removed(
    working: Site, host: FileHost, chromium: Browser
) -> None:
    offers(host, image("a.img", description="Nightly"), image("b.img"))
    bind(working, image_ref("https://o.test/b.img"))
    with served(working.app) as port:
        base = f"http://{HOST}:{port}"
        page = chromium.new_page()
        complaints = complaints_of(page)
        log_in(page, base)
        page.get_by_role("link", name="Catalog", exact=True).click()
        expect(page.get_by_text("The catalog is empty")).to_be_visible()

        page.get_by_role("button", name="Fetch latest catalog").click()
        expect(page.get_by_text("Taking it: 2 new")).to_be_visible(timeout=10_000)
        page.get_by_role("button", name="Take it").click()
        expect(page.get_by_text("Nothing would change")).to_be_visible(timeout=10_000)
        page.get_by_role("link", name="Catalog", exact=True).first.click()
        page.get_by_role("button", name="Check all").click()
        expect(page.get_by_text("2 without a good answer")).to_be_visible(timeout=10_000)

        page.get_by_label("Search").type("nightly")
        expect(page.locator("tbody tr")).to_have_count(1)
        assert "q=nightly" in page.url
        page.get_by_role("link", name="a.img", exact=True).click()
        page.get_by_label("Name", exact=True).fill("Débian")
        page.get_by_label("Digest").fill("nonsense")
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("must be 64 hexadecimal digits")).to_be_visible()
        page.get_by_label("Digest").fill("5" * 64)
        page.get_by_role("button", name="Save").click()
        expect(page.get_by_text("Saved.")).to_be_visible()
        page.get_by_role("link", name="Delete …").click()
        page.get_by_role("button", name="Delete it").click()
        expect(page.get_by_text("Débian was removed")).to_be_visible()
        page.get_by_role("link", name="1 machine").click()
        expect(page.get_by_text("1 machine match")).to_be_visible()
        assert [text for text in complaints if "422" not in text] == []

    assert [e.name for e in working.services.catalog.entries()] == ["b.img"]


def test_it_works_without_javascript(
    working: Site, host: FileHost, chromium: Browser, tmp_path: Path
) -> None:
    offers(host, image("a.img"))
    host.files["/d.img"] = b"12345"
    file = tmp_path / "my catalog.toml"
    file.write_bytes(manifest(image("u.img")))
    with served(working.app) as port:
        page = chromium.new_context(java_script_enabled=False).new_page()
        log_in(page, f"http://{HOST}:{port}")
        page.goto(f"http://{HOST}:{port}/ui/catalog")
        page.get_by_role("button", name="Fetch latest catalog").click()
        page.get_by_role("button", name="Take it").click(timeout=15_000)
        expect(page.get_by_text("Nothing would change")).to_be_visible(timeout=15_000)
        page.goto(f"http://{HOST}:{port}/ui/catalog")
        page.get_by_label("Its URL").fill("https://nowhere")
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.locator("#problem-image_url")).to_be_visible()
        page.get_by_label("Its URL").fill(host.url("/d.img"))
        page.get_by_role("button", name="Add", exact=True).click()
        expect(page.get_by_text("d.img was added")).to_be_visible()
        page.get_by_label("A catalog.toml").set_input_files(file)
        page.get_by_role("button", name="Upload", exact=True).click()
        expect(page.get_by_text("1 new, 0 changed, 0 unchanged")).to_be_visible()
        with page.expect_navigation():
            page.get_by_role("button", name="Check d.img").click()
        while any(job.is_active for job in working.services.jobs.listed()):
            page.reload()
        page.reload()
        expect(page.locator("tbody").get_by_text("as the catalog says")).to_be_visible()

    assert [e.name for e in working.services.catalog.entries()] == ["a.img", "d.img", "u.img"]


def test_a_search_and_the_focus_stay_while_the_table_follows_what_happens(
    house: Site, host: FileHost, chromium: Browser
) -> None:
    add(house.database, entry("a.img"))
    with served(house.app) as port:
        page = chromium.new_page()
        complaints = complaints_of(page)
        log_in(page, f"http://{HOST}:{port}")
        page.goto(f"http://{HOST}:{port}/ui/catalog?q=a")
        page.get_by_label("Its URL").fill("half typed")
        page.get_by_role("button", name="Check a.img").focus()

        add(house.database, entry("aa.img"), entry("b.img"))

        expect(page.locator("tbody tr")).to_have_count(2, timeout=10_000)
        expect(page.get_by_role("button", name="Check a.img")).to_be_focused()
        expect(page.get_by_label("Its URL")).to_have_value("half typed")
        expect(page.get_by_label("Search")).to_have_value("a")
        assert complaints == []


@pytest.mark.parametrize("shape", ["light", "dark", "phone", "dark-phone"])
def test_the_pages_fit_their_window(
    house: Site, host: FileHost, chromium: Browser, shape: str
) -> None:
    _a_lively_catalog(house, host)
    more = SHAPES["phone"] | {"color_scheme": "dark"}
    with served(house.app) as port:
        base = f"http://{HOST}:{port}"
        page = chromium.new_context(**(SHAPES | {"dark-phone": more})[shape]).new_page()
        complaints = complaints_of(page)
        log_in(page, base)
        bound, free = image_ref("https://o.test/0.img"), image_ref("https://o.test/1.img")
        for name, path in (
            ("catalog", "/ui/catalog"),
            ("catalog-none", "/ui/catalog?q=nothing"),
            ("catalog-fetch", "/ui/catalog/fetch"),
            ("catalog-entry", f"/ui/catalog/entries/{bound}"),
            ("catalog-bound", f"/ui/catalog/entries/{bound}/delete"),
            ("catalog-delete", f"/ui/catalog/entries/{free}/delete"),
        ):
            page.goto(f"{base}{path}")
            shoot(page, f"{name}-{shape}")
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= page.evaluate("document.documentElement.clientWidth"), name
        page.goto(f"{base}/ui/catalog")
        page.get_by_label("Its URL").fill("http://x")
        page.get_by_role("button", name="Add", exact=True).click()
        shoot(page, f"catalog-problem-{shape}")
        assert [text for text in complaints if "422" not in text] == []


def _a_lively_catalog(house: Site, host: FileHost) -> None:
    source = host.url("/catalog.toml")
    common = {"format": "img.zst", "arch": "x86_64", "size_bytes": 3 * 2**30}
    images: list[tuple[str, dict[str, Any]]] = [
        ("debian-13-server-amd64.img.zst", {"disk_image_sha": "5" * 64, "upstream": source}),
        ("ubuntu-24.04-server-amd64.img.xz", {"disk_image_sha": "6" * 64, "upstream": source}),
        ("fedora-42.qcow2", {"format": "qcow2", "arch": "arm64", "upstream": source}),
        ("rocky-9.img", {"disk_image_sha": "7" * 64, "upstream": source, "gone_at": AT}),
        ("an operator's own.img", {"disk_image_sha": "8" * 64, "description": "Two\nlines"}),
        ("<b>" + "long" * 49, {"format": None, "arch": None, "size_bytes": None}),
        ("\u202egpj.exe", {"disk_image_sha": "9" * 64}),
    ]
    entries = [
        replace(entry(f"{number}.img", **(common | more)), name=name)
        for number, (name, more) in enumerate(images)
    ]
    add(house.database, *entries)
    bind(house, entries[0].bty_image_ref, 22)
    house.add_machine(Mac("52:54:00:00:00:01"), Assignment(image_ref=entries[3].bty_image_ref))
    base = "http://127.0.0.1:9"
    house.database.write(lambda tx: settings.put(tx, "withcache.url", base, at=AT))
    checks, jobs = house.services.last_checks, house.services.jobs
    checks.note(Checked(entries[0], AT, entries[0].size_bytes))
    checks.note(Checked(entries[1], AT, 1, "a" * 64))
    checks.note(Checked(entries[2], AT, error="http://o.test/2.img answers 404, not 200"))
    new = [image(f"new-{number}.img", sha256="a" * 64) for number in range(3)]
    offers(host, image("0.img", sha256="b" * 64, description="Rebuilt"), *new)
    house.services.catalog_jobs.look()
    do_jobs(jobs)
    house.services.catalog_jobs.warm(entries[4], force=False)
    house.services.catalog_jobs.warm(entries[5], force=False)
