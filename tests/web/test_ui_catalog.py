"""The catalog's pages."""

from __future__ import annotations

import re
from collections.abc import Callable
from html import unescape
from typing import Any
from urllib.parse import urlencode

import falcon.testing
import pytest

from bty_app.domain.cache_state import CacheKind, CacheState
from bty_app.domain.image_source import image_ref
from bty_app.domain.jobs import Job, State, Step
from bty_app.domain.mac import Mac
from bty_app.domain.machine import Assignment
from bty_app.services.catalog_checks import Checked
from bty_app.store import settings
from bty_app.web.ui.catalog_query import CatalogQuery
from bty_app.web.ui.catalog_words import cache_mark, check_mark
from tests.file_host import FileHost
from tests.web.site import AT, Site, Visit, form
from tests.web.test_ui_machines import HOSTILE
from tests.web.upstream import add, bind, do_jobs, entry, follow, image, manifest, offers, poll_in

A = image_ref("https://o.test/a.img")
B = image_ref("https://o.test/b.img")
SHA = "5" * 64


def names_in(text: str) -> list[str]:
    return re.findall(r'id="i-[0-9a-f]{16}" [^>]*><bdi>([^<]*)</bdi>', text)


def upload(visit: Visit, data: bytes, **more: Any) -> falcon.testing.Result:
    token = more.get("token", visit.csrf_token())
    body = (
        b'--x\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\n'
        + token.encode()
        + b'\r\n--x\r\nContent-Disposition: form-data; name="file"; filename="'
        + more.get("filename", "catalog.toml").encode()
        + b'"\r\nContent-Type: application/toml\r\n\r\n'
        + data
        + b"\r\n--x--\r\n"
    )
    headers = {
        "Cookie": f"bty-token={visit.token}",
        "Content-Type": "multipart/form-data; boundary=x",
        "Accept": "text/html",
    }
    return visit.site.client().simulate_post("/ui/catalog/upload", headers=headers, body=body)


# -- the list ----------------------------------------------------------------------------------


def test_an_empty_catalog_shows_the_next_step(house: Site) -> None:
    text = house.visit().get("/ui/catalog").text

    assert "The catalog is empty" in text
    assert "Fetch latest catalog" in text
    assert "https://github.com/safl/nosi/releases/latest/download/catalog.toml" in text
    assert 'href="#add"' in text
    assert 'href="#upload"' in text


def test_an_image_is_shown_with_what_is_known_of_it(house: Site) -> None:
    add(
        house.database,
        entry(
            "a.img.zst",
            src="https://me:secret@o.test/a.img.zst",
            disk_image_sha=SHA,
            format="img.zst",
            arch="arm64",
            size_bytes=3 * 2**30,
        ),
    )
    ref = image_ref("https://o.test/a.img.zst")
    bind(house, ref, 2)

    text = house.visit().get("/ui/catalog").text

    assert names_in(text) == ["a.img.zst"]
    for shown in (
        "img.zst, arm64",
        "3.0 GiB",
        f'title="{SHA}">555555555555<',
        "https://o.test/a.img.zst",
        f'href="/ui/machines?image={ref}">2 machines</a>',
        "no cache",
    ):
        assert shown in text
    assert "secret" not in text
    machines = house.visit().get(f"/ui/machines?image={ref}").text
    assert "2 machines match · image <bdi>a.img.zst</bdi>" in machines


def test_machines_of_another_image_are_left_out(house: Site) -> None:
    bind(house, A, 3)
    house.add_machine(Mac("52:54:00:00:00:99"), Assignment(image_ref=B))

    text = house.visit().get(f"/ui/machines?image={B}").text

    assert re.findall(r'id="m-([0-9a-f:]{17})"', text) == ["52:54:00:00:00:99"]
    assert re.search(rf'<option value="{B}" selected>', text)


