"""The power hook runs what is configured, and no more."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from bty_app.domain.mac import Mac
from bty_app.errors import ConfigError, UnavailableError
from bty_app.services import power
from bty_app.upstream.http import Http
from tests.services.test_webhooks import Receiver, receiver

__all__ = ["receiver"]  # a fixture

MAC = Mac("52:54:00:12:34:56")


def hook(command: str, seconds: int, url: str = "") -> Callable[[Mac], None] | None:
    return power.hook(command, url, seconds, Http(at_once=2, wait_seconds=1.0))


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


def test_a_url_is_called_with_the_machine(receiver: Receiver) -> None:
    call = hook("", 2, f"{receiver.url}/{{mac}}?key=1")
    assert call is not None

    call(MAC)

    headers, body = receiver.got[0]
    assert json.loads(body) == {"mac": MAC, "act": "power-cycle"}
    assert headers["Content-Type"] == "application/json"


def test_a_url_that_fails_is_a_sentence_without_its_secret_path(receiver: Receiver) -> None:
    call = hook("", 1, receiver.url)
    nobody = hook("", 1, "http://127.0.0.1:9/secret-path")
    assert call is not None
    assert nobody is not None

    receiver.status = 500
    with pytest.raises(UnavailableError, match=r"127\.0\.0\.1:\d+/… answers 500") as failed:
        call(MAC)
    assert "secret" not in failed.value.message
    with pytest.raises(UnavailableError, match="cannot be reached") as failed:
        nobody(MAC)
    assert "secret" not in failed.value.message
    receiver.status, receiver.location = 302, "http://127.0.0.1:9/"
    with pytest.raises(UnavailableError):
        call(MAC)
    receiver.location, receiver.stalls = "", True
    began = time.monotonic()
    with pytest.raises(UnavailableError, match="in time"):
        call(MAC)
    assert time.monotonic() - began < 10


@pytest.mark.parametrize("url", ["ftp://host/x", "host", "https://", "http://h/\u202e"])
def test_a_url_that_cannot_work_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(ConfigError):
        hook("", 1, url)


def test_a_command_and_a_url_are_one_too_many() -> None:
    with pytest.raises(ConfigError, match="one of them"):
        hook("true {mac}", 1, "http://192.0.2.1/")
