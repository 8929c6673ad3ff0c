"""`bty upgrade` of a deployment in containers: to a good release, and back from a bad one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from bty_app import __version__
from tests.container.conftest import OLD
from tests.container.lab import Host
from tests.container.upgrading import bad_image, bind, check_intact, upgrade
from tests.pyz.releases import DIES_WHEN_WATCHED, NEVER_READY

pytestmark = pytest.mark.system


BAD: dict[str, dict[str, object]] = {
    "exits at once": {"serves": False},
    "is never ready": {"patch": NEVER_READY},
    "dies in the watch": {"patch": DIES_WHEN_WATCHED},
}
WHY = {
    "exits at once": "this release does not serve",
    "is never ready": "nothing works",
    "dies in the watch": "it ended after it had been ready",
}


@pytest.fixture(params=BAD)
def bad(host: Host, pyz: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """What is wrong with the image of this release."""
    with bad_image(host, pyz, tmp_path / "bad", **BAD[request.param]):
        yield request.param


def test_a_deployment_is_upgraded_in_place(host: Host, pyz: Path, deployed: Path) -> None:
    bind(host, deployed)

    status, said = upgrade(host, pyz, deployed)

    assert status == 0, said
    check_intact(host, deployed, __version__)
    assert upgrade(host, pyz, deployed)[0] == 0


def test_a_release_that_does_not_serve_is_taken_back_with_the_data(
    host: Host, pyz: Path, deployed: Path, bad: str
) -> None:
    bind(host, deployed)
    waits = ("--wait", "10") if bad == "is never ready" else ()

    status, said = upgrade(host, pyz, deployed, *waits)

    assert status == 1, said
    assert f"bty {OLD} is back with its data" in said
    assert WHY[bad] in said
    check_intact(host, deployed, OLD)
