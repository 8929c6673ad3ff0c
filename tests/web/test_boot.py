"""Files that machines boot, over HTTP (CONTRACT 3.7)."""

from __future__ import annotations

import dataclasses
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from email.utils import formatdate
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests import serving
from tests.serving import HOST, INITRD, KERNEL, MAC, SQUASHFS, Site

DATA = bytes(range(256)) * 16
QUICK = 0.5  # seconds: a contact that waits for another machine's download takes far longer


@pytest.fixture
def boot_dir(server: Site) -> Path:
    return server.state_dir / "boot"


def test_a_file_has_the_headers_of_the_contract(server: Site, boot_dir: Path) -> None:
    answer = server.get(f"/boot/{KERNEL}")

    facts = (boot_dir / KERNEL).stat()
    assert answer.status_code == 200
    assert answer.content == DATA
    assert answer.headers["content-length"] == str(len(DATA))
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["last-modified"] == formatdate(facts.st_mtime, usegmt=True)
    assert answer.headers["content-disposition"] == f'attachment; filename="{KERNEL}"'
    assert answer.headers["etag"].startswith('"')


def test_the_script_that_an_ipxe_from_here_asks_for_leads_on(server: Site, boot_dir: Path) -> None:
    """UEFI HTTP boot: iPXE looks for it beside itself, and then needs no rule in DHCP for iPXE."""
    made = server.get("/boot/autoexec.ipxe")
    head = server.ask("HEAD", "/boot/autoexec.ipxe")
    (boot_dir / "autoexec.ipxe").write_text("#!ipxe\nshell\n")

    assert (made.status_code, made.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert f"dhcp && chain http://{HOST}/pxe-bootstrap.ipxe || goto failed\n" in made.text
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(made.content)))
    assert server.get("/boot/autoexec.ipxe").text == "#!ipxe\nshell\n"
    assert server.ask("HEAD", "/boot/other.ipxe").status_code == 404


def test_head_has_the_headers_of_get_and_no_body(server: Site) -> None:
    get, head = server.get(f"/boot/{KERNEL}"), server.ask("HEAD", f"/boot/{KERNEL}")

    assert head.status_code == 200
    assert head.content == b""
    varying = {"x-request-id"}
    assert {k: v for k, v in head.headers.items() if k not in varying} == {
        k: v for k, v in get.headers.items() if k not in varying
    }


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ipxe.efi", "application/efi"),
        ("SNPONLY.EFI", "application/efi"),
        ("undionly.kpxe", "application/octet-stream"),
        ("x.squashfs", "application/octet-stream"),
        ("page.html", "application/octet-stream"),
    ],
)
def test_types_do_not_depend_on_the_system(
    server: Site, boot_dir: Path, name: str, kind: str
) -> None:
    (boot_dir / name).write_bytes(b"x")

    assert server.get(f"/boot/{name}").headers["content-type"] == kind


def test_dotfiles_empty_files_and_odd_names_are_served(server: Site, boot_dir: Path) -> None:
    for name in (".hidden", "a b.partial", "Größe", "x;y", 'quo"te', "..x", "x" * 255):
        (boot_dir / name).write_bytes(b"")

        answer = server.get(f"/boot/{name}")

        assert (answer.status_code, answer.content) == (200, b""), name
        assert answer.headers["content-length"] == "0"
        assert answer.headers["content-disposition"].isascii()
        assert answer.headers["content-disposition"].count('"') == 2


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/boot/none", 404),
        ("/boot/", 404),
        ("/boot/.", 400),
        ("/boot/..", 400),
        ("/boot/../state.db", 400),
        ("/boot/a/b", 400),
        ("/boot//etc/passwd", 400),
        ("/boot/..\\state.db", 400),
        ("/boot/a\0b", 400),
        ("/boot/a\nb", 400),
        ("/boot/" + "x" * 256, 400),
        ("/boot/" + "ü" * 128, 400),
    ],
)
def test_names_that_are_not_plain_lead_nowhere(server: Site, path: str, status: int) -> None:
    answer = server.get(path)

    assert answer.status_code == status
    assert set(answer.json) == {"detail"}


def test_a_missing_file_is_named(server: Site) -> None:
    assert server.get("/boot/none").json == {"detail": "no such file: none"}


