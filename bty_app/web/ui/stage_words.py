"""The stages of a boot in words."""

from __future__ import annotations

from dataclasses import dataclass

from bty_app.domain.boot_outcome import Hang
from bty_app.domain.boot_stages import STAGE_NAMES, Seen, Stage
from bty_app.domain.boot_timeline import Boot, Kind
from bty_app.domain.moments import stamp
from bty_app.web.pages import human_size
from bty_app.web.ui.words import Tone, duration

BOOTS_SHOWN = 8

_TONES = {
    Kind.UNDER_WAY: Tone.WORK,
    Kind.ENDED: Tone.GOOD,
    Kind.HANGS: Tone.FAULT,
    Kind.BROKE_OFF: Tone.WAIT,
}
_BAD = {
    *(Stage.DHCP_IGNORED, Stage.TFTP_FAILED, Stage.KERNEL_FAILED),
    *(Stage.INITRD_FAILED, Stage.FLASH_FAILED),
}
_OFFERS = {"live": "boot the live environment", "disk": "boot its disk", "exit": "go on"}


@dataclass(frozen=True, slots=True)
class Line:
    """A stage. `after` is how long after the first of its boot it was seen."""

    at: str
    after: str
    name: str
    detail: str
    bad: bool


@dataclass(frozen=True, slots=True)
class ShownBoot:
    """A boot as the page has it."""

    began: str
    tone: Tone
    state: str
    words: str
    hang: Hang | None
    lines: tuple[Line, ...]
    is_open: bool


def shown(boot: Boot) -> ShownBoot:
    """A boot for people."""
    lines = tuple(_line(boot, seen) for seen in boot.stages)
    state = {
        Kind.UNDER_WAY: "under way",
        Kind.ENDED: "went through",
        Kind.HANGS: "hangs",
        Kind.BROKE_OFF: "broke off",
    }[boot.kind]
    if boot.kind is Kind.HANGS and boot.stages[-1].stage is Stage.FLASH_FAILED:
        state = "failed"
    is_open = boot.kind in {Kind.UNDER_WAY, Kind.HANGS}
    began = stamp(boot.began)
    return ShownBoot(began, _TONES[boot.kind], state, boot.words, boot.hang, lines, is_open)


def detail_words(seen: Seen) -> str:
    """What was seen with a stage: who, how much, how fast, how often."""
    detail, words = dict(seen.detail), []
    if seen.stage is Stage.SCRIPT:
        offer = str(detail.pop("offer", ""))
        seconds = detail.pop("seconds", None)
        words.append(f"wait {seconds} s" if offer == "wait" else _OFFERS.get(offer, offer))
        words += [str(detail.pop("purpose", ""))]
    sent, of, seconds = (detail.pop(key, None) for key in ("bytes", "of", "seconds"))
    if isinstance(sent, int):
        of_all = f" of {human_size(of)}" if isinstance(of, int) and of != sent else ""
        words.append(human_size(sent) + of_all)
    elif isinstance(of, int):
        words.append(human_size(of))
    if isinstance(seconds, int | float):
        words.append(f"{seconds:g} s")
        if isinstance(sent, int) and seconds > 0:
            words.append(f"{human_size(int(sent / seconds))}/s")
    words += [
        str(value) if key in _PLAIN else f"{key} {value}"
        for key, value in detail.items()
        if value not in (None, "")
    ]
    if seen.times > 1:
        lasted = int((seen.until - seen.at).total_seconds())
        words.append(f"{seen.times} times in {duration(lasted)}")
    return ", ".join(word for word in words if word)


_PLAIN = {"text", "why", "reason", "plan", "phase", "file", "image"}


def _line(boot: Boot, seen: Seen) -> Line:
    seconds = (seen.at - boot.began).total_seconds()
    after = f"+{seconds:.1f} s" if seconds < 60 else f"+{duration(int(seconds))}"
    name = STAGE_NAMES[seen.stage]
    return Line(stamp(seen.at), after, name, detail_words(seen), seen.stage in _BAD)
