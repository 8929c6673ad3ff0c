"""`bty upgrade` of a deployment in containers: to a good release, and back from a bad one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from bty_app import __version__
from tests.container.conftest import OLD
from tests.container.images import CONTAINER, build
from tests.container.lab import Host, programs_path
from tests.container.operator import at
from tests.pyz.releases import rebranded

pytestmark = pytest.mark.system

MAC = "52:54:00:12:34:56"


@pytest.fixture
def broken_image(host: Host, pyz: Path, tmp_path: Path) -> Iterator[None]:
    """The image of this release, whose server ends at once."""
    context = tmp_path / "broken"
    context.mkdir()
    rebranded(pyz, context / "bty.pyz", __version__, serves=False)
    build(host, f"bty:{__version__}", "-f", CONTAINER / "Containerfile", context)
    yield
    host.podman("rmi", "--force", f"localhost/bty:{__version__}")


def _upgrade(host: Host, pyz: Path, directory: Path) -> tuple[int, str]:
    words = ("upgrade", "--watch", "3", directory)
    done = host.run(*programs_path(), sys.executable, pyz, *words, check=False)
    return done.returncode, done.stdout + done.stderr


def _bound(host: Host, directory: Path) -> None:
    """The old release serves, and an operator has bound a machine."""
    at(host, 8080)
    name = host.podman("ps", "--format", "{{.Names}}", "--filter", "name=bty").split()[0]
    words = ("bty", "machine", "set", MAC, "--mode", "ipxe-exit", "--label", "rack-3")
    host.podman("exec", name, *words)


def _labels(directory: Path) -> list[tuple[object, ...]]:
    connection = apsw.Connection(str(directory / "data/bty/state.db"))
    found = connection.execute("SELECT mac, label FROM machine_labels").fetchall()
    connection.close()
    return list(found)


def test_a_deployment_is_upgraded_in_place(host: Host, pyz: Path, deployed: Path) -> None:
    _bound(host, deployed)

    status, said = _upgrade(host, pyz, deployed)

    assert status == 0, said
    assert at(host, 8080).ask("GET", "/version")["version"] == __version__
    assert len(list((deployed / "data/bty").glob("state.db.*.bak"))) == 1
    assert not (deployed / "upgrade.json").exists()
    assert _upgrade(host, pyz, deployed)[0] == 0


def test_a_release_that_does_not_serve_is_taken_back_with_the_data(
    host: Host, pyz: Path, deployed: Path, broken_image: None
) -> None:
    del broken_image
    _bound(host, deployed)
    before = _labels(deployed)

    status, said = _upgrade(host, pyz, deployed)

    assert status == 1, said
    assert f"bty {OLD} is back with its data" in said
    assert "this release does not serve" in said
    assert at(host, 8080).ask("GET", "/version")["version"] == OLD
    assert _labels(deployed) == before == [(MAC, "rack-3")]
    assert not (deployed / "upgrade.json").exists()
