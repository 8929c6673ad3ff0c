"""Entries, and how a manifest changes what is known."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain.catalog import (
    CatalogEntry,
    Change,
    ManifestEntry,
    added_entry,
    entry_of,
    merged,
    new_image,
    refreshed,
)
from bty_app.domain.image_source import image_ref
from bty_app.errors import ValidationError

SRC = "https://ex.com/deb-amd64.img.gz"
OLD, NEW = "1" * 64, "2" * 64
LISTED = ManifestEntry(image_ref(SRC), SRC, "deb", sha256=OLD, format="img.gz", size_bytes=5)
KNOWN = entry_of(LISTED, added_at="2026-01-01")


def test_an_http_image_resolves_to_its_own_source() -> None:
    assert KNOWN.resolved_src == SRC
    assert KNOWN.disk_image_sha == OLD


def test_an_oras_image_is_not_resolved_by_listing_it() -> None:
    src = "oras://ghcr.io/o/r:1"

    assert entry_of(ManifestEntry(image_ref(src), src, "x"), added_at="t").resolved_src is None


def test_a_manifest_that_says_the_same_changes_nothing() -> None:
    assert refreshed(KNOWN, LISTED) == (KNOWN, [])


def test_a_new_digest_and_size_upstream_are_taken_and_told() -> None:
    now, changes = refreshed(KNOWN, replace(LISTED, sha256=NEW, size_bytes=6))

    assert (now.disk_image_sha, now.size_bytes) == (NEW, 6)
    assert changes == [Change("disk_image_sha", OLD, NEW), Change("size_bytes", 5, 6)]


def test_a_silent_manifest_takes_nothing_away() -> None:
    silent = ManifestEntry(LISTED.ref, SRC, "deb")

    assert refreshed(KNOWN, silent) == (KNOWN, [])


def test_a_new_name_or_spelling_upstream_leaves_the_entry_as_operators_know_it() -> None:
    other = replace(LISTED, name="renamed", src="HTTPS://ex.com/deb-amd64.img.gz")

    assert refreshed(KNOWN, other) == (KNOWN, [])


def test_an_entry_with_its_own_checksum_source_is_left_alone() -> None:
    own = replace(KNOWN, sha_url="https://ex.com/SHA256SUMS")

    assert refreshed(own, replace(LISTED, sha256=NEW)) == (own, [])


def test_a_merge_sorts_images_into_new_changed_kept_and_repeated() -> None:
    fresh = ManifestEntry(image_ref("http://h/new"), "http://h/new", "new")
    again = replace(fresh, name="new again", src="HTTP://h/new")
    same_src = "http://h/same"
    same = ManifestEntry(image_ref(same_src), same_src, "same")
    known = {str(KNOWN.bty_image_ref): KNOWN, str(same.ref): entry_of(same, added_at="t")}

    merge = merged(known, [fresh, replace(LISTED, sha256=NEW), same, again], added_at="now")

    assert [entry.name for entry in merge.added] == ["new"]
    assert [entry.added_at for entry in merge.added] == ["now"]
    assert [update.entry.disk_image_sha for update in merge.updated] == [NEW]
    assert [(item.name, item.first_name) for item in merge.repeated] == [("new again", "new")]
    assert merge.kept == 1


@given(st.lists(st.integers(0, 3)), st.lists(st.integers(0, 3)))
def test_taking_a_manifest_in_twice_changes_nothing_the_second_time(
    before: list[int], listed: list[int]
) -> None:
    def entry(number: int, sha: str) -> ManifestEntry:
        src = f"http://h/{number}"
        return ManifestEntry(image_ref(src), src, f"{number}", sha256=sha)

    known = {str(entry(n, OLD).ref): entry_of(entry(n, OLD), added_at="t") for n in before}
    manifest = [entry(number, NEW) for number in listed]
    first = merged(known, manifest, added_at="t")
    for row in (*first.added, *(update.entry for update in first.updated)):
        known[row.bty_image_ref] = row

    second = merged(known, manifest, added_at="t")

    assert (second.added, second.updated) == ((), ())
    assert second.kept + len(second.repeated) == len(manifest)


# -- adding by URL -----------------------------------------------------------------------------


def test_a_url_gives_name_format_and_architecture() -> None:
    image = new_image(SRC, sha_url=None, ref=image_ref(SRC))

    entry = added_entry(image, sha256=None, size_bytes=7, added_at="now")

    assert entry == CatalogEntry(
        bty_image_ref=image_ref(SRC),
        src=SRC,
        name="deb-amd64.img.gz",
        added_at="now",
        resolved_src=SRC,
        format="img.gz",
        size_bytes=7,
        arch="x86_64",
    )


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "must start with"),
        ("ftp://h/a.img", "must start with"),
        ("HTTP://h/a.img", "must start with"),
        ("file:///a.img", "must start with"),
        ("oras://g.io/o/r", "oras://host[:port]"),
        ("http:///a.img", "must start with"),
        ("http://host:notaport/x.img", "port"),
        ("http://[::1/x.img", "brackets"),
        ("http://[zz]/x.img", "IPv6"),
        ("http://h:99999/x.img", "port"),
        ("https://h", "the file name"),
        ("https://h/", "the file name"),
        ("https://h/d/..", "the file name"),
        ("https://h/" + "a" * 256, "longer than 255"),
        ("https://h/a\nb", "control characters"),
        ("https://h/a\ud800", "control characters"),
        (" https://h/a", "must start with"),
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_a_bad_address_is_refused_with_a_sentence(url: str, reason: str) -> None:
    with pytest.raises(ValidationError) as caught:
        new_image(url, sha_url=None, ref=None)

    assert caught.value.message.startswith("image_url: ")
    assert reason in caught.value.message


@pytest.mark.parametrize(
    "src",
    [
        "oras://g.io:5000/o/Debian:12",
        "ORAS://g.io/o/sub/Debian:12",
        f"oras://g.io/o/Debian@sha256:{'a' * 64}",
    ],
)
def test_an_image_in_a_registry_is_called_as_its_repository(src: str) -> None:
    image = new_image(src, sha_url=None, ref=None)

    assert (image.name, image.ref, image.src) == ("Debian", image_ref(src), src)


def test_a_bad_checksum_address_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"^sha_url: "):
        new_image(SRC, sha_url="http://h:x/", ref=None)


def test_a_ref_of_another_image_is_refused() -> None:
    with pytest.raises(ValidationError, match=r"^ref: "):
        new_image(SRC, sha_url=None, ref="0" * 64)


@given(st.text() | st.text().map(lambda text: f"http://{text}"))
def test_any_address_is_an_image_or_a_validation_error(url: str) -> None:
    try:
        image = new_image(url, sha_url=None, ref=None)
    except ValidationError:
        return

    assert image.name
