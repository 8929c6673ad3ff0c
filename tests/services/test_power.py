"""The power hook runs what is configured, and no more."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from bty_app.domain.mac import Mac
from bty_app.errors import ConfigError, UnavailableError
from bty_app.services.power import hook

MAC = Mac("52:54:00:12:34:56")


def test_it_runs_its_words_without_a_shell_or_our_secrets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BTY_ADMIN_PASSWORD", "secret")
    out = tmp_path / "out"
    script = 'printf "%s;" "$1" "$2" "$BTY_ADMIN_PASSWORD" > "$0"'
    run = hook(f"sh -c '{script}' {out} '$(id)' cycle={{mac}}", 10)

    assert run is not None
    run(MAC)

    assert out.read_text() == f"$(id);cycle={MAC};;"


@pytest.mark.parametrize("command", ["ipmi {mac", "ipmi '{mac}", "{mac}", "ipmi cycle"])
def test_a_command_that_cannot_work_is_refused_at_the_start(command: str) -> None:
    with pytest.raises(ConfigError):
        hook(command, 1)


def test_a_failure_is_a_sentence_and_a_hang_is_ended() -> None:
    missing, failing, hanging = (
        hook(words, 1) for words in ("/no/such {mac}", "false {mac}", "sh -c 'sleep 60' {mac}")
    )
    assert missing is not None
    assert failing is not None
    assert hanging is not None

    with pytest.raises(UnavailableError, match="No such file"):
        missing(MAC)
    with pytest.raises(UnavailableError, match="status 1"):
        failing(MAC)
    began = time.monotonic()
    with pytest.raises(UnavailableError, match="ended after 1 s"):
        hanging(MAC)
    assert time.monotonic() - began < 20


def test_without_a_command_there_is_no_hook() -> None:
    assert hook("", 1) is None
