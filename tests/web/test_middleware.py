"""What holds for every request."""

from __future__ import annotations

import ipaddress
import logging
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bty_app.web.middleware import client_address
from tests import serving
from tests.serving import MAC, Site

HOSTILE_HOSTS = [
    "",
    " ",
    "a/x || shell ;",
    "a b",
    "a\tb",
    "a||shell",
    "a;shell",
    "a&&boot",
    "a#",
    "a?b",
    "a/b",
    "a\\b",
    "a@b",
    "user:pw@host",
    "${net0/mac}",
    "$(id)",
    "`id`",
    "a'b",
    'a"b',
    "<script>",
    "a,b",
    "a, b",
    "-a",
    "a-",
    ".a",
    "a.",
    "a:0",
    "a:65536",
    "a:99999",
    "a:",
    "a:b",
    "a:80:80",
    ":80",
    "[::1",
    "::1",
    "[]",
    "[g::1]",
    "[::1]x",
    "[::1]:0",
    "[fe80::1%eth0]",
    "bücher.example",
    "xn--" + "a" * 300,
    "http://a",
    "a%0a",
    "a\x7f",
]


@pytest.mark.parametrize("path", ["/pxe-bootstrap.ipxe", f"/pxe/{MAC}", f"/pxe/{MAC}/plan"])
def test_a_host_that_is_no_host_is_refused_and_never_repeated(server: Site, path: str) -> None:
    for host in HOSTILE_HOSTS:
        answer = server.get(path, headers={"Host": host})

        assert answer.status_code == 400, host
        assert answer.json == {
            "detail": "the Host header has a port that does not exist"
            if re.fullmatch(r"(a|\[::1\]):\d+", host)
            else "the Host header is missing or not a host name or address"
        }


def test_a_hostile_host_gets_no_script_on_the_wire(server: Site, quick_dir: Path) -> None:
    with serving.listening(server.app, quick_dir) as port:
        for host in HOSTILE_HOSTS:
            answer = serving.exchange(
                port, serving.request("GET", "/pxe-bootstrap.ipxe", host=host)
            )

            assert answer.split()[1] == b"400", host
            assert b"chain" not in answer


@pytest.mark.parametrize(
    "host",
    [
        "bty",
        "bty.example.org",
        "bty-1.example.org:8080",
        "under_score:1",
        "192.0.2.1:65535",
        "[::1]",
        "[2001:db8::1]:8080",
        "A",
    ],
)
def test_a_host_with_an_optional_port_is_repeated_as_it_stands(server: Site, host: str) -> None:
    answer = server.get("/pxe-bootstrap.ipxe", headers={"Host": host})

    assert f"chain http://{host}/pxe/" in answer.text


def test_a_request_without_a_host_or_with_two_is_refused(server: Site, quick_dir: Path) -> None:
    with serving.listening(server.app, quick_dir) as port:
        none = serving.exchange(port, b"GET /pxe-bootstrap.ipxe HTTP/1.0\r\n\r\n")
        two = serving.exchange(
            port, serving.request("GET", "/pxe-bootstrap.ipxe", None, "Host: evil.test")
        )

    assert none.startswith(b"HTTP/1.0 400")
    assert two.startswith(b"HTTP/1.1 400")


NETS = [ipaddress.ip_network(net) for net in ("10.0.0.0/8", "2001:db8::/32")]


