"""Log lines: `level=info at=http method=GET …`, or the same fields as one JSON object.

One record is one line, whatever is in it: control characters are escaped, so that nobody can
write a second line through a value. Use:

    _log = logging.getLogger(__name__)
    logs.event(_log, logging.INFO, "http", method="GET", status=200, ms=3.1)

Plain `_log.warning("text %s", x)` calls (other people's libraries) become `at=<logger> msg=…`.
Lines of text carry no time: whoever keeps them (journald, podman) stamps them. JSON does.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import re
import threading
import time
import traceback
from collections import deque
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, TextIO

FORMATS: Final = ("text", "json")
LEVELS: Final = ("debug", "info", "warning", "error")
MAX_VALUE: Final = 2000  # characters of one value; a request's path may be far longer
MAX_TRACEBACK: Final = 16_000

_BARE = re.compile(r"[A-Za-z0-9_./:+@%,~^*?&#!;()\[\]{}<>|$-]+")
# All that a terminal or a reader of lines takes for more than a character, or does not show at all.
_CONTROL = re.compile(
    "[\x00-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\ud800-\udfff\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_NOT_IN_A_KEY = re.compile(r"[^A-Za-z0-9_.]")
_OWN_NAMES = frozenset({"time", "level", "at"})
_LEVEL_NAMES = {getattr(logging, name.upper()): name for name in LEVELS}
_dumps = json.JSONEncoder(ensure_ascii=False, separators=(", ", ": ")).encode

Scalar = str | int | float | bool | None


def setup(
    format: str,  # noqa: A002  the setting's own name
    level: str,
    stream: TextIO,
    *,
    behind: bool = False,
) -> None:
    """Send every record of at least `level` to `stream`, in `format` (`FORMATS`), and to no
    other place; with `behind`, from a thread of its own (`WrittenBehind`)."""
    logging.logThreads = False
    logging.logMultiprocessing = False
    logging.logProcesses = False
    handler = WrittenBehind(stream) if behind else logging.StreamHandler(stream)
    handler.setFormatter(JsonLines() if format == "json" else TextLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())


def event(logger: logging.Logger, level: int, at: str, /, **fields: object) -> None:
    """Log that `at` happened, with `fields` in the order given; a field that is None is left out.

    Quicker than `logger.log`: it does not look up the caller's file and line.
    """
    if logger.isEnabledFor(level):
        record = logger.makeRecord(logger.name, level, "", 0, at, (), None)
        record.fields = fields
        logger.handle(record)


def one_line(text: str) -> str:
    """`text` with control characters and line separators escaped."""
    return text if text.isprintable() else _CONTROL.sub(_escape, text)


class WrittenBehind(logging.Handler):
    """Leaves writing to a thread: a request neither waits for the stream nor for other requests.

    A line is written within a few hundredths of a second, an error at once. What a kill -9 can
    lose is the last of these lines, never an audit row.

    Threads: `log-writer` writes; any thread logs.
    """

    GATHER_SECONDS: Final = 0.02
    MOST_WAITING: Final = 50_000  # lines; behind a reader that has stopped reading

    def __init__(self, stream: TextIO) -> None:
        super().__init__()
        self._stream = stream
        self._lines: deque[str] = deque()
        self._lost = 0
        self._waiting = threading.Event()
        self._writing = threading.Lock()
        threading.Thread(target=self._run, name="log-writer", daemon=True).start()

    def handle(self, record: logging.LogRecord) -> bool:
        """Take a record, without the lock that the base class holds: a deque needs none."""
        if len(self._lines) >= self.MOST_WAITING:
            self._lost += 1
            return False
        self._lines.append(self.format(record))
        if record.levelno >= logging.ERROR:
            self.flush()
        elif not self._waiting.is_set():
            self._waiting.set()
        return True

    def flush(self) -> None:
        """Write all that waits."""
        with self._writing:
            self._waiting.clear()
            lines = [self._lines.popleft() for _ in range(len(self._lines))]
            if self._lost:
                lines.append(f"level=warning at=log lost={self._lost}")
                self._lost = 0
            if lines:
                with contextlib.suppress(OSError, ValueError):  # nobody is left to read them
                    self._stream.write("\n".join([*lines, ""]))
                    self._stream.flush()

    def _run(self) -> None:
        while True:
            self._waiting.wait()
            time.sleep(self.GATHER_SECONDS)
            self.flush()


class TextLines(logging.Formatter):
    """`key=value key="value with spaces"`; quoted values are JSON strings."""

    def format(self, record: logging.LogRecord) -> str:
        line = f"level={_LEVEL_NAMES.get(record.levelno, record.levelname)}"
        for key, value in _fields(record).items():
            line += f" {key}={_text(value)}"
        return line


class JsonLines(logging.Formatter):
    """One JSON object a line: `time` (UTC), `level`, `at`, then the fields."""

    def format(self, record: logging.LogRecord) -> str:
        level = _LEVEL_NAMES.get(record.levelno, record.levelname)
        line = {"time": _time(record), "level": level}
        return one_line(_dumps(line | _fields(record)))


def _fields(record: logging.LogRecord) -> dict[str, Scalar]:
    given: Mapping[str, object] | None = getattr(record, "fields", None)
    if given is None:
        found: dict[str, Scalar] = {"at": record.name, "msg": _scalar(record.getMessage())}
    else:
        found = {"at": _scalar(record.msg)}
        for key, value in given.items():
            if value is not None:
                found[_key(key)] = _scalar(value)
    if record.exc_info and record.exc_info[1] is not None:
        text = "".join(traceback.format_exception(record.exc_info[1]))
        found["traceback"] = text[-MAX_TRACEBACK:]
    return found


def _time(record: logging.LogRecord) -> str:
    return f"{_second(int(record.created))}.{int(record.msecs):03d}+00:00"


@lru_cache(maxsize=4)
def _second(since_epoch: int) -> str:
    return datetime.fromtimestamp(since_epoch, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _scalar(value: object) -> Scalar:
    if isinstance(value, str):
        return value if len(value) <= MAX_VALUE else f"{value[:MAX_VALUE]}…"
    if isinstance(value, int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return _scalar(str(value))


def _text(value: Scalar) -> str:
    if isinstance(value, str):
        return value if _BARE.fullmatch(value) else one_line(_dumps(value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _key(key: str) -> str:
    """`key` as it may stand before `=`; the line's own names are not to be had."""
    plain = key if key.isidentifier() else _NOT_IN_A_KEY.sub("_", key) or "_"
    return f"{plain}_" if plain in _OWN_NAMES else plain


def _escape(found: re.Match[str]) -> str:
    number = ord(found[0])
    return f"\\u{number:04x}" if number < 0x10000 else json.dumps(found[0])[1:-1]
