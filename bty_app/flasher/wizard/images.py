"""The images that a person can choose: of a catalog, and files of this machine."""

from __future__ import annotations

import contextlib
import subprocess
from dataclasses import dataclass
from pathlib import Path

from bty_app.domain.catalog import ManifestEntry
from bty_app.domain.catalog_toml import parse_catalog
from bty_app.domain.image_name import detect_format
from bty_app.flasher import words
from bty_app.flasher.orders import Wanted
from bty_app.flasher.plan import Place

LOCAL_PLACES = (Path("/run/bty/images"), Path("/images"), Path("/mnt"), Path("/media"), Path())
MEDIA = Path("/media")  # each directory of it is a medium
MOUNT_MEDIA = Path("/usr/lib/bty/media")  # a live environment has this program
MOUNT_SECONDS = 60.0
MOST_FILES = 500


@dataclass(frozen=True, slots=True)
class Choice:
    """An image that can be chosen."""

    name: str
    wanted: Wanted
    arch: str | None = None
    description: str | None = None

    @property
    def row(self) -> str:
        """It in one row of a list."""
        known = self.wanted.size_bytes
        size = words.size(known) if known else ""
        about = " ".join(filter(None, (self.arch, " ".join((self.description or "").split()))))
        return f"{self.name:40} {size:>9}  {about}".rstrip()


def of_catalog(data: bytes) -> list[Choice]:
    """The images of a catalog.toml.

    Raises:
        InvalidInputError: it is none.
    """
    return [_choice(entry) for entry in parse_catalog(data)]


def of_this_machine(mount: Path = MOUNT_MEDIA) -> list[Choice]:
    """The image files in the usual places of this machine; in a live environment also those on
    media, which are mounted for that.
    """
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        subprocess.run((str(mount),), check=False, capture_output=True, timeout=MOUNT_SECONDS)  # noqa: S603
    return of_files()


def of_files(places: tuple[Path, ...] = LOCAL_PLACES, media: Path = MEDIA) -> list[Choice]:
    """The image files right in these directories and in those of `media`, without links."""
    found: dict[Path, Choice] = {}
    for place in (*places, *sorted(media.glob("*"))):
        try:
            files = sorted(place.iterdir())
        except OSError:
            continue
        for path in files:
            image_format = detect_format(path.name)
            if image_format is None or path.is_symlink() or not path.is_file():
                continue
            whole = path.resolve()
            wanted = Wanted(
                places=(Place(str(whole), "file"),),
                format=image_format,
                size_bytes=path.stat().st_size,
            )
            found[whole] = Choice(str(path), wanted)
    return list(found.values())[:MOST_FILES]


def _choice(entry: ManifestEntry) -> Choice:
    places = [Place(url, "mirror") for url in entry.mirrors]
    wanted = Wanted(
        places=(*places, Place(entry.src)),
        format=entry.format,
        sha256=entry.sha256,
        size_bytes=entry.size_bytes,
    )
    return Choice(entry.name, wanted, entry.arch, entry.description)