@pytest.fixture
def full(house: Site) -> Site:
    add(
        house.database,
        entry("a.img", disk_image_sha=SHA, description="Nightly Débian"),
        entry("b.img", src="https://user:pw@b.test/b.img", upstream="https://u/c", gone_at=AT),
        entry("C%_!.img", disk_image_sha=SHA),
    )
    bind(house, A)
    return house


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", ["a.img", "b.img", "C%_!.img"]),
        ("q=A.IMG", ["a.img"]),
        ("q=d%C3%A9bian", ["a.img"]),
        ("q=b.test", ["b.img"]),
        ("q=pw", []),
        (f"q={A[:7]}", ["a.img"]),
        ("q=%25_", ["C%_!.img"]),
        ("q=nothing", []),
        ("filter=used", ["a.img"]),
        ("filter=unused", ["b.img", "C%_!.img"]),
        ("filter=gone", ["b.img"]),
        ("filter=undigested", ["b.img"]),
        ("filter=used&q=b", ["a.img"]),
        ("sort=name", ["a.img", "b.img", "C%_!.img"]),
        ("sort=name&dir=desc", ["C%_!.img", "b.img", "a.img"]),
        ("sort=evil&filter=zz&page=x&per_page=7&dir=up", ["a.img", "b.img", "C%_!.img"]),
        ("page=99", ["a.img", "b.img", "C%_!.img"]),
        ("q=%ff%00", []),
    ],
)
def test_images_are_searched_filtered_and_sorted(full: Site, query: str, found: list[str]) -> None:
    answer = full.visit().get(f"/ui/catalog?{query}")

    assert answer.status_code == 200
    assert names_in(answer.text) == found


def test_images_are_paged_and_the_page_is_in_the_address(house: Site) -> None:
    add(house.database, *(entry(f"{number:02}.img") for number in range(30)))

    text = house.visit().get("/ui/catalog?per_page=10&page=3&sort=name").text

    assert names_in(text) == [f"{number}.img" for number in range(20, 30)]
    assert "Page 3 of 3" in text
    assert "30 images" in text


def test_the_address_says_only_what_is_unusual() -> None:
    assert CatalogQuery().address() == ""
    assert CatalogQuery(q="a b", filter="gone", page=2).address() == "q=a+b&filter=gone&page=2"


def test_the_old_address_leads_here(house: Site) -> None:
    answer = house.visit().get("/ui/images")

    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/catalog")


@pytest.mark.parametrize(
    "happens",
    [
        lambda house: add(house.database, entry("new.img")),
        lambda house: bind(house, A),
        lambda house: house.services.jobs.submit("warm", A, "warm", lambda _t: ""),
        lambda house: follow(house.database, "https://new.test/c.toml"),
        lambda house: house.services.last_checks.note(Checked(entry("a.img"), AT)),
    ],
)
def test_a_poll_gets_nothing_until_something_changes(
    house: Site, happens: Callable[[Site], object]
) -> None:
    add(house.database, entry("a.img"))
    visit = house.visit()
    address = poll_in(visit.get("/ui/catalog?q=img").text)
    assert "q=img" in address
    assert visit.get(address).status_code == 204

    happens(house)

    answer = visit.get(address)
    assert answer.status_code == 200
    assert 'id="failures"' in answer.text
    assert "csrf" not in answer.text


# -- one by its URL ----------------------------------------------------------------------------


def test_an_image_is_added_by_its_url(house: Site, host: FileHost) -> None:
    host.files |= {"/d.img": b"12345", "/sums": f"{SHA}  d.img\n".encode()}
    visit = house.visit()

    answer = visit.post(
        "/ui/catalog/entries", image_url=f" {host.url('/d.img')} ", sha_url=host.url("/sums")
    )

    assert (answer.status_code, answer.headers["location"]) == (303, "/ui/catalog?added=d.img")
    (added,) = house.services.catalog.entries()
    assert (added.name, added.size_bytes, added.disk_image_sha) == ("d.img", 5, SHA)
    assert "<bdi>d.img</bdi> was added" in visit.get(answer.headers["location"]).text


