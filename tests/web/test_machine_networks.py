"""What is open to machines can be kept to their networks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import serving
from tests.serving import KERNEL, MAC, Site

INSIDE, OUTSIDE = "192.0.2.17", "198.51.100.9"
ROUTES = [
    ("GET", "/pxe-bootstrap.ipxe"),
    ("GET", "/client.pyz"),
    ("GET", f"/pxe/{MAC}"),
    ("GET", f"/pxe/{MAC}/plan"),
    ("POST", f"/pxe/{MAC}/inventory"),
    ("POST", f"/pxe/{MAC}/status"),
    ("POST", f"/pxe/{MAC}/done"),
    ("POST", f"/pxe/{MAC}/progress"),
    ("POST", f"/pxe/{MAC}/booted"),
    ("GET", f"/boot/{KERNEL}"),
    ("HEAD", f"/boot/{KERNEL}"),
]


@pytest.fixture
def bounded(quick_dir: Path) -> Iterator[Site]:
    with serving.site(quick_dir, machines_from="192.0.2.0/24 2001:db8::/64") as made:
        yield made


@pytest.mark.parametrize(("method", "path"), ROUTES)
def test_from_elsewhere_a_machine_is_refused_and_nothing_is_known_of_it(
    bounded: Site, method: str, path: str
) -> None:
    refused = bounded.ask(method, path, remote_addr=OUTSIDE, json={})

    assert refused.status_code == 403
    assert method == "HEAD" or "server.machine_networks" in refused.text
    assert bounded.machine() is None
    assert bounded.events() == []
    assert bounded.ask(method, path, remote_addr=INSIDE, json={}).status_code != 403


@pytest.mark.parametrize("address", [INSIDE, f"::ffff:{INSIDE}", "2001:db8::1"])
def test_a_machine_of_the_networks_is_answered(bounded: Site, address: str) -> None:
    bounded.contact(remote_addr=address)

    assert bounded.machine() is not None


@pytest.mark.parametrize("address", ["2001:db8:1::1", "192.0.3.1", "::1", "nonsense", None])
def test_an_address_that_is_none_of_them_is_of_no_network(
    bounded: Site, address: str | None
) -> None:
    assert bounded.get(f"/pxe/{MAC}", remote_addr=address).status_code == 403


def test_operators_and_monitoring_are_answered_from_anywhere(bounded: Site) -> None:
    assert bounded.operate("GET", "/machines", remote_addr=OUTSIDE).status_code == 200
    assert bounded.get("/healthz", remote_addr=OUTSIDE).status_code == 200
    put = bounded.operate("PUT", "/boot/mine.efi", remote_addr=OUTSIDE, body=b"x")
    assert put.status_code == 200
    assert bounded.get("/boot/mine.efi", remote_addr=OUTSIDE).status_code == 403


def test_behind_a_proxy_the_machine_counts_and_not_the_proxy(quick_dir: Path) -> None:
    with serving.site(quick_dir, trusted="10.0.0.1/32", machines_from="192.0.2.0/24") as site:
        for forwarded, status in ((INSIDE, 200), (OUTSIDE, 403)):
            headers = {"X-Forwarded-For": forwarded}
            answer = site.get(f"/pxe/{MAC}", remote_addr="10.0.0.1", headers=headers)
            assert answer.status_code == status


def test_without_networks_all_may_ask(quick_dir: Path) -> None:
    with serving.site(quick_dir) as site:
        site.contact(remote_addr=OUTSIDE)
