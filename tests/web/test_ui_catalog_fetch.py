"""The upstream catalog is shown, then taken."""

from __future__ import annotations

import re
from html import unescape

import pytest

from bty_app.domain.image_source import image_ref
from tests.file_host import FileHost
from tests.web.site import Site
from tests.web.upstream import bind, do_jobs, follow, image, manifest, offers, poll_in

B = image_ref("https://o.test/b.img")
SHA = "5" * 64


def test_what_upstream_would_change_is_shown_and_that_very_catalog_taken(
    house: Site, host: FileHost
) -> None:
    offers(host, image("a.img", sha256=SHA), image("b.img"), image("c.img"))
    house.services.upstream.take(ip=None)
    bind(house, B, 22)
    offers(host, image("a.img", sha256="6" * 64), image("new.img"))
    visit = house.visit()

    began = visit.post("/ui/catalog/fetch")
    waiting = visit.get("/ui/catalog/fetch").text
    do_jobs(house.services.jobs)
    text = visit.get("/ui/catalog/fetch").text

    assert began.headers["location"] == "/ui/catalog/fetch"
    assert 'http-equiv="refresh"' in waiting
    assert "Waits" in waiting
    assert 'http-equiv="refresh"' not in text
    assert "Taking it: 1 new, 1 changed, 1 removed, 1 gone but needed" in text
    assert f"<del><bdi>{SHA}</bdi></del> → <ins><bdi>{'6' * 64}</bdi></ins>" in text
    assert 'href="/ui/machines/52:54:00:12:34:00"' in text
    assert "and 2 more" in text
    assert len(house.services.catalog.entries()) == 3

    digest = re.search(r'name="expected" value="([0-9a-f]{64})"', text)
    assert digest is not None
    visit.post("/ui/catalog/fetch-release", expected=digest[1])
    do_jobs(house.services.jobs)

    assert [e.name for e in house.services.catalog.entries()] == ["a.img", "b.img", "new.img"]
    after = visit.get("/ui/catalog/fetch").text
    assert "Done" in after
    assert "Nothing would change" in after
    assert "taken last: <time" in visit.get("/ui/catalog").text


def test_a_machine_that_is_bound_after_the_look_is_named(house: Site, host: FileHost) -> None:
    offers(host, image("a.img"), image("b.img"))
    house.services.upstream.take(ip=None)
    offers(host, image("a.img"))
    visit = house.visit()
    visit.post("/ui/catalog/fetch")
    do_jobs(house.services.jobs)
    poll = poll_in(visit.get("/ui/catalog/fetch").text)
    assert visit.get(poll).status_code == 204

    bind(house, B)

    text = visit.get("/ui/catalog/fetch").text
    assert "0 removed, 1 gone but needed" in text
    assert 'href="/ui/machines/52:54:00:12:34:00"' in text
    assert visit.get(poll).status_code == 200


def test_another_catalog_than_was_shown_is_not_taken(house: Site, host: FileHost) -> None:
    offers(host, image("a.img"))
    visit = house.visit()

    visit.post("/ui/catalog/fetch-release", expected="0" * 64)
    do_jobs(house.services.jobs)

    text = visit.get("/ui/catalog/fetch").text
    assert "has changed since it was shown: look again" in text
    assert "Failed" in text
    assert house.services.catalog.entries() == []


def test_a_catalog_that_has_shrunk_warns_and_is_taken_when_that_is_meant(
    house: Site, host: FileHost
) -> None:
    offers(host, *(image(f"{n}.img") for n in range(6)))
    house.services.upstream.take(ip=None)
    offers(host, image("0.img"))
    visit = house.visit()
    visit.post("/ui/catalog/fetch")
    do_jobs(house.services.jobs)
    text = visit.get("/ui/catalog/fetch").text
    assert "It lists 5 of 6 images no more" in text
    assert 'name="allow_shrink" value="1"' in text

    visit.post("/ui/catalog/fetch-release")
    do_jobs(house.services.jobs)
    assert "allow it to shrink" in visit.get("/ui/catalog/fetch").text
    visit.post("/ui/catalog/fetch-release", allow_shrink="1")
    do_jobs(house.services.jobs)

    assert [e.name for e in house.services.catalog.entries()] == ["0.img"]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (None, "answers 404"),
        (manifest(image("a"), image("b", sha256="zz")), "catalog entry 2 (name 'b'): sha256: must"),
    ],
)
def test_a_catalog_that_cannot_be_had_says_why_on_its_card(
    house: Site, host: FileHost, data: bytes | None, sentence: str
) -> None:
    if data:
        host.files["/catalog.toml"] = data
    visit = house.visit()
    visit.post("/ui/catalog/fetch")
    do_jobs(house.services.jobs)

    for path in ("/ui/catalog/fetch", "/ui/catalog"):
        text = unescape(visit.get(path).text)
        assert sentence in text
        assert "Failed" in text
    assert "Look again" in visit.get("/ui/catalog/fetch").text
    assert "Take it" not in visit.get("/ui/catalog/fetch").text


def test_what_was_seen_elsewhere_is_not_shown_for_a_new_source(house: Site, host: FileHost) -> None:
    offers(host, image("a.img"))
    visit = house.visit()
    visit.post("/ui/catalog/fetch")
    do_jobs(house.services.jobs)

    follow(house.database, "https://new.test/c.toml")

    assert "Taking it" not in visit.get("/ui/catalog/fetch").text


def test_a_look_that_fails_leaves_nothing_old_to_take(house: Site, host: FileHost) -> None:
    offers(host, image("a.img"))
    visit = house.visit()
    visit.post("/ui/catalog/fetch")
    do_jobs(house.services.jobs)
    assert "Taking it: 1 new" in visit.get("/ui/catalog/fetch").text
    del host.files["/catalog.toml"]

    visit.post("/ui/catalog/fetch")
    do_jobs(house.services.jobs)

    text = visit.get("/ui/catalog/fetch").text
    assert "answers 404" in text
    assert "Take it" not in text
