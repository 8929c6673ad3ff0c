"""The state of a machine in words: short for a table, whole sentences for its page."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never

from bty_app.domain.boot import Decision, FirmwareExit, LiveEnv, LocalDisk, Purpose, Reason, Wait
from bty_app.domain.flash_rules import Rule
from bty_app.domain.machine import FLASH_MODES, BootMode, Machine, Phase, State
from bty_app.services.machines import Progress
from bty_app.web.pages import human_size

PHASE_NAMES = {
    Phase.IDLE: "waits for its boot",
    Phase.BOOTED: "under way",
    Phase.FAILED: "attempt failed",
    Phase.HELD: "held",
    Phase.DONE: "done",
    Phase.RELEASED: "done, sent to its disk",
}
STATE_NAMES = {
    State.RESTS: "idle",
    State.WAITS: "waiting for the box",
    State.LIVE: "in the live environment",
    State.FLASHING: "flashing",
    State.UNPROVEN: "flashed, not up yet",
    State.DONE: "done",
    State.FAULT: "in fault",
}
HELD_BACK_WORDS = {
    Reason.PROTECTED_LABEL.value: "never flashed: its label",
    Reason.ORDER_EXPIRED.value: "its order has expired",
    Reason.OUT_OF_HOURS.value: "held back: not in these hours",
    Reason.HOURLY_LIMIT.value: "held back: enough this hour",
    Reason.WRONG_ARCHITECTURE.value: "not flashed: the image is for other machines",
}
MODE_HELP = {
    BootMode.IPXE_EXIT: "Goes on to its own disk. Nothing on it is touched.",
    BootMode.INVENTORY: "Reports its hardware to this server, then boots from disk.",
    BootMode.FLASH_ONCE: "Erases the target disk, writes the image, then boots from it for good.",
    BootMode.FLASH_ALWAYS: "As above, and again at each later network boot.",
    BootMode.TUI: "Somebody at its console chooses image and disk.",
}


class Tone(StrEnum):
    """How a state is shown. Never by colour alone: the words say it too."""

    REST = "rest"
    WAIT = "wait"
    WORK = "work"
    GOOD = "good"
    FAULT = "fault"


STATE_TONES = {
    State.RESTS: Tone.REST,
    State.WAITS: Tone.WAIT,
    State.LIVE: Tone.WORK,
    State.FLASHING: Tone.WORK,
    State.UNPROVEN: Tone.WAIT,
    State.DONE: Tone.GOOD,
    State.FAULT: Tone.FAULT,
}


@dataclass(frozen=True, slots=True)
class Status:
    """A state: its tone, its words, and the sentences that explain it."""

    tone: Tone
    words: str
    sentences: tuple[str, ...] = ()
    percent: int | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """A machine with what its state depends on. Names are for people."""

    machine: Machine
    image: str | None
    disk: str | None
    progress: Progress | None
    held_by: str | None = None
    unproven: bool = False


def short(subject: Subject) -> Status:
    """For a row of the table, from the record alone."""
    machine = subject.machine
    match machine.boot_mode:
        case BootMode.IPXE_EXIT:
            return Status(Tone.REST, "boots from disk")
        case BootMode.TUI:
            return Status(Tone.WAIT, "wizard at next boot")
        case BootMode.INVENTORY:
            return _short_inventory(machine)
        case BootMode.FLASH_ONCE | BootMode.FLASH_ALWAYS:
            return _short_flash(subject)
        case _:
            assert_never(machine.boot_mode)


def whole(subject: Subject, decision: Decision) -> Status:
    """For the machine's own page, from what its next network boot would be told."""
    base = short(subject)
    sentences = _sentences(subject, decision)
    return Status(base.tone, base.words, sentences, base.percent)


@dataclass(frozen=True, slots=True)
class Remedy:
    """What to do about a fault: the sentence, and the one act. `place` is where the act is."""

    words: str
    label: str
    place: str


AGAIN = "again"  # the act that arms the machine anew as it is set; all others are places of a page


