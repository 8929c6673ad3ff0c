"""A host with systemd, in a virtual machine: bty by its own unit, and by podman's Quadlet units.

Three releases: the one before, this one, and one that ends as soon as it is to serve.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from bty_app import __version__
from tests.boot.image_store import image_store
from tests.boot.systemd_host import ADDRESS, Answer, SystemdHost, build_disk, its_python
from tests.pyz import tools
from tests.pyz.releases import rebranded

pytestmark = pytest.mark.boot

BEFORE, NOW, BAD = "0.91.9", __version__, "999.0"
MAC = "52:54:00:12:34:56"
HOST, DEPLOYED = "/usr/local/lib/bty", "/srv/bty"
_UNIT = re.compile(r"^ *```ini\n( *\[Unit\]\n.*?)^ *```$", re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The disk of a host with three releases at hand, and the images of them."""
    place = tmp_path_factory.mktemp("systemd-host")
    built = tools.build(place / f"{NOW}.pyz", "--python", str(its_python(place)))
    assert built.returncode == 0, built.stderr
    here = place / f"{NOW}.pyz"
    releases = {
        BEFORE: rebranded(here, place / f"{BEFORE}.pyz", BEFORE),
        NOW: here,
        BAD: rebranded(here, place / f"{BAD}.pyz", BAD, serves=False),
    }
    unit = place / "bty.service"
    unit.write_text(_unit_of_the_documents())
    files = {f"/root/{version}.pyz": path for version, path in releases.items()}
    store = image_store(place, {version: releases[version] for version in (BEFORE, NOW)})
    made = place / "disk.img"
    build_disk(made, {**files, "/root/bty.service": unit}, {"/var/lib/containers": store})
    store.unlink()
    return made


def _unit_of_the_documents() -> str:
    text = (tools.ROOT / "docs/how-to/run-as-a-service.md").read_text("utf-8")
    found = _UNIT.search(text)
    assert found, "the page has no unit"
    return "".join(f"{line.strip()}\n" for line in found[1].splitlines())


@pytest.fixture(scope="module")
def guest(disk: Path) -> Iterator[SystemdHost]:
    with SystemdHost(disk) as host:
        yield host


@dataclass(frozen=True, slots=True)
class Operator:
    """Root at that host."""

    host: SystemdHost

    def does(self, line: str, *, status: int = 0, seconds: float = 600.0) -> str:
        """Run a line; it must end as is expected."""
        answer: Answer = self.host.sh(line, seconds=seconds)
        print(f"# {line}\n{answer.said}")
        assert answer.status == status, f"{line}: {answer.status}\n{answer.said}\n{self._journal()}"
        return answer.said

    def version(self) -> str:
        """The release that serves."""
        return self.does(f"curl -sf http://{ADDRESS}:8080/version")

    def _journal(self) -> str:
        return self.host.sh("journalctl -u bty -n 40 --no-pager -o cat").said


def test_a_release_that_does_not_serve_is_taken_back_on_a_host(guest: SystemdHost) -> None:
    """The steps of "run as a service", then an upgrade."""
    root = Operator(guest)
    root.does(f"install -D -m 0755 /root/{NOW}.pyz {HOST}/bty.pyz")
    root.does("useradd --system --home-dir /var/lib/bty --shell /usr/sbin/nologin bty")
    root.does("install -m 0644 /root/bty.service /etc/systemd/system/bty.service")
    root.does("systemctl daemon-reload && systemctl enable --now bty")
    assert NOW in root.version(), "the unit has started when the server answers"
    bty = f"runuser -u bty -- python3 {HOST}/bty.pyz"
    root.does(f"{bty} machine set {MAC} --mode ipxe-exit --label rack-3")

    said = root.does(f"python3 /root/{BAD}.pyz upgrade --watch 3 {HOST}", status=1)

    assert NOW in root.version(), said
    assert "rack-3" in root.does(f"{bty} machine show {MAC}"), "with the data of before"
    assert "this release does not serve" in said, "the log of what failed is shown"
    root.does("systemctl disable --now bty && rm /etc/systemd/system/bty.service")
    root.does("systemctl daemon-reload")


def test_quadlet_units_run_bty_through_an_upgrade_and_a_power_cut(
    guest: SystemdHost, disk: Path
) -> None:
    root = Operator(guest)
    root.does(f"python3 /root/{BEFORE}.pyz deploy --systemd --tftp {DEPLOYED}")
    assert BEFORE in root.version()
    assert ":69 " in root.does("ss -lun")
    bty = "podman exec bty bty"
    root.does(f"{bty} machine set {MAC} --mode ipxe-exit --label rack-3")

    said = root.does(f"python3 /root/{NOW}.pyz upgrade --watch 3 {DEPLOYED}")

    assert NOW in root.version(), said
    root.does(f"{bty} machine set {MAC} --mode ipxe-exit --label rack-4")
    guest.cut_power()
    with SystemdHost(disk) as again:
        root = Operator(again)
        root.does(f"until curl -sf http://{ADDRESS}:8080/readyz; do sleep 1; done")
        assert NOW in root.version()
        assert "rack-4" in root.does(f"{bty} machine show {MAC}"), "what was acknowledged is there"
        root.does(f"python3 /root/{NOW}.pyz purge --yes --all {DEPLOYED}")
        assert root.does("podman ps --all --quiet") == ""
        root.does(f"test ! -e {DEPLOYED} && test ! -e /etc/containers/systemd/bty.container")