@pytest.mark.parametrize(
    "path",
    ["/boot/%2e%2e/state.db", "/boot/..%2fstate.db", "/boot/%2e%2e%2fstate.db", "/boot/%00"],
)
def test_names_in_disguise_lead_nowhere_on_the_wire(
    server: Site, quick_dir: Path, path: str
) -> None:
    with serving.listening(server.app, quick_dir) as port:
        answer = serving.exchange(port, serving.request("GET", path))

    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 404"))
    assert b"SQLite" not in answer


def test_a_link_within_the_directory_is_followed_and_one_out_of_it_is_not(
    server: Site, boot_dir: Path
) -> None:
    (boot_dir / "current").symlink_to(KERNEL)
    (boot_dir / "out").symlink_to("../state.db")
    (boot_dir / "absolute").symlink_to("/etc/passwd")
    (boot_dir / "gone").symlink_to("nothing")
    (boot_dir / "loop").symlink_to("loop")

    statuses = {
        name: server.get(f"/boot/{name}").status_code
        for name in ("current", "out", "absolute", "gone", "loop")
    }

    assert statuses == {"current": 200, "out": 400, "absolute": 400, "gone": 404, "loop": 404}


def test_a_boot_directory_that_is_a_link_itself_is_served(server: Site, boot_dir: Path) -> None:
    boot_dir.rename(boot_dir.with_name("elsewhere"))
    boot_dir.symlink_to("elsewhere")

    assert server.get(f"/boot/{KERNEL}").content == DATA


def test_what_is_no_regular_file_is_not_there_and_blocks_nobody(
    server: Site, boot_dir: Path
) -> None:
    os.mkfifo(boot_dir / "pipe")
    (boot_dir / "folder").mkdir()
    found: list[int] = []

    def ask() -> None:
        names = ("pipe", "folder", "socket")
        found.extend(server.get(f"/boot/{name}").status_code for name in names)

    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(boot_dir / "socket"))
        thread = threading.Thread(target=ask, daemon=True)
        thread.start()
        thread.join(10)

    assert found == [404, 404, 404]


# -- ranges -----------------------------------------------------------------------------------


def expected(first: int | None, last: int | None) -> tuple[int, bytes, str | None]:
    """The model: status, body and Content-Range of a single range of `DATA`."""
    size = len(DATA)
    if first is None and last is None:
        return 200, DATA, None
    if first is not None and last is not None and last < first:
        return 200, DATA, None
    if first is None:
        start = max(0, size - (last or 0))
        body = DATA[start:]
    else:
        start = first
        body = DATA[first : None if last is None else last + 1]
    if not body:
        return 416, b"", f"bytes */{size}"
    return 206, body, f"bytes {start}-{start + len(body) - 1}/{size}"


POSITION = st.none() | st.integers(0, 5000) | st.sampled_from([0, 4095, 4096, 10**17])


def test_a_range_is_a_slice(server: Site, quick_dir: Path) -> None:
    @settings(deadline=None, max_examples=200)
    @given(first=POSITION, last=POSITION)
    def holds(first: int | None, last: int | None) -> None:
        header = f"bytes={'' if first is None else first}-{'' if last is None else last}"

        line.request("GET", f"/boot/{KERNEL}", headers={"Range": header, "Host": serving.HOST})
        answer = line.getresponse()

        body = answer.read()
        assert (answer.status, body, answer.headers["Content-Range"]) == expected(first, last)
        assert answer.headers["Content-Length"] == str(len(body))

    with serving.listening(server.app, quick_dir) as port:
        line = HTTPConnection("127.0.0.1", port)
        with closing(line):
            holds()


@pytest.mark.parametrize("header", ["bytes=0-1,5-6", "items=0-1", "bytes=a-b", "bytes=1", "x"])
def test_ranges_that_are_not_served_are_ignored(server: Site, header: str) -> None:
    answer = server.get(f"/boot/{KERNEL}", headers={"Range": header})

    assert (answer.status_code, answer.content) == (200, DATA)


def test_a_range_holds_only_for_the_file_that_it_was_begun_on(server: Site) -> None:
    etag = server.get(f"/boot/{KERNEL}").headers["etag"]
    date = server.get(f"/boot/{KERNEL}").headers["last-modified"]

    def resumed(if_range: str) -> int:
        headers = {"Range": "bytes=10-19", "If-Range": if_range}
        return server.get(f"/boot/{KERNEL}", headers=headers).status_code

    assert [resumed(etag), resumed('"other"'), resumed(date)] == [206, 200, 200]