def remedy(subject: Subject) -> Remedy | None:
    """The remedy of a machine that is in fault; None for one that is not."""
    if short(subject).tone is not Tone.FAULT:
        return None
    machine = subject.machine
    if machine.boot_mode in FLASH_MODES:
        if machine.image_ref is None or subject.image is None:
            return Remedy("Choose an image that is in the catalog.", "Choose an image", "#image")
        if machine.target_disk_serial is None:
            return Remedy("Choose the disk that is to be erased.", "Choose a disk", "#target")
        if machine.phase is Phase.FAILED:
            words = "It tries again by itself. To try at once, arm it anew and start it again:"
        else:
            words = "When the cause is removed, arm it anew and start it again:"
        onto = f"{subject.image} onto {subject.disk}"
        return Remedy(f"{words} it then erases its disk and writes {onto}.", "Arm it anew", AGAIN)
    words = "Look at its console, then let it try again at its next network boot."
    return Remedy(words, "Try again", AGAIN)


def percent_of(progress: Progress | None) -> int | None:
    """How much of a flash is done, 0 to 100, where the box says so."""
    if progress is None or progress.bytes_done is None or not progress.bytes_total:
        return None
    return min(100, progress.bytes_done * 100 // progress.bytes_total)


def progress_words(progress: Progress) -> str:
    """`writing: 3.1 GiB of 8.0 GiB, 112.0 MiB/s, about 45 s left`."""
    parts: list[str] = []
    if progress.bytes_done is not None:
        of = f" of {human_size(progress.bytes_total)}" if progress.bytes_total else ""
        parts.append(f"{human_size(progress.bytes_done)}{of}")
    if progress.rate:
        parts.append(f"{human_size(progress.rate)}/s")
        if progress.bytes_total and progress.bytes_done is not None:
            left = max(0, progress.bytes_total - progress.bytes_done) // progress.rate
            parts.append(f"about {duration(left)} left")
    phase = phase_words(progress.phase)
    said = f"{phase}: {', '.join(parts)}" if parts else phase
    return f"{said}; error: {progress.error}" if progress.error else said


def phase_words(phase: str) -> str:
    """A phase of a flash as its client spells it on the wire: `reading-ahead`."""
    return phase.replace("-", " ").replace("_", " ")


def duration(seconds: int) -> str:
    """`45 s`, `12 min`, `3 h 20 min`."""
    if seconds < 90:
        return f"{seconds} s"
    minutes = (seconds + 30) // 60
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _short_inventory(machine: Machine) -> Status:
    match machine.phase:
        case Phase.IDLE:
            return Status(Tone.WAIT, "inventory at next boot")
        case Phase.BOOTED:
            return Status(Tone.WORK, "in the live environment")
        case Phase.FAILED | Phase.HELD:
            return Status(Tone.FAULT, f"no inventory after {machine.attempts} attempts")
        case Phase.DONE | Phase.RELEASED:
            return Status(Tone.GOOD, "inventory is here")
        case _:
            assert_never(machine.phase)


def _short_flash(subject: Subject) -> Status:
    machine = subject.machine
    if machine.image_ref is None:
        return Status(Tone.FAULT, "flash without an image")
    if subject.image is None:
        return Status(Tone.FAULT, "image not in the catalog")
    if machine.target_disk_serial is None:
        return Status(Tone.FAULT, "flash without a target disk")
    match machine.phase:
        case Phase.IDLE | Phase.FAILED | Phase.RELEASED if subject.held_by:
            return Status(Tone.WAIT, HELD_BACK_WORDS.get(subject.held_by, "held back by a rule"))
        case Phase.IDLE:
            return Status(Tone.WAIT, "flash at next boot")
        case Phase.BOOTED:
            return _flashing(subject.progress)
        case Phase.FAILED:
            return Status(Tone.FAULT, f"attempt {machine.attempts} failed; tries again")
        case Phase.HELD:
            return Status(Tone.FAULT, f"held after {machine.attempts} attempts")
        case Phase.DONE | Phase.RELEASED:
            return _short_flashed(subject)
        case _:
            assert_never(machine.phase)


def _short_flashed(subject: Subject) -> Status:
    if subject.unproven and subject.machine.silence_reported:
        return Status(Tone.FAULT, "flashed, but never came up")
    if subject.unproven:
        return Status(Tone.WAIT, STATE_NAMES[State.UNPROVEN])
    again = subject.machine.boot_mode is BootMode.FLASH_ALWAYS
    return Status(Tone.GOOD, "flashed, and again later" if again else "flashed")


def _flashing(progress: Progress | None) -> Status:
    if progress is None:
        return Status(Tone.WORK, "in the live environment")
    percent = percent_of(progress)
    if percent is None:
        return Status(Tone.WORK, f"flashing: {phase_words(progress.phase)}")
    rate = f", {human_size(progress.rate)}/s" if progress.rate else ""
    return Status(Tone.WORK, f"flashing, {percent} %{rate}", percent=percent)


def _sentences(subject: Subject, decision: Decision) -> tuple[str, ...]:
    machine = subject.machine
    said: list[str] = []
    if machine.phase is Phase.BOOTED and machine.boot_mode in FLASH_MODES:
        said.append(_under_way(subject))
    else:
        said.append(_next(subject, decision))
    if subject.unproven:
        flashed = (machine.last_flashed_at or "")[:16].replace("T", " ")
        said.append(f"It was flashed at {flashed} UTC: done once its system says that it is up.")
    if decision.hold is not None:
        until = decision.hold.until
        is_fit = decision.hold.rule is not Rule.ARCHITECTURE
        what = "a rule of this site holds it back" if is_fit else "its image is not flashed"
        said.append(
            sentence(f"{what}: {decision.hold.words}")
            + (f" It may begin from {until[:16].replace('T', ' ')} UTC on." if until else "")
        )
    if machine.disk_suspect and machine.boot_mode is not BootMode.IPXE_EXIT:
        said.append(
            "A flash was begun and never proven complete: this disk is not booted until one"
            " succeeds, or until you choose “Boot from disk”."
        )
    return tuple(said)


def _under_way(subject: Subject) -> str:
    attempt = f"attempt {subject.machine.attempts}"
    if subject.progress is None:
        return f"It has fetched the live environment ({attempt}) and has not reported since."
    onto = f"{subject.image or 'its image'} onto {subject.disk or 'its target disk'}"
    done = sentence(progress_words(subject.progress))
    return f"It is being flashed with {onto} ({attempt}). {done}"


def sentence(words: str) -> str:
    """Words as a sentence of their own."""
    return f"{words[:1].upper()}{words[1:]}."


def _next(subject: Subject, decision: Decision) -> str:
    match decision.offer:
        case LiveEnv(Purpose.INVENTORY):
            return "At its next network boot it reports its hardware."
        case LiveEnv(Purpose.WIZARD):
            return "At its next network boot somebody at its console chooses image and disk."
        case LiveEnv():
            return _flash_sentence(subject, decision)
        case LocalDisk(drive):
            return _disk_sentence(subject.machine, decision.reason, drive)
        case FirmwareExit():
            return (
                "It cannot be flashed as it is set. Its next network boot goes on with whatever"
                " its firmware tries next; nothing is erased."
            )
        case Wait():
            return _wait_sentence(subject.machine, decision.reason)
        case _:
            assert_never(decision.offer)


def _flash_sentence(subject: Subject, decision: Decision) -> str:
    onto = f"{subject.image or 'its image'} onto {subject.disk or 'its target disk'}"
    erased = "Everything on that disk will be erased."
    if decision.reason is Reason.RETRY:
        attempt = f"attempt {subject.machine.attempts + 1}"
        return f"Its next network boot tries again to flash {onto} ({attempt}). {erased}"
    return f"It waits for its next network boot, to be flashed with {onto}. {erased}"


def _disk_sentence(machine: Machine, reason: Reason, drive: str) -> str:
    disk = f"At its next network boot it goes on to its own disk (drive {drive})"
    match reason:
        case Reason.NOT_BOUND:
            return f"{disk}: no image is assigned, so there is nothing to flash."
        case Reason.GIVEN_UP:
            return (
                f"{disk}: {machine.attempts} attempts brought no hardware report. Look at its"
                " console; saving it here starts anew."
            )
        case Reason.CYCLE_DONE if machine.boot_mode is BootMode.FLASH_ALWAYS:
            return f"{disk}. The network boot after that flashes it again."
        case Reason.CYCLE_DONE if machine.boot_mode is BootMode.FLASH_ONCE:
            return f"{disk}. It is flashed again when you save it here."
        case Reason.NOT_STORABLE:
            return f"{disk}: this server cannot record anything now, so it begins nothing."
        case _:
            return f"{disk}."


def _wait_sentence(machine: Machine, reason: Reason) -> str:
    match reason:
        case Reason.PAUSE:
            return "The last attempt did not succeed. After a pause it tries again by itself."
        case Reason.HELD:
            return (
                f"{machine.attempts} attempts did not succeed, so no further one is made and its"
                " disk is not booted. Look at its console and at the events below; saving it here"
                " starts anew."
            )
        case Reason.NOT_STORABLE:
            return "It waits: this server cannot record anything now, so it begins nothing."
        case _:
            return "It waits, and asks again by itself."
