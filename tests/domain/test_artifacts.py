"""Names of boot files, and which live environment machines boot."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.domain.artifacts import (
    Found,
    Live,
    choose_live,
    live_file,
    live_versions,
    manifest_versions,
    version_order,
)


def kernel_and_initrd(*versions: str) -> list[str]:
    return [live_file(v, suffix) for v in versions for suffix in ("vmlinuz", "initrd")]


@pytest.mark.parametrize("suffix", ["vmlinuz", "initrd", "squashfs"])
def test_files_are_named_by_the_version_of_the_live_environment(suffix: str) -> None:
    assert live_file("1.2", suffix) == f"bty-netboot-pc-x86_64-v1.2.{suffix}"


def test_a_version_is_there_when_its_kernel_and_its_initrd_are() -> None:
    names = [*kernel_and_initrd("2.0", "1.0"), live_file("3.0", "initrd")]
    hostile = ["bty-netboot-pc-x86_64-v$(x).vmlinuz", "bty-netboot-pc-x86_64-v1\n.vmlinuz", "x"]

    assert live_versions([*names, live_file("4.0", "vmlinuz"), *hostile]) == ("1.0", "2.0")
    assert manifest_versions([*names, live_file("7.0", "sha256")]) == ("7.0",)


def test_versions_are_sorted_as_numbers() -> None:
    assert live_versions(kernel_and_initrd("0.10.0", "0.9.1", "0.9.10", "0.9rc1")) == (
        *("0.9rc1", "0.9.1", "0.9.10", "0.10.0"),
    )


@given(st.lists(st.from_regex(r"[0-9a-z][0-9a-z.+_-]{0,6}", fullmatch=True)))
def test_any_versions_have_one_order(versions: list[str]) -> None:
    one, other = (sorted(given, key=version_order) for given in (versions, versions[::-1]))

    assert list(map(version_order, one)) == list(map(version_order, other))


@pytest.mark.parametrize(
    ("found", "configured", "version"),
    [
        (Found(("0.9", "1.0")), "0.9", "0.9"),
        (Found(("0.9", "1.0"), "0.8", set_is_whole=True), "", "0.8"),
        (Found(("0.9", "1.0", "1.1")), "", "1.0"),
        (Found(("0.8", "0.9")), "", "0.9"),
        (Found(("0.9",), "1.0", set_is_whole=False), "", "0.9"),
        (Found(("0.9",), "0.8", set_is_whole=True), "0.9", "0.9"),
    ],
)
def test_the_configured_one_is_booted_else_the_current_set_else_what_was_put_there(
    found: Found, configured: str, version: str
) -> None:
    live = choose_live(found, configured=configured, running="1.0")

    assert (live.version, live.not_ready) == (version, "")


@pytest.mark.parametrize(
    ("found", "configured", "words"),
    [
        (Found(), "", "no live environment is installed: fetch the netboot artifacts of 1.0"),
        (Found((), "0.9"), "", "the live environment 0.9 is damaged: fetch the netboot artifacts"),
        (Found(("0.8",)), "0.9", "netboot.live_version asks for the live environment 0.9, boot/"
         " has 0.8"),
        (Found(), "0.9", "netboot.live_version asks for the live environment 0.9, boot/ has none"),
    ],
)  # fmt: skip
def test_the_operator_is_told_what_is_missing(found: Found, configured: str, words: str) -> None:
    live = choose_live(found, configured=configured, running="1.0")

    assert live.not_ready.startswith(words)


def test_another_version_than_the_servers_is_booted_and_said() -> None:
    older = choose_live(Found((), "0.9", set_is_whole=True), configured="", running="1.0")
    found = Found((), "1.0", set_is_whole=True, with_squashfs=frozenset({"1.0"}))
    same = choose_live(found, configured="", running="1.0")
    wanted = choose_live(Found(("0.9",)), configured="0.9", running="1.0")

    assert "0.9, this server is 1.0: fetch" in older.differs
    assert same == Live("1.0")
    assert wanted.differs.endswith("as netboot.live_version says")


def test_a_live_environment_without_a_squashfs_is_ours() -> None:
    found = Found(("0.9", "1.0"), with_squashfs=frozenset({"0.9"}))

    ours = choose_live(found, configured="", running="1.0")
    theirs = choose_live(found, configured="0.9", running="1.0")

    assert (ours.has_squashfs, theirs.has_squashfs) == (False, True)


def test_whatever_is_found_the_choice_is_there_or_it_is_said_why_not() -> None:
    versions = ("0.8", "1.0", "1.2")
    by_hands = [c for n in range(4) for c in itertools.combinations(versions, n)]
    sets = [(None, False), *((v, whole) for v in versions for whole in (True, False))]
    for by_hand, (set_version, whole), configured in itertools.product(
        by_hands, sets, ("", *versions)
    ):
        found = Found(by_hand, set_version, whole)

        live = choose_live(found, configured=configured, running="1.0")

        assert (live.version in found.usable) == (not live.not_ready)
        assert bool(live.differs) == (not live.not_ready and live.version != "1.0")