@pytest.mark.parametrize(
    ("given", "status", "field", "sentence"),
    [
        (("", ""), 422, "image_url", "must start with http"),
        (("ftp://x/y.img", ""), 422, "image_url", "must start with http"),
        (("{host}/", ""), 422, "image_url", "the file name at the end of its path is missing"),
        (("{host}/a.img", "x"), 422, "sha_url", "must start with http"),
        (("{host}/a.img", "{host}/none"), 400, "sha_url", "answers 404"),
        (("{host}/a.img", "{host}/empty"), 400, "sha_url", "the checksum file is empty"),
        (("oras://127.0.0.1:9/a/b:1", ""), 400, "image_url", "127.0.0.1:9"),
        (("oras://h/a/b:1", "{host}/sums"), 422, "sha_url", "leave it out"),
        (("https://o.test/known.img", ""), 409, "image_url", "is in the catalog already"),
    ],
)
def test_a_problem_is_shown_beside_its_field_and_what_was_entered_is_kept(
    house: Site,
    host: FileHost,
    given: tuple[str, str],
    status: int,
    field: str,
    sentence: str,
) -> None:
    host.files["/empty"] = b""
    add(house.database, entry("known.img"))
    base = host.url("")
    image_url, sha_url = (url.format(host=base) for url in given)

    answer = house.visit().post("/ui/catalog/entries", image_url=image_url, sha_url=sha_url)

    assert answer.status_code == status
    problem = re.search(rf'id="problem-{field}"[^>]*><bdi>([^<]*)', answer.text)
    assert problem is not None
    assert sentence in unescape(problem[1])
    assert re.search(rf'id="{field}"[^>]*aria-describedby="problem-{field}"', answer.text)
    assert all(f'value="{text}"' in answer.text for text in (image_url, sha_url) if text)
    assert len(house.services.catalog.entries()) == 1


# -- a file ------------------------------------------------------------------------------------


def test_a_catalog_is_uploaded(house: Site) -> None:
    visit = house.visit()

    answer = upload(visit, manifest(image("a.img"), image("b.img")))

    assert answer.status_code == 303
    assert "2 new, 0 changed, 0 unchanged" in visit.get(answer.headers["location"]).text
    assert [e.name for e in house.services.catalog.entries()] == ["a.img", "b.img"]


def test_an_upload_may_be_as_large_as_a_catalog(house: Site) -> None:
    text = manifest(image("a.img"))

    assert upload(house.visit(), text + b"#" * (2**20 - len(text))).status_code == 303


@pytest.mark.parametrize(
    ("data", "status", "sentence"),
    [
        (b"#" * (2**20 + 1), 400, "larger than 1024 KiB"),
        (manifest(image("a"), image("<b>", format="x y")), 400, "catalog entry 2"),
        (manifest(image("a"), image("a")), 400, "entry 1 has it already"),
        (b"\xff\xfe", 400, "not UTF-8"),
        (b"version = 1\n[[images]", 400, "not valid TOML"),
    ],
)
def test_an_upload_that_is_not_valid_says_why_and_changes_nothing(
    house: Site, data: bytes, status: int, sentence: str
) -> None:
    answer = upload(house.visit(), data)

    assert answer.status_code == status
    problem = re.search(r'id="problem-file"[^>]*><bdi>([^<]*)', answer.text)
    assert problem is not None
    assert sentence in problem[1]
    assert house.services.catalog.entries() == []


def test_an_upload_that_is_far_too_large_is_refused_before_it_is_read(house: Site) -> None:
    answer = upload(house.visit(), b"#" * (2 * 2**20))

    assert answer.status_code == 413
    assert "That was not possible" in answer.text


