"""Manifests are taken in, and change nothing when they are wrong."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import tomli_w

from bty_app.domain.events import StoredEvent
from bty_app.domain.image_source import image_ref
from bty_app.errors import (
    BtyError,
    InvalidInputError,
    NotFoundError,
    StorageError,
    TooLargeError,
    UnavailableError,
)
from bty_app.services.catalog import Catalog
from bty_app.services.catalog_imports import CatalogImports
from bty_app.services.revisions import Revisions
from bty_app.store import events
from bty_app.store.database import Database
from bty_app.upstream.http import Http
from bty_app.upstream.registry import Registry
from tests.fresh_state import make_state
from tests.other_host import answer, other_host

OLD, NEW = "1" * 64, "2" * 64
IP = "192.0.2.7"


def manifest(*names: str, sha: str = OLD) -> bytes:
    images = [{"name": name, "src": f"http://h/{name}", "sha256": sha} for name in names]
    return tomli_w.dumps({"version": 1, "images": images}).encode()


@dataclass
class Bench:
    """The services on a real state directory."""

    imports: CatalogImports
    catalog: Catalog
    database: Database
    file: Path

    def names(self) -> list[str]:
        return [entry.name for entry in self.catalog.entries()]

    def digests(self) -> set[str | None]:
        return {entry.disk_image_sha for entry in self.catalog.entries()}

    def events(self) -> list[StoredEvent]:
        """Oldest first."""
        return list(self.database.read(lambda tx: list(events.every(tx))))

    def remove(self, name: str) -> None:
        self.catalog.remove(f"http://h/{name}", ip=IP)

    def upload(self, data: bytes) -> None:
        self.imports.import_bytes(data, name="upload.toml", ip=IP)


@contextmanager
def started(state_dir: Path) -> Iterator[Bench]:
    path = state_dir / "state.db"
    if not path.exists():
        make_state(state_dir)
    file = state_dir / "catalog.toml"
    with Database(path) as database:
        imports = CatalogImports(database, Http(), Registry(Http()), catalog_file=file)
        yield Bench(
            imports, Catalog(database, Http(), Registry(Http()), Revisions()), database, file
        )


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    with started(tmp_path) as made:
        yield made


def details(event: StoredEvent) -> dict[str, object]:
    found: dict[str, object] = json.loads(event.details or "null")
    return found


# -- from a source -----------------------------------------------------------------------------


@pytest.mark.parametrize("prefix", ["", "file://", "FILE://"])
def test_a_manifest_is_taken_in_from_a_file(bench: Bench, tmp_path: Path, prefix: str) -> None:
    path = tmp_path / "some.toml"
    path.write_bytes(manifest("a", "b"))

    done = bench.imports.import_from(f"{prefix}{path}", ip=IP)

    assert bench.names() == ["a", "b"]
    assert len(done.merge.added) == 2
    (event,) = bench.events()
    assert (event.kind, event.actor, event.source_ip) == (
        "catalog.entries.imported",
        "operator",
        IP,
    )
    assert event.subject_id == f"{prefix}{path}"
    assert details(event) == {
        "source": f"{prefix}{path}",
        "imported": 2,
        "skipped": 0,
        "errors": [],
        "updated": 0,
        "changes": [],
    }


def test_a_manifest_is_taken_in_from_another_host(bench: Bench) -> None:
    with other_host() as host:
        host.routes["/catalog.toml"] = answer(manifest("a"))

        bench.imports.import_from(host.url("/catalog.toml"), ip=IP)

    assert bench.names() == ["a"]
    assert not bench.file.exists()


def test_a_changed_digest_upstream_is_taken_and_told(bench: Bench) -> None:
    bench.upload(manifest("a", "b"))

    done = bench.imports.import_bytes(manifest("a", "b", sha=NEW), name="new.toml", ip=IP)

    assert bench.digests() == {NEW}
    assert (len(done.merge.updated), done.merge.kept) == (2, 0)
    report = details(bench.events()[-1])
    assert report["updated"] == 2
    assert report["changes"] == [
        {
            "name": name,
            "src": f"http://h/{name}",
            "changed": {"disk_image_sha": {"old": OLD, "new": NEW}},
        }
        for name in ("a", "b")
    ]


def test_the_nosi_kind_of_catalog_is_taken_in(bench: Bench) -> None:
    bench.upload(
        b'version = 1\n[[images]]\nname = "debian"\nsrc = "oras://ghcr.io/safl/nosi/debian:latest"\n'
        b'format = "img.gz"\narch = "x86_64"\ndescription = "d"\nnetboot_ref = "x"\n'
    )

    (entry,) = bench.catalog.entries()
    assert entry.bty_image_ref == image_ref("oras://ghcr.io/safl/nosi/debian:latest")
    assert (entry.resolved_src, entry.format, entry.description) == (None, "img.gz", "d")


def test_a_large_import_has_a_bounded_event(bench: Bench) -> None:
    names = [f"n{number}" for number in range(2000)]
    bench.upload(manifest(*names))

    bench.upload(manifest(*names, sha=NEW))

    event = bench.events()[-1]
    assert details(event)["updated"] == 2000
    assert len(event.details or "") < 50_000


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("", InvalidInputError),
        ("oras://127.0.0.1:1/o/r:1", UnavailableError),
        ("oras://127.0.0.1/r:1", InvalidInputError),
        ("ftp://h/catalog.toml", InvalidInputError),
        ("a\0b", InvalidInputError),
        ("/nonexistent/catalog.toml", NotFoundError),
        ("/dev/zero", InvalidInputError),
        ("/", InvalidInputError),
        ("x" * 5000, UnavailableError),
        ("http://host:notaport/c.toml", InvalidInputError),
        ("http://127.0.0.1:1/c.toml", UnavailableError),
        ("\udcff\n/x", NotFoundError),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_a_source_that_cannot_be_loaded_changes_nothing_and_is_an_event(
    bench: Bench, source: str, error: type[BtyError]
) -> None:
    with pytest.raises(error) as caught:
        bench.imports.import_from(source, ip=IP)

    assert not isinstance(caught.value, StorageError)
    assert bench.names() == []
    (event,) = bench.events()
    assert event.kind == "catalog.import.failed"
    assert "\n" not in (event.subject_id or "")


def test_a_pipe_is_refused_and_not_waited_for(bench: Bench, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")

    with pytest.raises(InvalidInputError, match="regular file"):
        bench.imports.import_from(str(tmp_path / "pipe"), ip=IP)


def test_a_file_over_the_limit_is_refused(bench: Bench, tmp_path: Path) -> None:
    with (tmp_path / "large").open("wb") as file:
        file.truncate(4 * 1024 * 1024 + 1)

    with pytest.raises(TooLargeError):
        bench.imports.import_from(str(tmp_path / "large"), ip=IP)


def test_one_bad_entry_changes_nothing_and_is_named(bench: Bench) -> None:
    bench.upload(manifest("a"))
    bad = manifest("a", "b", sha=NEW).replace(b"http://h/b", b"file:///b")

    with pytest.raises(InvalidInputError, match=r"entry 2 \(name 'b'\): src: file://"):
        bench.upload(bad)

    assert (bench.names(), bench.digests()) == (["a"], {OLD})
    assert bench.file.read_bytes() == manifest("a")
    assert [event.kind for event in bench.events()] == [
        "catalog.entries.imported",
        "catalog.import.failed",
    ]


def test_an_upload_over_one_mebibyte_is_refused(bench: Bench) -> None:
    with pytest.raises(InvalidInputError, match="larger than 1024 KiB"):
        bench.upload(b"#" * (1024 * 1024 + 1))


# -- the catalog file --------------------------------------------------------------------------


def test_an_upload_becomes_the_catalog_file(bench: Bench) -> None:
    bench.upload(manifest("a"))

    assert bench.file.read_bytes() == manifest("a")
    assert bench.file.stat().st_mode & 0o777 == 0o600


def test_an_import_can_become_the_catalog_file(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(manifest("a"))

    bench.imports.import_from(str(tmp_path / "x"), ip=IP, keep=True)

    assert bench.file.read_bytes() == manifest("a")
    assert bench.imports.import_catalog_file() is None


def test_the_catalog_file_is_taken_in_at_the_first_start(bench: Bench) -> None:
    bench.file.write_bytes(manifest("a", "b"))

    assert bench.imports.import_catalog_file()

    assert bench.names() == ["a", "b"]
    (event,) = bench.events()
    assert (event.kind, event.actor, event.source_ip) == (
        "catalog.entries.imported",
        "system",
        None,
    )


def test_what_was_removed_stays_removed_over_a_restart(tmp_path: Path) -> None:
    with started(tmp_path) as before:
        before.file.write_bytes(manifest("a", "b"))
        before.imports.import_catalog_file()
        before.remove("a")

    with started(tmp_path) as after:
        assert after.imports.import_catalog_file() is None

        assert after.names() == ["b"]


def test_what_was_removed_after_an_upload_stays_removed_over_a_restart(tmp_path: Path) -> None:
    with started(tmp_path) as before:
        before.upload(manifest("a", "b"))
        before.remove("a")

    with started(tmp_path) as after:
        assert after.imports.import_catalog_file() is None

        assert after.names() == ["b"]


def test_a_changed_catalog_file_is_taken_in(tmp_path: Path) -> None:
    with started(tmp_path) as before:
        before.upload(manifest("a"))

    (tmp_path / "catalog.toml").write_bytes(manifest("a", "c", sha=NEW))

    with started(tmp_path) as after:
        assert after.imports.import_catalog_file()
        assert (after.names(), after.digests()) == (["a", "c"], {NEW})


def test_a_fresh_database_gets_all_of_the_catalog_file(tmp_path: Path) -> None:
    with started(tmp_path) as before:
        before.upload(manifest("a", "b"))
        before.remove("a")
    for file in tmp_path.glob("state.db*"):
        file.unlink()

    with started(tmp_path) as after:
        after.imports.import_catalog_file()

        assert after.names() == ["a", "b"]


def test_no_catalog_file_is_nothing_to_speak_of(bench: Bench) -> None:
    assert bench.imports.import_catalog_file() is None
    assert bench.events() == []


@pytest.mark.parametrize("data", [b"nonsense", b"version = true", b"x" * (4 * 1024 * 1024 + 1)])
def test_a_bad_catalog_file_is_an_event_and_a_log_line_and_no_crash(
    bench: Bench, data: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    bench.file.write_bytes(data)

    assert bench.imports.import_catalog_file() is None

    assert "the catalog file is not taken in" in caplog.text
    (event,) = bench.events()
    assert (event.kind, event.actor) == ("catalog.import.failed", "system")


def test_a_catalog_file_that_is_a_directory_is_no_crash(bench: Bench) -> None:
    bench.file.mkdir()

    assert bench.imports.import_catalog_file() is None
    assert [event.kind for event in bench.events()] == ["catalog.import.failed"]


def test_an_upload_that_cannot_be_written_changes_no_row(tmp_path: Path) -> None:
    with started(tmp_path) as bench:
        imports = CatalogImports(
            bench.database,
            Http(),
            Registry(Http()),
            catalog_file=tmp_path / "missing" / "catalog.toml",
        )

        with pytest.raises(StorageError):
            imports.import_bytes(manifest("a"), name="x", ip=IP)

        assert bench.names() == []
