"""Style sheets, scripts and pictures: read once, named by their content, served from memory."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable

import falcon

TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}
_FOR_EVER = "public, max-age=31536000, immutable"
_HASH_DIGITS = 12
_WORTH_IT = 0.9


@dataclass(frozen=True, slots=True)
class Asset:
    """One file. `zipped` is None where it would not be smaller."""

    name: str
    content_type: str
    plain: bytes
    zipped: bytes | None


class Assets:
    """All files of `web/static` that a browser may have."""

    def __init__(self, folder: Traversable | None = None) -> None:
        self._assets: dict[str, Asset] = {}
        self._urls: dict[str, str] = {}
        for file in (folder or resources.files("bty_app.web") / "static").iterdir():
            stem, _, suffix = file.name.rpartition(".")
            if suffix not in TYPES:
                continue
            asset = _asset(stem, suffix, file.read_bytes())
            self._assets[asset.name] = asset
            self._urls[file.name] = f"/static/{asset.name}"

    def url(self, name: str) -> str:
        """The path of a file as it is now: `app.css` is at `/static/app-<hash>.css`.

        Raises:
            KeyError: a page names a file that is not there.
        """
        return self._urls[name]

    def get(self, name: str) -> Asset | None:
        """The file under its hashed name, or None."""
        return self._assets.get(name)


class StaticFile:
    """`/static/{name}`."""

    open_to_all = True

    def __init__(self, assets: Assets) -> None:
        self._assets = assets

    def on_get(self, req: falcon.Request, resp: falcon.Response, name: str) -> None:
        """The file, zipped where the browser takes it; 404 for any other name."""
        asset = self._assets.get(name)
        if asset is None:
            raise falcon.HTTPNotFound
        resp.content_type = asset.content_type
        resp.set_header("Cache-Control", _FOR_EVER)
        resp.data = asset.plain
        if asset.zipped is not None:
            resp.set_header("Vary", "Accept-Encoding")
            if _takes_gzip(req.get_header("Accept-Encoding") or ""):
                resp.set_header("Content-Encoding", "gzip")
                resp.data = asset.zipped

    on_head = on_get


def _asset(stem: str, suffix: str, plain: bytes) -> Asset:
    digest = hashlib.sha256(plain).hexdigest()[:_HASH_DIGITS]
    zipped = gzip.compress(plain, 9, mtime=0)
    return Asset(
        name=f"{stem}-{digest}.{suffix}",
        content_type=TYPES[suffix],
        plain=plain,
        zipped=zipped if len(zipped) < len(plain) * _WORTH_IT else None,
    )


def _takes_gzip(accepted: str) -> bool:
    """RFC 9110 12.5.3, as far as it concerns gzip: named, and not with weight 0."""
    for part in accepted.split(","):
        coding, _, weight = part.partition(";")
        if coding.strip().lower() in {"gzip", "*"}:
            return weight.replace(" ", "").rstrip("0.") != "q="
    return False
