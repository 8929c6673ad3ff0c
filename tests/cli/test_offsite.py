"""`bty offsite`: from one host to a place, and from there to another host."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from bty_app import __version__
from bty_app.cli.main import main
from bty_app.services.backup_files import BackupPlan, write_backup
from bty_app.store import sqlite
from tests import places
from tests.fresh_state import make_state
from tests.services.offsite_bench import NOW, backup, content
from tests.tap import Tap, tapped

PLAN = BackupPlan("2026-11-22T03-00-00Z", "scheduled", __version__, NOW)
ONE = "02:00:00:00:00:01"
MIB = 1024 * 1024


@pytest.fixture(autouse=True)
def configured(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    monkeypatch.setenv("BTY_PATHS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("BTY_OFFSITE_URL", f"file://{tmp_path}/there")


def bty(*words: str | Path) -> int:
    return main(["offsite", *map(str, words)])


def real_backup(tmp_path: Path) -> Path:
    path = make_state(tmp_path / "state")
    connection = sqlite.writable(path)
    connection.execute(
        "INSERT INTO machines (mac, created_at, updated_at, hw_lshw) VALUES (?, 'a', 'a', '[1]')",
        (ONE,),
    )
    connection.close()
    return write_backup(path, tmp_path / "state/backups", PLAN).path


def over_s3(monkeypatch: pytest.MonkeyPatch, s3: places.S3, prefix: str, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text(f"{places.SECRET}\n")
    monkeypatch.setenv("BTY_OFFSITE_URL", s3.url(prefix))
    monkeypatch.setenv("BTY_OFFSITE_USER", places.ACCESS)
    monkeypatch.setenv("BTY_OFFSITE_PASSWORD_FILE", str(secret))


def over_dav(monkeypatch: pytest.MonkeyPatch, dav: places.Dav) -> None:
    monkeypatch.setenv("BTY_OFFSITE_URL", dav.url("cli"))
    monkeypatch.setenv("BTY_OFFSITE_USER", places.USER)
    monkeypatch.setenv("BTY_OFFSITE_PASSWORD", places.PASSWORD)


@pytest.mark.parametrize("kind", ["directory", "s3", "webdav"])
def test_what_comes_back_is_verified_and_imported_on_another_host(
    kind: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    capsys: pytest.CaptureFixture[str],
) -> None:
    taken = real_backup(tmp_path)
    if kind == "s3":
        over_s3(monkeypatch, request.getfixturevalue("s3"), "cli", tmp_path)
    elif kind == "webdav":
        over_dav(monkeypatch, request.getfixturevalue("dav"))
    key = tmp_path / "key"
    assert bty("key", "create", "--yes", key) == 0
    monkeypatch.setenv("BTY_OFFSITE_KEY_FILE", str(key))

    assert bty("push") == 0
    assert bty("push") == 0
    assert bty("check", "--all") == 0
    monkeypatch.setenv("BTY_PATHS_STATE_DIR", str(tmp_path / "elsewhere"))
    capsys.readouterr()
    assert bty("list", "--json") == 0
    [row] = json.loads(capsys.readouterr().out)
    assert bty("fetch", row["id"], tmp_path / "back") == 0

    assert content(tmp_path / "back") == content(taken)
    assert main(["verify", str(tmp_path / "back")]) == 0
    make_state(tmp_path / "elsewhere")
    assert main(["import", str(tmp_path / "back")]) == 0
    out = capsys.readouterr()
    assert ONE in (tmp_path / "back/inventory.json").read_text()
    assert row["trigger"] == "scheduled"
    assert row["key_id"]
    for secret in (places.SECRET, places.PASSWORD, key.read_text().strip()):
        assert secret not in out.out + out.err
    assert bty("remove", row["id"]) == 0
    assert bty("list") == 0
    assert "there is no copy" in capsys.readouterr().out


def test_a_push_that_is_killed_leaves_no_copy_and_is_gone_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, s3: places.S3
) -> None:
    backup_id = backup(tmp_path / "state/backups", size=48 * MIB)
    over_s3(monkeypatch, s3, "killed", tmp_path)
    with tapped(s3.port) as tap:
        assert killed(tap, tmp_path, at=30 * MIB) == -signal.SIGKILL
    place = s3.bucket(prefix="killed")
    assert f"{backup_id}/offsite.json" not in {s.name for s in place.listed()}
    assert bty("check") == 1

    with tapped(s3.port) as tap:
        through(monkeypatch, tap, s3)
        assert bty("push") == 0
        assert tap.sent < 34 * MIB  # of 48

    over_s3(monkeypatch, s3, "killed", tmp_path)
    assert bty("check", "--all") == 0
    assert bty("fetch", backup_id, tmp_path / "back") == 0
    assert content(tmp_path / "back") == content(tmp_path / "state/backups" / backup_id)


def killed(tap: Tap, tmp_path: Path, *, at: int) -> int:
    """Push through the tap, and kill -9 the program when so much was sent."""
    url = f"s3://{places.BUCKET}/killed?endpoint=http://127.0.0.1:{tap.port}"
    command = [sys.executable, "-m", "bty_app", "offsite", "push"]
    environment = {**os.environ, "BTY_OFFSITE_URL": url}
    program = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)
    tap.cut_at, tap.reached = at, program.kill
    try:
        program.communicate(timeout=120)
    finally:
        program.kill()
    return program.returncode


def through(monkeypatch: pytest.MonkeyPatch, tap: Tap, s3: places.S3) -> None:
    url = s3.url("killed").replace(str(s3.port), str(tap.port))
    monkeypatch.setenv("BTY_OFFSITE_URL", url)


def test_a_server_that_only_takes_put_is_pushed_to_and_fetched_from_by_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second = (backup(tmp_path / "state/backups", days) for days in (2, 1))
    with places.put_server() as url:
        monkeypatch.setenv("BTY_OFFSITE_URL", url)
        monkeypatch.setenv("BTY_OFFSITE_KEEP", "1")

        assert bty("push", first) == 0
        assert "is no WebDAV server" in capsys.readouterr().err
        assert bty("push") == 0
        assert bty("fetch", second, tmp_path / "back") == 0
        assert bty("fetch", first, tmp_path / "first") == 0
        assert bty("list") == 65
        assert bty("remove", first) == 65
        assert "cannot list" in capsys.readouterr().err

    assert content(tmp_path / "back") == content(tmp_path / "state/backups" / second)


def test_old_copies_go_after_a_push(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ids = [backup(tmp_path / "state/backups", days) for days in (3, 2, 1)]
    monkeypatch.setenv("BTY_OFFSITE_KEEP", "1")

    assert bty("push", "--no-prune", *ids) == 0
    assert len(list((tmp_path / "there").iterdir())) == 3
    assert bty("push", ids[2]) == 0

    assert [path.name for path in (tmp_path / "there").iterdir()] == [ids[2]]
    assert f"{ids[0]} was removed there" in capsys.readouterr().err


def test_what_is_wrong_is_said_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bty("fetch", "none", tmp_path / "back") == 66
    assert bty("fetch", "../x", tmp_path / "back") == 65
    assert bty("push", "none") == 66
    assert bty("check", "none") == 66
    assert bty("remove", "none") == 66
    monkeypatch.setenv("BTY_OFFSITE_URL", "https://me:secret-word@host/x")
    assert bty("list") == 78
    assert "credentials" in capsys.readouterr().err
    monkeypatch.setenv("BTY_OFFSITE_URL", "s3://bucket/x?endpoint=http://127.0.0.1:1")
    assert bty("list") == 78
    assert "access key" in capsys.readouterr().err
    monkeypatch.setenv("BTY_OFFSITE_USER", "me")
    monkeypatch.setenv("BTY_OFFSITE_PASSWORD", "hidden-word")
    assert bty("list") == 69
    monkeypatch.setenv("BTY_OFFSITE_PASSWORD_FILE", str(tmp_path / "nothing"))
    assert bty("list") == 78
    monkeypatch.setenv("BTY_OFFSITE_URL", f"file://{tmp_path}/unmounted")
    monkeypatch.delenv("BTY_OFFSITE_PASSWORD_FILE")
    assert bty("list") == 74
    monkeypatch.setenv("BTY_OFFSITE_KEY_FILE", str(tmp_path / "nothing"))
    assert bty("list") == 78
    monkeypatch.setenv("BTY_OFFSITE_URL", "")
    assert bty("list") == 78
    out = capsys.readouterr()
    assert "hidden-word" not in out.out + out.err


def test_a_key_is_shown_once_typed_back_and_rehearsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert bty("key", "create", "--yes", tmp_path / "first") == 0
    text = capsys.readouterr().out.strip()

    monkeypatch.setattr(sys, "stdin", io.StringIO("typo\nbtykey1\n" + text + "\n"))
    assert bty("key", "create", tmp_path / "second") == 130
    assert not (tmp_path / "second").exists()
    assert "no key was made" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", io.StringIO(""))
    assert bty("key", "create", tmp_path / "second") == 130
    monkeypatch.setattr(sys, "stdin", io.StringIO(text.upper().replace("-", " ") + "\n"))
    assert bty("key", "enter", tmp_path / "copy") == 0
    assert (tmp_path / "copy").read_text() == f"{text}\n"
    assert bty("key", "create", "--yes", tmp_path / "copy") == 75
    assert bty("key", "check", tmp_path / "copy") == 0
    (tmp_path / "copy").write_text(text[:-1] + ("a" if text[-1] != "a" else "b"))
    assert bty("key", "check", tmp_path / "copy") == 78


def test_the_typed_key_is_taken(tmp_path: Path) -> None:
    """A person at a terminal: what is printed is typed back."""
    command = [sys.executable, "-m", "bty_app", "offsite", "key", "create", str(tmp_path / "key")]
    program = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert program.stdout is not None
    key = program.stdout.readline()
    _out, error = program.communicate(key, timeout=60)

    assert program.returncode == 0
    assert (tmp_path / "key").read_text() == key
    assert key.strip() not in error
