"""The server elsewhere that a command is for, with the token that it is asked with."""

from __future__ import annotations

import argparse
import importlib
import os
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from bty_app import __version__
from bty_app.cli.elsewhere import CA, TOKEN, TOKEN_FILE, HereOnlyError, chosen
from bty_app.config import Config
from bty_app.domain.tokens import PREFIX, id_of
from bty_app.errors import ConfigError, NotAuthenticatedError
from bty_app.upstream.http import Http
from bty_app.upstream.operator_api import OperatorApi

MAX_TOKEN_BYTES = 4096

T = TypeVar("T")


def api_of(args: argparse.Namespace) -> OperatorApi | None:
    """The server that the command is for; None where it is for the state here.

    Raises:
        ConfigError: the URL, the token or the file of the authority cannot be used.
        NotAuthenticatedError: there is no token.
    """
    url = chosen(args)
    if not url:
        return None
    http = Http(agent=f"bty/{__version__}", ca=_authority(args))
    return OperatorApi(http, url, _token(args), version=__version__)


@contextmanager
def reached(
    args: argparse.Namespace, config: Config, there: Callable[[OperatorApi], T], here: str
) -> Iterator[T]:
    """What does the acts of a command: `there` on the server that was chosen, else what the module
    `here` opens. That is imported for this alone: the client that a server hands out has no store.

    Raises:
        ConflictError: an answer is not as this version has it.
        BtyError: the state here cannot be opened, or there is no token.
    """
    api = api_of(args)
    if api is None:
        with importlib.import_module(f"bty_app.cli.here.{here}").opened(config) as found:
            yield found
        return
    try:
        yield there(api)
    except (KeyError, TypeError) as error:
        raise api.not_understood("") from error


def only_here(api: OperatorApi, what: str, instead: str) -> HereOnlyError:
    """The refusal of what the API cannot do by its nature."""
    return HereOnlyError(
        f"{what} works on the host of the server alone, not on {api.url}: {instead}"
    )


def _token(args: argparse.Namespace) -> str:
    file, where = getattr(args, "elsewhere_token_file", None), "--token-file"
    text = "" if file else os.environ.get(TOKEN, "")
    if not file and not text:
        file, where = os.environ.get(TOKEN_FILE), TOKEN_FILE
    if not file and not text:
        raise NotAuthenticatedError(
            f"there is no token: set {TOKEN}, or name a file with one by --token-file; on the host"
            " of the server `bty token create NAME --scope operate` makes one"
        )
    if file:
        text = _read(Path(file), where)
    if id_of(text.strip()) is None:
        raise ConfigError(
            f"{f'{where} {file}' if file else TOKEN}: there is no token: one begins with {PREFIX}"
        )
    return text.strip()


def _read(path: Path, where: str) -> str:
    try:
        with path.open("rb") as file:
            return file.read(MAX_TOKEN_BYTES).decode("ascii", errors="replace")
    except OSError as error:
        raise ConfigError(f"{where} {path}: cannot be read: {error.strerror}") from error


def _authority(args: argparse.Namespace) -> Path | None:
    given = getattr(args, "elsewhere_ca", None) or os.environ.get(CA)
    if not given:
        return None
    path = Path(given)
    try:
        ssl.create_default_context(cafile=path)
    except OSError as error:  # ssl.SSLError is one
        why = "holds no certificate" if isinstance(error, ssl.SSLError) else error.strerror
        raise ConfigError(f"--ca {path}: {why}") from error
    return path
