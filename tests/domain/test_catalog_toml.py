"""catalog.toml version 1, read and written."""

from __future__ import annotations

import contextlib
import tomllib
from collections.abc import Mapping

import pytest
import tomli_w
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain.catalog import CatalogEntry, ManifestEntry
from bty_app.domain.catalog_toml import MAX_SIZE_BYTES, parse_catalog, render_catalog
from bty_app.domain.image_source import ImageRef, image_ref
from bty_app.errors import InvalidInputError

SHA = "5" * 64
SRC = "https://ex.com/a.img.gz"


def entry(
    name: str = "a.img.gz", src: str = SRC, sha: str | None = SHA, **columns: object
) -> CatalogEntry:
    ref = columns.pop("ref", None) or image_ref(src)
    return CatalogEntry(ref, src, name, "2026-01-01", disk_image_sha=sha, **columns)  # type: ignore[arg-type]


def catalog(*tables: Mapping[str, object], version: object = 1) -> bytes:
    return tomli_w.dumps({"version": version, "images": list(tables)}).encode()


# -- reading -----------------------------------------------------------------------------------


def test_an_entry_is_read_with_all_its_fields() -> None:
    data = f"""
        version = 1
        [[images]]
        name = "Debian sysdev"
        src = "{SRC}"
        sha256 = "{"AB" * 32}"
        ref = "{image_ref(SRC)}"
        format = "img.gz"
        arch = "arm64"
        size_bytes = 12
        description = "two\\nlines"
        netboot_ref = "of a newer producer"
    """

    assert parse_catalog(data.encode()) == (
        ManifestEntry(
            ref=image_ref(SRC),
            src=SRC,
            name="Debian sysdev",
            sha256="ab" * 32,
            format="img.gz",
            size_bytes=12,
            description="two\nlines",
            arch="arm64",
        ),
    )


def test_format_and_architecture_come_from_the_name_when_not_given() -> None:
    (found,) = parse_catalog(catalog({"name": "deb-amd64.IMG.ZST", "src": "oras://g.io/o/r:1"}))

    assert (found.format, found.arch) == ("img.zst", "x86_64")
    assert (found.sha256, found.size_bytes, found.description) == (None, None, None)


def test_a_catalog_may_be_empty() -> None:
    assert parse_catalog(b"version = 1\n") == ()


