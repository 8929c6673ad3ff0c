"""A real registry, and registries that lie."""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bty_app.domain.oci import INDEX_TYPES, MANIFEST_TYPES
from bty_app.errors import BtyError, InvalidInputError, NotFoundError, UnavailableError
from bty_app.upstream.http import Answer, Http, Request
from bty_app.upstream.registry import Login, Registry
from tests import programs
from tests.other_host import Answer as Told
from tests.other_host import OtherHost, answer, other_host, redirect

MANIFEST, INDEX = MANIFEST_TYPES[0], INDEX_TYPES[0]
# bcrypt of "secret", for the user "me"
HTPASSWD = "me:$2y$05$zDCMqpPfLKNOY8IhkL7l/OoRLsr1HxFqNy8hZmeapgdeBWHbcoZq.\n"


def sha(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


def layer(data: bytes, title: str = "", kind: str = "application/octet-stream") -> dict[str, Any]:
    made: dict[str, Any] = {"mediaType": kind, "digest": sha(data), "size": len(data)}
    return made | ({"annotations": {"org.opencontainers.image.title": title}} if title else {})


def manifest(*layers: dict[str, Any]) -> bytes:
    config = layer(b"{}", kind="application/vnd.oci.image.config.v1+json")
    body = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": list(layers)}
    return json.dumps(body).encode()


@dataclass
class Pushed:
    """A client that pushes to a registry on loopback."""

    port: int

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    def client(self, **more: Any) -> Registry:
        return Registry(Http(), plain_http=frozenset({self.host}), **more)

    def src(self, tag: str) -> str:
        return f"oras://{self.host}/o/image:{tag}"

    def _send(self, method: str, url: str, body: bytes = b"", kind: str = "") -> Answer:
        headers = {"Content-Type": kind or "application/octet-stream"}
        found = Http().ask(Request(url, method, headers, body), limit=10**6, seconds=20)
        assert found.status in (201, 202), found
        return found

    def blob(self, data: bytes) -> None:
        begun = self._send("POST", f"http://{self.host}/v2/o/image/blobs/uploads/")
        place = begun.headers["Location"]
        url = f"{place}{'&' if '?' in place else '?'}digest={sha(data)}"
        self._send("PUT", url, data)

    def push(self, tag: str, body: bytes, *blobs: bytes, kind: str = MANIFEST) -> str:
        for data in (b"{}", *blobs):
            self.blob(data)
        self._send("PUT", f"http://{self.host}/v2/o/image/manifests/{tag}", body, kind)
        return sha(body)


@pytest.fixture(scope="module")
def pushed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pushed]:
    with programs.registry(tmp_path_factory.mktemp("registry")) as port:
        yield Pushed(port)


def test_a_tag_leads_to_its_layer(pushed: Pushed) -> None:
    image = b"image bytes" * 99
    pushed.push("one", manifest(layer(image, "debian.img.zst")), image)

    found = pushed.client().resolve(pushed.src("one"))

    assert f"sha256:{found.digest}" == sha(image)
    assert (found.size, found.title, found.format) == (len(image), "debian.img.zst", "img.zst")
    assert found.blob_url == f"http://{pushed.host}/v2/o/image/blobs/{sha(image)}"


def test_a_tag_that_moved_means_the_new_layer(pushed: Pushed) -> None:
    client = pushed.client()
    for image in (b"monday", b"tuesday"):
        pushed.push("rolling", manifest(layer(image)), image)
        assert f"sha256:{client.resolve(pushed.src('rolling')).digest}" == sha(image)


def test_what_stands_beside_the_image_is_not_taken_for_it(pushed: Pushed) -> None:
    image, notes, sbom = b"image", b"x" * 500, b"y" * 900
    pushed.push(
        "helpers",
        manifest(
            layer(notes, "image.img.gz.sha256"),
            layer(sbom, kind="application/spdx+json"),
            layer(image, "image.img.gz"),
        ),
        *(image, notes, sbom),
    )

    assert pushed.client().resolve(pushed.src("helpers")).title == "image.img.gz"


