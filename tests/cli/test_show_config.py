"""`show-config`: every key, its value, its source; no secret."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from bty_app.cli import main as cli
from bty_app.config import KEYS


@pytest.fixture
def config_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("BTY_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("BTY_PATHS_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("BTY_SERVER_SESSION_SECRET", "hunter2-hunter2-hunter2")
    file = tmp_path / "my.toml"
    file.write_text(
        '[admin]\npassword = "hunter2"\n[server]\nport = 81\ntrusted_proxy = ["10.0.0.0/8"]\n'
    )
    return file


def test_json_has_every_key_with_value_and_source(
    config_file: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    status = cli.main(
        ["--config", str(config_file), "--log-format", "json", "show-config", "--json"]
    )

    out, err = capsys.readouterr()
    found = json.loads(out)
    assert (status, err) == (0, "")
    assert list(found) == [key.name for key in KEYS]
    assert found["server.port"] == {"value": 81, "from": f"toml({config_file})"}
    assert found["server.trusted_proxy"]["value"] == ["10.0.0.0/8"]
    assert found["server.host"] == {"value": "0.0.0.0", "from": "default"}  # noqa: S104
    assert found["paths.boot_dir"] == {"value": str(tmp_path / "state/boot"), "from": "default"}
    assert found["paths.state_dir"]["from"] == "env(BTY_PATHS_STATE_DIR)"
    assert found["log.format"] == {"value": "json", "from": "flag(--log-format)"}


def test_the_table_has_a_line_for_every_key(
    config_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cli.main(["--config", str(config_file), "show-config"])

    lines = {line.split()[0]: line.split()[1:] for line in capsys.readouterr().out.splitlines()}
    assert list(lines) == [key.name for key in KEYS]
    assert lines["server.port"] == ["81", f"toml({config_file})"]
    assert lines["withcache.url"] == ["-", "default"]


@pytest.mark.parametrize("arguments", [[], ["--json"]])
def test_secrets_are_masked(
    config_file: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    cli.main(["--config", str(config_file), "show-config", *arguments])

    out, err = capsys.readouterr()
    assert "hunter2" not in out + err
    assert out.count("***") == 2


def test_nothing_is_created(config_file: Path, tmp_path: Path) -> None:
    cli.main(["--config", str(config_file), "show-config"])

    assert list(tmp_path.iterdir()) == [config_file]