@pytest.mark.parametrize(
    ("peer", "header", "found"),
    [
        ("192.0.2.1", None, "192.0.2.1"),
        ("192.0.2.1", "198.51.100.9", "192.0.2.1"),  # the peer is nobody's proxy
        ("10.0.0.1", None, "10.0.0.1"),
        ("10.0.0.1", "198.51.100.9", "198.51.100.9"),
        ("10.0.0.1", "1.2.3.4, 198.51.100.9", "198.51.100.9"),  # the left one is the client's say
        ("10.0.0.1", "1.2.3.4, 198.51.100.9, 10.0.0.2", "198.51.100.9"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "<script>x</script>", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.9, <script>", "10.0.0.1"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", ",,,", "10.0.0.1"),
        ("10.0.0.1", "unknown", "10.0.0.1"),
        ("2001:db8::1", "2001:db9::7", "2001:db9::7"),
        ("::ffff:10.0.0.1", "198.51.100.9", "198.51.100.9"),
        ("::ffff:192.0.2.1", None, "192.0.2.1"),
        ("fe80::1%eth0", None, "fe80::1"),
        ("", "198.51.100.9", None),
        (None, None, None),
        # However much a client puts before it, the nearest hop is the one that counts.
        ("10.0.0.1", "1.2.3.4, " * 5000 + "198.51.100.9", "198.51.100.9"),
        ("10.0.0.1", "1.2.3.4," + " " * 3000 + ",198.51.100.9", "198.51.100.9"),
    ],
)
def test_the_client_is_the_nearest_hop_that_is_no_proxy_of_ours(
    peer: str | None, header: str | None, found: str | None
) -> None:
    assert client_address(peer, header, NETS) == found


@given(st.text(), st.text())
def test_a_client_address_is_an_address_or_nothing(peer: str, header: str) -> None:
    for first in (peer, "10.0.0.1"):
        found = client_address(first, header, NETS)
        assert found is None or str(ipaddress.ip_address(found)) == found


def test_nothing_is_trusted_unless_it_is_configured(server: Site) -> None:
    server.contact(headers={"X-Forwarded-For": "198.51.100.9"})

    assert server.machine().last_seen_ip == serving.IP  # type: ignore[union-attr]


def test_a_trusted_proxy_is_believed_by_its_network(quick_dir: Path) -> None:
    with serving.site(quick_dir, trusted="192.0.2.0/29 10.0.0.0/8") as site:
        site.contact(headers={"X-Forwarded-For": "1.2.3.4, 198.51.100.9, 10.1.1.1"})

        assert site.machine().last_seen_ip == "198.51.100.9"  # type: ignore[union-attr]
        assert site.events()[-1]["source_ip"] == "198.51.100.9"


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/healthz"),
        ("GET", "/nothing"),
        ("DELETE", "/healthz"),
        ("GET", "/machines"),
        ("POST", f"/pxe/{MAC}/status"),
        ("HEAD", "/"),
    ],
)
def test_every_answer_forbids_sniffing_and_names_its_request(
    server: Site, method: str, path: str
) -> None:
    first, second = server.ask(method, path), server.ask(method, path)

    assert first.headers["x-content-type-options"] == "nosniff"
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


def test_a_request_is_one_log_line_with_what_was_offered(
    server: Site, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="bty_app.web.middleware"):
        answer = server.get(f"/pxe/{MAC}")
        server.get("/healthz")

    (record,) = caplog.records
    fields = vars(record)["fields"]
    assert fields | {"ms": 0} == {
        "method": "GET",
        "path": f"/pxe/{MAC}",
        "status": 200,
        "ms": 0,
        "ip": serving.IP,
        "request_id": answer.headers["x-request-id"],
        "offer": "LiveEnv",
        "reason": "as-bound",
    }


@pytest.mark.filterwarnings("ignore:Unknown REQUEST_METHOD")
def test_methods_that_clients_make_up_are_counted_as_one(server: Site) -> None:
    for number in range(5):
        server.ask("GET", "/healthz")
        assert server.ask(f"BREW{number}", "/healthz").status_code in {400, 405}

    text = server.services.metrics.text([])

    assert "BREW" not in text
    assert '{route="/healthz",method="GET",status="200"} 5' in text


def test_paths_that_lead_nowhere_are_counted_as_one(server: Site) -> None:
    for number in range(5):
        server.get(f"/nothing-{number}")

    text = server.services.metrics.text([])

    assert "nothing" not in text
    assert 'route="unknown",method="GET",status="404"} 5' in text
