"""The secrets that the server makes for itself when the configuration names none.

Each is a file in the state directory, for its owner alone. A value never reaches the log or an
error's sentence; its path may.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bty_app.errors import ConfigError, ConflictError, StorageError
from bty_app.store import publish

PASSWORD_FILE: Final = "admin-password"  # noqa: S105  a file's name
WEBHOOK_SECRET_FILE: Final = "webhook-secret"  # noqa: S105  a file's name
SESSION_SECRET_FILE: Final = "session-secret"  # noqa: S105  a file's name

# Without letters and digits that look alike; 20 of 31 are 99 bits.
_ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"
_LENGTH = 20
_MAX_BYTES = 4096
_REMEDY = "write a line into it, or remove it to have one generated"


@dataclass(frozen=True, slots=True)
class Secret:
    """A secret and the file it stands in; `path` is None when the configuration gave it."""

    value: str = field(repr=False)
    path: Path | None = None
    generated: bool = False


@dataclass(frozen=True, slots=True)
class Secrets:
    """What operators log in with, and what signs their forms."""

    password: Secret
    form_key: Secret


def admin_password(chosen: str, state_dir: Path) -> Secret:
    """The operator's password: the configured one, else the file's, else a new one in the file.

    Raises:
        ConfigError: the file is there and holds no password that can be used.
        StorageError: the file cannot be read or written.
    """
    return _secret(chosen, state_dir / PASSWORD_FILE, _readable_password)


def configured(option: str, value: str, file: str) -> str:
    """A password of the configuration: the line in `file` where it has one, else `value`. `option`
    is the key that names the file; an empty file is none.

    Raises:
        ConfigError: the file cannot be read, or holds no line of text.
    """
    if not file:
        return value
    try:
        with Path(file).open("rb") as opened:
            content = opened.read(_MAX_BYTES + 1)
        line = content.decode("utf-8").strip("\r\n")
    except OSError as error:
        raise ConfigError(f"{option}: {file}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{option}: {file}: is no text") from error
    if len(content) > _MAX_BYTES or not line.isprintable():
        raise ConfigError(f"{option}: {file}: must hold one line with the password")
    return line if line.strip() else value


def keep_password(state_dir: Path, password: str) -> None:
    """Put a password into the file, durably, in place of what is there.

    Raises:
        StorageError: it cannot be written; what was there stays.
    """
    with publish.publishing_file(state_dir / PASSWORD_FILE, mode=0o600, replace=True) as file:
        file.write(f"{password}\n".encode())


def webhook_secret(state_dir: Path) -> Secret:
    """The key that signs webhooks: that of the file, else a new one in the file.

    Raises:
        ConfigError: the file is there and holds no key that can be used.
        StorageError: the file cannot be read or written.
    """
    return _secret("", state_dir / WEBHOOK_SECRET_FILE, lambda: secrets.token_urlsafe(32))


def session_secret(chosen: str, state_dir: Path) -> Secret:
    """The key that signs form tokens: configured, else the file's, else a new one in the file.

    Raises:
        ConfigError: the file is there and holds no key that can be used.
        StorageError: the file cannot be read or written.
    """
    return _secret(chosen, state_dir / SESSION_SECRET_FILE, secrets.token_urlsafe)


def _secret(chosen: str, path: Path, make: Callable[[], str]) -> Secret:
    if chosen:
        return Secret(chosen)
    if found := _read(path):
        return Secret(found, path)
    made = make()
    try:
        with publish.publishing_file(path, mode=0o600, replace=path.exists()) as file:
            file.write(f"{made}\n".encode())
    except ConflictError:  # another process was first
        return Secret(_read(path), path)
    return Secret(made, path, generated=True)


def _readable_password() -> str:
    return "".join(secrets.choice(_ALPHABET) for _ in range(_LENGTH))


def _read(path: Path) -> str:
    """The one line in the file; empty when there is no file, or nothing in it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise StorageError(f"{path}: cannot be read: {error.strerror}") from error
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise ConfigError(f"{path}: is not a file: move it away, and a new one is generated")
        if stat.S_IMODE(found.st_mode) & 0o077:
            with contextlib.suppress(OSError):  # not ours: it can be used as it is
                os.fchmod(descriptor, 0o600)
        content = os.read(descriptor, _MAX_BYTES + 1)
    finally:
        os.close(descriptor)
    return _one_line(path, content)


def _one_line(path: Path, content: bytes) -> str:
    try:
        line = content.decode("utf-8").strip()
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8: {_REMEDY}") from error
    if len(content) > _MAX_BYTES or not line.isprintable():
        raise ConfigError(f"{path}: is not one line of text: {_REMEDY}")
    return line