def test_no_other_form_may_be_that_large(house: Site) -> None:
    visit = house.visit()
    body = b"--x\r\nContent-Disposition: form-data; name=a\r\n\r\n" + b"#" * 70_000 + b"\r\n--x--"
    headers = {
        "Cookie": f"bty-token={visit.token}",
        "Content-Type": "multipart/form-data; boundary=x",
    }

    answer = house.client().simulate_post("/ui/catalog/entries", headers=headers, body=body)

    assert answer.status_code == 413


def test_an_upload_needs_the_token_and_a_file(house: Site) -> None:
    visit = house.visit()

    assert upload(visit, manifest(image("a.img")), token="made up").status_code == 403
    nothing = upload(visit, b"", filename="")
    assert nothing.status_code == 422
    assert "choose a file" in nothing.text
    assert house.services.catalog.entries() == []


# -- check and warm ----------------------------------------------------------------------------


def test_a_script_that_checks_an_image_gets_the_report(house: Site, host: FileHost) -> None:
    host.files["/a.img"] = b"12345"
    add(house.database, entry("a.img", src=host.url("/a.img"), size_bytes=5))

    report = house.visit().post("/ui/catalog/entries/check", src=host.url("/a.img")).json

    assert report["origin"]["reachable"] is True
    assert report["src"] == host.url("/a.img")
    assert "as the catalog says" in house.visit().get("/ui/catalog").text


def test_a_page_checks_an_image_by_a_job_and_goes_back(house: Site, host: FileHost) -> None:
    add(house.database, entry("a.img", src=host.url("/a.img"), disk_image_sha=SHA))
    visit = house.visit()
    fields = {
        "src": image_ref(host.url("/a.img")),
        "return_to": "/ui/catalog?q=a",
        "csrf_token": visit.csrf_token(),
    }
    cookie = {"Cookie": f"bty-token={visit.token}", "Accept": "text/html"}

    for _twice in range(2):
        answer = house.client().simulate_post("/ui/catalog/entries/check", **form(cookie, **fields))
        assert (answer.status_code, answer.headers["location"]) == (303, "/ui/catalog?q=a")
    do_jobs(house.services.jobs)

    assert len(house.services.jobs.listed("catalog-check")) == 1
    assert "no good answer" in visit.get("/ui/catalog").text


def test_all_are_checked_and_the_card_has_the_sum_and_can_be_cancelled(
    house: Site, host: FileHost
) -> None:
    add(house.database, entry("a.img", src=host.url("/a.img")))
    visit = house.visit()

    assert visit.post("/ui/catalog/check").headers["location"] == "/ui/catalog"
    (job,) = house.services.jobs.listed()
    assert f'formaction="/ui/jobs/{job.id}/cancel"' in visit.get("/ui/catalog").text
    do_jobs(house.services.jobs)

    text = visit.get("/ui/catalog").text
    assert "0 as the catalog says, 0 different, 1 without a good answer" in text
    house.hands.forward(hours=1)
    add(house.database, entry("b.img"))
    assert "0 as the catalog says" not in visit.get("/ui/catalog").text


def test_what_an_origin_said_is_held_against_the_entry_as_it_is_now(house: Site) -> None:
    add(house.database, entry("a.img", size_bytes=5, disk_image_sha=SHA))
    house.services.last_checks.note(Checked(entry("a.img"), AT, 5, "6" * 64))
    visit = house.visit()
    assert "another digest" in visit.get("/ui/catalog").text

    house.services.catalog.edit(A, {"sha256": "6" * 64}, expected={"sha256": SHA}, ip=None)

    assert "as the catalog says" in visit.get("/ui/catalog").text


def test_an_image_is_warmed_by_a_job(house: Site) -> None:
    add(house.database, entry("a.img"))
    visit = house.visit()
    assert "/ui/catalog/entries/warm" not in visit.get("/ui/catalog").text
    assert visit.post("/ui/catalog/entries/warm", src=A).status_code == 409
    base = "http://127.0.0.1:9"
    house.database.write(lambda tx: settings.put(tx, "withcache.url", base, at=AT))
    assert "/ui/catalog/entries/warm" in visit.get("/ui/catalog").text

    answer = visit.post("/ui/catalog/entries/warm?force=1", src=A)

    assert answer.status_code == 303
    waiting = visit.get("/ui/catalog").text
    assert "warming</span><small>waiting</small>" in waiting
    assert f'id="warm-{A[:16]}"' not in waiting
    do_jobs(house.services.jobs)
    assert "Failed" in visit.get("/ui/catalog").text


