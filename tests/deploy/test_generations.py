"""The files of one release and of the one before, wherever the change between them ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bty_app import __version__
from bty_app.deploy import choices, files, marks
from bty_app.deploy.containers import Deployment
from bty_app.deploy.engines import Engine
from bty_app.deploy.envvars import Envvars
from bty_app.deploy.generations import BEFORE, Generations
from bty_app.deploy.programs import Programs
from bty_app.deploy.quadlet import QuadletStack
from bty_app.deploy.stack import Release
from bty_app.deploy.writing import ChangedFileError
from tests.pyz import tools

OLD = "0.1.2"
TOLD = "HOST_ADDR=192.0.2.10\nWITHCACHE_ADMIN_PASSWORD=x\nBTY_SYSTEMD=yes\n"
_TAKE = """
import sys
from pathlib import Path
from bty_app.deploy import choices
from bty_app.deploy.envvars import Envvars
from bty_app.deploy.generations import Generations
place = Path(sys.argv[1])
Generations(place, choices.read(Envvars((place / "envvars").read_text()), place)).take(sys.argv[2])
"""


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A deployment as another release has written it."""
    place = tmp_path / "srv"
    place.mkdir()
    (place / "envvars").write_text(TOLD)
    with monkeypatch.context() as then:
        then.setattr(marks, "__version__", OLD)
        then.setattr("bty_app.deploy.generations.__version__", OLD)
        then.setattr("bty_app.deploy.files.__version__", OLD)
        _of(place).take(OLD)
    return place


def _of(place: Path) -> Generations:
    return Generations(place, choices.read(Envvars(TOLD), place))


def _texts(place: Path) -> dict[str, str]:
    found = [path for path in place.rglob("*") if path.is_file()]
    names = {str(path.relative_to(place)): path.read_text() for path in found}
    # What a killed one was writing is swept by the next that writes it.
    passed = (BEFORE, ".tmp-", "quadlet/.tmp-")
    return {name: text for name, text in names.items() if not name.startswith(passed)}


def test_forth_and_back_is_where_it_began(old: Path) -> None:
    before = _texts(old)

    _of(old).take(__version__)
    between = _texts(old)
    _of(old).take(OLD)

    assert {marks.writer(text) for name, text in between.items() if name != "envvars"} == {
        __version__
    }
    assert _texts(old) == before


def test_each_way_can_be_gone_twice(old: Path) -> None:
    before = _texts(old)

    for version in (__version__, __version__, OLD, OLD, __version__, OLD):
        _of(old).take(version)

    assert _texts(old) == before


def test_another_release_again_finds_nothing_to_put_back(old: Path) -> None:
    before = _texts(old)

    _of(old).take("0.0.9")

    assert _texts(old) == before


def test_a_release_that_was_not_the_former_one_puts_nothing_back(old: Path) -> None:
    _of(old).take(__version__)
    before = _texts(old)

    _of(old).take("0.0.9")

    assert _texts(old) == before


def test_other_choices_in_between_do_not_take_the_former_texts_away(old: Path) -> None:
    before = _texts(old)
    _of(old).take(__version__)
    with_tftp = choices.read(Envvars(f"{TOLD}BTY_TFTP=yes\n"), old)
    Generations(old, with_tftp).take(__version__)

    _of(old).take(OLD)

    assert _texts(old) == before


def test_what_somebody_changed_is_not_written_over(old: Path) -> None:
    (old / "README.md").write_text("mine")
    before = _texts(old)

    with pytest.raises(ChangedFileError, match=r"README\.md is not ours"):
        _of(old).take(__version__)

    assert _texts(old) == before


@pytest.mark.system
def test_killed_at_any_rename_it_is_gone_on_with(old: Path) -> None:
    before = _texts(old)
    _of(old).take(__version__)
    after = _texts(old)
    _of(old).take(OLD)

    cuts = 0
    while _killed(old, at=cuts + 1):
        cuts += 1
        if cuts % 2:
            _of(old).take(__version__)
            assert _texts(old) == after
        _of(old).take(OLD)
        assert _texts(old) == before
        for path in (old / BEFORE).rglob("*"):
            if path.is_file():
                path.unlink()

    assert cuts >= 2 * (len(before) - 1)  # each file is saved and written


def _killed(place: Path, *, at: int) -> bool:
    """Take this release, and be killed at that rename; False when it had fewer."""
    strace = [tools.need("strace"), "-f", "-qq", "-o", "/dev/null"]
    calls = "rename,renameat,renameat2"
    strace += ["-e", f"inject={calls}:signal=KILL:when={at}"]
    done = subprocess.run(
        [*strace, sys.executable, "-c", _TAKE, str(place), __version__],
        cwd=tools.ROOT,
        capture_output=True,
        check=False,
        timeout=60,
    )
    return done.returncode != 0


def test_a_unit_that_was_put_back_is_the_former_one_with_its_image(old: Path) -> None:
    chosen = choices.read(Envvars(TOLD), old)
    at = Deployment(old, chosen, Engine("podman"), Programs(print))
    stack = QuadletStack(at, old / "units")
    former = old / "quadlet" / files.BTY_UNIT
    text = former.read_text().partition("\n")[2].replace("RestartSec=5", "RestartSec=7")
    former.write_text(f"# Written by bty {OLD} (0123456789abcdef)\n{text}")

    bty, cache = (file.text for file in stack.units_of(Release(OLD, "sha256:abc")))
    ours, _cache = (file.text for file in stack.units_of(Release(__version__, "sha256:def")))

    assert "RestartSec=7\n" in bty
    assert "Image=sha256:abc\n" in bty
    assert f"# release: {OLD}\n" in bty
    assert marks.origin(bty) is marks.Origin.OURS
    assert cache == (old / "quadlet" / files.WITHCACHE_UNIT).read_text()
    assert "RestartSec=5\n" in ours
    assert f"# release: {__version__}\n" in ours
