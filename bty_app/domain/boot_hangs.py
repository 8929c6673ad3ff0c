"""What must come after each stage of a boot, how soon, and what it means when it does not."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from bty_app.domain import boot_firmware
from bty_app.domain.boot_outcome import Hang, Outcome, text_of
from bty_app.domain.boot_stages import Seen, Stage


def asks_again(seen: Seen) -> bool:
    """Was it told to wait in iPXE and to ask again?"""
    return seen.stage is Stage.SCRIPT and seen.detail.get("offer") == "wait"


def outcome_of(last: Seen) -> Outcome:
    """What a boot has come to whose last stage is `last`."""
    return _RULES[last.stage](last)


def _script(last: Seen) -> Outcome:
    offer, reason = text_of(last, "offer"), text_of(last, "reason")
    because = f" ({reason})" if reason else ""
    if offer == "wait":
        seconds = last.detail.get("seconds")
        pause = float(seconds) if isinstance(seconds, int | float) else 60.0
        return Outcome(
            f"It was told to wait and to ask again{because}.",
            patience=pause + 60,
            hang=Hang(
                "It was told to wait and has not asked again.",
                "It was switched off or started again meanwhile.",
                "Nothing is lost: it is told the same at its next network boot.",
            ),
        )
    if offer == "disk":
        return Outcome(
            f"It was sent to its own disk{because}. What happens there is not seen from here,"
            " unless its system reports that it is up.",
            final=True,
        )
    if offer == "exit":
        return Outcome(f"It was given back to its firmware{because}.", final=True)
    return Outcome(
        "It was told to boot the live environment.",
        patience=60,
        hang=Hang(
            "It got its script, the kernel was never asked for.",
            "The live environment is not installed here, or the machine cannot reach the address"
            " in the script.",
            "Look at the page Netboot: is a live environment ready? Then at server.public_url.",
        ),
    )


def _file(last: Seen, what: str) -> Outcome:
    sent, of = last.detail.get("bytes"), last.detail.get("of")
    if last.stage in {Stage.KERNEL_FAILED, Stage.INITRD_FAILED}:
        return Outcome(
            f"The {what} was cut off.",
            patience=60,
            hang=Hang(
                f"The {what} was cut off after {sent} of {of} bytes.",
                "The connection broke: the machine was switched off, it has too little memory for"
                " the file, or the network lost it.",
                "Look at its screen. A live environment needs about 1 GiB of memory.",
            ),
        )
    if last.stage in {Stage.KERNEL_STARTED, Stage.INITRD_STARTED}:
        return Outcome(
            f"It is fetching the {what}.",
            patience=300,
            hang=Hang(
                f"The {what} was begun and is not through.",
                "The network is very slow or stands still.",
                "Look at speed and duplex of its switch port, and for lost packets.",
            ),
        )
    if what == "kernel":
        return Outcome(
            "It has the kernel.",
            patience=60,
            hang=Hang(
                "The kernel was fetched, the initrd was never asked for.",
                "The initrd is missing here, or iPXE stopped with an error.",
                "Look at its screen and at the page Netboot: is the set whole?",
            ),
        )
    return Outcome(
        "It has kernel and initrd, and starts the live environment.",
        patience=240,
        hang=Hang(
            "Kernel and initrd were fetched, the live environment never asked.",
            "Its kernel has no driver or firmware for this network card, Secure Boot refused the"
            " kernel, it has too little memory, or it stopped with a panic.",
            "Look at its console: the last lines say which. Check that the cable it booted with"
            " is the one that has this network; try another live environment.",
        ),
    )


_CLIENT = Outcome(
    "The live environment has started.",
    patience=180,
    hang=Hang(
        "The live environment fetched its client, the client never reported.",
        "Listing the hardware hangs (a failing disk or controller), or the client stopped with an"
        " error.",
        "Look at its console; a disk that does not answer is named there or in `dmesg`.",
    ),
)
_INVENTORY = Outcome(
    "It has reported its hardware.",
    patience=180,
    hang=Hang(
        "It reported its hardware and never asked what to do.",
        "The live environment stopped or was switched off.",
        "Look at its console, then start it again.",
    ),
)
_FLASHING = Outcome(
    "It is being flashed.",
    patience=180,
    hang=Hang(
        "It was being flashed and has gone silent.",
        "It lost power or its network, or a disk stands still.",
        "Look at its console. A power cycle makes it boot the flasher again, never the half-written"
        " disk.",
    ),
)


def _plan(last: Seen) -> Outcome:
    mode = text_of(last, "plan")
    if mode == "flash":
        return Outcome(
            "It was told to flash.",
            patience=180,
            hang=Hang(
                "It was told to flash, and nothing was heard of the flash.",
                "The image cannot be reached from the machine, or its live environment is one that"
                " does not report progress.",
                "Look at its console, and check the image on the page Catalog.",
            ),
        )
    if mode == "interactive":
        return Outcome("Somebody at its console chooses.", final=True)
    if mode == "inventory":
        return Outcome("It has reported its hardware, and starts again.", final=True)
    return Outcome("It was told to start again, from its disk.", final=True)


def _failed(last: Seen) -> Outcome:
    reason = text_of(last, "reason") or "it gave no reason"
    return Outcome(
        "Its flash failed.",
        final=True,
        hang=Hang(
            "The flash did not succeed.",
            f"It said: {reason}.",
            "It tries again by itself after a pause. Where the cause stays, choose another image"
            " or disk and save.",
        ),
    )


def _always(outcome: Outcome) -> Callable[[Seen], Outcome]:
    return lambda _last: outcome


_RULES: Mapping[Stage, Callable[[Seen], Outcome]] = {
    Stage.DHCP_ASKED: boot_firmware.dhcp,
    Stage.DHCP_OFFERED: boot_firmware.dhcp,
    Stage.DHCP_IGNORED: boot_firmware.dhcp,
    Stage.TFTP_STARTED: boot_firmware.loader,
    Stage.TFTP_DONE: boot_firmware.loader,
    Stage.TFTP_FAILED: boot_firmware.loader,
    Stage.HTTP_LOADER: boot_firmware.loader,
    Stage.BOOTSTRAP: _always(boot_firmware.BOOTSTRAP),
    Stage.SCRIPT: _script,
    Stage.KERNEL_STARTED: lambda last: _file(last, "kernel"),
    Stage.KERNEL_DONE: lambda last: _file(last, "kernel"),
    Stage.KERNEL_FAILED: lambda last: _file(last, "kernel"),
    Stage.INITRD_STARTED: lambda last: _file(last, "initrd"),
    Stage.INITRD_DONE: lambda last: _file(last, "initrd"),
    Stage.INITRD_FAILED: lambda last: _file(last, "initrd"),
    Stage.CLIENT: _always(_CLIENT),
    Stage.INVENTORY: _always(_INVENTORY),
    Stage.PLAN: _plan,
    Stage.FLASHING: _always(_FLASHING),
    Stage.FLASHED: _always(Outcome("It was flashed.", final=True)),
    Stage.FLASH_FAILED: _failed,
    Stage.BOOTED: _always(Outcome("Its operating system said that it is up.", final=True)),
}
