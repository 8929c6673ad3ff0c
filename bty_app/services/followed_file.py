"""Where the catalog file came from, beside it: a fresh database goes on following that source.

The note names the bytes it belongs to, so one that was left behind by another file says nothing.
"""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

from bty_app.errors import BtyError
from bty_app.services.catalog_source import read_file
from bty_app.store.publish import publish_file

MAX_NOTE_BYTES = 16 * 1024


def note(catalog_file: Path, *, source: str, digest: str) -> None:
    """Say that the bytes with this SHA-256 came from `source`; call it before they are published.

    Raises:
        StorageError: it cannot be written.
    """
    text = json.dumps({"source": source, "digest": digest})
    publish_file(_place(catalog_file), text.encode())


def source_of(catalog_file: Path, *, digest: str) -> str | None:
    """Where the catalog file with this SHA-256 came from; None when nobody followed it."""
    with contextlib.suppress(BtyError, ValueError, RecursionError):  # then nobody has said
        told = json.loads(read_file(_place(catalog_file), limit=MAX_NOTE_BYTES))
        if isinstance(told, dict) and told.get("digest") == digest:
            source = told.get("source")
            return source if isinstance(source, str) and source else None
    return None


def _place(catalog_file: Path) -> Path:
    return catalog_file.with_name(f"{catalog_file.name}.source")
