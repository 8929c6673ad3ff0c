from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain.backups import Marks, manifest_of, marks_data, marks_of, moment_of, name_of
from bty_app.errors import ConflictError, NotFoundError
from bty_app.store.backup_shelf import Shelf

ONE = "2026-05-24T08-00-00Z"
TWO = "2026-05-25T08-00-00Z-1"
STAMP = "2026-05-24T08:00:01.000000+00:00"


def put(directory: Path, name: str, *, manifest: object = None) -> Path:
    folder = directory / name
    folder.mkdir(parents=True)
    (folder / "inventory.json").write_text("{}")
    if manifest is not None:
        (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_a_shelf_that_is_not_there_is_empty(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "none")

    assert (shelf.ids(), shelf.items()) == ([], [])
    with pytest.raises(NotFoundError):
        shelf.find(ONE)


def test_backups_are_listed_the_newest_first_whoever_made_them(tmp_path: Path) -> None:
    put(tmp_path, ONE)
    put(tmp_path, TWO, manifest={"created_at": "2026-05-25T08:00:00+00:00", "trigger": "manual"})
    put(tmp_path, "pre-20260101")
    (tmp_path / "empty").mkdir()
    (tmp_path / ".tmp-x").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / ONE)

    found = Shelf(tmp_path).items()

    assert [item.id for item in found] == [TWO, ONE, "pre-20260101"]
    assert found[0].manifest.trigger == "manual"
    assert found[1].taken_at == datetime(2026, 5, 24, 8, tzinfo=UTC)
    assert found[2].taken_at is None


NO_NAMES = ("", ".", "..", "../x", ".lock", "a/b", "none", "link", "-x", "\ufdfd" * 100, "\ud800")


@pytest.mark.parametrize("name", NO_NAMES)
def test_no_name_leads_out_of_the_shelf(tmp_path: Path, name: str) -> None:
    put(tmp_path, ONE)
    (tmp_path / "link").symlink_to(tmp_path / ONE)

    with pytest.raises(NotFoundError):
        Shelf(tmp_path).find(name)


def test_marks_are_kept_beside_the_backup(tmp_path: Path) -> None:
    put(tmp_path, ONE)
    marks = Marks(pinned_at=STAMP, checked_at=STAMP, problems=("a", "b"))

    Shelf(tmp_path).mark(ONE, lambda _known: marks)

    assert Shelf(tmp_path).find(ONE).marks == marks
    assert marks.proven_at is None


def test_a_removed_backup_is_gone_and_leftovers_are_swept(tmp_path: Path) -> None:
    put(tmp_path, ONE)
    put(tmp_path, TWO)
    put(tmp_path, f".del-{ONE}")
    put(tmp_path, ".del-other")
    put(tmp_path, ".tmp-other.1-1")
    put(tmp_path, ".bad-evidence")
    shelf = Shelf(tmp_path)

    shelf.remove(ONE)
    shelf.sweep()

    assert sorted(path.name for path in tmp_path.iterdir()) == [".bad-evidence", TWO]


def test_one_at_a_time(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path / "deep" / "backups")
    with shelf.alone(), pytest.raises(ConflictError, match="being made"), shelf.alone():
        pass
    with shelf.alone():
        pass


def test_retention_has_a_say_over_what_this_server_wrote_on_schedule_alone(tmp_path: Path) -> None:
    ours = {"trigger": "scheduled", "instance_id": "i"}
    put(tmp_path, ONE, manifest=ours)
    put(tmp_path, f"{ONE}-keep-me", manifest=ours)
    put(tmp_path, TWO, manifest={**ours, "instance_id": "j"})
    put(tmp_path, "2026-05-26T08-00-00Z", manifest={**ours, "trigger": "manual"})
    put(tmp_path, "2026-05-27T08-00-00Z")

    found = {item.id for item in Shelf(tmp_path).items() if item.is_scheduled_by("i")}

    assert found == {ONE}
    assert not any(item.is_scheduled_by("") for item in Shelf(tmp_path).items())


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_name_says_its_moment(moment: datetime) -> None:
    whole = moment.replace(microsecond=0)
    if whole.year >= 1000:
        assert moment_of(name_of(moment)) == whole
        assert moment_of(f"{name_of(moment)}-12") == whole
        assert moment_of(f"{name_of(moment)}-keep") is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
_KEYS = ["created_at", "trigger", "machines", "rows", "pinned_at", "checked_at", "problems"]


@given(_JSON | st.dictionaries(st.sampled_from(_KEYS), _JSON))
def test_anything_may_be_in_the_files(data: object) -> None:
    manifest_of(data)
    marks = marks_of(data)

    assert marks_of(marks_data(marks)) == marks
