"""Sets of netboot artifacts, installed and rolled back: what is cut off, and what must hold."""

from __future__ import annotations

from pathlib import Path

from bty_app.domain.artifact_set import SetFacts, parse_manifest
from bty_app.domain.artifacts import live_file
from bty_app.services.artifact_sources import Directory
from bty_app.services.bringing import Bringing
from bty_app.store.artifact_sets import ArtifactSets
from tests.crashlab.checks import digests, require
from tests.netboot_set import Listener, made_set, put

OLDER, OLD, NEW = "1.0", "2.0", "3.0"
SIZE = 3000


def prepared(state_dir: Path) -> None:
    """Two installed sets, and the release of a third one."""
    for version in (OLDER, OLD, NEW):
        put(state_dir / "releases" / version, made_set(version, size=SIZE))
    for version in (OLDER, OLD):
        _install(state_dir, version)


def damaged(state_dir: Path) -> None:
    """The same, with a file of the current set gone."""
    prepared(state_dir)
    (state_dir / "boot" / "current" / live_file(OLD, "initrd")).unlink()


def install(state_dir: Path) -> None:
    """Install the third set."""
    _install(state_dir, NEW)


def repair(state_dir: Path) -> None:
    """Install the current set once more."""
    _install(state_dir, OLD)


def roll_back(state_dir: Path) -> None:
    """Let the two sets change places."""
    sets = ArtifactSets(state_dir / "boot")
    with sets.held():
        sets.roll_back()


def installed(state_dir: Path) -> None:
    """One of the two sets is current at every moment, whole; the next attempt leaves no traces."""
    sets = ArtifactSets(state_dir / "boot")
    require(_whole(sets, sets.current()) in {OLD, NEW}, "the current set is another one")
    install(state_dir)
    _require_order(sets, NEW, OLD)
    _require_tidy(state_dir)


def installed_where_nothing_is_exchanged(state_dir: Path) -> None:
    """As `installed`; but a cut between two links forgets which set was the one before."""
    sets = ArtifactSets(state_dir / "boot")
    require(_whole(sets, sets.current()) in {OLD, NEW}, "the current set is another one")
    install(state_dir)
    require(_whole(sets, sets.current()) == NEW, "the current set is another one")
    require(_whole(sets, sets.previous()) in {OLD, NEW}, "the set before is another one")


def repaired(state_dir: Path) -> None:
    """The current set is the one that it was, and is whole after the next attempt."""
    sets = ArtifactSets(state_dir / "boot")
    require((sets.current() or "").startswith(OLD), "the current set is another one")
    repair(state_dir)
    _require_order(sets, OLD, OLDER)
    _require_tidy(state_dir)


def rolled_back(state_dir: Path) -> None:
    """Two whole sets, in one order or the other."""
    sets = ArtifactSets(state_dir / "boot")
    found = [_whole(sets, found) for found in (sets.current(), sets.previous())]
    require(sorted(found) == [OLDER, OLD], f"the sets are {found}")


def _install(state_dir: Path, version: str) -> None:
    release = state_dir / "releases" / version
    data = (release / live_file(version, "sha256")).read_bytes()
    manifest = parse_manifest(data, version=version)
    sets = ArtifactSets(state_dir / "boot")
    with sets.held():
        bringing = Bringing(Directory([release]), sets, Listener())
        staging, sizes, _fetched = bringing.bring(manifest)
        facts = SetFacts(version, str(release), "", None, manifest.digests, sizes)
        sets.install(staging, manifest, facts)


def _whole(sets: ArtifactSets, set_id: str | None) -> str:
    """The version of a set of which every file is as it should be."""
    require(set_id is not None, "a link is gone")
    stored = sets.get(set_id or "")
    require(stored.is_whole and stored.facts is not None, f"{set_id}: {stored.damage}")
    assert stored.facts is not None
    found = digests(stored.path)
    wrong = [n for n, digest in stored.facts.digests.items() if found.get(n) != digest]
    require(not wrong, f"{set_id}: {wrong} differ")
    return stored.facts.version


def _require_order(sets: ArtifactSets, current: str, previous: str) -> None:
    found = (_whole(sets, sets.current()), _whole(sets, sets.previous()))
    require(found == (current, previous), f"current and previous are {found}")


def _require_tidy(state_dir: Path) -> None:
    boot = state_dir / "boot"
    left = [path.name for path in (*boot.iterdir(), *(boot / "sets").iterdir())
            if path.name.startswith((".tmp-", ".fetching-"))]  # fmt: skip
    require(not left, f"left behind: {left}")
    ids = [path.name for path in (boot / "sets").iterdir() if not path.name.startswith(".")]
    require(len(ids) == 2, f"sets: {sorted(ids)}")
