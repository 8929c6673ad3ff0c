"""Checks of what machines boot: the live environment, its files, iPXE."""

from __future__ import annotations

from collections.abc import Iterator

from bty_app.domain.artifacts import Live, live_file
from bty_app.domain.findings import Finding, Level
from bty_app.services.artifact_jobs import Quiet
from bty_app.services.artifacts import deep_damage
from bty_app.services.premises import Premises

_FETCH = "fetch the netboot artifacts again: `bty artifacts fetch`"
_MOST = 10

# What of a site cannot boot without one of these.
_ARCHITECTURES = (
    ("machines with a BIOS", Level.WARNING, ("undionly.kpxe",)),
    ("machines with UEFI on x86-64", Level.WARNING, ("ipxe.efi", "snponly.efi")),
    ("machines with UEFI on arm64", Level.NOTE, ("ipxe-arm64.efi", "snponly-arm64.efi")),
)


def live_environment(premises: Premises) -> Iterator[Finding]:
    """There is one to boot, it is whole, and of the version of this program."""
    live = premises.files.live_now()
    yield from _of_arm64(live.arm64)
    if live.not_ready:
        sentence, _, remedy = live.not_ready.partition(": ")
        yield Finding(Level.FAULT, sentence, remedy or _FETCH)
        current = premises.sets.current()
        if current is not None:
            yield from (
                Finding(Level.FAULT, f"the current set: {text}", _FETCH)
                for text in premises.sets.get(current).damage
            )
    elif live.differs and premises.files.asked_for:
        yield Finding(Level.NOTE, live.differs)
    elif live.differs:
        sentence, _, remedy = live.differs.partition(": ")
        yield Finding(Level.WARNING, sentence, remedy)
    else:
        yield Finding(
            Level.OK, f"machines boot the live environment {live.version}, of this version"
        )


def _of_arm64(live: Live | None) -> Iterator[Finding]:
    """Nothing for arm64 is no finding: most sites have no such machine."""
    if live is None:
        return
    sentence, _, remedy = (live.not_ready or live.differs).partition(": ")
    if live.not_ready:
        yield Finding(Level.FAULT, f"for arm64: {sentence}", remedy or _FETCH)
    elif live.differs:
        yield Finding(Level.WARNING, f"for arm64: {sentence}", remedy)
    else:
        yield Finding(Level.OK, f"machines of arm64 boot the live environment {live.version}")


def sets(premises: Premises) -> Iterator[Finding]:
    """The set to go back to is whole; with `deep`, every file of every set has its digest."""
    current = premises.sets.current()
    for stored in premises.sets.listed():
        is_current = stored.id == current
        level = Level.FAULT if is_current else Level.WARNING
        remedy = _FETCH if is_current else "nothing, where you need not go back to it"
        if stored.damage and is_current:
            continue  # the live environment says it
        damage = list(deep_damage(stored, Quiet()) if premises.deep else stored.damage)
        for text in damage:
            yield Finding(level, f"the set {stored.id} is damaged: {text}", remedy)
        if premises.deep and not damage:
            yield Finding(Level.OK, f"every file of the set {stored.id} has its digest")


def shadowed_files(premises: Premises) -> Iterator[Finding]:
    """No file that was put into the boot directory is hidden by one of the current set."""
    current = premises.sets.current()
    facts = premises.sets.get(current).facts if current is not None else None
    if facts is None:
        return
    manifests = (live_file(facts.version, "sha256", arch) for arch in facts.architectures[:1])
    names = [*facts.digests, *manifests]
    hidden = [name for name in sorted(names) if (premises.files.directory / name).is_file()]
    for name in hidden[:_MOST]:
        yield Finding(
            Level.WARNING,
            f"boot/{name} is not served: a file of this name in the current set comes first",
            "delete it, or go back to what was before the set",
        )


def ipxe(premises: Premises) -> Iterator[Finding]:
    """There is an iPXE binary for every kind of machine."""
    programs = {program.name: program for program in premises.files.programs()}
    for who, level, names in _ARCHITECTURES:
        here = [name for name in names if programs[name].place is not None]
        if here:
            yield Finding(Level.OK, f"{who} can load {' or '.join(here)}")
        else:
            remedy = programs[names[0]].remedy
            yield Finding(level, f"there is no iPXE binary for {who}", remedy)
