"""Copies over TLS, signed by an authority of one's own: believed, or refused in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bty_app import runtime_offsite, runtime_parts
from bty_app.config import Config
from bty_app.config_elsewhere import Offsite as Section
from bty_app.config_sections import Paths
from bty_app.domain.findings import Finding
from bty_app.domain.offsite import BucketTarget, WebTarget
from bty_app.domain.place import Place
from bty_app.errors import CancelledError, ConfigError, UnavailableError
from bty_app.services.offsite import Offsite
from bty_app.upstream.http import Http
from bty_app.upstream.s3 import Bucket
from bty_app.upstream.sigv4 import Credentials, Scope
from bty_app.upstream.webdav import WebFolder
from tests import places
from tests.places import PART_BYTES
from tests.services.offsite_bench import KEY, NOW, Watcher, backup, content
from tests.tls import Authority, tls_before

LARGE = 3 * PART_BYTES + 12_345


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def _believed(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.certificate))


def _scope() -> Scope:
    return Scope(datetime.now(UTC), "us-east-1")


@dataclass(frozen=True)
class Kind:
    """A server, and a client of it through a port that speaks TLS."""

    port: int
    s3: places.S3 | None = None

    def place(self, port: int, host: str = "127.0.0.1") -> Place:
        http = Http(wait_seconds=5)
        if self.s3 is None:
            target = WebTarget(f"https://{host}:{port}/tls-{port}")
            return WebFolder(http, target, places.USER, places.PASSWORD)
        bucket = BucketTarget(f"https://{host}:{port}", places.BUCKET, f"tls-{port}", "us-east-1")
        credentials = Credentials(places.ACCESS, places.SECRET)
        return Bucket(http, bucket, credentials, _scope, part_bytes=PART_BYTES)


@pytest.fixture(params=["s3", "webdav"])
def kind(request: pytest.FixtureRequest) -> Kind:
    if request.param == "s3":
        server: places.S3 = request.getfixturevalue("s3")
        return Kind(server.port, server)
    folder: places.Dav = request.getfixturevalue("dav")
    return Kind(folder.port)


@contextmanager
def served(kind: Kind, authority: Authority, *, days: int = 2, name: str = "") -> Iterator[int]:
    """A port that speaks TLS with a certificate of `authority` before the server."""
    with tls_before(kind.port, authority.identity(name or "IP:127.0.0.1", days=days)) as port:
        yield port


@pytest.mark.usefixtures("_believed")
def test_it_goes_there_is_gone_on_with_and_comes_back(
    kind: Kind, authority: Authority, tmp_path: Path
) -> None:
    backup_id = backup(tmp_path / "backups", size=LARGE)
    cut = Watcher(lambda step: step.words == "sending state.db" and step.done > 2 * PART_BYTES)
    with served(kind, authority) as port:
        there = Offsite(kind.place(port), tmp_path / "backups", keep=0, key=KEY, clock=lambda: NOW)
        with pytest.raises(CancelledError):
            there.push(backup_id, cut)
        assert there.reading.there().halves == (backup_id,)

        copy, is_new = there.push(backup_id, Watcher())
        there.reading.fetch(backup_id, tmp_path / "back", Watcher())

        assert is_new
        assert there.reading.problems(copy, Watcher()) == []
    assert content(tmp_path / "back") == content(tmp_path / "backups" / backup_id)


def refused(kind: Kind, port: int, tmp_path: Path, host: str = "127.0.0.1") -> str:
    """The sentence that a push ends with."""
    backup_id = backup(tmp_path / "backups")
    there = Offsite(
        kind.place(port, host), tmp_path / "backups", keep=0, key=None, clock=lambda: NOW
    )
    with pytest.raises(UnavailableError) as caught:
        there.push(backup_id, Watcher())
    return caught.value.message


def test_an_authority_that_nobody_named_is_refused(
    kind: Kind, authority: Authority, tmp_path: Path
) -> None:
    with served(kind, authority) as port:
        said = refused(kind, port, tmp_path)

    assert "its certificate is not trusted" in said
    assert "SSL_CERT_FILE can name a file with the authority that signed it" in said


@pytest.mark.usefixtures("_believed")
def test_a_certificate_of_another_authority_is_refused(kind: Kind, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with served(kind, Authority(tmp_path / "other")) as port:
        assert "its certificate is not trusted" in refused(kind, port, tmp_path)


@pytest.mark.usefixtures("_believed")
def test_a_certificate_that_has_expired_is_refused(
    kind: Kind, authority: Authority, tmp_path: Path
) -> None:
    with served(kind, authority, days=-1) as port:
        assert "(certificate has expired)" in refused(kind, port, tmp_path)


@pytest.mark.usefixtures("_believed")
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_certificate_of_another_host_is_refused(
    kind: Kind, authority: Authority, tmp_path: Path, host: str
) -> None:
    with served(kind, authority, name="DNS:backups.example") as port:
        said = refused(kind, port, tmp_path, host)

    assert "mismatch" in said
    assert host in said


BROKEN = "-----BEGIN CERTIFICATE-----\n\xe9!\n-----END CERTIFICATE-----\n"

# -- offsite.ca_file -----------------------------------------------------------------------------


def configured(kind: Kind, port: int, root: Path, ca_file: str) -> Config:
    """A server that copies its backups to this port, and believes that file."""
    if kind.s3 is None:
        url, user, password = f"https://127.0.0.1:{port}/ca-{port}", places.USER, places.PASSWORD
    else:
        end = f"endpoint=https://127.0.0.1:{port}&region=us-east-1"
        url = f"s3://{places.BUCKET}/ca-{port}?{end}"
        user, password = places.ACCESS, places.SECRET
    section = Section(url=url, user=user, password=password, ca_file=ca_file)
    (root / "state").mkdir(parents=True, exist_ok=True)
    paths = Paths(state_dir=root / "state", backup_dir=root / "backups")
    return Config(paths=paths, offsite=section)


def found(config: Config) -> Finding:
    """What the doctor says of the place."""
    return next(
        row for row in runtime_parts.doctor(config, None).findings() if row.check == "offsite"
    )


def test_an_authority_that_the_configuration_names_is_believed_beside_the_others(
    kind: Kind, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    monkeypatch.setenv("SSL_CERT_FILE", str(other.certificate))  # what the system believes here
    backup_id = backup(tmp_path / "backups")
    file = tmp_path / "both.pem"
    file.write_text(f"# Autorité\n{authority.certificate.read_text()}", "utf-8")
    named = str(file)
    for signer in (authority, other):
        with served(kind, signer) as port:
            config = configured(kind, port, tmp_path, named)
            there = runtime_offsite.offsite(config, runtime_parts.outgoing())
            assert there is not None
            copy, _is_new = there.push(backup_id, Watcher())
            assert there.reading.problems(copy, Watcher()) == []
            assert found(config).level == "ok"


def test_what_is_believed_there_is_believed_nowhere_else(
    kind: Kind, authority: Authority, tmp_path: Path
) -> None:
    with served(kind, authority) as port:
        http = runtime_parts.outgoing()
        config = configured(kind, port, tmp_path, str(authority.certificate))
        assert runtime_offsite.offsite(config, http) is not None

        with pytest.raises(UnavailableError, match="is not trusted"):
            http.get(f"https://127.0.0.1:{port}/", limit=1000, seconds=10)
        unnamed = found(configured(kind, port, tmp_path, ""))

    assert unnamed.level == "warning"
    assert "is not trusted" in unnamed.sentence


@pytest.mark.parametrize("text", [None, "", BROKEN, "\xe9"])
def test_a_file_without_an_authority_is_refused_and_is_a_fault_of_the_doctor(
    kind: Kind, tmp_path: Path, text: str | None
) -> None:
    file = tmp_path / "authority.pem"
    if text is not None:
        file.write_text(text, "utf-8")
    config = configured(kind, 1, tmp_path, str(file))

    with pytest.raises(ConfigError, match=r"^offsite\.ca_file: /.*authority\.pem: "):
        runtime_offsite.offsite(config, runtime_parts.outgoing())

    assert found(config).level == "fault"
    assert "offsite.ca_file" in found(config).sentence
