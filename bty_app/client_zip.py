"""The client for live environments: what of this program runs there, as a small zip of sources.

Sources, because the Python of a live environment is not the server's; the same release gives the
same bytes, so that a digest tells whether a live environment has the right one.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from importlib import resources
from importlib.resources.abc import Traversable

PACKAGES = ("bty_app", "tomli_w", "urllib3")
_UNUSED = ("bty_app/web", "bty_app/store", "bty_app/workers", "bty_app/live")
_EPOCH = (1980, 1, 1, 0, 0, 0)  # the earliest time that a zip can hold
_MAIN = b"""\
import sys

sys.dont_write_bytecode = True
from bty_app.cli.main import entry

entry()
"""


def client_zip() -> bytes:
    """The zip, which any Python >= 3.11 runs."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, data in client_files():
            info = zipfile.ZipInfo(name, _EPOCH)
            info.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(info, data)
    return out.getvalue()


def client_files() -> Iterator[tuple[str, bytes]]:
    """The files of the client by their names in the zip, sorted."""
    found = {"__main__.py": _MAIN}
    for package in PACKAGES:
        found.update(_sources(resources.files(package), package))
    for name in sorted(found):
        yield name, found[name]


def _sources(place: Traversable, name: str) -> Iterator[tuple[str, bytes]]:
    for entry in place.iterdir():
        at = f"{name}/{entry.name}"
        if entry.is_dir():
            if entry.name != "__pycache__" and at not in _UNUSED:
                yield from _sources(entry, at)
        elif entry.name.endswith(".py"):
            yield at, entry.read_bytes()
