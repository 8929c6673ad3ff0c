"""A backup on its way out as one archive, while retention removes it here."""

from __future__ import annotations

import io
import tarfile
from itertools import islice
from pathlib import Path

import pytest

from bty_app.errors import NotFoundError, StorageError
from bty_app.services.backup_tar import Tar
from bty_app.store.backup_shelf import Shelf
from tests.fleet_state import Fleet, bind


@pytest.fixture
def fleet(quick_dir: Path) -> Fleet:
    fleet = Fleet(quick_dir / "state").make()
    fleet.write(*(bind(number) for number in range(40)))
    fleet.back_up("one")
    return fleet


@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_backup_that_is_removed_while_it_is_sent_arrives_whole(fleet: Fleet, after: int) -> None:
    whole = {part.name: part.read_bytes() for part in (fleet.backups / "one").iterdir()}
    archive = Tar(fleet.backups / "one")
    pieces = iter(archive)
    sent = list(islice(pieces, after))

    Shelf(fleet.backups).remove("one")
    sent += pieces
    archive.close()

    data = b"".join(sent)
    assert len(data) == archive.size
    with tarfile.open(fileobj=io.BytesIO(data)) as found:
        names = found.getnames()
        inside = {Path(name).name: found.extractfile(name).read() for name in names}  # type: ignore[union-attr]
    assert inside == whole


def test_one_that_is_gone_is_not_found(fleet: Fleet) -> None:
    Shelf(fleet.backups).remove("one")

    with pytest.raises(NotFoundError, match="one"):
        Tar(fleet.backups / "one")


def test_a_part_that_has_become_shorter_ends_it(fleet: Fleet) -> None:
    archive = Tar(fleet.backups / "one")
    (fleet.backups / "one" / "state.db").write_bytes(b"")

    with pytest.raises(StorageError, match="shorter"):
        list(archive)
    archive.close()
