"""Whom we believe over TLS, and that TLS loosens no bound."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from bty_app.errors import UnavailableError
from bty_app.upstream.http import Http, Pace, Request
from tests.other_host import Identity, OtherHost, answer, identity, other_host, redirect


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> Identity:
    return identity(tmp_path_factory.mktemp("tls"), "IP:127.0.0.1")


@pytest.fixture
def host(known: Identity) -> Iterator[OtherHost]:
    with other_host(known) as running:
        running.routes["/a"] = answer(b"over TLS")
        yield running


@pytest.fixture
def _trusted(known: Identity, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(known.certificate))


def test_an_unknown_authority_is_refused_with_what_to_do(host: OtherHost) -> None:
    with pytest.raises(UnavailableError) as caught:
        Http().get(host.url("/a"), limit=100, seconds=10)

    assert caught.value.message == (
        f"{host.url('/a')} cannot be fetched: its certificate is not trusted (self-signed"
        " certificate); SSL_CERT_FILE can name a file with the authority that signed it"
    )
    assert not host.heads


@pytest.mark.usefixtures("_trusted")
def test_an_authority_that_the_environment_names_is_believed(host: OtherHost) -> None:
    assert Http().get(host.url("/a"), limit=100, seconds=10) == b"over TLS"


@pytest.mark.usefixtures("_trusted")
def test_the_certificate_of_another_name_is_refused(host: OtherHost) -> None:
    url = host.url("/a").replace("127.0.0.1", "localhost")

    with pytest.raises(UnavailableError, match=r"not trusted \(Hostname mismatch.*localhost"):
        Http().get(url, limit=100, seconds=10)


@pytest.mark.usefixtures("_trusted")
def test_what_was_asked_over_tls_is_not_fetched_without(host: OtherHost) -> None:
    with other_host() as plain:
        host.routes["/down"] = redirect(plain.url("/a"))

        with pytest.raises(UnavailableError, match=r"redirects from https to http://.* is refused"):
            Http().get(host.url("/down"), limit=100, seconds=10)
        assert not plain.heads


@pytest.mark.usefixtures("_trusted")
def test_the_deadline_holds_over_tls(host: OtherHost) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"
    host.routes["/drip"] = host.drip(b"x" * 900, first=head)
    host.routes["/silent"] = host.silence
    began = time.monotonic()

    for path in ("/drip", "/silent"):
        with pytest.raises(UnavailableError, match="did not answer in time"):
            Http().get(host.url(path), limit=1000, seconds=0.4)

    assert time.monotonic() - began < 4


@pytest.mark.usefixtures("_trusted")
def test_a_stall_over_tls_is_cut_off(host: OtherHost) -> None:
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 900\r\n\r\n"
    host.routes["/drip"] = host.drip(b"x" * 900, first=head)
    pace = Pace(least_bytes=500, seconds=0.3)
    request = Request(host.url("/drip"))

    with (
        Http().download(request, limit=1000, pace=pace) as body,
        pytest.raises(UnavailableError, match=r"after \d+ of 900 bytes: fewer than 500 bytes"),
    ):
        list(body.chunks())
