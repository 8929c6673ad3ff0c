"""The images of releases as podman keeps them, for the disk of a host that has no registry."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from tests.container import images, lab


def image_store(place: Path, releases: Mapping[str, Path]) -> Path:
    """A tar of `/var/lib/containers` that has bty's image of each release, and withcache's."""
    (place / "etc").mkdir()
    with lab.host(place / "etc") as host:
        images.import_base(host)
        images.download_withcache(place / "wheels")
        for version, pyz in releases.items():
            context = place / f"context-{version}"
            context.mkdir()
            shutil.copy(pyz, context / "bty.pyz")
            images.build(host, f"bty:{version}", "-f", images.CONTAINER / "Containerfile", context)
        file = images.CONTAINER / "withcache/Containerfile"
        version = images.arg(file, "WITHCACHE_VERSION")
        images.build(
            host, f"withcache:{version}", *images.wheels(place), images.CONTAINER / "withcache"
        )
        # Which containers it has is that host's own.
        tar = "tar -C /var/lib/containers --xattrs --xattrs-include='*' --exclude=storage/libpod"
        host.run("sh", "-c", f"{tar} -cf {place}/store.tar storage", network=False)
    return place / "store.tar"
