"""Whatever fails or is killed: in the end the new release is ready, or the old one has its data."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bty_app.deploy import upgrade_journal
from bty_app.deploy.upgrade import Report, Upgrade
from bty_app.deploy.upgrade_plan import planned
from bty_app.domain.upgrading import (
    AHEAD,
    BACK,
    End,
    Facts,
    State,
    Step,
    after,
    facts_of,
    hindrance,
    resumed,
)
from bty_app.errors import ConfigError, ConflictError
from tests.deploy.worlds import NEW, OLD, KilledError, PaperPace, World

BAD = st.sampled_from(["fails", "killed before", "killed after", "killed after reboot"])
FATES = st.dictionaries(st.integers(0, 24), BAD, max_size=4)


def upgrade(world: World, folder: Path) -> Report:
    told: list[str] = []
    return Upgrade(world, folder, told.append, pace=PaperPace()).run(NEW)


def in_the_end(world: World, folder: Path) -> Report:
    """Run it again whenever it is killed."""
    while True:
        try:
            return upgrade(world, folder)
        except KilledError:
            continue


def is_told(world: World, report: Report, wanted: set[tuple[str, str]]) -> bool:
    """The log in use has one row of each upgrade; or the report says that it has none."""
    told = {(whose, what) for whose, _begun_at, what in world.told}
    return told == wanted or (bool(report.problem) and not told)


def check(world: World, report: Report) -> None:
    match report.end:
        case End.DONE:
            assert (world.program, world.data, world.running) == (NEW, NEW, NEW)
            assert world.new_is_good
            assert is_told(world, report, {(NEW, "upgraded")})
        case End.WENT_BACK:
            assert (world.program, world.data, world.running) == (OLD, OLD, OLD)
            assert world.has_old_data
            assert is_told(world, report, {(OLD, "failed")})
        case End.UNCHANGED:
            assert (world.program, world.data, world.running) == (OLD, OLD, OLD)
            assert world.has_old_data
            assert is_told(world, report, set())
        case End.STRANDED:
            assert report.problem


@settings(max_examples=600, deadline=None)
@given(
    fates=FATES,
    new_is_good=st.booleans(),
    dies_after=st.sampled_from([0, 1, 5, 10**9]),
    rotates=st.booleans(),
)
def test_in_the_end_it_is_the_new_release_or_the_old_one_with_its_data(
    tmp_path_factory: pytest.TempPathFactory,
    fates: dict[int, str],
    new_is_good: bool,
    dies_after: int,
    rotates: bool,
) -> None:
    folder = tmp_path_factory.mktemp("deploy")
    world = World(iter([fates.get(at, "ok") for at in range(25)]), new_is_good, rotates, dies_after)

    report = in_the_end(world, folder)
    check(world, report)
    while report.end is End.STRANDED:  # what stood in the way is mended some day
        report = in_the_end(world, folder)
        check(world, report)

    assert upgrade_journal.read(folder) is None


def test_an_upgrade_that_succeeds_goes_through_its_steps_in_order(tmp_path: Path) -> None:
    world = World()

    report = upgrade(world, tmp_path)

    assert report.end is End.DONE
    assert world.calls == [
        *(f"fetch {NEW}", "upgrade", "backup", "verify", "stop", f"install {NEW}", "start"),
        "tell",
    ]
    assert report.backup == "/b"


def test_a_release_that_is_never_ready_is_taken_back(tmp_path: Path) -> None:
    world = World(new_is_good=False)

    report = upgrade(world, tmp_path)

    assert report.end is End.WENT_BACK
    assert "not ready within 60 seconds (503)" in report.why
    assert report.said == "the last line"
    assert world.calls[-6:] == ["start", "stop", "rollback", f"install {OLD}", "start", "tell"]


@pytest.mark.parametrize(
    ("command", "seconds"), [("backup", 599), ("verify", 599), ("rollback", 59)]
)
def test_what_has_the_backups_or_the_state_at_that_moment_is_waited_for(
    tmp_path: Path, command: str, seconds: int
) -> None:
    world = World(new_is_good=command != "rollback", busy={command: seconds})
    told: list[str] = []

    report = Upgrade(world, tmp_path, told.append, pace=PaperPace()).run(NEW)

    check(world, report)
    assert report.end is (End.WENT_BACK if command == "rollback" else End.DONE)
    assert told.count("waiting: a backup is being made") == 1


def test_it_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    world = World(busy={"backup": 10**6})

    report = upgrade(world, tmp_path)

    assert (report.end, report.why) == (End.UNCHANGED, "a backup is being made")
    check(world, report)


def test_a_way_back_that_cannot_be_gone_is_soon_told(tmp_path: Path) -> None:
    world, pace = World(new_is_good=False, busy={"rollback": 10**6}), PaperPace()

    report = Upgrade(world, tmp_path, print, pace=pace).run(NEW)

    assert (report.end, report.problem) == (End.STRANDED, "a backup is being made")
    assert pace.seconds < 130, "a minute for the new release, and one for the way back"


def test_the_way_back_has_patience_also_where_the_operator_has_none(tmp_path: Path) -> None:
    world = World(new_is_good=False, old_starts_in=20)
    told: list[str] = []

    report = Upgrade(world, tmp_path, told.append, pace=PaperPace(), wait_seconds=2).run(NEW)

    assert report.end is End.WENT_BACK
    check(world, report)


def test_a_release_that_dies_while_it_is_watched_is_taken_back(tmp_path: Path) -> None:
    world = World(dies_after=20)

    report = upgrade(world, tmp_path)

    assert report.end is End.WENT_BACK
    assert report.why == "it ended after it had been ready"
    check(world, report)


@pytest.mark.parametrize("step", range(4))
def test_what_fails_before_the_stop_changes_nothing(tmp_path: Path, step: int) -> None:
    world = World(iter(["ok"] * step + ["fails"]))
    (tmp_path / ".tmp-upgrade.json.37-3").touch()  # of one that was killed

    report = upgrade(world, tmp_path)

    assert report.end is End.UNCHANGED
    assert "stop" not in world.calls
    assert sorted(path.name for path in tmp_path.iterdir()) == ["upgrade.lock"]


def test_the_same_version_is_nothing_to_do(tmp_path: Path) -> None:
    world = World(program=NEW, running=NEW, data=NEW)

    assert upgrade(world, tmp_path).is_same
    assert not world.calls


def test_two_at_a_time_are_refused(tmp_path: Path) -> None:
    with upgrade_journal.alone(tmp_path), pytest.raises(ConflictError, match="another upgrade"):
        upgrade(World(), tmp_path)


def test_a_journal_of_somebody_else_is_not_acted_upon(tmp_path: Path) -> None:
    (tmp_path / "upgrade.json").write_text('{"format": 1}')

    with pytest.raises(ConfigError, match=r"upgrade\.json"):
        upgrade(World(), tmp_path)


def test_a_plan_is_shown_without_doing_anything(tmp_path: Path) -> None:
    world = World()

    lines = planned(world, NEW, 120)

    assert any("1.0 MiB" in line for line in lines)
    assert lines[-2:] == [f"bty.pyz -> {NEW}", "nothing was done"]
    assert world.calls == ["upgrade"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("at", [Step.WAIT, Step.WATCH])
def test_a_host_that_went_down_while_it_was_watched_is_started_first(at: Step) -> None:
    assert resumed(State(at)).at is Step.START


@pytest.mark.parametrize(("at", "end"), [(Step.TELL, End.DONE), (Step.TELL_OLD, End.WENT_BACK)])
def test_a_log_that_cannot_be_told_undoes_nothing(at: Step, end: End) -> None:
    assert after(State(at, "why"), "the disk is full") == State(end, "why", "the disk is full")
    assert resumed(State(at, "why")) == State(at, "why")


def test_every_step_has_a_way_on_and_a_way_out() -> None:
    for step in Step:
        state = State(step)
        for _turn in range(len(AHEAD)):
            state = after(state)
        assert state.at in {End.DONE, End.WENT_BACK}
        for _turn in range(len(AHEAD) + len(BACK)):
            state = State(step) if state.at == step else after(state, "x")
        assert isinstance(after(after(State(step), "x"), "y").at, End | Step)
        assert resumed(State(step)).at in Step


def test_facts_survive_being_told_and_lies_are_refused() -> None:
    facts = Facts(OLD, 5, 10, 1, ("p",))

    assert facts_of(json.loads(json.dumps(facts.as_data()))) == facts
    for spoilt in ({}, facts.as_data() | {"free_bytes": "much"}):
        with pytest.raises(ValueError, match="no facts"):
            facts_of(spoilt)


def test_a_disk_without_room_is_a_hindrance() -> None:
    assert "make room" in hindrance(Facts(OLD, 1 << 30, 1 << 30, 1))
    assert hindrance(Facts(OLD, 1 << 20, 1 << 30, 1, ("a backup is being made",)))
    assert not hindrance(Facts(OLD, 1 << 20, 1 << 30, 1))