def test_an_index_is_resolved_by_architecture(pushed: Pushed) -> None:
    images = {"amd64": b"for amd64", "arm64": b"for arm64"}
    listed = []
    for arch, image in images.items():
        body = manifest(layer(image))
        digest = pushed.push(f"of-{arch}", body, image)
        platform = {"os": "linux", "architecture": arch}
        row = {"mediaType": MANIFEST, "digest": digest, "size": len(body), "platform": platform}
        listed.append(row)
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": listed}).encode()
    pushed.push("both", index, kind=INDEX)
    client = pushed.client()

    for arch, image in images.items():
        assert f"sha256:{client.resolve(pushed.src('both'), arch=arch).digest}" == sha(image)
    with pytest.raises(InvalidInputError, match=r"no image for riscv64 .* linux/amd64"):
        client.resolve(pushed.src("both"), arch="riscv64")


def test_a_digest_names_the_layer_itself(pushed: Pushed) -> None:
    pushed.blob(b"by digest")

    found = pushed.client().resolve(f"oras://{pushed.host}/o/image@{sha(b'by digest')}")

    assert (f"sha256:{found.digest}", found.size) == (sha(b"by digest"), 9)


def test_a_catalog_is_fetched_whole_and_checked(pushed: Pushed) -> None:
    catalog = b"version = 1\n"
    pushed.push("catalog", manifest(layer(catalog, "catalog.toml")), catalog)

    assert pushed.client().fetch(pushed.src("catalog"), limit=100, seconds=10) == catalog


@pytest.mark.parametrize("src", ["oras://{}/o/image:none", "oras://{}/o/none:latest"])
def test_what_is_not_there_is_said(pushed: Pushed, src: str) -> None:
    with pytest.raises(NotFoundError, match="is not in the registry"):
        pushed.client().resolve(src.format(pushed.host))


def test_a_registry_is_spoken_to_over_tls_unless_configured(pushed: Pushed) -> None:
    with pytest.raises(UnavailableError, match=f"https://{pushed.host}/.*cannot be fetched"):
        Registry(Http(), pause=lambda _s: None).resolve(pushed.src("one"))


def test_a_login_is_asked_for_and_used(tmp_path: Path) -> None:
    with programs.registry(tmp_path) as port:
        Pushed(port).push("x", manifest(layer(b"image")), b"image")
    with programs.registry(tmp_path, htpasswd=HTPASSWD) as port:
        host = f"127.0.0.1:{port}"
        src, plain = f"oras://{host}/o/image:x", frozenset({host})

        with pytest.raises(UnavailableError, match=r"wants a login.*registry\.credentials"):
            Registry(Http(), plain_http=plain).resolve(src)
        wrong = Registry(Http(), plain_http=plain, logins={host: Login("me", "wrong")})
        with pytest.raises(UnavailableError, match="refuses o/image") as refused:
            wrong.resolve(src)
        assert "wrong" not in refused.value.message
        right = Registry(Http(), plain_http=plain, logins={host: Login("me", "secret")})
        assert right.resolve(src).size == len(b"image")


# -- one that lies -------------------------------------------------------------------------------

IMAGE = b"image"
GOOD = manifest(layer(IMAGE))
M, B = "/v2/o/image/manifests/x", f"/v2/o/image/blobs/{sha(IMAGE)}"


@pytest.fixture
def host() -> Iterator[OtherHost]:
    with other_host() as running:
        yield running


def asked(host: OtherHost, **more: Any) -> Registry:
    plain = frozenset({f"127.0.0.1:{host.port}"})
    return Registry(Http(), plain_http=plain, pause=lambda _seconds: None, **more)


def src(host: OtherHost) -> str:
    return f"oras://127.0.0.1:{host.port}/o/image:x"


def in_turn(*answers: Told) -> Told:
    left = list(answers)

    def send(client: socket.socket) -> None:
        told = left.pop(0) if len(left) > 1 else left[0]
        told(client)

    return send


def unauthorized(challenge: str) -> Told:
    return answer(status="401 Unauthorized", WWW_Authenticate=challenge)


