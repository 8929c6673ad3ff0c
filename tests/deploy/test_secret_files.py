"""The files with the passwords: whose they are, and when they are written."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from bty_app.deploy import choices, secret_files
from bty_app.deploy.envvars import Envvars
from bty_app.deploy.secret_files import SecretFiles


@pytest.fixture(params=[0o022, 0o077, 0o000])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


def _files(place: Path, *lines: str) -> SecretFiles:
    return SecretFiles(place, choices.read(Envvars("\n".join(lines)), place))


def _texts(place: Path) -> dict[str, str]:
    return {name: (place / name).read_text() for name in secret_files.NAMES}


def test_outside_nobody_gets_in_and_inside_whoever_it_runs_as_can_read(
    tmp_path: Path, umask: None
) -> None:
    del umask
    _files(tmp_path, "BTY_ADMIN_PASSWORD='one #1'", "WITHCACHE_ADMIN_PASSWORD=two").write()

    assert list(_texts(tmp_path).values()) == ["one #1\n", "two\n", "two\n"]
    modes = {name: stat.S_IMODE((tmp_path / name).stat().st_mode) for name in _shown()}
    assert modes.pop("secrets") == 0o700
    assert set(modes.values()) == {0o755, 0o644}


def _shown() -> list[str]:
    return [*secret_files.FOLDERS, *secret_files.NAMES]


def test_what_is_right_keeps_its_time_and_what_was_opened_is_closed(tmp_path: Path) -> None:
    files = _files(tmp_path, "WITHCACHE_ADMIN_PASSWORD=two")
    files.write()
    for name in secret_files.NAMES:
        os.utime(tmp_path / name, (1000, 1000))
    (tmp_path / "secrets").chmod(0o755)

    files.write()
    kept = [files.changed(service) for service in secret_files.SERVICES]
    _files(tmp_path, "BTY_ADMIN_PASSWORD=one", "WITHCACHE_ADMIN_PASSWORD=two").write()

    assert kept == [1000, 1000]
    assert files.changed("bty") > 1000
    assert files.changed("withcache") == 1000
    assert stat.S_IMODE((tmp_path / "secrets").stat().st_mode) == 0o700


def test_without_files_there_is_no_time(tmp_path: Path) -> None:
    assert _files(tmp_path).changed("bty") == 0
    assert len(_files(tmp_path).changes()) == len(secret_files.NAMES)
