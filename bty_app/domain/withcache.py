"""Addresses in withcache, the URL-keyed cache beside us (CONTRACT 8.7)."""

from __future__ import annotations

import base64
import re
from urllib.parse import quote


def blob_url(base: str, origin: str) -> str:
    """Where withcache at `base` serves the bytes of `origin`."""
    token = base64.urlsafe_b64encode(origin.encode()).rstrip(b"=").decode()
    path = origin.partition("://")[2].partition("#")[0].partition("?")[0].partition("/")[2]
    name = path.rpartition("/")[2] or "download"
    return f"{base.strip().rstrip('/')}/b/{token}/{quote(name, safe='')}"


def entry_name(name: str, ref: str) -> str:
    """What an image of ours is called in withcache's catalog: readable, and no other's name."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", name).strip("-.")[:80]
    return f"{plain}-{ref[:12]}" if plain else ref[:12]
