from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace

import pytest

from bty_app import __version__
from bty_app.errors import ConfigError
from bty_app.services import journal_choice
from bty_app.store import place
from bty_app.store.database import Database
from bty_app.store.place import check_file_system, file_system_type, free_bytes, size_of
from bty_app.store.rotation import open_state
from bty_app.store.sqlite import Journal

NOW = datetime(2026, 11, 22, tzinfo=UTC)
ROOT = "24 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw"
NFS = "90 24 0:50 / /srv/net rw,relatime shared:40 - nfs4 host:/export rw"
SPACED = r"91 24 0:51 / /srv/my\040share rw - cifs //host/share rw"
HIDDEN = "92 24 0:52 / /srv/twice rw - nfs4 host:/a rw"
OVER = "93 24 8:1 / /srv/twice rw - xfs /dev/sda1 rw"
MOUNTS = "\n".join([ROOT, NFS, SPACED, HIDDEN, OVER])


@pytest.mark.parametrize(
    ("path", "device", "kind"),
    [
        ("/", os.makedev(254, 0), "ext4"),
        ("/var/lib/bty", os.makedev(254, 0), "ext4"),
        ("/srv/net", os.makedev(0, 50), "nfs4"),
        ("/srv/net/bty", os.makedev(0, 50), "nfs4"),
        ("/srv/network", os.makedev(254, 0), "ext4"),
        ("/srv/my share/bty", os.makedev(0, 51), "cifs"),
        ("/srv/twice/bty", os.makedev(8, 1), "xfs"),
        ("/srv/twice/bty", os.makedev(0, 99), "xfs"),
    ],
)
def test_the_kind_of_file_system_is_that_of_the_mount_on_top(
    path: str, device: int, kind: str
) -> None:
    assert file_system_type(MOUNTS, path, device) == kind


@pytest.mark.parametrize("mounts", ["", "nonsense", "1 2 3 - ext4", " - "])
def test_a_table_of_mounts_that_says_nothing_gives_no_kind(mounts: str) -> None:
    assert file_system_type(mounts, "/var/lib/bty", 1) is None


def test_a_local_directory_is_accepted(tmp_path: Path) -> None:
    check_file_system(tmp_path)


def test_a_missing_directory_is_left_to_the_caller(tmp_path: Path) -> None:
    check_file_system(tmp_path / "absent")


def on_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    device = tmp_path.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    table = tmp_path / "mountinfo"
    table.write_text(f"{ROOT}\n99 24 {number} / {tmp_path} rw - nfs4 host:/x rw\n")
    monkeypatch.setattr(place, "_MOUNTS", table)


def test_a_network_file_system_is_refused_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_network(tmp_path, monkeypatch)

    with pytest.raises(ConfigError, match=r"network file system \(nfs4\).*local disk"):
        check_file_system(tmp_path)
    with pytest.raises(ConfigError, match="BTY_TUNING_JOURNAL=delete"):
        open_state(tmp_path, version=__version__, now=NOW, backup=None)
    assert not (tmp_path / "state.db").exists()


def test_a_database_without_a_log_may_be_there_and_that_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_network(tmp_path, monkeypatch)

    open_state(tmp_path, version=__version__, now=NOW, backup=None, journal=Journal.DELETE)

    said = journal_choice.warning(tmp_path, "delete")
    assert "network file system (nfs4)" in said
    with Database(tmp_path / "state.db", journal=Journal.DELETE) as database:
        premises = SimpleNamespace(state_dir=tmp_path, database=database, journal="delete")
        (found,) = journal_choice.journal(premises)  # type: ignore[arg-type]
    assert (found.level.value, found.sentence) == ("warning", said)


def test_a_log_that_is_not_wanted_is_told(tmp_path: Path) -> None:
    open_state(tmp_path, version=__version__, now=NOW, backup=None)
    for has, wanted, level in (
        (Journal.WAL, "wal", "ok"),
        (Journal.WAL, "delete", "warning"),
        (Journal.DELETE, "delete", "note"),
    ):
        with Database(tmp_path / "state.db", journal=has) as database:
            premises = SimpleNamespace(state_dir=tmp_path, database=database, journal=wanted)
            (found,) = journal_choice.journal(premises)  # type: ignore[arg-type]
        assert found.level.value == level


def test_sizes_are_counted_in_bytes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"12345")

    assert size_of(tmp_path / "file") == 5
    assert size_of(tmp_path / "absent") == 0
    assert free_bytes(tmp_path) > 0