def test_a_file_that_has_not_changed_is_not_sent_again(server: Site, boot_dir: Path) -> None:
    etag = server.get(f"/boot/{KERNEL}").headers["etag"]

    same = server.get(f"/boot/{KERNEL}", headers={"If-None-Match": etag})
    (boot_dir / KERNEL).write_bytes(DATA)
    os.utime(boot_dir / KERNEL, ns=(1, 1))
    changed = server.get(f"/boot/{KERNEL}", headers={"If-None-Match": etag})

    assert (same.status_code, same.content) == (304, b"")
    assert (changed.status_code, changed.content) == (200, DATA)


def test_ranges_are_cut_by_the_socket_loop_as_well(server: Site, quick_dir: Path) -> None:
    with serving.listening(server.app, quick_dir) as port:
        whole = serving.exchange(port, serving.request("GET", f"/boot/{KERNEL}"))
        middle = serving.exchange(
            port, serving.request("GET", f"/boot/{KERNEL}", None, "Range: bytes=1000-1999")
        )
        end = serving.exchange(
            port, serving.request("GET", f"/boot/{KERNEL}", None, "Range: bytes=-1")
        )
        beyond = serving.exchange(
            port, serving.request("GET", f"/boot/{KERNEL}", None, "Range: bytes=4096-")
        )

    assert whole.partition(b"\r\n\r\n")[2] == DATA
    assert middle.partition(b"\r\n\r\n")[2] == DATA[1000:2000]
    assert end.partition(b"\r\n\r\n")[2] == DATA[-1:]
    assert beyond.startswith(b"HTTP/1.1 416")
    assert beyond.partition(b"\r\n\r\n")[2] == b""


# -- arming -----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["bty-flash-once", "bty-flash-always", "bty-inventory"])
@pytest.mark.parametrize("name", [KERNEL, INITRD])
def test_a_started_fetch_of_kernel_or_initrd_begins_an_attempt(
    server: Site, mode: str, name: str
) -> None:
    server.bind(mode)

    server.fetch(name)

    assert server.phase() == "booted"
    (armed,) = server.events("netboot.flasher.armed")
    assert (armed["actor"], armed["source_ip"], armed["details"]) == ("pxe-client", None, None)
    assert armed["subject_id"] == MAC


def test_kernel_and_initrd_of_one_boot_are_one_attempt(server: Site) -> None:
    server.bind("bty-flash-once")

    server.boots()

    machine = server.machine()
    assert machine is not None
    assert machine.attempts == 1
    assert len(server.events("netboot.flasher.armed")) == 1


@pytest.mark.parametrize("mode", ["ipxe-exit", "bty-tui"])
def test_modes_without_a_cycle_never_arm(server: Site, mode: str) -> None:
    server.bind(mode)

    server.fetch()

    assert server.phase() == "idle"


def test_head_and_404_and_other_files_and_unsent_bodies_never_arm(
    server: Site, boot_dir: Path
) -> None:
    """P-10: missing artifacts looked like a live environment that had booted."""
    server.bind("bty-flash-once")
    (boot_dir / "x.squashfs").write_bytes(b"x")
    etag = server.get(f"/boot/{KERNEL}").headers["etag"]
    path = f"/boot/{KERNEL}?mac={MAC}"

    answers = [
        server.ask("HEAD", path),
        server.get(f"/boot/nope?mac={MAC}"),
        server.get(f"/boot/nope.vmlinuz?mac={MAC}"),
        server.get(f"/boot/x.squashfs?mac={MAC}"),
        server.get(path, headers={"If-None-Match": etag}),
        server.get(path, headers={"Range": "bytes=999999-"}),
        server.get(f"/boot/{KERNEL}"),
    ]

    assert [answer.status_code for answer in answers] == [200, 404, 404, 200, 304, 416, 200]
    assert server.phase() == "idle"
    assert "netboot.flasher.armed" not in server.kinds()


@pytest.mark.parametrize("mac", ["", "zz", "02:00:00:00:00:99", "%00", "52:54:00:12:34:56\n"])
def test_a_malformed_or_unknown_mac_is_ignored(server: Site, mac: str) -> None:
    server.bind("bty-flash-once")

    answer = server.get(f"/boot/{KERNEL}?mac={mac}")

    assert answer.content == DATA
    assert server.phase() == "idle"
    assert server.kinds() == ["machine.created"]


