"""A boot offer as an iPXE script (CONTRACT 4, SPEC 16)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain.artifacts import Live
from bty_app.domain.boot import FirmwareExit, LiveEnv, LocalDisk, Offer, Purpose, Reason, Wait
from bty_app.domain.mac import Mac
from bty_app.netboot import ipxe

PLAIN = ipxe.Context("http://bty:8080", Mac("52:54:00:12:34:56"), Live("0.65.18"))
SUSPECT = replace(PLAIN, disk_suspect=True)
GONE = Live("0.65.18", not_ready="no live environment is installed")
OFFERS: list[Offer] = [
    *(LiveEnv(purpose) for purpose in Purpose),
    LocalDisk("0x80"),
    LocalDisk("0x81", 5),
    FirmwareExit(),
    Wait(7),
]


def test_the_bootstrap_asks_until_it_is_answered_and_passes_failure_on() -> None:
    assert ipxe.bootstrap("http://bty:8080") == (
        "#!ipxe\n"
        ":again\n"
        "chain http://bty:8080/pxe/${mac:hexhyp} || goto failed\n"
        "exit 1\n"
        ":failed\n"
        "isset ${bty-answered} && exit 1"
        " || echo bty: no answer from http://bty:8080, asking again\n"
        "sleep 5\n"
        "goto again\n"
    )


def test_the_live_environment_has_the_contracts_lines_whatever_it_is_for() -> None:
    scripts = {ipxe.script(LiveEnv(purpose), PLAIN, because="x") for purpose in Purpose}

    assert scripts == {
        "#!ipxe\n"
        "set bty-answered yes\n"
        "echo bty: 52:54:00:12:34:56: booting the live environment 0.65.18\n"
        "set bty-base http://bty:8080\n"
        "kernel ${bty-base}/boot/bty-netboot-pc-x86_64-v0.65.18.vmlinuz?mac=52:54:00:12:34:56"
        " boot=live fetch=${bty-base}/boot/bty-netboot-pc-x86_64-v0.65.18.squashfs components"
        " console=tty0 console=ttyS1,115200 console=ttyS0,115200 earlyprintk=ttyS0,115200"
        " plymouth.enable=0 modprobe.blacklist=nouveau,rndis_host nouveau.modeset=0"
        " systemd.gpt_auto=0 bty.server=${bty-base} bty.mac=52:54:00:12:34:56\n"
        "initrd ${bty-base}/boot/bty-netboot-pc-x86_64-v0.65.18.initrd?mac=52:54:00:12:34:56\n"
        "boot\n"
    }


def test_the_local_disk_is_booted_by_sanboot_and_a_failure_moves_the_firmware_on() -> None:
    assert ipxe.script(LocalDisk("0x81", 5), PLAIN, because="not-bound") == (
        "#!ipxe\n"
        "set bty-answered yes\n"
        "echo bty: 52:54:00:12:34:56: booting the local disk 0x81 (not-bound)\n"
        "sleep 5\n"
        "sanboot --no-describe --drive 0x81 || exit 1\n"
    )


def test_nothing_to_boot_is_an_exit_that_counts_as_failure() -> None:
    assert ipxe.script(FirmwareExit(), PLAIN, because="orphan_ref") == (
        "#!ipxe\n"
        "set bty-answered yes\n"
        "echo bty: 52:54:00:12:34:56: nothing to boot from here (orphan_ref)\n"
        "sleep 1\n"
        "exit 1\n"
    )


def test_to_wait_is_to_ask_again_and_never_to_leave() -> None:
    assert ipxe.script(Wait(7), PLAIN, because="pause") == (
        "#!ipxe\n"
        "set bty-answered yes\n"
        "echo bty: 52:54:00:12:34:56: waiting 7 s (pause)\n"
        "echo bty: see http://bty:8080/ui/machines/52:54:00:12:34:56\n"
        ":again\n"
        "sleep 7\n"
        "chain --replace http://bty:8080/pxe/52-54-00-12-34-56 || goto again\n"
    )


@pytest.mark.parametrize("purpose", Purpose)
def test_a_suspect_disk_is_not_reached_by_a_missing_file(purpose: Purpose) -> None:
    lines = ipxe.script(LiveEnv(purpose), SUSPECT, because="x").splitlines()

    fetching = [line for line in lines if line.startswith(("kernel ", "initrd ", "boot"))]
    assert len(fetching) == 3
    assert all(line.endswith(" || goto again") for line in fetching)
    assert ":again" in lines
    assert lines[-1].startswith("chain --replace ")
    assert lines[-1].endswith(" || goto again")
    assert not any(line.startswith(("exit", "sanboot")) for line in lines)


def test_a_live_environment_that_is_not_there_is_said_on_the_screen_and_not_fetched() -> None:
    context = replace(PLAIN, live=GONE)

    assert ipxe.script(LiveEnv(Purpose.FLASH), context, because="as-bound") == (
        "#!ipxe\n"
        "set bty-answered yes\n"
        "echo bty: 52:54:00:12:34:56: no live environment is installed\n"
        "sleep 10\n"
        "exit 1\n"
    )


def test_without_a_live_environment_a_suspect_disk_is_still_not_booted() -> None:
    context = replace(SUSPECT, live=GONE)

    lines = ipxe.script(LiveEnv(Purpose.FLASH), context, because="retry").splitlines()

    assert lines[-1].startswith("chain --replace ")
    assert lines[-1].endswith(" || goto again")
    assert not any(line.startswith(("exit", "sanboot", "kernel")) for line in lines)


def test_our_own_live_environment_is_all_in_its_initrd_and_knows_its_client() -> None:
    digest = "c" * 64
    context = replace(PLAIN, live=Live("1.0", has_squashfs=False), client_sha256=digest)

    lines = ipxe.script(LiveEnv(Purpose.FLASH), context, because="as-bound").splitlines()

    (kernel,) = (line for line in lines if line.startswith("kernel "))
    assert kernel == (
        "kernel ${bty-base}/boot/bty-netboot-pc-x86_64-v1.0.vmlinuz?mac=52:54:00:12:34:56"
        " rootfstype=ramfs console=tty0 console=ttyS0,115200"
        " modprobe.blacklist=nouveau,rndis_host panic=30"
        f" bty.server=${{bty-base}} bty.mac=52:54:00:12:34:56 bty.client={digest}"
    )
    assert not any("squashfs" in line for line in lines)


def test_a_live_environment_of_another_version_is_said_on_the_screen_and_booted() -> None:
    differs = "machines boot the live environment 0.65.18, this server is 0.92.0: fetch"
    context = replace(PLAIN, live=Live("0.65.18", differs=differs))

    lines = ipxe.script(LiveEnv(Purpose.FLASH), context, because="as-bound").splitlines()

    assert f"echo bty: {differs}" in lines
    assert any(line.startswith("kernel ") and "v0.65.18.vmlinuz" in line for line in lines)


@pytest.mark.parametrize("suspect", [False, True])
def test_only_arm64_takes_what_is_for_arm64_and_no_line_leads_from_one_to_the_other(
    suspect: bool,
) -> None:
    arm64 = Live("0.92.0", has_squashfs=False)
    one = replace(PLAIN, disk_suspect=suspect, client_sha256="c" * 64)
    both = replace(one, live=replace(PLAIN.live, arm64=arm64))
    for context in (both, replace(both, live=replace(GONE, arm64=arm64))):
        lines = ipxe.script(LiveEnv(Purpose.FLASH), context, because="x").splitlines()

        assert lines[2] == "iseq ${buildarch} arm64 && goto arm64 ||"
        at = lines.index(":arm64")
        assert lines[at - 1] in {"boot", "goto again", "exit 1"}  # never on into the other's
        assert not any("arm64" in line for line in lines[3:at])
        kernel = next(line for line in lines[at:] if line.startswith("kernel "))
        assert "/boot/bty-netboot-pc-arm64-v0.92.0.vmlinuz?mac=" in kernel
        assert "console=ttyAMA0,115200" in kernel
        assert "bty.client=" + "c" * 64 in kernel
        assert "x86_64" not in " ".join(lines[at:])
        assert lines.count(":again") == int(suspect)
        assert any(line.startswith("exit") for line in lines) <= (not suspect)
    alone = ipxe.script(LiveEnv(Purpose.FLASH), one, because="x")
    shared = ipxe.script(LiveEnv(Purpose.FLASH), both, because="x")
    assert alone.splitlines()[2:7] == shared.splitlines()[3:8]  # what a PC does is the same
    assert "arm64" not in alone


@given(st.text(max_size=600))
def test_no_sentence_about_the_live_environment_becomes_a_command(sentence: str) -> None:
    context = replace(PLAIN, live=Live("1", not_ready="x" + sentence))

    script = ipxe.script(LiveEnv(Purpose.WIZARD), context, because="x")

    lines = script.split("\n")
    assert len(lines) == 6
    assert script.isascii()
    assert not set(lines[2]) & set('${}|&`\\"<>;#') - {";"}
    assert max(map(len, lines)) < 400


@pytest.mark.parametrize("offer", OFFERS, ids=repr)
@pytest.mark.parametrize(
    "context",
    [PLAIN, SUSPECT, replace(PLAIN, live=GONE), replace(SUSPECT, live=GONE)],
    ids=["plain", "suspect", "not ready", "suspect and not ready"],
)
def test_every_script_is_ascii_of_short_lines_and_known_commands(
    offer: Offer, context: ipxe.Context
) -> None:
    for reason in Reason:
        script = ipxe.script(offer, context, because=reason.value)

        lines = script.split("\n")
        assert (lines[0], lines[-1]) == ("#!ipxe", "")
        assert script.isascii()
        known = ("echo ", "set ", "kernel ", "initrd ", "boot", "sleep ", "sanboot ", "exit ",
                 "chain ", ":again")  # fmt: skip
        assert all(line.startswith(known) for line in lines[1:-1])
        assert max(map(len, lines)) < 1024  # a kernel's command line is bounded
