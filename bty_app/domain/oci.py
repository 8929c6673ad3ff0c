"""OCI references, manifests and indexes: which layer of an artifact is the image (CONTRACT 8.5)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bty_app.domain.image_name import UNPRINTABLE, detect_format
from bty_app.domain.image_source import canonical_src
from bty_app.domain.json_bounds import object_of
from bty_app.errors import InvalidInputError

MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
ACCEPT = ",".join(MANIFEST_TYPES + INDEX_TYPES)
MAX_METADATA_BYTES = 10 * 1024 * 1024
MAX_LISTED = 1000  # layers of a manifest, manifests of an index
DEFAULT_FORMAT = "img.gz"

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}", re.ASCII)
_SIZE_LIMIT = 2**63 - 1
_NO_IMAGE = re.compile(
    r"application/vnd\.(cncf\.helm\.|dev\.cosign\.|dev\.sigstore\.|in-toto|oci\.empty\.)"
    r"|application/(vnd\.)?(in-toto|dsse|spdx|cyclonedx|text/spdx)|text/spdx",
    re.ASCII | re.IGNORECASE,
)
_HELPERS = (".sha256", ".sha512", ".sig", ".asc", ".pem", ".cert", ".sbom", ".att", ".json")


@dataclass(frozen=True, slots=True)
class Reference:
    """A place in a registry: of `tag` and `digest` one is None. A digest is that of the layer."""

    host: str
    repository: str
    tag: str | None
    digest: str | None


@dataclass(frozen=True, slots=True)
class Layer:
    """A blob that a manifest lists; `digest` is `sha256:` and 64 hex digits."""

    digest: str
    size: int
    media_type: str
    title: str | None = None

    @property
    def sha256(self) -> str:
        """The digest alone."""
        return self.digest.removeprefix("sha256:")

    @property
    def format(self) -> str:
        """The image format that its title says."""
        return (detect_format(self.title) if self.title else None) or DEFAULT_FORMAT


def parse_reference(src: str) -> Reference:
    """The parts of an `oras://` source.

    Raises:
        InvalidInputError: it is none (CONTRACT 8.2).
    """
    canonical = canonical_src(src)
    if not canonical.startswith("oras://"):
        raise InvalidInputError(f"{src[:200]!r} is not an oras:// source")
    host, _, rest = canonical.removeprefix("oras://").partition("/")
    name, at, digest = rest.partition("@")
    if at:
        return Reference(host, name, None, digest)
    name, _, tag = rest.rpartition(":")
    return Reference(host, name, tag, None)


def parse_document(data: bytes) -> Mapping[str, Any]:
    """A manifest or an index, as JSON data.

    Raises:
        InvalidInputError: it is no JSON object.
    """
    try:
        return object_of(data)
    except InvalidInputError as error:
        raise InvalidInputError(f"the registry's manifest is {error.message[:200]}") from error


def is_index(document: Mapping[str, Any], media_type: str) -> bool:
    """Whether it lists manifests, one for each architecture, rather than layers."""
    told = document.get("mediaType")
    kind = told if isinstance(told, str) else media_type.partition(";")[0].strip()
    return kind in INDEX_TYPES or ("manifests" in document and "layers" not in document)


def manifest_for(document: Mapping[str, Any], arch: str) -> str:
    """The digest of the index's manifest for `arch` (amd64, arm64).

    Entries without a platform count when no other fits; attestations never do.

    Raises:
        InvalidInputError: there is none.
    """
    plain: list[str] = []
    seen: list[str] = []
    for entry in _objects(document, "manifests"):
        platform = entry.get("platform")
        digest = _digest(entry)
        if not isinstance(platform, dict):
            plain.append(digest)
            continue
        os, machine = platform.get("os", "linux"), platform.get("architecture")
        if os == "linux" and machine == arch:
            return digest
        seen.append(f"{os}/{machine}"[:40])
    if len(plain) == 1:
        return plain[0]
    raise InvalidInputError(
        f"the registry has no image for {arch} under this tag, but: {', '.join(seen[:8]) or 'none'}"
    )


def image_layer(document: Mapping[str, Any]) -> Layer:
    """The layer that is the image: the largest that is no signature, checksum or the like.

    Raises:
        InvalidInputError: there is none, or the manifest is malformed.
    """
    layers = [_layer(entry) for entry in _objects(document, "layers")]
    images = [layer for layer in layers if not _NO_IMAGE.match(layer.media_type)]
    titled = [x for x in images if not (x.title or "").lower().endswith(_HELPERS)]
    chosen = titled or images
    if not chosen:
        raise InvalidInputError("the registry's manifest lists no layer that can be an image")
    return max(chosen, key=lambda layer: layer.size)


def _objects(document: Mapping[str, Any], field: str) -> Sequence[Mapping[str, Any]]:
    listed = document.get(field)
    if not isinstance(listed, list) or len(listed) > MAX_LISTED:
        raise InvalidInputError(f"the registry's manifest has no proper list of {field}")
    if not all(isinstance(entry, dict) for entry in listed):
        raise InvalidInputError(f"the registry's manifest lists {field} that are no objects")
    return listed


def _layer(entry: Mapping[str, Any]) -> Layer:
    size, media_type = entry.get("size"), entry.get("mediaType")
    if type(size) is not int or not 0 <= size <= _SIZE_LIMIT:
        raise InvalidInputError("the registry's manifest lists a layer without a proper size")
    kind = media_type if isinstance(media_type, str) else ""
    return Layer(_digest(entry), size, kind, _title(entry.get("annotations")))


def _title(annotations: object) -> str | None:
    if not isinstance(annotations, dict):
        return None
    title = annotations.get("org.opencontainers.image.title")
    if not isinstance(title, str) or not 0 < len(title) <= 255 or UNPRINTABLE.search(title):
        return None
    return title


def _digest(entry: Mapping[str, Any]) -> str:
    digest = entry.get("digest")
    if not isinstance(digest, str) or not _DIGEST.fullmatch(digest):
        raise InvalidInputError(f"the registry names a digest that is no sha256: {digest!r:.80}")
    return digest