@pytest.mark.parametrize(
    "mac", ["52%3A54%3A00%3A12%3A34%3A56", "52%3a54%3a00%3a12%3a34%3a56", "52-54-00-12-34-56"]
)
def test_the_mac_may_come_percent_encoded(server: Site, quick_dir: Path, mac: str) -> None:
    server.bind("bty-flash-once")

    with serving.listening(server.app, quick_dir) as port:
        serving.exchange(port, serving.request("GET", f"/boot/{KERNEL}?mac={mac}"))

    assert server.phase() == "booted"


# -- uploads ----------------------------------------------------------------------------------


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_an_operator_stores_a_file_whole(server: Site, boot_dir: Path) -> None:
    answer = server.operate("PUT", "/boot/new.efi", body=DATA)

    assert answer.json == {
        "name": "new.efi",
        "size_bytes": len(DATA),
        "path": str(boot_dir / "new.efi"),
    }
    assert server.get("/boot/new.efi").content == DATA
    assert names(boot_dir) == sorted([KERNEL, INITRD, SQUASHFS, "new.efi"])


def test_nobody_else_stores_files(server: Site, boot_dir: Path) -> None:
    answer = server.ask("PUT", f"/boot/{KERNEL}", body=b"evil")

    assert (answer.status_code, answer.json) == (401, {"detail": "login required"})
    assert (boot_dir / KERNEL).read_bytes() == DATA


def test_another_sites_page_cannot_make_the_operators_browser_store_a_file(
    server: Site, boot_dir: Path
) -> None:
    answer = server.operate(
        "PUT", f"/boot/{KERNEL}", body=b"evil", headers={"Origin": "http://evil.test"}
    )

    assert answer.status_code == 403
    assert (boot_dir / KERNEL).read_bytes() == DATA


@pytest.mark.parametrize("headers", [{}, {"Content-Length": str(64 * 2**20 + 1)}])
def test_a_file_over_the_bound_leaves_nothing(quick_dir: Path, headers: dict[str, str]) -> None:
    bound = dataclasses.replace(serving.PLENTY, max_upload_bytes=1000)
    with serving.site(quick_dir / "state", tuning=bound) as site:
        answer = site.operate("PUT", "/boot/large", body=b"x" * 1001, headers=headers)

        assert answer.status_code == 413
        assert names(site.state_dir / "boot") == sorted([KERNEL, INITRD, SQUASHFS])


def test_a_file_of_a_name_that_is_not_plain_is_not_stored(server: Site) -> None:
    for name in ("..", "a/b", "../x", "a\0b"):
        assert server.operate("PUT", f"/boot/{name}", body=b"x").status_code in {400, 404}

    assert not (server.state_dir / "x").exists()


# -- machines that read slowly ----------------------------------------------------------------


@contextmanager
def stalled(port: int, request: bytes, count: int) -> Iterator[list[socket.socket]]:
    """Machines that ask for a file, read its first bytes, and then nothing more."""
    with ExitStack() as stack:
        lines = [stack.enter_context(serving.connected(port)) for _ in range(count)]
        for line in lines:
            line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            line.sendall(request)
        for line in lines:
            assert line.recv(12) == b"HTTP/1.1 200"
        yield lines


def contact_seconds(port: int) -> float:
    """How long a contact takes, at best of three: the machine under the test is shared."""
    taken = []
    for _ in range(3):
        begun = time.perf_counter()
        answer = serving.exchange(port, serving.request("GET", f"/pxe/{MAC}"))
        taken.append(time.perf_counter() - begun)
        assert b"#!ipxe" in answer
    return min(taken)


def test_24_stalled_readers_of_a_large_file_delay_no_contact(
    server: Site, boot_dir: Path, quick_dir: Path
) -> None:
    with (boot_dir / "x.squashfs").open("wb") as file:
        file.truncate(64 * 2**20)
    request = serving.request("GET", "/boot/x.squashfs")

    with (
        serving.listening(server.app, quick_dir, threads=4) as port,
        stalled(port, request, 24),
    ):
        assert contact_seconds(port) < QUICK


def test_a_file_goes_out_through_the_servers_own_file_wrapper(server: Site) -> None:
    wrapped: list[Any] = []

    def wrapper(file: Any, block: int) -> Any:
        wrapped.append(file)
        return iter([file.read()])

    answer = server.get(f"/boot/{KERNEL}", file_wrapper=wrapper)

    assert answer.content == DATA
    (file,) = wrapped
    assert os.fstat(file.fileno()).st_ino == (server.state_dir / "boot" / KERNEL).stat().st_ino
    file.close()
