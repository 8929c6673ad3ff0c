"""TFTP and proxy DHCP in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bty_app.domain.moments import stamp
from bty_app.services.boot_servers import Name, State
from bty_app.web.ui.words import Tone

_NAMES = {Name.TFTP: "TFTP", Name.DHCP: "Proxy DHCP"}
_KEYS = {Name.TFTP: "netboot.tftp", Name.DHCP: "netboot.proxy_dhcp"}
_RESULTS = {
    Name.DHCP: {
        "offered": "told a boot file",
        "ignored": "not answered",
        "held-back": "held back: too many at once",
        "other": "no network boot",
        "malformed": "not readable",
    },
    Name.TFTP: {
        "done": "sent",
        "failed": "failed",
        "declined": "asked for the size alone",
        "held-back": "held back: too many at once",
    },
}
# What is shown also while it is still nought.
_MAIN = {"offered", "ignored", "done", "failed"}


@dataclass(frozen=True, slots=True)
class Row:
    """What came of requests: how many, and the last of them."""

    name: str
    count: int
    at: str
    who: str
    about: str


@dataclass(frozen=True, slots=True)
class ShownServer:
    """A boot server as the page has it; `key` switches it on."""

    name: str
    key: str
    is_on: bool
    tone: Tone
    words: str
    rows: tuple[Row, ...]


def shown(states: Sequence[State]) -> list[ShownServer]:
    """The boot servers for people."""
    return [_shown(state) for state in states]


def is_on(states: Sequence[State], name: Name) -> bool:
    """Is it served here?"""
    return any(state.is_on for state in states if state.name is name)


def _shown(state: State) -> ShownServer:
    name = _NAMES[state.name]
    rows = tuple(
        _row(state, word, words)
        for word, words in _RESULTS[state.name].items()
        if state.counts[word] or word in _MAIN
    )
    return ShownServer(
        name,
        _KEYS[state.name],
        state.is_on,
        Tone.GOOD if state.is_on else Tone.REST,
        f"{name} is on: {state.where}" if state.is_on else f"{name} is off",
        rows if state.is_on else (),
    )


def _row(state: State, word: str, words: str) -> Row:
    last = state.last.get(word)
    if last is None:
        return Row(words, state.counts[word], "", "", "")
    return Row(words, state.counts[word], stamp(last.at), last.who, last.about)