LIES: list[tuple[str, Told, str]] = [
    ("a lying digest", answer(GOOD, Docker_Content_Digest="sha256:" + "0" * 64), "not what its"),
    ("no JSON", answer(b"{"), "not JSON"),
    ("JSON of great depth", answer(b"[" * 10**5), "nested deeper than 64 levels"),
    ("no layers", answer(manifest()), "no layer"),
    ("layers of nothing", answer(b'{"layers": 7}'), "no proper list"),
    ("a negative size", answer(manifest(layer(IMAGE) | {"size": -1})), "without a proper size"),
    ("a digest of md5", answer(manifest(layer(IMAGE) | {"digest": "md5:x"})), "no sha256"),
    ("ten GB", answer(b"x", Content_Length="10000000000"), "larger than"),
    ("file:", redirect("file:///etc/passwd"), "is refused"),
    ("redirects for ever", redirect(M), "more than 5 times"),
    ("an endless 401", unauthorized('Bearer realm="REALM/token"'), "refuses o/image"),
    ("a realm of another kind", unauthorized('Bearer realm="file:///x"'), "token server"),
    ("an index in an index", answer(b'{"manifests": []}'), "no image for amd64"),
]


@pytest.mark.parametrize(("told", "sentence"), [c[1:] for c in LIES], ids=[c[0] for c in LIES])
def test_a_lie_is_one_sentence(host: OtherHost, told: Told, sentence: str) -> None:
    def honest_realm(client: Any) -> None:
        if sentence == "refuses o/image":
            realm = host.url("/token")
            unauthorized(f'Bearer realm="{realm}",service="s"')(client)
        else:
            told(client)

    host.routes[M] = honest_realm
    host.routes["/token"] = answer(b'{"token": "t"}')

    with pytest.raises(BtyError, match=sentence):
        asked(host).resolve(src(host), seconds=5)
    assert len(host.heads) < 20


def test_a_token_is_fetched_once_for_many_questions(host: OtherHost) -> None:
    realm = host.url("/token")
    host.routes["/token"] = answer(b'{"token": "abc", "expires_in": 300}')
    host.routes[M] = in_turn(unauthorized(f'Bearer realm="{realm}",service="s"'), answer(GOOD))
    registry = asked(host, logins={f"127.0.0.1:{host.port}": Login("me", "secret")})

    for _ in range(3):
        registry.resolve(src(host))

    tokens = [head for head in host.heads if "/token" in head]
    assert len(tokens) == 1
    assert "scope=repository%3Ao%2Fimage%3Apull" in tokens[0]
    basic = base64.b64encode(b"me:secret").decode()
    assert f"Basic {basic}" in tokens[0]
    manifests = [head for head in host.heads if M in head]
    assert ["Bearer abc" in head for head in manifests] == [False, True, True, True]
    assert not any(basic in head for head in manifests)


def test_a_token_server_without_tls_gets_no_login_of_a_registry_with(host: OtherHost) -> None:
    told = Answer(
        401, {"WWW-Authenticate": f'Bearer realm="{host.url("/token")}"'}, b"", "https://r"
    )

    class OverTls(Http):
        def ask(self, request: Request, *, limit: int, seconds: float) -> Answer:
            assert request.url.startswith("https://r.test/")
            return told

    with pytest.raises(UnavailableError, match="token server that is refused"):
        Registry(OverTls(), logins={"r.test": Login("me", "secret")}).resolve("oras://r.test/o/i:x")
    assert not host.heads


def test_a_busy_registry_is_asked_again_and_a_dead_one_not_for_ever(host: OtherHost) -> None:
    busy = answer(status="503 Service Unavailable")
    host.routes[M] = in_turn(busy, busy, answer(GOOD))
    assert asked(host).resolve(src(host)).size == len(IMAGE)

    host.routes[M] = busy
    with pytest.raises(UnavailableError, match="answers 503"):
        asked(host).resolve(src(host))
    assert len(host.heads) == 6


def test_silence_costs_no_more_than_the_seconds_given(host: OtherHost) -> None:
    host.routes[M] = host.silence
    began = time.monotonic()

    with pytest.raises(UnavailableError, match="did not answer in time"):
        asked(host).resolve(src(host), seconds=0.3)
    assert time.monotonic() - began < 3


def test_bytes_that_are_not_what_the_manifest_says_are_refused(host: OtherHost) -> None:
    host.routes[M] = answer(GOOD)
    host.routes[B] = answer(b"other")

    with pytest.raises(InvalidInputError, match="is not what its digest says"):
        asked(host).fetch(src(host), limit=100, seconds=5)
