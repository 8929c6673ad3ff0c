"""Netboot artifacts, here or on a server elsewhere."""

from __future__ import annotations

import argparse
import tarfile
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Protocol

from bty_app.cli.reach.server import reached
from bty_app.config import Config
from bty_app.domain.artifacts import installed_sentence
from bty_app.domain.jobs import Step, Teller
from bty_app.errors import NotFoundError, StorageError
from bty_app.upstream.operator_api import Call, OperatorApi

Data = Mapping[str, Any]
Told = tuple[str, str]


class ArtifactReach(Protocol):
    """The acts of `artifacts`; each raises what the service behind it does."""

    def state(self) -> Data:
        """What is installed, and what machines boot."""

    def fetch(self, source: str | None, tag: str | None, teller: Teller) -> Told:
        """Fetch a release and install it: its version, and a sentence."""

    def install(self, path: Path, teller: Teller) -> Told:
        """Install the set in a directory or an archive of this host."""

    def check(self, teller: Teller) -> Mapping[str, list[str]]:
        """What is wrong with the files of each set."""

    def roll_back(self) -> str:
        """Let machines boot the set before the current one; its version."""


def artifacts(args: argparse.Namespace, config: Config) -> AbstractContextManager[ArtifactReach]:
    """Those that the command is for."""
    return reached(args, config, There, "artifacts")


class There:
    """Through `/api/v1/artifacts`."""

    def __init__(self, api: OperatorApi) -> None:
        self._api = api

    def state(self) -> Data:
        found: Data = self._api.get("/artifacts")
        return found

    def fetch(self, source: str | None, tag: str | None, teller: Teller) -> Told:
        job = self._api.send(Call("POST", "/artifacts/fetch", {"source": source, "tag": tag}))
        done = self._api.ended(job, teller)
        return done["version"], done["sentence"]

    def install(self, path: Path, teller: Teller) -> Told:
        sent = Call("PUT", "/artifacts", query={"name": path.name[:200]})
        with _archive(path, teller) as (file, size):
            done = self._api.upload(sent, file, size, teller)
        return done["version"], installed_sentence(done["live"], again=done["again"])

    def check(self, teller: Teller) -> Mapping[str, list[str]]:
        done = self._api.ended(self._api.send(Call("POST", "/artifacts/check")), teller)
        found: Mapping[str, list[str]] = done["damage"]
        return found

    def roll_back(self) -> str:
        return str(self._api.send(Call("POST", "/artifacts/rollback"))["version"])


@contextmanager
def _archive(path: Path, teller: Teller) -> Iterator[tuple[BinaryIO, int]]:
    """An archive as it is, or what is made of the files of a directory."""
    try:
        if not path.is_dir():
            with path.open("rb") as file:
                yield file, path.stat().st_size
            return
        with tempfile.TemporaryFile() as kept:
            with tarfile.open(fileobj=kept, mode="w") as archive:
                for found in sorted(path.iterdir()):
                    if found.is_file():
                        teller.tell(Step(f"packing {found.name}"))
                        archive.add(found, arcname=found.name)
            size = kept.tell()
            kept.seek(0)
            yield kept, size
    except FileNotFoundError as error:
        raise NotFoundError(f"{path}: there is no such file") from error
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from error
