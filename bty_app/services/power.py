"""The power hook: a command of the site's own that switches a machine off and on."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from collections.abc import Callable

from bty_app.domain.mac import Mac
from bty_app.errors import ConfigError, UnavailableError

MAC_WORD = "{mac}"


def hook(command: str, seconds: int) -> Callable[[Mac], None] | None:
    """What runs `command` for a machine, each `{mac}` in its words replaced; None for no command.

    No shell reads it, and it is ended after `seconds` with all that it started.

    Raises:
        ConfigError: its quotes do not match, or it does not say which machine.
    """
    if not command:
        return None
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ConfigError(f"power.command cannot be split into words: {error}") from error
    if not any(MAC_WORD in word for word in words[1:]):
        raise ConfigError(f"power.command must have {MAC_WORD} among its arguments")
    return lambda mac: _run([word.replace(MAC_WORD, mac) for word in words], seconds)


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
