"""How much of a kernel was really sent, as the socket loop of the real server tells."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path

import pytest

from bty_app.domain.boot_stages import Seen, Stage
from tests import serving
from tests.serving import INITRD, KERNEL, MAC, Site

SIZE = 24 * 2**20


@pytest.fixture
def server(server: Site) -> Site:
    with (server.state_dir / "boot" / KERNEL).open("wb") as file:
        file.truncate(SIZE)
    server.contact()
    return server


def last_stage(server: Site, stage: Stage) -> Seen:
    """The stage, as soon as the server has noted it."""
    for _ in range(500):
        found = [seen for seen in server.services.stages.of(MAC) if seen.stage is stage]
        if found:
            return found[-1]
        time.sleep(0.02)  # the socket loop is another thread, and says nothing when it is done
    raise AssertionError(f"{stage} was never noted")


def test_a_kernel_that_arrives_is_noted_with_its_bytes(server: Site, quick_dir: Path) -> None:
    with serving.listening(server.app, quick_dir) as port:
        serving.exchange(port, serving.request("GET", f"/boot/{KERNEL}?mac={MAC}"))
        seen = last_stage(server, Stage.KERNEL_DONE)

    assert (seen.detail["bytes"], seen.detail["of"]) == (SIZE, SIZE)


def test_a_kernel_that_is_cut_off_is_noted_with_what_was_sent(
    server: Site, quick_dir: Path
) -> None:
    with serving.listening(server.app, quick_dir) as port:
        with closing(serving.connected(port)) as line:
            line.sendall(serving.request("GET", f"/boot/{KERNEL}?mac={MAC}"))
            line.recv(65536)
        seen = last_stage(server, Stage.KERNEL_FAILED)

    sent = seen.detail["bytes"]
    assert isinstance(sent, int)
    assert 0 < sent < SIZE


def test_a_range_counts_its_own_length(server: Site, quick_dir: Path) -> None:
    request = serving.request("GET", f"/boot/{KERNEL}?mac={MAC}", None, "Range: bytes=1000-1999")
    with serving.listening(server.app, quick_dir) as port:
        serving.exchange(port, request)
        seen = last_stage(server, Stage.KERNEL_DONE)

    assert (seen.detail["bytes"], seen.detail["of"]) == (1000, 1000)


def test_what_was_not_sent_for_a_machine_is_no_stage(server: Site) -> None:
    server.get(f"/boot/{INITRD}")
    server.ask("HEAD", f"/boot/{KERNEL}?mac={MAC}")
    etag = server.ask("HEAD", f"/boot/{KERNEL}").headers["etag"]
    server.get(f"/boot/{KERNEL}?mac={MAC}", headers={"If-None-Match": etag})
    server.get(f"/boot/{KERNEL}?mac=nonsense")

    assert [seen.stage for seen in server.services.stages.of(MAC)] == [Stage.SCRIPT]