def with_fields(**fields: object) -> bytes:
    first = {"name": "first", "src": "https://ex.com/first.img"}
    return catalog(first, {"name": "second", "src": SRC, **fields})


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"name": ""}, "name: is empty"),
        ({"name": "a\nb"}, "name: has control characters"),
        ({"name": 7}, "name: must be a string, not 7"),
        ({"name": "x" * 256}, "name: is longer than 255"),
        ({"name": "first"}, "name: entry 1 has it already"),
        ({"src": "file:///etc/passwd"}, "src: file:// is refused"),
        ({"src": "FILE:///etc/passwd"}, "src: file:// is refused"),
        ({"src": "ftp://ex.com/a"}, "src: invalid image source"),
        ({"src": "http://host:notaport/x.img"}, "src: invalid image source"),
        ({"src": "https://ex.com/a\n"}, "src: has control characters"),
        ({"src": ["x"]}, "src: must be a string"),
        ({"sha256": "zz"}, "sha256: must be 64 hexadecimal digits"),
        ({"sha256": ""}, "sha256: must be 64 hexadecimal digits"),
        ({"sha256": 5}, "sha256: must be a string"),
        ({"ref": "0" * 64}, "ref: '0000"),
        ({"format": 'img"\nx = 1'}, "format: "),
        ({"format": ""}, "format: "),
        ({"arch": "a b"}, "arch: "),
        ({"size_bytes": True}, "size_bytes: must be a whole number, not True"),
        ({"size_bytes": 1.5}, "size_bytes: must be a whole number, not 1.5"),
        ({"size_bytes": -1}, "size_bytes: must be a whole number, not -1"),
        ({"size_bytes": 2**63}, "size_bytes: "),
        ({"size_bytes": 10**4000}, "a number of more than 30 digits"),
        ({"description": "\x1b[2J"}, "description: has control characters"),
        ({"description": "x" * 5000}, "description: is longer"),
        ({"description": {}}, "description: must be a string"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_bad_field_rejects_the_file_and_is_named(fields: dict[str, object], reason: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_catalog(with_fields(**fields))

    assert caught.value.message.startswith("catalog entry 2")
    assert reason in caught.value.message
    assert len(caught.value.message) < 600
    if isinstance(fields.get("name", ""), str):
        assert "(name " in caught.value.message


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "version nothing"),
        (b"version = true", "version True"),
        (b"version = 1.0", "version 1.0"),
        (b"version = '1'", "version '1'"),
        (b"version = 2", "version 2"),
        (b"version = 1\nimages = 5", "not an array"),
        (b"version = 1\nimages = [5]", "entry 1 is not a table"),
        (b"version = 1\n[[images]]\nsrc = 'http://x/a'", "entry 1: name: is missing"),
        (b"version = 1\n[[images]]\nname = 'a'", "entry 1 (name 'a'): src: is missing"),
        (b"version = 1\nversion = 1", "not valid TOML"),
        (b"version = 1\nx = \xff", "not UTF-8"),
        (b"x = " + b"[" * 100_000, "nested too deeply"),
        (b"version = " + b"9" * 5000, "the catalog"),
        (b"x" * (4 * 1024 * 1024 + 1), "larger than 4096 KiB"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_a_bad_file_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    with pytest.raises(InvalidInputError) as caught:
        parse_catalog(data)

    assert reason in caught.value.message


def test_the_limit_is_the_callers() -> None:
    with pytest.raises(InvalidInputError, match="larger than 1024 KiB"):
        parse_catalog(b" " * (1024 * 1024 + 1), limit=1024 * 1024)


@given(st.binary(max_size=200) | st.text(max_size=200).map(lambda s: s.encode("utf-8", "ignore")))
def test_any_bytes_are_a_catalog_or_invalid_input(data: bytes) -> None:
    with contextlib.suppress(InvalidInputError):
        parse_catalog(b"version = 1\n" + data)


# -- writing -----------------------------------------------------------------------------------


def test_the_catalog_is_written_as_clients_know_it() -> None:
    full = entry(format="img.gz", size_bytes=12, arch="x86_64", description="is not written")
    plain = entry("b", "http://ex.com/b")

    text = render_catalog([full, plain]).text

    assert text == (
        "version = 1\n"
        "\n"
        "[[images]]\n"
        'name = "a.img.gz"\n'
        f'src = "{SRC}"\n'
        f'sha256 = "{SHA}"\n'
        'format = "img.gz"\n'
        "size_bytes = 12\n"
        'arch = "x86_64"\n'
        "\n"
        "[[images]]\n"
        'name = "b"\n'
        'src = "http://ex.com/b"\n'
        f'sha256 = "{SHA}"\n'
    )


def test_an_entry_without_a_digest_is_not_written() -> None:
    rendered = render_catalog([entry(sha=None)])

    assert rendered.text == "version = 1\n"
    assert rendered.skipped == ()


def test_equal_names_get_numbers_before_their_suffix() -> None:
    names = ["a.img.gz", "a.img.gz", "a-2.img.gz", "a.img.gz", "b", "b"]
    entries = [entry(name, f"http://ex.com/{n}") for n, name in enumerate(names)]

    written = [image.name for image in parse_catalog(render_catalog(entries).text.encode())]

    assert written == ["a.img.gz", "a-3.img.gz", "a-2.img.gz", "a-4.img.gz", "b", "b-2"]


@pytest.mark.parametrize(
    "bad",
    [
        entry("a\nb"),
        entry(""),
        entry(sha="zz"),
        entry(format='img"\nsha256 = "x'),
        entry(size_bytes=-5),
        entry(src="nonsense", ref=ImageRef("0" * 64)),
    ],
    ids=lambda bad: repr(bad.name),
)
def test_a_bad_row_is_left_out_and_reported_and_breaks_nothing(bad: CatalogEntry) -> None:
    good = entry("good", "http://ex.com/good")

    rendered = render_catalog([bad, good])

    assert [image.name for image in parse_catalog(rendered.text.encode())] == ["good"]
    assert [row.ref for row in rendered.skipped] == [bad.bty_image_ref]


def test_the_whole_never_grows_over_what_clients_accept() -> None:
    entries = [entry(f"n{n}", f"http://ex.com/{n}") for n in range(100)]

    rendered = render_catalog(entries, limit=4000)

    written = parse_catalog(rendered.text.encode(), limit=4000)
    assert 0 < len(written) < 100
    assert len(written) + len(rendered.skipped) == 100


def test_ten_thousand_equal_names_are_no_trouble() -> None:
    entries = [entry("same.img", f"http://ex.com/{n}") for n in range(10_000)]

    rendered = render_catalog(entries)

    assert len(parse_catalog(rendered.text.encode())) == 10_000


ROWS = st.lists(
    st.builds(
        lambda name, host, tail, sha, fmt, size, arch: entry(
            name,
            f"http://{host}.example/{tail}",
            sha,
            ref=image_ref("http://x"),
            format=fmt,
            size_bytes=size,
            arch=arch,
        ),
        st.sampled_from(["a", "a.img", "a-2.img", "b"]) | st.text(max_size=12),
        st.from_regex(r"[a-z]{1,5}", fullmatch=True),
        st.text(max_size=8),
        st.none() | st.just(SHA) | st.just(SHA.upper()) | st.text(max_size=4),
        st.none() | st.sampled_from(["img", "img.gz", "qcow2"]) | st.text(max_size=4),
        st.none() | st.integers(-3, MAX_SIZE_BYTES + 3),
        st.none() | st.just("arm64") | st.text(max_size=4),
    ),
    max_size=8,
)


@given(ROWS)
def test_what_is_written_is_always_read_by_any_toml_parser_and_by_ours(
    rows: list[CatalogEntry],
) -> None:
    rendered = render_catalog(rows)

    wanted = [row for row in rows if row.disk_image_sha]
    tables = tomllib.loads(rendered.text).get("images", [])
    read = parse_catalog(rendered.text.encode())
    assert len(tables) == len(read) == len(wanted) - len(rendered.skipped)
    assert len({image.name for image in read}) == len(read)
    skipped = {(row.ref, row.name) for row in rendered.skipped}
    kept = [row for row in wanted if (row.bty_image_ref, row.name) not in skipped]
    if not skipped:
        assert [table["src"] for table in tables] == [row.src for row in kept]
        assert [table.get("size_bytes") for table in tables] == [row.size_bytes for row in kept]
        assert [table.get("format") for table in tables] == [row.format for row in kept]


def test_a_catalog_of_very_many_images_is_refused() -> None:
    rows = [
        f'[[images]]\nname = "{number}"\nsrc = "http://h/{number}"\n' for number in range(10_001)
    ]
    most = "version = 1\n" + "".join(rows[:-1])

    assert len(parse_catalog(most.encode())) == 10_000
    with pytest.raises(InvalidInputError, match="lists 10001 images; at most 10000"):
        parse_catalog((most + rows[-1]).encode())
