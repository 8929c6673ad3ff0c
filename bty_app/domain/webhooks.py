"""Who is told of events: what is sent to them, its signature, and when it is tried again."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from datetime import timedelta
from fnmatch import fnmatchcase
from urllib.parse import urlsplit

from bty_app.domain.boot_stages import STAGE_NAMES, Seen
from bty_app.domain.events import Actor, Event, Kind, StoredEvent, Subject
from bty_app.domain.moments import stamp

MAX_TARGETS = 8
MAX_TEXT = 4096
LONGEST_SECONDS = 300
STAGES = "machine.stage."
OLDEST_STAGE = timedelta(hours=1)  # told; of what was longer ago nobody needs to hear
_KINDS = re.compile(r"[a-z0-9_.*]{1,80}(,[a-z0-9_.*]{1,80}){0,31}", re.ASCII)
_RULE = "patterns of kinds and a URL, such as: *failed,machine.flashed https://host/hook"


@dataclass(frozen=True, slots=True)
class Target:
    """A receiver: a URL, or a program with its arguments."""

    kinds: tuple[str, ...]
    url: str = ""
    command: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """What its place in the log is kept under: another pattern goes on where this one was."""
        return hashlib.sha256("\0".join((self.url, *self.command)).encode()).hexdigest()[:16]

    @property
    def shown(self) -> str:
        """For people: the path of a URL is often a secret."""
        return shown_url(self.url) if self.url else self.command[0]

    def wants(self, kind: str) -> bool:
        """Whether it is to be told of events of this kind. Stages of boots are many: a pattern
        stands for some of them only if it begins as their kinds do.
        """
        patterns = self.kinds
        if kind.startswith(STAGES):
            patterns = tuple(pattern for pattern in patterns if pattern.startswith(STAGES))
        return any(fnmatchcase(kind, pattern) for pattern in patterns)

    @property
    def wants_stages(self) -> bool:
        """Whether it is to be told of any stage of a boot."""
        return any(pattern.startswith(STAGES) for pattern in self.kinds)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a target has been told. `cursor` is the last event that is done with."""

    cursor: int
    tries: int = 0
    next_at: str | None = None
    last_at: str | None = None
    last_error: str | None = None
    told_at: str | None = None
    skipped: int = 0


def targets(text: str) -> tuple[Target, ...]:
    """The targets of a setting.

    Raises:
        ValueError: with the rule that it breaks.
    """
    found = []
    for part in filter(None, map(str.strip, text.split(";"))):
        words = part.split()
        if len(words) != 2 or not _KINDS.fullmatch(words[0]) or not is_url(words[1]):
            raise ValueError(_RULE)
        found.append(Target(tuple(words[0].split(",")), words[1]))
    if len(found) > MAX_TARGETS or len(text) > MAX_TEXT:
        raise ValueError(f"at most {MAX_TARGETS} targets in {MAX_TEXT} characters")
    if len({target.id for target in found}) != len(found):
        raise ValueError("a list that names each URL once")
    return tuple(found)


def checked(text: str) -> str:
    """The targets, spelled as they are stored.

    Raises:
        ValueError: with the rule that the text breaks.
    """
    return "; ".join(f"{','.join(target.kinds)} {target.url}" for target in targets(text))


def masked(text: str) -> str:
    """The targets for people: of each URL the host alone."""
    try:
        found = targets(text)
    except ValueError:
        return "***" if text else ""
    return "; ".join(f"{','.join(target.kinds)} {target.shown}" for target in found)


def shown_url(url: str) -> str:
    """`https://host/…`."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return f"{parts.scheme}://{host}/…" if parts.path not in {"", "/"} or parts.query else url


def path_of(url: str) -> str:
    """What follows the host, when it is more than a slash."""
    parts = urlsplit(url)
    path = f"{parts.path}?{parts.query}" if parts.query else parts.path
    return path if len(path) > 1 else ""


def message(event: StoredEvent) -> bytes:
    """What is sent: the event as JSON; `text` is a line for people, which chats show."""
    told = {"text": f"bty: {event.kind}: {event.summary}", **event.as_data()}
    del told["acknowledged"]  # says nothing of an event that has just happened
    return json.dumps(told, separators=(",", ":")).encode()


def stage_event(number: int, mac: str, seen: Seen) -> StoredEvent:
    """A stage of a boot as a receiver is told of it; it is no event of the log."""
    return StoredEvent(
        *(number, stamp(seen.at), f"{STAGES}{seen.stage.value}", "machine", mac),
        *(Actor.PXE_CLIENT.value, seen.ip, f"{mac}: {STAGE_NAMES[seen.stage]}"),
        details=json.dumps(dict(seen.detail)) if seen.detail else None,
        acknowledged=True,
        chain="",
    )


def delivery(event: StoredEvent) -> str:
    """What tells a receiver that it has got this one already."""
    return f"stage-{event.id}" if event.kind.startswith(STAGES) else str(event.id)


def trial(at: str) -> StoredEvent:
    """What a test sends; it is no event of the log."""
    summary = "a test: events arrive here"
    return StoredEvent(
        0, at, "webhook.test", None, None, Actor.OPERATOR.value, None, summary, None, True, ""
    )


def signature(key: str, body: bytes, seconds: int) -> str:
    """`t=<seconds since 1970>,v1=<HMAC-SHA256 over "t.body" in hex>`."""
    signed = hmac.new(key.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={signed}"


def pause(tries: int) -> int:
    """How many seconds to wait after so many failures in a row: 2, 4, 8 … 300."""
    return min(LONGEST_SECONDS, 1 << min(max(tries, 1), 16))


def failed(target: Target, why: str) -> Event:
    """A receiver is not told; its events wait."""
    summary = f"events cannot be sent to {target.shown}: {why}; they wait, and are sent later"
    return Event(
        Kind.WEBHOOK_FAILED,
        Actor.SYSTEM,
        summary,
        Subject("webhook", target.id),
        None,
        {"why": why},
    )


def recovered(target: Target) -> Event:
    """It is told again."""
    summary = f"events are sent to {target.shown} again"
    return Event(Kind.WEBHOOK_RECOVERED, Actor.SYSTEM, summary, Subject("webhook", target.id))


def is_url(text: str) -> bool:
    """Whether it is an http or https URL, in ASCII."""
    if not text.isascii() or not text.isprintable():
        return False
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        return False
    return parts.scheme in {"http", "https"} and bool(parts.hostname) and port != 0