def test_an_image_that_is_not_there_is_not_found(house: Site) -> None:
    visit = house.visit()

    assert visit.post("/ui/catalog/entries/check", src="x").status_code == 404
    assert visit.post("/ui/catalog/entries/check").status_code == 422
    for path in ("", "/delete"):
        assert visit.get(f"/ui/catalog/entries/{A}{path}").status_code == 404
    assert visit.post(f"/ui/catalog/entries/{A}").status_code == 404
    assert visit.post(f"/ui/catalog/entries/{A}/delete").status_code == 404


@pytest.mark.parametrize("kind", CacheKind)
def test_every_state_of_the_cache_has_its_words(kind: CacheKind) -> None:
    mark = cache_mark(CacheState(kind, None, None, None), None)

    assert (mark is None) == (kind is CacheKind.NOT_CONFIGURED)
    assert mark is None or mark.words


def test_a_warm_job_is_shown_whatever_the_cache_says() -> None:
    job = Job("1", "warm", A, "warm a", State.RUNNING, Step("fetching, 4 s"), 0.0)
    mark = cache_mark(CacheState(CacheKind.AWAY, None, None, None), job)

    assert mark is not None
    assert (mark.words, mark.more) == ("warming", "fetching, 4 s")


@pytest.mark.parametrize(
    ("checked", "words"),
    [
        (Checked(entry("a", size_bytes=1), AT, 1), "as the catalog says"),
        (Checked(entry("a", size_bytes=1), AT, 2), "another size"),
        (
            Checked(entry("a", size_bytes=1, disk_image_sha=SHA), AT, 2, "6" * 64),
            "another digest and another size",
        ),
        (Checked(entry("a"), AT, error="it is away"), "no good answer"),
    ],
)
def test_every_result_of_a_check_has_its_words(checked: Checked, words: str) -> None:
    assert check_mark(checked).words == words


# -- what others say ---------------------------------------------------------------------------


@pytest.mark.parametrize("hostile", [*HOSTILE, "x" * 200])
def test_what_others_say_is_shown_as_text(house: Site, host: FileHost, hostile: str) -> None:
    src = "https://o.test/a.img"
    evil = entry(
        *(hostile,),
        src=src,
        description=hostile,
        format=hostile,
        arch=hostile,
        disk_image_sha=hostile,
        upstream=hostile,
        gone_at=hostile,
        sha_url=hostile,
        mirrors=(hostile,),
    )
    add(house.database, evil)
    house.services.last_checks.note(Checked(evil, hostile, error=hostile))
    house.services.jobs.submit("warm", A, hostile, lambda _t: hostile)
    offers(host, {"name": hostile, "src": "https://o.test/n"}, image("a", description=hostile))
    house.services.catalog_jobs.look()
    do_jobs(house.services.jobs)
    visit = house.visit()
    names = ("q", "filter", "sort", "dir", "added", "deleted", "uploaded", "saved")
    query = urlencode(dict.fromkeys(names, hostile))

    for path in (
        "/ui/catalog",
        "/ui/catalog/rows",
        "/ui/catalog/fetch",
        f"/ui/catalog/entries/{A}",
        f"/ui/catalog/entries/{A}/delete",
    ):
        for address in (path, f"{path}?{query}"):
            answer = visit.get(address)
            assert answer.status_code == 200, address
            assert "49" not in re.findall(r">\s*(49)\s*<", answer.text)
            for raw in ("<script>alert", "<img src=x", "<svg/onload", '="><', "</textarea></sel"):
                assert raw not in answer.text, path
