"""The catalog, here or on a server elsewhere."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

from bty_app.cli.elsewhere import HereOnlyError
from bty_app.cli.reach.server import reached
from bty_app.config import Config
from bty_app.domain.catalog import CatalogEntry, only_one, ref_of
from bty_app.domain.catalog_toml import MAX_UPLOAD_BYTES
from bty_app.domain.image_source import ImageRef
from bty_app.domain.jobs import Quiet, Step
from bty_app.domain.origin_report import Checked, parse_report
from bty_app.errors import NotFoundError, StorageError, TooLargeError
from bty_app.upstream.operator_api import Call, OperatorApi

Report = Mapping[str, Any]


class CatalogReach(Protocol):
    """The acts of `catalog`; each raises what the service behind it does."""

    def entries(self) -> list[CatalogEntry]:
        """All images."""

    def find(self, image: str) -> CatalogEntry:
        """The only one of this name, source or ref."""

    def add(self, url: str, *, sha_url: str | None, ref: str | None) -> CatalogEntry:
        """Add the image at a URL."""

    def remove(self, image: str) -> CatalogEntry:
        """Remove the one of this source or ref."""

    def take_in(self, source: str, *, keep: bool) -> Report:
        """Import a catalog.toml; a path is one of this host."""

    def diff(self, source: str | None) -> Report:
        """What following a catalog would change."""

    def fetch(self, source: str | None, *, allow_shrink: bool, force: bool) -> Report | None:
        """Follow it; None where it is the one that was taken last."""

    def check(self, entry: CatalogEntry) -> Checked:
        """Ask the origin of an image."""

    def warm(self, image: str, *, force: bool, tell: Callable[[str], None]) -> str:
        """Have the cache fetch an image; its address there."""


def catalog(args: argparse.Namespace, config: Config) -> AbstractContextManager[CatalogReach]:
    """The one that the command is for."""
    return reached(args, config, There, "catalog")


class There:
    """Through `/api/v1/catalog`."""

    def __init__(self, api: OperatorApi) -> None:
        self._api = api

    def entries(self) -> list[CatalogEntry]:
        return [_entry(row) for row in self._api.listed("/catalog", "images")]

    def find(self, image: str) -> CatalogEntry:
        return only_one(self.entries(), image)

    def add(self, url: str, *, sha_url: str | None, ref: str | None) -> CatalogEntry:
        given = {"image_url": url, "sha_url": sha_url, "ref": ref}
        return _entry(self._api.send(Call("POST", "/catalog/entries", given)))

    def remove(self, image: str) -> CatalogEntry:
        return _entry(self._api.send(Call("DELETE", f"/catalog/entries/{ref_of(image)}")))

    def take_in(self, source: str, *, keep: bool) -> Report:
        if _is_address(source):
            given = {"source": source, "keep": keep}
            found: Report = self._api.send(Call("POST", "/catalog/import", given))
            return found
        query = {"name": Path(source).name[:200], "keep": "1" if keep else "0"}
        headers = {"Content-Type": "application/toml"}
        data = _read(Path(source))
        sent = Call("PUT", "/catalog", query=query, headers=headers, data=data)
        report: Report = self._api.send(sent)
        return {**report, "source": source}  # the server is told its name alone

    def diff(self, source: str | None) -> Report:
        found: Report = self._api.get("/catalog/diff", source=self._address(source))
        return found

    def fetch(self, source: str | None, *, allow_shrink: bool, force: bool) -> Report | None:
        given = {"source": self._address(source), "allow_shrink": allow_shrink, "force": force}
        found: Report = self._api.send(Call("POST", "/catalog/fetch", given))
        return None if found.get("unchanged") else found

    def check(self, entry: CatalogEntry) -> Checked:
        given = {"image": entry.bty_image_ref}
        return parse_report(entry, self._api.send(Call("POST", "/catalog/check", given)))

    def warm(self, image: str, *, force: bool, tell: Callable[[str], None]) -> str:
        job = self._api.send(Call("POST", "/catalog/warm", {"image": image, "force": force}))
        return str(self._api.ended(job, _Teller(tell))["url"])

    def _address(self, source: str | None) -> str | None:
        if source is not None and not _is_address(source):
            raise HereOnlyError(
                f"{source[:200]} is a file of this host, which {self._api.url} cannot follow: give"
                f" a URL that it can read, or send it once by `bty catalog import {source[:200]}`"
            )
        return source


class _Teller(Quiet):
    """Tells each new word of a job, once."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell
        self._told = ""

    def tell(self, step: Step) -> None:
        if step.words != self._told:
            self._told = step.words
            self._tell(step.words)


def _is_address(source: str) -> bool:
    """As against a path; `file:` is one on the host of the server."""
    scheme, colon, _ = source.partition(":")
    return bool(colon) and scheme.lower() in {"http", "https", "oras", "file"}


def _read(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_UPLOAD_BYTES + 1)
    except FileNotFoundError as error:
        raise NotFoundError(f"{path}: there is no such file") from error
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > MAX_UPLOAD_BYTES:
        raise TooLargeError(f"{path}: is larger than {MAX_UPLOAD_BYTES} bytes: no catalog.toml")
    return data


def _entry(row: Report) -> CatalogEntry:
    names = ("src", "name", "added_at", "resolved_src", "sha_url", "format", "size_bytes")
    more = ("description", "arch", "upstream", "gone_at")
    return CatalogEntry(
        bty_image_ref=ImageRef(row["ref"]),
        disk_image_sha=row["sha256"],
        mirrors=tuple(row["mirrors"]),
        **{name: row[name] for name in (*names, *more)},
    )
