"""`bty deploy` builds the images itself, from the single file that runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from bty_app import __version__
from tests.container import images, lab
from tests.container.images import CONTAINER, arg
from tests.container.lab import Host

pytestmark = pytest.mark.system


def test_missing_images_are_built_and_the_next_deploy_builds_nothing(
    host: Host, pyz: Path, context: Path, tmp_path: Path
) -> None:
    version = arg(CONTAINER / "withcache/Containerfile", "WITHCACHE_VERSION")
    names = (f"localhost/bty:{__version__}", f"localhost/withcache:{version}")
    host.podman("untag", names[0], names[0])
    host.podman("untag", names[1], names[1])
    directory = tmp_path / "srv"
    directory.mkdir()
    # Packages come over the network of this machine, and those of Python are here already.
    options = ["--network=host", "--pull=never", *images.wheels(context)]
    (directory / "envvars").write_text(
        f"HOST_ADDR={host.address}\nBTY_BUILD_OPTIONS='{' '.join(options)}'\n"
    )
    path = f"PATH={Path(lab.podman_compose()).parent}:/usr/bin:/bin:/usr/sbin:/sbin"
    deploy = ("env", path, sys.executable, pyz, "deploy", "--no-start", directory)

    done = host.run(*deploy, network=False)
    first = [host.podman("image", "inspect", "--format", "{{.Id}}", name) for name in names]
    again = host.run(*deploy, network=False)

    said = host.podman("run", "--rm", "--network=none", names[0], "--version")
    assert said == f"bty {__version__}"
    assert "STEP" in done.stderr
    assert "STEP" not in again.stderr
    assert [host.podman("image", "inspect", "--format", "{{.Id}}", n) for n in names] == first
    assert f'image: "sha256:{first[0]}"' in (directory / "compose.override.yml").read_text()
    assert not list(directory.glob(".tmp-*"))
    assert host.podman("ps", "--all", "--quiet") == ""


def test_without_the_single_file_it_says_what_to_do(host: Host, tmp_path: Path) -> None:
    name = f"localhost/bty:{__version__}"
    host.podman("tag", "localhost/bty", name)
    host.podman("untag", name, name)
    path = f"PATH={Path(lab.podman_compose()).parent}:/usr/bin:/bin:/usr/sbin:/sbin"
    words = ("deploy", "--no-start", "--host-addr", host.address, tmp_path / "srv")
    tree = f"PYTHONPATH={CONTAINER.parent}"

    done = host.run("env", path, tree, sys.executable, "-m", "bty_app", *words, check=False)
    host.podman("tag", "localhost/bty", name)

    assert done.returncode == 78
    assert "build_zipapp.py makes it" in done.stderr
    assert "BTY_IMAGE" in done.stderr
