"""The power hook: a command or a URL of the site's own that switches a machine off and on."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from collections.abc import Callable

from bty_app.domain.mac import Mac
from bty_app.domain.webhooks import is_url, shown_url
from bty_app.errors import BtyError, ConfigError, UnavailableError
from bty_app.upstream.http import Http, Request

MAC_WORD = "{mac}"
ANSWER_BYTES = 64 * 1024


def hook(command: str, url: str, seconds: int, http: Http) -> Callable[[Mac], None] | None:
    """What switches a machine off and on, by the configured command or URL; None for neither.

    Raises:
        ConfigError: both are configured, or one that cannot work.
    """
    if command and url:
        raise ConfigError("power.command and power.url: configure one of them")
    if url:
        return _by_url(url, seconds, http)
    return _by_command(command, seconds) if command else None


def _by_command(command: str, seconds: int) -> Callable[[Mac], None]:
    """No shell reads it, and it is ended after `seconds` with all that it started."""
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ConfigError(f"power.command cannot be split into words: {error}") from error
    if not any(MAC_WORD in word for word in words[1:]):
        raise ConfigError(f"power.command must have {MAC_WORD} among its arguments")
    return lambda mac: _run([word.replace(MAC_WORD, mac) for word in words], seconds)


def _by_url(url: str, seconds: int, http: Http) -> Callable[[Mac], None]:
    if not is_url(url):
        raise ConfigError("power.url must be an http or https URL, such as https://host/{mac}")
    shown = shown_url(url)  # its path is often a secret

    def call(mac: Mac) -> None:
        body = json.dumps({"mac": mac, "act": "power-cycle"}).encode()
        headers = {"Content-Type": "application/json"}
        request = Request(url.replace(MAC_WORD, mac), "POST", headers, body)
        try:
            answer = http.ask(request, limit=ANSWER_BYTES, seconds=float(seconds))
        except BtyError as error:
            why = "it does not answer in time, or cannot be reached"
            raise UnavailableError(f"the power hook {shown}: {why}") from error
        if not 200 <= answer.status < 300:
            raise UnavailableError(f"the power hook {shown} answers {answer.status}")

    return call


def _run(words: list[str], seconds: int) -> None:
    # Of our own environment, which may have secrets, it gets the path alone.
    environment = {"PATH": os.environ.get("PATH", os.defpath)}
    nothing = subprocess.DEVNULL
    try:
        running = subprocess.Popen(  # noqa: S603 - the words are the configuration's, and a checked MAC
            words,
            stdin=nothing,
            stdout=nothing,
            stderr=nothing,
            env=environment,
            start_new_session=True,
        )
    except OSError as error:
        raise UnavailableError(f"the power hook {words[0]}: {error.strerror}") from error
    try:
        status = running.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(running.pid, signal.SIGKILL)
        running.wait()
        raise UnavailableError(f"the power hook was ended after {seconds} s") from None
    if status:
        raise UnavailableError(f"the power hook ended with the status {status}")
