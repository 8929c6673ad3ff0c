"""One image is edited, or deleted."""

from __future__ import annotations

import re
from html import unescape

import pytest

from bty_app.domain.catalog import CatalogEntry
from bty_app.domain.image_source import image_ref
from tests.web.site import Site, Visit
from tests.web.upstream import add, bind, entry

A = image_ref("https://o.test/a.img")
SHA = "5" * 64


def edit_form(visit: Visit, ref: str = A) -> dict[str, str]:
    """The form as a browser would send it back."""
    text = visit.get(f"/ui/catalog/entries/{ref}").text
    found = re.search(r"<form class=\"card stack\".*?</form>", text, re.DOTALL)
    assert found is not None
    inputs = dict(re.findall(r'<input [^>]*name="(\w+)"[^>]*value="([^"]*)"', found[0]))
    areas = re.findall(r'<textarea [^>]*name="(\w+)"[^>]*>\n?(.*?)</textarea>', found[0], re.DOTALL)
    fields = {name: unescape(value) for name, value in (inputs | dict(areas)).items()}
    return {name: value.replace("\n", "\r\n") for name, value in fields.items()}


def stored(house: Site, ref: str = A) -> CatalogEntry:
    return house.services.catalog.entry(ref)


def test_a_form_that_is_sent_back_as_it_was_changes_nothing(house: Site) -> None:
    mirrors = ("http://m.test/1", "http://m.test/2")
    add(house.database, entry("a.img", description=" two\n\nlines\n", mirrors=mirrors))
    before, visit = stored(house), house.visit()

    answer = visit.post(f"/ui/catalog/entries/{A}", **edit_form(visit))

    assert answer.status_code == 303
    assert stored(house) == before


def test_an_image_is_edited(house: Site) -> None:
    add(house.database, entry("a.img", disk_image_sha=SHA, format="img", description="old"))
    visit = house.visit()
    changed = {
        "name": " Débian 13 ",
        "description": "two\r\nlines",
        "sha256": "A" * 64,
        "format": "img.zst",
        "arch": "arm64",
        "mirrors": "http://m.test/1\r\n\r\n  http://m.test/2",
    }

    answer = visit.post(f"/ui/catalog/entries/{A}", **(edit_form(visit) | changed))

    assert answer.headers["location"] == f"/ui/catalog/entries/{A}?saved=1"
    assert "Saved." in visit.get(answer.headers["location"]).text
    found = stored(house)
    assert (found.name, found.description) == ("Débian 13", "two\nlines")
    assert (found.disk_image_sha, found.format, found.arch) == ("a" * 64, "img.zst", "arm64")
    assert found.mirrors == ("http://m.test/1", "http://m.test/2")


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("name", "", "is missing"),
        ("name", "x" * 256, "longer than 255"),
        ("sha256", "abc", "must be 64 hexadecimal digits"),
        ("format", "a/b", "is not a short plain word"),
        ("arch", "\u202e", "is not a short plain word"),
        ("mirrors", "ftp://m/x", "is no http or https URL"),
        ("mirrors", "http://u:p@m.test/x", "has credentials in it"),
        ("description", "x" * 4097, "longer than 4096"),
    ],
)
def test_what_cannot_be_is_refused_beside_its_field_and_kept(
    house: Site, field: str, value: str, sentence: str
) -> None:
    add(house.database, entry("a.img"))
    before, visit = stored(house), house.visit()
    fields = edit_form(visit) | {"description": "kept"} | {field: value}

    answer = visit.post(f"/ui/catalog/entries/{A}", **fields)

    assert answer.status_code == 422
    problem = re.search(rf'id="problem-{field}"[^>]*><bdi>([^<]*)', answer.text)
    assert problem is not None
    assert sentence in problem[1]
    assert field == "description" or "kept</textarea>" in answer.text
    assert stored(house) == before


def test_two_editors_of_different_fields_do_not_undo_each_other(house: Site) -> None:
    add(house.database, entry("a.img"))
    one, two = house.visit(), house.visit()
    first, second = edit_form(one), edit_form(two)

    one.post(f"/ui/catalog/entries/{A}", **(first | {"name": "renamed"}))
    two.post(f"/ui/catalog/entries/{A}", **(second | {"description": "described"}))

    found = stored(house)
    assert (found.name, found.description) == ("renamed", "described")


def test_of_two_editors_of_one_field_the_second_sees_what_the_first_did(house: Site) -> None:
    add(house.database, entry("a.img"))
    one, two = house.visit(), house.visit()
    first, second = edit_form(one), edit_form(two)
    one.post(f"/ui/catalog/entries/{A}", **(first | {"name": "first", "description": "of one"}))

    answer = two.post(f"/ui/catalog/entries/{A}", **(second | {"name": "second"}))

    assert answer.status_code == 409
    assert "it was changed meanwhile, and is &#39;first&#39; now" in answer.text
    assert 'value="second"' in answer.text
    assert "of one</textarea>" in answer.text
    assert stored(house).name == "first"
    token = re.search(r'name="expected" value="([^"]*)"', answer.text)
    assert token is not None
    again = second | {"name": "second", "description": "of one", "expected": unescape(token[1])}
    two.post(f"/ui/catalog/entries/{A}", **again)
    assert (stored(house).name, stored(house).description) == ("second", "of one")


@pytest.mark.parametrize("expected", ["", "x", "[]", "{}", '{"name": "a.img"}', "null"])
def test_a_form_that_does_not_say_what_was_is_refused(house: Site, expected: str) -> None:
    add(house.database, entry("a.img"))

    answer = house.visit().post(f"/ui/catalog/entries/{A}", name="x", expected=expected)

    assert answer.status_code == 422
    assert stored(house).name == "a.img"


def test_deleting_asks_first_and_says_that_it_comes_back(house: Site) -> None:
    add(house.database, entry("a.img", upstream="https://u.test/c.toml"))
    visit = house.visit()

    text = visit.get(f"/ui/catalog/entries/{A}/delete").text
    assert "It comes back with the next catalog that is taken from" in text
    assert stored(house).name == "a.img"

    answer = visit.post(f"/ui/catalog/entries/{A}/delete")
    assert answer.headers["location"] == "/ui/catalog?deleted=a.img"
    assert "<bdi>a.img</bdi> was removed" in visit.get(answer.headers["location"]).text
    assert house.services.catalog.entries() == []


def test_an_image_that_machines_need_is_not_deleted_and_they_are_listed(house: Site) -> None:
    add(house.database, entry("a.img"))
    bind(house, A, 22)
    visit = house.visit()

    shown = visit.get(f"/ui/catalog/entries/{A}/delete")
    refused = visit.post(f"/ui/catalog/entries/{A}/delete")

    assert (shown.status_code, refused.status_code) == (200, 409)
    for answer in (shown, refused):
        assert "22 machines are bound to it" in answer.text
        assert 'href="/ui/machines/52:54:00:12:34:00"' in answer.text
        assert f'href="/ui/machines?image={A}">all 22' in answer.text
        assert "Delete it" not in answer.text
    assert stored(house).bty_image_ref == A
