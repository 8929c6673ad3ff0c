"""withcache, the URL-keyed cache beside us: its addresses, and what it says (CONTRACT 8.7)."""

from __future__ import annotations

import base64
import re
from dataclasses import dataclass
from urllib.parse import quote

_VERSION = re.compile(r"(\d{1,6})\.(\d{1,6})(?!\d)", re.ASCII)
_BLOB = re.compile(r"/b/([A-Za-z0-9_-]{1,4096})/[^/?#]+\Z", re.ASCII)
_FIRST_THAT_LISTS = (0, 10)  # 0.9 lists what it has not as well, and fetches what is asked for


@dataclass(frozen=True, slots=True)
class Held:
    """Bytes that the cache has. `sha256` is that of the bytes, whatever URL they are asked by."""

    url: str
    sha256: str
    size_bytes: int | None


@dataclass(frozen=True, slots=True)
class Listed:
    """A row of the cache's own catalog. Digest and size are those that somebody declared there;
    only where nobody did are they those of the bytes.
    """

    sha256: str | None = None
    size_bytes: int | None = None


def blob_url(base: str, origin: str) -> str:
    """Where withcache at `base` serves the bytes of `origin`."""
    token = base64.urlsafe_b64encode(origin.encode()).rstrip(b"=").decode()
    path = origin.partition("://")[2].partition("#")[0].partition("?")[0].partition("/")[2]
    name = path.rpartition("/")[2] or "download"
    return f"{base.strip().rstrip('/')}/b/{token}/{quote(name, safe='')}"


def origin_of(url: str) -> str | None:
    """The origin whose bytes withcache serves at `url`; None where that is no address of it."""
    found = _BLOB.search(url)
    if not found:
        return None
    try:
        origin = base64.urlsafe_b64decode(found[1] + "=" * (-len(found[1]) % 4)).decode()
    except ValueError:
        return None
    return origin if blob_url(url[: found.start()], origin) == url else None


def entry_name(name: str, ref: str) -> str:
    """What an image of ours is called in withcache's catalog: readable, and no other's name."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:80]
    return f"{plain}-{ref[:12]}" if plain else ref[:12]


def place_in_cache(src: str) -> str:
    """What the cache keeps the bytes of `src` under: two sources of one place share them (P-19)."""
    scheme, _, rest = src.partition("#")[0].partition("?")[0].partition("://")
    host, slash, path = rest.partition("/")
    return f"{scheme.lower()}://{host.lower()}{slash}{path}"


def lists_what_it_has(version: str) -> bool:
    """Whether a withcache of this version names its images, and fetches only what it is told to."""
    found = _VERSION.match(version)
    return found is not None and (int(found[1]), int(found[2])) >= _FIRST_THAT_LISTS
