from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bty_app.errors import BtyError, InvalidInputError, NotFoundError
from bty_app.store import bundle_file


def content(path: Path) -> bytes:
    with bundle_file.opened(path) as chunks:
        return b"".join(chunks)


def test_a_directory_or_the_file_itself_is_read(tmp_path: Path) -> None:
    (tmp_path / "inventory.json").write_bytes(b"x" * 600_000)
    (tmp_path / "manifest.json").write_bytes(b"ignored")

    assert content(tmp_path) == content(tmp_path / "inventory.json") == b"x" * 600_000


@pytest.mark.parametrize("name", ["", "none", "inventory.json", "inventory.json/x"])
def test_nothing_there_is_not_found(tmp_path: Path, name: str) -> None:
    with pytest.raises(NotFoundError):
        content(tmp_path / name)


def test_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"{}")
    (tmp_path / "inventory.json").symlink_to("real")

    for path in (tmp_path, tmp_path / "inventory.json"):
        with pytest.raises(InvalidInputError, match="regular file"):
            content(path)


def test_a_pipe_a_socket_a_device_and_a_directory_are_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "inventory.json")
    (tmp_path / "deep" / "inventory.json").mkdir(parents=True)

    for path in (tmp_path, tmp_path / "inventory.json", tmp_path / "deep", Path("/dev/zero")):
        with pytest.raises(BtyError):
            content(path)


def test_a_sparse_file_of_10_gb_is_refused_by_its_first_byte(tmp_path: Path) -> None:
    with (tmp_path / "inventory.json").open("wb") as file:
        file.truncate(10 * 1024**3)
    code = (
        "import sys\nfrom pathlib import Path\nfrom bty_app.services.verify import verify_bundle\n"
        "print(verify_bundle(Path(sys.argv[1])).problems)"
    )

    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=10,
        check=True,
    )

    assert "JSON object" in done.stdout
