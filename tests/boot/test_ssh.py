"""Nobody can log in to a live environment but the owner of the key that was built in."""

from __future__ import annotations

from pathlib import Path

import pytest

from bty_app import __version__
from tests.boot.conftest import KEY
from tests.boot.machine import Machine
from tests.boot.rack import MAC, STORY_SECONDS, rack
from tests.boot.server import free_port
from tests.boot.ssh import login, make_key

pytestmark = pytest.mark.boot


def test_the_owner_of_the_key_can_log_in_and_nobody_else(
    pyz: Path, keyed_set: Path, tmp_path: Path
) -> None:
    stranger = tmp_path / "stranger"
    make_key(stranger)
    with rack(pyz, keyed_set, tmp_path) as place:
        box = place.box(ssh_port=free_port())
        place.server.put(f"/machines/{MAC}", {"boot_mode": "bty-tui"})
        with Machine(box, place.server.port) as machine:
            machine.wait_for("ssh is open for the key that was built in", STORY_SECONDS)

            owner = login(box.ssh_port, "id -un; bty --version", "-i", str(keyed_set.parent / KEY))
            other = login(box.ssh_port, "id", "-i", str(stranger))
            by_password = login(box.ssh_port, "id", "-o", "PubkeyAuthentication=no")

    assert owner.stdout.split() == ["root", "bty", __version__], owner
    for refused in (other, by_password):
        assert (refused.returncode, refused.stdout) == (255, "")
        # What else could be tried is in the brackets: no password.
        assert "Permission denied (publickey)." in refused.stderr
