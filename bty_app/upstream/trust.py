"""Authorities of one's own, whose certificates are believed beside those of the system."""

from __future__ import annotations

import re
import ssl
from pathlib import Path

from bty_app.errors import ConfigError

_CERTIFICATE = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----", re.S)
MAX_BYTES = 1024 * 1024  # those of a whole system are a quarter of it


def authorities(file: Path) -> str:
    """The certificates in a PEM file, as the text that it has.

    Raises:
        ConfigError: it cannot be read, or has no certificate.
    """
    try:
        with file.open("rb") as opened:
            data = opened.read(MAX_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{file}: is larger than {MAX_BYTES:,} bytes: that is something else")
    text = b"\n".join(_CERTIFICATE.findall(data)).decode("ascii", "replace")
    try:
        context_with(None, text)
        is_any = bool(text)
    except (TypeError, ValueError, ssl.SSLError):
        is_any = False
    if not is_any:
        raise ConfigError(f"{file}: has no certificate in PEM form (-----BEGIN CERTIFICATE-----)")
    return text


def context_with(in_place: Path | None, beside: str = "") -> ssl.SSLContext:
    """Whom a client believes: the authorities of the file `in_place`, or else those of the system;
    and those of the PEM text `beside`.

    Raises:
        OSError: the file cannot be read, or one of the two has no certificate.
    """
    context = ssl.create_default_context(cafile=in_place)
    if beside:
        context.load_verify_locations(cadata=beside)
    return context
