"""Work that is done by this program in a process of its own: the server's threads are for machines.

What copies, digests and parses hundreds of megabytes in the server's own process holds the
interpreter's lock from the threads that answer machines. `bty_app/cli/child.py` is the other end.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from bty_app import errors
from bty_app.domain.jobs import Step, Teller
from bty_app.errors import BtyError, CancelledError, UnavailableError
from bty_app.store.acting import for_child

END_SECONDS = 30.0
_LONGEST_LINE = 1024 * 1024
_CLASSES: dict[str, type[BtyError]] = {
    kind.code: kind
    for kind in (
        *(errors.InvalidInputError, errors.NotFoundError, errors.ConflictError),
        *(errors.CancelledError, errors.UnavailableError, errors.StorageError),
        *(errors.ConfigError, errors.MovedError),
    )
}


@dataclass(frozen=True, slots=True)
class OwnProgram:
    """`command` starts this program, in `environment`."""

    command: Sequence[str]
    environment: Mapping[str, str]

    def run(self, words: Sequence[str], teller: Teller) -> dict[str, Any]:
        """Run a command of ours that knows `--child`; return its result.

        Raises:
            CancelledError: the teller ended it; it has ended when this is raised.
            UnavailableError: it could not be started, or ended without a word.
            BtyError: what the command itself failed with.
        """
        try:
            going = subprocess.Popen(  # noqa: S603 - ourselves
                [*self.command, *words, "--child"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**self.environment, **for_child()},
                start_new_session=True,  # ^C at a terminal is the server's to handle
            )
        except OSError as error:
            raise UnavailableError(f"no process can be started: {error.strerror}") from error
        try:
            return _followed(going, teller)
        finally:
            _ended(going)


def _followed(going: subprocess.Popen[bytes], teller: Teller) -> dict[str, Any]:
    assert going.stdout is not None  # noqa: S101 - it is a pipe
    cancelled: CancelledError | None = None
    for line in _lines(going.stdout):
        if "result" in line:
            return dict(line["result"])
        if "error" in line:
            raise cancelled or _error(line["error"])
        try:
            teller.tell(Step(str(line.get("words", "")), line.get("done", 0), line.get("total")))
        except CancelledError as error:
            cancelled = error
            _close(going)  # and read on: it may be too late
    raise cancelled or UnavailableError("the process ended without a word: the log may say more")


def _lines(stream: IO[bytes]) -> Iterator[dict[str, Any]]:
    while text := stream.readline(_LONGEST_LINE):
        with contextlib.suppress(ValueError):
            line = json.loads(text)
            if isinstance(line, dict):
                yield line


def _error(told: dict[str, Any]) -> BtyError:
    kind = _CLASSES.get(str(told.get("code")), BtyError)
    return kind(str(told.get("message")))


def _close(going: subprocess.Popen[bytes]) -> None:
    """What it takes for the wish to end it."""
    if going.stdin is not None:
        with contextlib.suppress(OSError):
            going.stdin.close()


def _ended(going: subprocess.Popen[bytes]) -> None:
    _close(going)
    try:
        going.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        going.kill()
        going.wait()
    if going.stdout is not None:
        going.stdout.close()
